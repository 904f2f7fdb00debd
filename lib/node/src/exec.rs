//! Running a command: fixed words, a clean environment, a process group of its own, limits of time and output. Its input is fed while
//! its output is read, by one thread, so neither can block the other.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use mb_spool::durable;

use crate::config::Limits;
use crate::toss::payload::PayloadError;

/// What sets limits for a command: of util-linux, which every system has.
const PRLIMIT: &str = "/usr/bin/prlimit";
/// Where a command looks for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// So much of what it says on standard error is kept.
const MOST_SAID: usize = 600;
/// Bytes read or written at a time.
const BLOCK_LEN: usize = 64 * 1024;
/// How often the stop flag is looked at.
const TURN: Duration = Duration::from_millis(250);
/// How long a command that is told to end may take to do so.
const GRACE: Duration = Duration::from_secs(2);

/// A command that is to be run.
pub struct Order<'a> {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// All of its environment, but for PATH.
    pub environment: Vec<(&'static str, String)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// How long it may take.
    pub time: Duration,
    /// Bytes that it may print, on standard output and standard error.
    pub most_output: u64,
    /// As which user and group.
    pub owner: (Option<u32>, Option<u32>),
    /// What it may use.
    pub limits: &'a Limits,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It took too long.
    TooLong,
    /// It printed too much.
    TooMuch,
    /// The user wanted to stop.
    Stopped,
    /// It could not be started: why.
    NotStarted(String),
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What it said on standard error, the beginning of it.
    pub said: Vec<u8>,
}

/// Takes the next bytes of a command's input; `false`: it wants no more.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Hands a command's input on, all of it or until it wants no more.
pub type Feed<'a> = &'a mut dyn FnMut(Take) -> Result<(), PayloadError>;

/// Is told what a command prints.
pub type Print<'a> = &'a mut dyn FnMut(&[u8]) -> durable::Result<()>;

/// Runs commands.
pub trait Runner: Sync {
    /// Runs a command to its end. If its input cannot be read or what it prints cannot be kept, it is killed, and that is the error.
    fn run(&self, order: &Order, feed: Feed, print: Print, stop: &AtomicBool) -> Result<Outcome, PayloadError>;
}

/// Runs them as processes of the system.
pub struct System;

impl Runner for System {
    fn run(&self, order: &Order, feed: Feed, print: Print, stop: &AtomicBool) -> Result<Outcome, PayloadError> {
        let mut running = match Running::start(order, stop) {
            Ok(running) => running,
            Err(cause) => {
                let why = format!("{}: {cause}", Path::new(&order.words[0]).display());
                return Ok(Outcome { end: End::NotStarted(why), said: Vec::new() });
            }
        };
        let done = running.all(feed, print);
        if done.is_err() {
            running.kill(Signal::KILL);
        }
        let path = PathBuf::from(&order.words[0]);
        let status = running.child.wait().map_err(|cause| durable::Error { path, attempt: "wait", cause })?;
        done?;
        let end = match running.cut.take() {
            Some(end) => end,
            None => end_of(status),
        };
        Ok(Outcome { end, said: running.said })
    }
}

fn end_of(status: ExitStatus) -> End {
    match status.code() {
        Some(code) => End::Exited(code),
        None => End::Signaled(status.signal().unwrap_or_default()),
    }
}

/// A command that runs.
struct Running<'a> {
    child: Child,
    group: Pid,
    /// Becomes readable when the command has ended.
    ended: OwnedFd,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    until: Instant,
    /// When it is killed, once it was told to end.
    kill_at: Option<Instant>,
    left: u64,
    said: Vec<u8>,
    /// Why it was told to end.
    cut: Option<End>,
    has_ended: bool,
    stop: &'a AtomicBool,
}

impl<'a> Running<'a> {
    fn start(order: &Order, stop: &'a AtomicBool) -> std::io::Result<Running<'a>> {
        let mut child = command(order).spawn()?;
        let group = Pid::from_child(&child);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let fds = [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        let set = fds.into_iter().flatten().try_for_each(|fd| fcntl_setfl(fd, OFlags::NONBLOCK));
        let opened = set.and_then(|()| pidfd_open(group, PidfdFlags::empty()));
        let ended = opened.inspect_err(|_| {
            let _ = (kill_process_group(group, Signal::KILL), child.wait());
        })?;
        Ok(Running {
            child,
            group,
            ended,
            stdin,
            stdout,
            stderr,
            until: Instant::now() + order.time,
            kill_at: None,
            left: order.most_output,
            said: Vec::new(),
            cut: None,
            has_ended: false,
            stop,
        })
    }

    fn all(&mut self, feed: Feed, print: Print) -> Result<(), PayloadError> {
        let mut printing = Ok(());
        feed(&mut |bytes| {
            let mut rest = bytes;
            while !rest.is_empty() && self.stdin.is_some() && printing.is_ok() {
                printing = self.turn(&mut rest, print);
            }
            self.stdin.is_some() && printing.is_ok()
        })?;
        printing?;
        self.stdin = None;
        while !self.has_ended {
            self.turn(&mut &[][..], print)?;
        }
        // What it said before it ended is in the pipes; what children of its say from now on is of no interest.
        self.read(print)?;
        self.kill(Signal::KILL);
        Ok(())
    }

    /// Waits until something can be done, and does it: feeds, reads, sees whether it has ended, or must.
    fn turn(&mut self, input: &mut &[u8], print: Print) -> durable::Result<()> {
        let has_input = !input.is_empty();
        let now = Instant::now();
        let next = self.kill_at.unwrap_or(self.until).saturating_duration_since(now).min(TURN);
        let mut fds: Vec<PollFd> = vec![PollFd::new(&self.ended, PollFlags::IN)];
        fds.extend(self.stdout.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.stdin.as_ref().filter(|_| has_input).map(|fd| PollFd::new(fd, PollFlags::OUT)));
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(next.subsec_nanos()) };
        // That a signal ended the wait is seen at the stop flag.
        let _ = poll(&mut fds, Some(&wait));
        self.has_ended = !fds[0].revents().is_empty();
        self.read(print)?;
        if has_input {
            self.write(input)?;
        }
        if self.has_ended {
            self.stdin = None;
        } else {
            self.check();
        }
        Ok(())
    }

    /// Anything but that it wants no more is an error: input that is cut short must not look like the end.
    fn write(&mut self, input: &mut &[u8]) -> durable::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write(&input[..input.len().min(BLOCK_LEN)]) {
            Ok(count) => *input = input.get(count..).unwrap_or_default(),
            Err(cause) => match cause.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                ErrorKind::BrokenPipe => self.stdin = None,
                _ => {
                    return Err(durable::Error { path: "standard input of a command".into(), attempt: "write", cause });
                }
            },
        }
        Ok(())
    }

    /// Reads what is there.
    fn read(&mut self, print: Print) -> durable::Result<()> {
        let mut buffer = [0; 16 * 1024];
        while let Some(count) = read_some(&mut self.stdout, &mut buffer) {
            let count = self.count(count);
            print(&buffer[..count])?;
        }
        while let Some(count) = read_some(&mut self.stderr, &mut buffer) {
            let count = self.count(count);
            let room = MOST_SAID.saturating_sub(self.said.len());
            self.said.extend_from_slice(&buffer[..count.min(room)]);
        }
        Ok(())
    }

    /// How many of so many bytes it may print.
    fn count(&mut self, len: usize) -> usize {
        let count = self.left.min(len as u64);
        self.left -= count;
        if count < len as u64 && self.cut.is_none() {
            self.cut(End::TooMuch);
        }
        count as usize
    }

    fn check(&mut self) {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill(Signal::KILL);
        } else if self.cut.is_none() && self.stop.load(Ordering::Relaxed) {
            self.cut(End::Stopped);
        } else if self.cut.is_none() && now >= self.until {
            self.cut(End::TooLong);
        }
    }

    /// Tells it to end; a while later it has no choice.
    fn cut(&mut self, end: End) {
        self.cut = Some(end);
        self.kill_at = Some(Instant::now() + GRACE);
        self.kill(Signal::TERM);
    }

    fn kill(&self, signal: Signal) {
        // Who has ended needs no signal. It may have left its group.
        let _ = kill_process_group(self.group, signal);
        let _ = pidfd_send_signal(&self.ended, signal);
    }
}

/// Reads what is there; `None`: nothing now, or nothing any more.
fn read_some<R: Read>(from: &mut Option<R>, buffer: &mut [u8]) -> Option<usize> {
    let reader = from.as_mut()?;
    match reader.read(buffer) {
        Ok(0) => *from = None,
        Ok(count) => return Some(count),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => *from = None,
    }
    None
}

fn command(order: &Order) -> Command {
    let words = limited(order);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().env("PATH", PATH).current_dir(&order.folder).process_group(0);
    command.envs(order.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(gid) = order.owner.1 {
        command.gid(gid);
    }
    if let Some(uid) = order.owner.0 {
        command.uid(uid);
    }
    command
}

/// The words, behind those that set limits if there are any.
fn limited(order: &Order) -> Vec<OsString> {
    let Limits { memory, file, cpu, processes, open_files } = *order.limits;
    let limits = [("as", memory), ("fsize", file), ("cpu", cpu), ("nproc", processes), ("nofile", open_files)];
    let options = limits.into_iter().filter_map(|(name, limit)| Some(format!("--{name}={}", limit?).into()));
    let mut words: Vec<OsString> = std::iter::once(PRLIMIT.into()).chain(options).collect();
    match words.len() {
        1 => order.words.clone(),
        _ => {
            words.push("--".into());
            words.extend(order.words.iter().cloned());
            words
        }
    }
}
