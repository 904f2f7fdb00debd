//! Links: what a call's bytes go through. A TCP connection, the standard input and output of a command, or our own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::pump::Link;

/// How long a command may take to end when its pipes are closed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A link over a connection that was made; whoever else has the connection may end it.
pub fn tcp(stream: Arc<TcpStream>) -> Link {
    // What is small and urgent goes at once; it matters less where it cannot be had.
    let _ = stream.set_nodelay(true);
    let (end, cut) = (stream.clone(), stream.clone());
    Link {
        read: Box::new(Shared(stream.clone())),
        write: Box::new(Shared(stream)),
        end: Box::new(move || {
            let _ = end.shutdown(Shutdown::Write);
        }),
        cut: Box::new(move |_| {
            let _ = cut.shutdown(Shutdown::Both);
        }),
        waits_for_end: true,
    }
}

/// One open file for both directions: a listener may have many.
struct Shared(Arc<TcpStream>);

impl Read for Shared {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to `host`, trying each of its addresses, in at most `timeout` altogether.
pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + timeout;
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        // The last one gets all that is left, the others a fair part.
        let share = left / (addresses.len() - index) as u32;
        if share.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A link that is the standard input and output of a command, which is run without a shell. Its standard error is ours. It
/// has its end with the call.
pub fn pipe(command: &[String]) -> io::Result<Link> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (read, write) = child.stdout.take().zip(child.stdin.take()).ok_or(io::ErrorKind::BrokenPipe)?;
    let write = Closable(Arc::new(Mutex::new(Some(write))));
    let ending = write.clone();
    let mut running = Some(RunningCommand { child, input: write.clone(), has_ended: false });
    Ok(Link {
        read: Box::new(read),
        write: Box::new(write),
        end: Box::new(move || {
            ending.close();
        }),
        cut: Box::new(move |has_ended| {
            if let Some(mut running) = running.take() {
                running.has_ended = has_ended;
            }
        }),
        waits_for_end: true,
    })
}

/// A writer that can be closed from elsewhere.
#[derive(Clone)]
struct Closable(Arc<Mutex<Option<ChildStdin>>>);

impl Closable {
    /// `false`: somebody is writing, and waits for a reader.
    fn close(&self) -> bool {
        match self.0.try_lock() {
            Ok(mut inner) => {
                inner.take();
                true
            }
            Err(_) => false,
        }
    }
}

impl Write for Closable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(inner) => inner.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A command that still talks must not outlive its link. One that has ended what it says may have something to do yet, as a
/// toss: it is left alone.
struct RunningCommand {
    child: Child,
    input: Closable,
    has_ended: bool,
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        let hears = self.input.close();
        if self.has_ended {
            let _ = self.child.try_wait();
            return;
        }
        let until = Instant::now() + LAST_WORDS;
        while hears && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A link that is our own standard input and output: inetd, ssh's forced command, the other half of a pipe.
pub fn stdio() -> io::Result<Link> {
    let read = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let write = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let is_socket = rustix::net::sockopt::socket_type(&read).is_ok();
    Ok(Link {
        read: Box::new(read),
        write: Box::new(write),
        end: Box::new(|| {
            let _ = rustix::net::shutdown(io::stdout(), rustix::net::Shutdown::Write);
            // A pipe has no other way: who reads it need not wait until this program ends.
            if let Ok(null) = File::options().write(true).open("/dev/null") {
                let _ = rustix::stdio::dup2_stdout(null);
            }
        }),
        cut: Box::new(|_| {
            let _ = rustix::net::shutdown(io::stdin(), rustix::net::Shutdown::Both);
        }),
        waits_for_end: is_socket,
    })
}
