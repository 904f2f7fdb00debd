//! The pump of a call: one thread that reads and opens frames, one that seals and writes them, and bounded queues between
//! them and the session, so that both directions run at once and no side can make the other hold more than so much.
//!
//! The writer says that we are still here when there is nothing else to say, also while the session hashes or syncs.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mb_wire::call::handshake::{FRAME_HEAD_LEN, FRAME_MOST, HandshakeError, Opener, Sealer};
use mb_wire::call::message::{HEAD_LEN, Inbox, MessageError, PING_BYTES};

/// Bytes that may wait in a queue before its filler waits.
const MOST_LEN: usize = 512 << 10;
/// Bytes that are read at a time: some frames.
const READ_LEN: usize = 256 << 10;
/// And at the beginning, when perhaps nothing more comes.
const SMALL_LEN: usize = 512;
/// Buffers that are kept to be used again.
const MOST_SPARE: usize = 16;
/// Bytes of a frame that holds a ping, after its head.
const PING_FRAME_LEN: usize = HEAD_LEN + 16;
/// A rate is kept in steps of so many a second, at the least.
const STEPS_A_SECOND: u64 = 8;

/// The two ends of a link, and how to cut it. All of it goes with the call.
pub struct Link {
    /// What the other side says.
    pub read: Box<dyn Read + Send>,
    /// What we say.
    pub write: Box<dyn Write + Send>,
    /// Ends what we say, so that the other side sees its end.
    pub end: Box<dyn FnMut() + Send>,
    /// Ends both, at once: a read that waits returns. Told whether the other side has ended what it says.
    pub cut: Box<dyn FnMut(bool) + Send>,
    /// Whether the end of what the other side says is worth waiting for: else what it has not read yet might be lost.
    pub waits_for_end: bool,
}

/// How a link came to its end.
#[derive(Debug)]
pub enum End {
    /// The other side has closed it.
    Closed,
    /// It failed.
    Failed(io::Error),
    /// A frame did not open.
    Frame(HandshakeError),
    /// What a frame held is no message.
    Message(MessageError),
}

#[derive(Default)]
struct Shared {
    incoming: VecDeque<Vec<u8>>,
    incoming_len: usize,
    outgoing: VecDeque<Vec<u8>>,
    outgoing_len: usize,
    /// Whether the writer is at something that it took.
    is_writing: bool,
    /// Nothing more is to be sent.
    is_closing: bool,
    /// Why the link has ended, until somebody asks.
    end: Option<End>,
    is_ended: bool,
    /// Whether the other side has ended what it says.
    has_ended: bool,
    /// What came of a message that was not whole when the link ended.
    rest: Vec<u8>,
    /// Nothing more can be sent. What the other side said before may still be there to be read.
    write_error: Option<io::Error>,
    /// Buffers to be used again, with whatever they held.
    spare: Vec<Vec<u8>>,
    /// When a byte last came.
    last_heard: Option<Instant>,
    /// When something last came that is more than a ping.
    last_told: Option<Instant>,
    /// How often something is said, if the other side has said so.
    ping: Option<Duration>,
}

impl Shared {
    fn give_back(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(buffer);
        }
    }
}

#[derive(Default)]
struct Queues {
    shared: Mutex<Shared>,
    /// Something came, or there is room to send, or it has ended.
    session: Condvar,
    /// There is room for more that comes.
    reader: Condvar,
    /// There is something to send.
    writer: Condvar,
}

impl Queues {
    /// A thread that panicked has told so; what it left is no worse than a link that broke.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer, with whatever it held.
    fn buffer(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    fn end(&self, end: End) {
        let mut shared = self.lock();
        if !std::mem::replace(&mut shared.is_ended, true) {
            shared.end = Some(end);
        }
        self.session.notify_all();
        self.reader.notify_all();
        self.writer.notify_all();
    }
}

/// What the session waited for.
pub enum Turn {
    /// Whole messages came.
    Came(Vec<u8>),
    /// There is room to send more.
    Room,
    /// The time is up.
    Late,
    /// The link has ended; everything that came before was handed over.
    Ended,
}

/// How fast, and how patient.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Bytes a second each way.
    pub rate: Option<u64>,
    /// Something is said at least this often.
    pub ping: Duration,
}

/// A link in use.
pub struct Pump {
    queues: Arc<Queues>,
    end: Box<dyn FnMut() + Send>,
    cut: Box<dyn FnMut(bool) + Send>,
    waits_for_end: bool,
    start: Instant,
}

impl Pump {
    /// Starts both threads.
    pub fn start(link: Link, sealer: Sealer, opener: Opener, pace: Pace) -> io::Result<Pump> {
        let Link { read, write, end, cut, waits_for_end } = link;
        let queues = Arc::new(Queues::default());
        let brake = Brake::new(pace.rate);
        let reader = Reader {
            read,
            opener,
            queues: queues.clone(),
            brake,
            bytes: Vec::new(),
            start: 0,
            end: 0,
            inbox: Inbox::default(),
        };
        let writer = Writer { write, sealer, queues: queues.clone(), brake: Brake::new(pace.rate), ping: pace.ping };
        std::thread::Builder::new().name("read".into()).spawn(move || reader.run())?;
        let pump = Pump { queues, end, cut, waits_for_end, start: Instant::now() };
        std::thread::Builder::new().name("write".into()).spawn(move || writer.run())?;
        Ok(pump)
    }

    /// From now on something is said at least this often.
    pub fn set_ping(&self, ping: Duration) {
        self.queues.lock().ping = Some(ping);
        self.queues.writer.notify_one();
    }

    /// Waits until something came, or there is room to send and `has_more` to send, or until `deadline`.
    pub fn wait(&self, has_more: bool, deadline: Instant) -> Turn {
        let mut shared = self.queues.lock();
        loop {
            if let Some(bytes) = shared.incoming.pop_front() {
                shared.incoming_len -= bytes.len();
                self.queues.reader.notify_one();
                return Turn::Came(bytes);
            }
            if shared.is_ended {
                return Turn::Ended;
            }
            if has_more && shared.outgoing_len < MOST_LEN && shared.write_error.is_none() {
                return Turn::Room;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Turn::Late;
            };
            shared = self.queues.session.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// An empty buffer for what is to be sent.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.queues.buffer();
        buffer.clear();
        buffer
    }

    /// Takes back what came, once it was used.
    pub fn give_back(&self, buffer: Vec<u8>) {
        self.queues.lock().give_back(buffer);
    }

    /// Hands over whole messages to be sent.
    pub fn send(&self, messages: Vec<u8>) {
        if messages.is_empty() {
            return;
        }
        let mut shared = self.queues.lock();
        shared.outgoing_len += messages.len();
        shared.outgoing.push_back(messages);
        self.queues.writer.notify_one();
    }

    /// When a byte last came, and when one last came that is more than a ping.
    pub fn last_heard(&self) -> (Instant, Instant) {
        let shared = self.queues.lock();
        (shared.last_heard.unwrap_or(self.start), shared.last_told.unwrap_or(self.start))
    }

    /// What came of a message that was not whole when the link ended.
    pub fn take_rest(&self) -> Vec<u8> {
        std::mem::take(&mut self.queues.lock().rest)
    }

    /// Why it has ended.
    pub fn take_end(&self) -> End {
        let mut shared = self.queues.lock();
        match shared.end.take() {
            Some(End::Closed) | None => shared.write_error.take().map_or(End::Closed, End::Failed),
            Some(end) => end,
        }
    }

    /// Sends what is left, then ends the link; waits until `deadline` at the most.
    pub fn finish(mut self, deadline: Instant) {
        self.queues.lock().is_closing = true;
        self.queues.writer.notify_one();
        let is_sent = self.wait_for(deadline, |shared| {
            shared.write_error.is_some() || (shared.outgoing.is_empty() && !shared.is_writing)
        });
        (self.end)();
        if is_sent && self.waits_for_end {
            self.wait_for(deadline, |shared| shared.is_ended);
        }
    }

    /// `false`: the time is up, or the link has ended before.
    fn wait_for(&self, deadline: Instant, is_met: impl Fn(&Shared) -> bool) -> bool {
        let mut shared = self.queues.lock();
        loop {
            if is_met(&shared) {
                return true;
            }
            // What still comes is of no use any more, and must not keep the reader from seeing the end.
            shared.incoming.clear();
            shared.incoming_len = 0;
            self.queues.reader.notify_one();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.is_ended {
                return false;
            }
            shared = self.queues.session.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.queues.end(End::Closed);
        let has_ended = self.queues.lock().has_ended;
        (self.cut)(has_ended);
    }
}

struct Reader {
    read: Box<dyn Read + Send>,
    opener: Opener,
    queues: Arc<Queues>,
    brake: Brake,
    /// What was read and not opened: `start..end` of `bytes`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What was opened, up to the end of a message.
    inbox: Inbox,
}

impl Reader {
    fn run(mut self) {
        let end = loop {
            match self.messages() {
                Ok(bytes) => self.hand_over(bytes),
                Err(end) => break end,
            }
        };
        let mut shared = self.queues.lock();
        shared.rest = self.inbox.into_bytes();
        shared.has_ended = matches!(end, End::Closed);
        drop(shared);
        self.queues.end(end);
    }

    /// The next messages: those that a frame completes. They are opened where they will be read.
    fn messages(&mut self) -> Result<Vec<u8>, End> {
        loop {
            self.frame()?;
            let mut next = self.queues.buffer();
            next.clear();
            let whole = self.inbox.take_whole(next).map_err(End::Message)?;
            if !whole.is_empty() {
                return Ok(whole);
            }
            self.queues.lock().give_back(whole);
        }
    }

    fn frame(&mut self) -> Result<(), End> {
        self.fill(FRAME_HEAD_LEN)?;
        let head = self.bytes[self.start..].first_chunk::<FRAME_HEAD_LEN>().copied().unwrap_or_default();
        let len = Opener::frame_len(head).map_err(End::Frame)?;
        self.fill(FRAME_HEAD_LEN + len)?;
        let start = self.start + FRAME_HEAD_LEN;
        self.start = start + len;
        if len > PING_FRAME_LEN {
            self.queues.lock().last_told = Some(Instant::now());
        }
        self.opener.open(&self.bytes[start..start + len], self.inbox.end()).map_err(End::Frame)
    }

    /// Reads until at least so many bytes are there. Each that comes counts as something heard.
    fn fill(&mut self, len: usize) -> Result<(), End> {
        if self.bytes.len() - self.start < len {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            // Only who is known gets so much.
            self.bytes.resize(if len > FRAME_HEAD_LEN { READ_LEN } else { self.bytes.len().max(SMALL_LEN) }, 0);
        }
        while self.end - self.start < len {
            let most = self.brake.most(self.bytes.len() - self.end);
            match self.read.read(&mut self.bytes[self.end..self.end + most]) {
                Ok(0) => return Err(End::Closed),
                Ok(count) => {
                    self.end += count;
                    self.queues.lock().last_heard = Some(Instant::now());
                    self.brake.passed(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(End::Failed(error)),
            }
        }
        Ok(())
    }

    /// Waits for room. What comes after the end is dropped: only the link's own end is of interest then.
    fn hand_over(&self, bytes: Vec<u8>) {
        let mut shared = self.queues.lock();
        while shared.incoming_len >= MOST_LEN && !shared.is_ended {
            shared = self.queues.reader.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        if !shared.is_ended {
            shared.incoming_len += bytes.len();
            shared.incoming.push_back(bytes);
            self.queues.session.notify_all();
        }
    }
}

struct Writer {
    write: Box<dyn Write + Send>,
    sealer: Sealer,
    queues: Arc<Queues>,
    brake: Brake,
    ping: Duration,
}

impl Writer {
    fn run(mut self) {
        let mut sealed = Vec::new();
        while let Some(messages) = self.next() {
            let most = self.brake.most(FRAME_MOST);
            let put = self.sealer.seal(&messages, most, &mut sealed).map_err(io::Error::other);
            let put = put.and_then(|len| self.put(&sealed[..len]));
            let mut shared = self.queues.lock();
            shared.give_back(messages);
            shared.is_writing = false;
            shared.write_error = put.err();
            self.queues.session.notify_all();
            if shared.write_error.is_some() {
                return;
            }
        }
    }

    /// What is to be sent next; a ping if nothing is for so long. `None`: that was all.
    fn next(&self) -> Option<Vec<u8>> {
        let mut shared = self.queues.lock();
        let since = Instant::now();
        loop {
            if shared.is_ended {
                return None;
            }
            if let Some(messages) = shared.outgoing.pop_front() {
                shared.outgoing_len -= messages.len();
                shared.is_writing = true;
                self.queues.session.notify_all();
                return Some(messages);
            }
            if shared.is_closing {
                return None;
            }
            let ping = shared.ping.map_or(self.ping, |ping| ping.min(self.ping));
            let left = (since + ping).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(PING_BYTES.to_vec());
            }
            shared = self.queues.writer.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(self.brake.most(bytes.len()));
            self.write.write_all(now)?;
            self.write.flush()?;
            self.brake.passed(now.len());
            bytes = rest;
        }
        Ok(())
    }
}

/// Keeps a rate, by waiting after what has passed.
struct Brake {
    rate: Option<u64>,
    next: Instant,
}

impl Brake {
    fn new(rate: Option<u64>) -> Brake {
        Brake { rate, next: Instant::now() }
    }

    /// How many bytes may pass at once, of `len`.
    fn most(&self, len: usize) -> usize {
        self.rate.map_or(len, |rate| len.min((rate / STEPS_A_SECOND).clamp(64, 1 << 20) as usize))
    }

    fn passed(&mut self, len: usize) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        self.next = self.next.max(now) + Duration::from_nanos(len as u64 * 1_000_000_000 / rate.max(1));
        std::thread::sleep(self.next - now);
    }
}
