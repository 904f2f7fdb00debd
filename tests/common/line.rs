//! The line of a call: a program that runs beside the test, a server in the manner of inetd, and a proxy that treats the
//! bytes on their way as a bad line does. All on loopback; nothing sleeps, and waits have an end only so that a test that
//! hangs says so.

use super::{Call, Node, Run, tree};
use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long a test hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Something that threads tell each other.
struct Told<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Told<T> {
    fn new(value: T) -> Arc<Told<T>> {
        Arc::new(Told { value: Mutex::new(value), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `look` finds something; `None`: the test hangs.
    fn wait<R>(&self, mut look: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let mut value = self.lock();
        loop {
            if let Some(found) = look(&mut value) {
                return Some(found);
            }
            let (back, waited) = self.changed.wait_timeout(value, HANGS).expect("a thread that tells panicked");
            value = back;
            if waited.timed_out() {
                return look(&mut value);
            }
        }
    }
}

#[derive(Default)]
struct Said {
    /// Lines of standard output and standard error, as they came.
    lines: Vec<(Output, String)>,
    ended_count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Out,
    Err,
}

/// A program that runs while the test goes on. It is killed when it is dropped.
pub struct Running {
    child: Child,
    said: Arc<Told<Said>>,
    readers: Vec<JoinHandle<()>>,
    /// How many lines were waited for before, or passed over.
    seen: usize,
}

impl Running {
    /// Starts it.
    pub fn start(mut call: Call) -> Running {
        let command = call.raw();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a program of ours");
        let said = Told::new(Said::default());
        let stdout = child.stdout.take().map(|stdout| hear(stdout, Output::Out, &said));
        let stderr = child.stderr.take().map(|stderr| hear(stderr, Output::Err, &said));
        Running { child, said, readers: stdout.into_iter().chain(stderr).collect(), seen: 0 }
    }

    /// The next line that has `what` in it, of those that were not passed over by an earlier wait.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str) -> String {
        let from = self.seen;
        let found = self.said.wait(|said| {
            let at = said.lines[from..].iter().position(|(_, line)| line.contains(what));
            let found = at.map(|at| (from + at + 1, said.lines[from + at].1.clone()));
            found.map(Some).or((said.ended_count == 2).then_some(None))
        });
        let Some(Some((seen, line))) = found else { panic!("it never says {what:?}: {:#?}", self.lines()) };
        self.seen = seen;
        line
    }

    /// Everything that it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.said.lock().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// Where mb-listen listens.
    #[track_caller]
    pub fn address(&mut self) -> SocketAddr {
        let line = self.wait_for("listening on ");
        line.rsplit(' ').next().and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Run {
        let status = self.child.wait().expect("a child");
        self.readers.drain(..).for_each(|reader| reader.join().expect("it only reads"));
        let of = |output: Output| {
            let said = self.said.lock();
            said.lines
                .iter()
                .filter(|line| line.0 == output)
                .flat_map(|(_, line)| (line.clone() + "\n").into_bytes())
                .collect()
        };
        let words = "beside the test".into();
        let run = Run {
            words,
            code: super::exit_code(status),
            stdout: of(Output::Out),
            stderr: of(Output::Err),
            dumped: false,
        };
        no_bug(run)
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(self) -> Run {
        self.terminate();
        self.ended()
    }
}

fn hear(from: impl Read + Send + 'static, output: Output, said: &Arc<Told<Said>>) -> JoinHandle<()> {
    let said = said.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            said.change(|said| said.lines.push((output, String::from_utf8_lossy(&line).into_owned())));
        }
        said.change(|said| said.ended_count += 1);
    })
}

/// A run must not have panicked, whatever else.
#[track_caller]
fn no_bug(run: Run) -> Run {
    assert!(!run.stderr().contains("a bug of ours") && !matches!(run.code, 70 | 101 | 134), "a panic\n{run}");
    run
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that runs a program for each connection, which is its standard input and output.
pub struct Inetd {
    address: SocketAddr,
    ends: Arc<Told<VecDeque<Run>>>,
    door: Door,
}

impl Inetd {
    /// Serves with what `program` puts together.
    pub fn start(program: impl Fn() -> Call + Send + 'static) -> Inetd {
        let ends = Told::new(VecDeque::new());
        let teller = ends.clone();
        let serve = move |stream: TcpStream| {
            let copy: OwnedFd = stream.try_clone().expect("a descriptor").into();
            let mut call = program();
            call.raw().stdin(OwnedFd::from(stream)).stdout(copy).stderr(Stdio::piped());
            let child = call.raw().spawn().expect("a program of ours");
            // The command holds the socket too.
            drop(call);
            let output = child.wait_with_output().expect("a child");
            let code = super::exit_code(output.status);
            let words = "for a connection".into();
            let run = Run { words, code, stdout: Vec::new(), stderr: output.stderr, dumped: false };
            teller.change(|ends| ends.push_back(run));
        };
        let door = Door::open(serve);
        Inetd { address: door.address, ends, door }
    }

    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the next of its programs ended.
    #[track_caller]
    pub fn ended(&self) -> Run {
        no_bug(self.ends.wait(VecDeque::pop_front).expect("its program never ends"))
    }
}

/// A socket that listens, and a thread that hands each connection to something.
struct Door {
    address: SocketAddr,
    is_closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(mut welcome: impl FnMut(TcpStream) + Send + 'static) -> Door {
        let socket = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = socket.local_addr().expect("it is bound");
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = is_closed.clone();
        let thread = std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                welcome(stream);
            }
        });
        Door { address, is_closed, thread: Some(thread) }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// How the bytes of one direction are cut into pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pieces {
    /// As they come.
    #[default]
    Whole,
    /// One by one.
    Bytes,
    /// Of lengths that a seed chooses.
    Random(u64),
}

/// What happens to a direction after so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    #[default]
    None,
    /// The whole connection is cut.
    Cut(u64),
    /// This direction ends, the other does not.
    Half(u64),
    /// It stands still until [`Proxy::release`].
    Hold(u64),
    /// Both directions stand still until then, ends and resets too: a line that died without a word.
    Freeze(u64),
}

/// One direction of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Its pieces.
    pub pieces: Pieces,
    /// Its fate.
    pub fate: Fate,
}

#[derive(Default)]
struct Log {
    /// Bytes that passed: from the caller, and to it.
    passed: [Vec<u8>; 2],
    is_held: [bool; 2],
    is_frozen: bool,
    is_released: bool,
    connections: usize,
    ended: usize,
}

/// A proxy that is a bad line.
pub struct Proxy {
    log: Arc<Told<Log>>,
    door: Door,
}

/// From the caller.
pub const UP: usize = 0;
/// To the caller.
pub const DOWN: usize = 1;

impl Proxy {
    /// Between callers and `upstream`; `ways` from the caller and to it, the same for each connection.
    pub fn start(upstream: SocketAddr, ways: [Way; 2]) -> Proxy {
        let log = Told::new(Log::default());
        let teller = log.clone();
        let door = Door::open(move |caller| {
            let Ok(listener) = TcpStream::connect(upstream) else { return };
            teller.change(|log| log.connections += 1);
            let pairs = [(&caller, &listener), (&listener, &caller)];
            for (number, (from, to)) in pairs.into_iter().enumerate() {
                let pass = Pass {
                    from: from.try_clone().expect("a descriptor"),
                    to: to.try_clone().expect("a descriptor"),
                    way: ways[number],
                    number,
                    log: teller.clone(),
                };
                std::thread::spawn(move || pass.run());
            }
        });
        Proxy { log, door }
    }

    /// A proxy that does nothing to the bytes.
    pub fn clean(upstream: SocketAddr) -> Proxy {
        Proxy::start(upstream, [Way::default(); 2])
    }

    /// As an address of a node.
    pub fn address(&self) -> String {
        format!("tcp://{}", self.door.address)
    }

    /// How many bytes passed in a direction, of all connections.
    pub fn passed_len(&self, number: usize) -> u64 {
        self.log.lock().passed[number].len() as u64
    }

    /// The bytes themselves.
    pub fn passed(&self, number: usize) -> Vec<u8> {
        self.log.lock().passed[number].clone()
    }

    /// Waits until a direction stands still.
    pub fn wait_held(&self, number: usize) {
        self.log.wait(|log| log.is_held[number].then_some(())).expect("it never came so far");
    }

    /// Waits until at least so many bytes have passed in a direction.
    pub fn wait_passed(&self, number: usize, len: u64) {
        self.log.wait(|log| (log.passed[number].len() as u64 >= len).then_some(())).expect("it never came so far");
    }

    /// Lets what stands still go on.
    pub fn release(&self) {
        self.log.change(|log| log.is_released = true);
    }

    /// Waits until both directions of all connections have ended.
    pub fn wait_ended(&self) {
        let ended = self.log.wait(|log| (log.connections > 0 && log.ended == log.connections * 2).then_some(()));
        ended.expect("a connection never ends");
    }
}

/// One direction of one connection.
struct Pass {
    from: TcpStream,
    to: TcpStream,
    way: Way,
    number: usize,
    log: Arc<Told<Log>>,
}

impl Pass {
    fn run(mut self) {
        let _ = self.to.set_nodelay(true);
        if self.copy().is_err() {
            let _ = self.to.shutdown(Shutdown::Write);
        }
        // A socket that is closed with something in it to be read takes back what was written to it.
        let _ = io::copy(&mut self.from, &mut io::sink());
        self.log.change(|log| log.ended += 1);
    }

    fn copy(&mut self) -> io::Result<()> {
        let mut random = Random(if let Pieces::Random(seed) = self.way.pieces { seed } else { 0 });
        let mut buffer = vec![0; 64 << 10];
        let mut passed = 0;
        loop {
            match self.way.fate {
                Fate::Cut(len) if passed >= len => {
                    self.to.shutdown(Shutdown::Write)?;
                    return self.from.shutdown(Shutdown::Both);
                }
                Fate::Half(len) if passed >= len => return self.to.shutdown(Shutdown::Write),
                Fate::Hold(len) | Fate::Freeze(len) if passed >= len => self.hold(),
                _ => {}
            }
            let most = match self.way.fate {
                Fate::Cut(len) | Fate::Half(len) | Fate::Hold(len) | Fate::Freeze(len) => {
                    buffer.len().min((len - passed.min(len)) as usize)
                }
                Fate::None => buffer.len(),
            };
            let most = if most == 0 { buffer.len() } else { most };
            let read = self.from.read(&mut buffer[..most]);
            self.log.wait(|log| (!log.is_frozen || log.is_released).then_some(()));
            let count = read?;
            if count == 0 {
                return self.to.shutdown(Shutdown::Write);
            }
            passed += count as u64;
            self.log.change(|log| log.passed[self.number].extend_from_slice(&buffer[..count]));
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let len = match self.way.pieces {
                    Pieces::Whole => rest.len(),
                    Pieces::Bytes => 1,
                    Pieces::Random(_) => (random.next() % 1500 + 1).min(rest.len() as u64) as usize,
                };
                self.to.write_all(&rest[..len])?;
                rest = &rest[len..];
            }
        }
    }

    fn hold(&mut self) {
        let number = self.number;
        let is_frozen = matches!(self.way.fate, Fate::Freeze(_));
        self.log.change(|log| {
            log.is_held[number] = true;
            log.is_frozen |= is_frozen;
        });
        self.log.wait(|log| log.is_released.then_some(()));
        self.way.fate = Fate::None;
    }
}

/// Numbers from a seed.
pub struct Random(pub u64);

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

/// What mb-call says at the end with -v.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets out.
    pub out_count: u64,
    /// Bytes sent for them.
    pub out_len: u64,
    /// Packets in.
    pub in_count: u64,
    /// Bytes that came for them.
    pub in_len: u64,
    /// Bytes that were here before.
    pub resumed_len: u64,
}

impl Summary {
    /// Reads it from what a run with -v wrote; `None`: it never came so far.
    pub fn of(run: &Run) -> Option<Summary> {
        let said = run.stderr();
        let line = said.lines().find(|line| line.contains("packets out ("))?;
        let (_, line) = line.rsplit_once(": ")?;
        let numbers: Vec<u64> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let [out_count, out_len, in_count, in_len, resumed_len] = numbers[..] else { panic!("{line}") };
        Some(Summary { out_count, out_len, in_count, in_len, resumed_len })
    }
}

/// Starts mb-listen at a node, on a port that the system chooses.
pub fn listen(node: &Node, options: &[&str]) -> (Running, SocketAddr) {
    let mut listener = Running::start(node.command(["mb-listen", "--bind", "127.0.0.1:0"]).args(options));
    let address = listener.address();
    (listener, address)
}

/// Writes into the file that `node` keeps of the node `name`, before everything else: addresses, rules.
pub fn set(node: &Node, name: &str, lines: &str) {
    let path = node.config.join(format!("nodes/{name}.toml"));
    let text = std::fs::read_to_string(&path).expect("it is known");
    std::fs::write(path, format!("{lines}\n{text}")).expect("a file of the world");
}

/// Files below a folder, as paths from there, sorted; none if it is not there.
pub fn files(dir: &Path) -> Vec<String> {
    let lines = if dir.exists() { tree(dir) } else { Vec::new() };
    let paths = lines.iter().filter_map(|line| line.split(' ').next().map(str::to_owned));
    paths.filter(|path| dir.join(path).is_file()).collect()
}

/// What waits at `node` for `to`: the files in its queue.
pub fn waiting(node: &Node, to: &Node) -> Vec<String> {
    files(&node.spool.join(to.id()).join("tx"))
}

/// What `node` has taken from `from` and not tossed.
pub fn taken(node: &Node, from: &Node) -> Vec<String> {
    files(&node.spool.join(from.id()).join("rx"))
}

/// Nothing half-made lies at a node.
#[track_caller]
pub fn is_tidy(node: &Node) {
    for place in ["tmp", "part"] {
        assert_eq!(files(&node.spool.join(place)), [""; 0], "{place} at {}", node.name);
    }
}
