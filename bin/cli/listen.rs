//! Answering calls: who may call, how many at a time, and what is told of it.
//!
//! The program's own thread is the desk: it alone speaks, tosses, and counts who is in the house. Each connection has a
//! thread, and each listening socket one that only accepts. A caller is a stranger until its first message has opened;
//! when the house is full the oldest stranger gives way, so that callers who say nothing keep nobody out.

use crate::teller::moved_text;
use crate::work::allow_open_files;
use crate::{CallSettings, Complaint, Failed, Program, call_coins};
use mb_carry::call::pump::Link;
use mb_carry::call::{CallError, CallReport, greet, link, shake};
use mb_carry::{CarryError, Event, Watch};
use mb_node::home::Home;
use mb_node::toss::{self, Scope};
use mb_spool::class::{Class, Failure};
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_wire::call::handshake::Callers;
use mb_wire::id::NodeId;
use mb_wire::key::NodeSecrets;
use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long a caller may take to say who it is.
const STRANGER_SECS: u64 = 10;
/// How often the stop flag is looked at.
const TURN: Duration = Duration::from_millis(250);
/// The nodes' files are read anew at the most this often.
const READ_EVERY: Duration = Duration::from_secs(1);
/// What may be told and has not been.
const TOLD_MOST: usize = 64;
/// Files that are open for one call.
const OPEN_A_CALL: u64 = 16;
/// And besides: folders, a toss's batch.
const OPEN_BESIDES: u64 = 2300;
/// How long a call waits for the one that it replaces.
const LET_GO: Duration = Duration::from_secs(10);
/// After an accept that failed, as when too many files are open.
const BREATH: Duration = Duration::from_millis(100);

/// What every call is answered with.
struct Book {
    home: Home,
    callers: Arc<Callers>,
}

impl Book {
    /// Only neighbours may call.
    fn new(home: Home) -> Book {
        let neighbours = home.nodes().filter(|known| known.link.from);
        let callers = neighbours.map(|known| (known.card.call, known.id())).collect();
        Book { home, callers: Arc::new(callers) }
    }
}

/// All that answering a call needs.
pub struct Desk {
    book: Arc<Book>,
    spool: Spool,
    secrets: Arc<NodeSecrets>,
    settings: CallSettings,
    threads: usize,
    stop: &'static AtomicBool,
    /// When the files were last looked at.
    looked: Instant,
    /// What was wrong with them, as it was told.
    complaint: Option<String>,
}

impl Desk {
    /// Opens the node.
    pub fn open(program: &Program, settings: CallSettings) -> Result<Desk, Failed> {
        let home = program.home()?;
        let (spool, secrets) = (program.spool(&home)?, program.unlock(&home)?);
        let (threads, stop) = (program.threads().get(), program.stop());
        let (book, secrets) = (Arc::new(Book::new(home)), Arc::new(secrets));
        Ok(Desk { book, spool, secrets, settings, threads, stop, looked: Instant::now(), complaint: None })
    }

    /// The spool.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads the nodes' files anew, if that was a while ago. What is wrong with them is told once, and the old ones hold.
    fn read_again(&mut self, program: &mut Program) {
        if self.looked.elapsed() < READ_EVERY {
            return;
        }
        self.looked = Instant::now();
        match program.home() {
            Ok(home) => {
                self.book = Arc::new(Book::new(home));
                self.complaint = None;
            }
            Err(failure) => {
                let text = failure.to_string();
                if self.complaint.as_ref() != Some(&text) {
                    program.fail(&*failure);
                }
                self.complaint = Some(text);
            }
        }
    }

    fn answering(&self) -> Answering {
        let Desk { book, spool, secrets, settings, threads, stop, .. } = self;
        let (book, spool, secrets) = (book.clone(), spool.clone(), secrets.clone());
        Answering { book, spool, secrets, settings: *settings, threads: *threads, stop }
    }
}

/// What one call is answered with.
struct Answering {
    book: Arc<Book>,
    spool: Spool,
    secrets: Arc<NodeSecrets>,
    settings: CallSettings,
    threads: usize,
    stop: &'static AtomicBool,
}

impl Answering {
    /// Answers a call from `place`. `known` is called once the caller has proved who it is.
    fn answer(
        &self,
        link: Link,
        place: &str,
        known: impl FnOnce(NodeId),
        watch: &mut dyn Watch,
    ) -> Result<CallReport, Failed> {
        let timeout = self.settings.timeout;
        let coins = call_coins()?;
        let patience = timeout.min(Duration::from_secs(STRANGER_SECS));
        let (link, answered) = shake::answer(link, &self.secrets, &self.book.callers, coins, place, patience)
            .map_err(|error| stranger(&error))?;
        let caller = self.book.home.node_by_id(&answered.caller).ok_or_else(|| gone(place))?;
        let reserve = self.book.home.config().reserve;
        let options = self.settings.options(caller, reserve, self.threads, self.stop, &|_| {});
        let named = |error: CallError| Complaint::of(&error, |line| format!("{}: {line}", caller.name));
        let keys = (answered.sealer, answered.opener);
        let greeted = greet(self.spool.own(), link, keys, options, patience).map_err(named)?;
        known(caller.id());
        let mut name = [0; 16];
        name.copy_from_slice(&call_coins()?[..16]);
        let run = Run::start(&self.spool, name)?;
        let (report, done) = greeted.exchange(&self.spool, &run, caller.id(), options, watch);
        match done {
            Ok(()) => Ok(report),
            Err(error) => {
                watch.failed(CarryError::Call(caller.name.clone(), Box::new(error)));
                Ok(report)
            }
        }
    }
}

/// What a stranger did is of no concern to anybody but who looks for it.
fn stranger(error: &CallError) -> Complaint {
    Complaint::of(error, |line| format!("a caller: {line}"))
}

fn gone(place: &str) -> Complaint {
    Complaint::new(Class::UnknownName, format!("{place}: the caller is not known any more"))
}

/// Answers the one call on a link that is there.
pub fn answer(program: &mut Program, desk: &Desk, link: Link, tosses: bool) -> Result<(), Failed> {
    let book = desk.book.clone();
    let mut told = Vec::new();
    let report = desk.answering().answer(link, "standard input", |_| {}, &mut Collect { book: &book, told: &mut told });
    if says_into_link() {
        // Not a word of it is the caller's.
        program.be_silent();
    }
    told.into_iter().for_each(|told| tell(program, told));
    let report = report?;
    if tosses && report.in_count > 0 {
        toss_quietly(program, desk)?;
    }
    program.check_stop()
}

/// Whether what is said on standard error goes to the caller, as with inetd.
fn says_into_link() -> bool {
    let (input, error) = (rustix::fs::fstat(std::io::stdin()), rustix::fs::fstat(std::io::stderr()));
    let is_same = |(a, b): (rustix::fs::Stat, rustix::fs::Stat)| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    input.ok().zip(error.ok()).is_some_and(is_same) && rustix::net::sockopt::socket_type(std::io::stdin()).is_ok()
}

/// Standard output may be the link: what is delivered is told to people only.
fn toss_quietly(program: &mut Program, desk: &Desk) -> Result<(), Failed> {
    program.toss(&desk.book.home, &desk.spool, &desk.secrets, &Scope::default(), &mut |program, event| {
        if let toss::Event::Delivered(delivered) = event {
            program.detail(delivered.path.display());
        }
    })
}

/// What the threads say to the desk.
enum Told {
    Accepted(TcpStream, SocketAddr),
    /// The connection is that of a neighbour, who waits for a word.
    Known(u64, NodeId, SyncSender<()>),
    Detail(String),
    Failed(Complaint),
    /// A caller who was not let in.
    Stranger(Complaint),
    Ended(u64, Option<CallReport>),
}

fn tell(program: &mut Program, told: Told) {
    match told {
        Told::Detail(text) => program.detail(text),
        Told::Failed(failure) => program.fail(&failure),
        Told::Stranger(failure) => program.detail(failure),
        Told::Accepted(..) | Told::Known(..) | Told::Ended(..) => {}
    }
}

/// Keeps what is told until the call is over: its thread is the desk's own.
struct Collect<'a> {
    book: &'a Book,
    told: &'a mut Vec<Told>,
}

impl Watch for Collect<'_> {
    fn moved(&mut self, event: Event) {
        self.told.push(Told::Detail(moved_text(&self.book.home, event)));
    }

    fn failed(&mut self, failure: CarryError) {
        self.told.push(Told::Failed(Complaint::of(&failure, |line| line)));
    }
}

/// Tells the desk.
struct Report<'a> {
    book: &'a Book,
    desk: &'a SyncSender<Told>,
}

impl Watch for Report<'_> {
    fn moved(&mut self, event: Event) {
        // A desk that is gone needs to hear nothing.
        let _ = self.desk.send(Told::Detail(moved_text(&self.book.home, event)));
    }

    fn failed(&mut self, failure: CarryError) {
        let _ = self.desk.send(Told::Failed(Complaint::of(&failure, |line| line)));
    }
}

/// A caller in the house.
struct Guest {
    address: IpAddr,
    stream: Arc<TcpStream>,
    node: Option<NodeId>,
}

/// Everybody who calls at the moment.
pub struct House {
    desk: Desk,
    most: usize,
    most_per_address: usize,
    tosses: bool,
    guests: HashMap<u64, Guest>,
    /// Neighbours who wait until these have gone.
    waiting: Vec<(Vec<u64>, SyncSender<()>)>,
    next: u64,
}

impl House {
    /// An empty one. `most`: calls at a time, altogether and from one address.
    pub fn new(desk: Desk, (most, most_per_address): (usize, usize), tosses: bool) -> House {
        allow_open_files(OPEN_BESIDES + most as u64 * OPEN_A_CALL);
        House { desk, most, most_per_address, tosses, guests: HashMap::new(), waiting: Vec::new(), next: 0 }
    }

    /// Answers calls on these sockets until it is asked to stop; then those in hand are finished.
    pub fn run(mut self, program: &mut Program, sockets: Vec<TcpListener>) -> Result<(), Failed> {
        if self.tosses {
            self.toss(program)?;
        }
        let (sender, receiver) = sync_channel(TOLD_MOST);
        for socket in sockets {
            if let Ok(address) = socket.local_addr() {
                program.note(format_args!("listening on {address}"));
            }
            let sender = sender.clone();
            std::thread::Builder::new()
                .name("accept".into())
                .spawn(move || accept(&socket, &sender))
                .map_err(no_thread)?;
        }
        while !self.desk.is_stopped() || !self.guests.is_empty() {
            self.turn(program, &sender, &receiver)?;
        }
        Ok(())
    }

    fn turn(
        &mut self,
        program: &mut Program,
        sender: &SyncSender<Told>,
        receiver: &Receiver<Told>,
    ) -> Result<(), Failed> {
        match receiver.recv_timeout(TURN) {
            Ok(Told::Accepted(stream, address)) => self.welcome(program, stream, address, sender),
            Ok(Told::Known(guest, node, waits)) => self.is_known(guest, node, waits),
            Ok(Told::Ended(guest, report)) => {
                self.guests.remove(&guest);
                self.let_go(guest);
                if report.is_some_and(|report| report.in_count > 0) && self.tosses {
                    self.toss(program)?;
                }
            }
            Ok(told) => tell(program, told),
            Err(RecvTimeoutError::Timeout) if self.desk.is_stopped() => self.show_out_strangers(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(no_thread(std::io::ErrorKind::BrokenPipe.into())),
        }
        Ok(())
    }

    /// Lets a caller in, if there is room.
    fn welcome(&mut self, program: &mut Program, stream: TcpStream, address: SocketAddr, sender: &SyncSender<Told>) {
        self.desk.read_again(program);
        if self.desk.is_stopped() || !self.make_room(Some(address.ip())) || !self.make_room(None) {
            program.detail(format_args!("{address}: not let in: too many calls at a time"));
            return;
        }
        let id = self.next;
        self.next += 1;
        let stream = Arc::new(stream);
        let copy = stream.clone();
        let (answering, desk) = (self.desk.answering(), sender.clone());
        let spawned = std::thread::Builder::new().name("call".into()).spawn(move || {
            serve(id, &answering, stream, address, &desk);
        });
        match spawned {
            Ok(_) => {
                self.guests.insert(id, Guest { address: address.ip(), stream: copy, node: None });
            }
            Err(cause) => program.fail(&*no_thread(cause)),
        }
    }

    /// When there are too many, of one address or altogether, the oldest stranger among them gives way. `false`: there is none.
    fn make_room(&mut self, address: Option<IpAddr>) -> bool {
        let most = if address.is_some() { self.most_per_address } else { self.most };
        let among = |guest: &Guest| address.is_none_or(|address| guest.address == address);
        if self.guests.values().filter(|guest| among(guest)).count() < most {
            return true;
        }
        let strangers = self.guests.iter().filter(|(_, guest)| among(guest) && guest.node.is_none());
        let Some(oldest) = strangers.map(|(id, _)| *id).min() else { return false };
        self.show_out(oldest);
        true
    }

    fn show_out(&mut self, guest: u64) {
        if let Some(guest) = self.guests.remove(&guest) {
            let _ = guest.stream.shutdown(Shutdown::Both);
        }
    }

    /// Who has not said who it is has nothing in hand that would have to be finished.
    fn show_out_strangers(&mut self) {
        let strangers = self.guests.iter().filter(|(_, guest)| guest.node.is_none());
        for guest in strangers.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.show_out(guest);
        }
    }

    /// A neighbour that calls again has given up its call before, whether that has heard of it or not. The new one waits until
    /// the old one has let go of what it holds.
    fn is_known(&mut self, guest: u64, node: NodeId, waits: SyncSender<()>) {
        let before = self.guests.iter().filter(|(id, other)| **id != guest && other.node == Some(node));
        let before: Vec<u64> = before.map(|(id, _)| *id).collect();
        for other in before.iter().filter_map(|other| self.guests.get(other)) {
            let _ = other.stream.shutdown(Shutdown::Both);
        }
        if let Some(guest) = self.guests.get_mut(&guest) {
            guest.node = Some(node);
        }
        self.waiting.push((before, waits));
        self.let_go(guest);
    }

    /// Somebody has gone; who waited for nobody else goes on.
    fn let_go(&mut self, gone: u64) {
        for (before, waits) in &mut self.waiting {
            before.retain(|other| *other != gone);
            if before.is_empty() {
                // Nobody hears it who has gone meanwhile.
                let _ = waits.try_send(());
            }
        }
        self.waiting.retain(|(before, _)| !before.is_empty());
    }

    fn toss(&self, program: &mut Program) -> Result<(), Failed> {
        let Desk { book, spool, secrets, .. } = &self.desk;
        let tossed = program.toss(&book.home, spool, secrets, &Scope::default(), &mut |program, event| {
            if let toss::Event::Delivered(delivered) = event {
                program.out().path(&delivered.path);
            }
        });
        program.out().flush();
        match tossed {
            Err(failure) if !self.desk.is_stopped() => program.fail(&*failure),
            _ => {}
        }
        Ok(())
    }
}

fn no_thread(cause: std::io::Error) -> Failed {
    Complaint::new(Class::Later, format!("cannot begin a thread: {cause}")).into()
}

/// Accepts, and nothing else.
fn accept(socket: &TcpListener, desk: &SyncSender<Told>) {
    loop {
        match socket.accept() {
            Ok((stream, address)) => {
                if desk.send(Told::Accepted(stream, address)).is_err() {
                    return;
                }
            }
            Err(_) => std::thread::sleep(BREATH),
        }
    }
}

/// One call, in its own thread.
fn serve(id: u64, answering: &Answering, stream: Arc<TcpStream>, address: SocketAddr, desk: &SyncSender<Told>) {
    let known = |node| {
        let (waits, word) = sync_channel(1);
        // A call before that does not end in time is as good as one in another process: it is told as that.
        let _ = desk.send(Told::Known(id, node, waits)).map(|()| word.recv_timeout(LET_GO));
    };
    let mut watch = Report { book: &answering.book, desk };
    let place = address.to_string();
    let done = answering.answer(link::tcp(stream), &place, known, &mut watch);
    let report = match done {
        Ok(report) => Some(report),
        Err(failure) => {
            let failure = Complaint::of(&*failure, |line| line);
            let _ = desk.send(match failure.class() {
                Class::Unreachable | Class::Protocol | Class::Refused | Class::Later => Told::Stranger(failure),
                _ => Told::Failed(failure),
            });
            None
        }
    };
    let _ = desk.send(Told::Ended(id, report));
}
