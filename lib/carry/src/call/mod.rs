//! Live calls: the spool at both ends of a link.
//!
//! One thread runs the session and does all that touches the spool; two more move bytes (`pump`). What we give leaves
//! `tx/` when the other side has it durable; what we take lands in `NODE/rx/` in batches, and is acknowledged after its
//! barrier. A body that has not all come rests as `part/NODE/ROOT`, where the next call goes on behind its last good chunk.
//!
//! A call that is cut, or killed, at any point leaves each packet whole on one side or on both.

mod error;
mod give;
/// Links: tcp, a command's pipe, our own standard streams.
pub mod link;
/// Bytes in both directions at once.
pub mod pump;
mod rest;
/// Two sides get to know each other.
pub mod shake;
mod take;

pub use error::CallError;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mb_spool::durable::{self, Lock, LockGuard};
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_wire::call::handshake::{Opener, Sealer};
use mb_wire::call::message::{Hello, Inbox, Reason, Rest};
use mb_wire::id::{NodeId, PacketId};

use crate::error::CarryError;
use crate::exchange::{Event, Session};
use crate::report::Watch;
use give::Give;
use pump::{End, Link, Pace, Pump, Turn};
use take::Take;

/// How often the stop flag is looked at.
const TURN: Duration = Duration::from_millis(250);
/// How long the link may take to end when all is said.
const FAREWELL: Duration = Duration::from_secs(5);
/// A side that says nothing but that it is there is given so many times its time limit.
const PATIENCE: u32 = 10;
/// Nobody has to say something more often than this.
const PING_LEAST: Duration = Duration::from_secs(1);

/// Packets that are not taken, counted by reason: one line each, however many there are.
#[derive(Default)]
struct NotTaken(BTreeMap<Reason, u64>);

impl NotTaken {
    fn note(&mut self, reason: Reason) {
        *self.0.entry(reason).or_default() += 1;
    }

    /// That somebody wants only some, or is about to stop, is no failure.
    fn tell(&mut self, is_here: bool, watch: &mut dyn Watch) {
        for (reason, packet_count) in std::mem::take(&mut self.0) {
            if !matches!(reason, Reason::Unwanted | Reason::Stopping) {
                watch.failed(CarryError::NotTaken { packet_count, is_here, reason });
            }
        }
    }
}

/// What is asked of a call.
#[derive(Clone, Copy)]
pub struct CallOptions<'a> {
    /// Whether we give.
    pub gives: bool,
    /// Whether we take.
    pub takes: bool,
    /// Only packets of at most this `nice` move, either way; 255: all.
    pub nice: u8,
    /// Whether envelopes go before their bodies are there, and land before these have come, both ways.
    pub eager: bool,
    /// Bytes that stay free on the spool's file system.
    pub reserve: u64,
    /// Bytes that may lie here because of the neighbour.
    pub most_bytes: Option<u64>,
    /// Packets likewise.
    pub most_packets: Option<u64>,
    /// Packets that may share one body.
    pub most_sharing: u32,
    /// Bytes a second each way.
    pub rate: Option<u64>,
    /// How long the other side may say nothing.
    pub timeout: Duration,
    /// How long the call may last.
    pub max_time: Option<Duration>,
    /// Threads that hash what is sent.
    pub threads: usize,
    /// Looked at all the time: once it is set, what is in hand is finished, and nothing new is begun.
    pub stop: &'a AtomicBool,
    /// Told how far a body or envelope is.
    pub progress: &'a dyn Fn(Step),
}

/// How far a packet's transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which packet; with a shared body, the one through which it moves.
    pub packet: PacketId,
    /// Whether it goes out.
    pub is_out: bool,
    /// Bytes that moved just now.
    pub len: u64,
}

/// What a call did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallReport {
    /// Packets that the other side took.
    pub out_count: u64,
    /// Bytes that were sent for them, and for others.
    pub out_len: u64,
    /// Packets that landed here.
    pub in_count: u64,
    /// Bytes that came for them, and for others.
    pub in_len: u64,
    /// Bytes that an earlier call had brought.
    pub resumed_len: u64,
}

/// Claims the calls to `peer` for who makes them: one at a time. `None`: another program calls it at this moment. A second
/// call would be taken by the other side for the end of the first.
pub fn claim(spool: &Spool, peer: &NodeId) -> durable::Result<Option<CallClaim>> {
    Ok(match spool.make(&[&peer.to_string()])?.try_lock()? {
        Lock::Held(lock) => Some(CallClaim { _lock: Some(lock) }),
        Lock::Unsupported => Some(CallClaim { _lock: None }),
        Lock::Busy => None,
    })
}

/// Nobody else on this host calls the neighbour while it lives.
pub struct CallClaim {
    _lock: Option<LockGuard>,
}

/// A call in which the other side has proved who it is: its first message has come. Until then nothing but this value has
/// changed here, since whatever came before can be a recording.
pub struct Greeted {
    pump: Pump,
    inbox: Inbox,
    session: Session,
    hello: Hello,
}

/// Begins to talk over a link whose handshake is done: says what we want, and waits for the other side to do so, no longer
/// than `patience`.
pub fn greet(
    own: NodeId,
    link: Link,
    (sealer, opener): (Sealer, Opener),
    options: CallOptions,
    patience: Duration,
) -> Result<Greeted, CallError> {
    let ping = (options.timeout / 3).max(PING_LEAST);
    let hello = Hello::new(options.takes, options.nice, ping.as_secs().clamp(1, 3600) as u16).eager(options.eager);
    let mut session = Session::new(own, hello);
    let pump = Pump::start(link, sealer, opener, Pace { rate: options.rate, ping })?;
    pump.send(session.take_output(Vec::new()));
    let until = Instant::now() + patience;
    let mut inbox = Inbox::default();
    while Instant::now() < until {
        match pump.wait(false, until) {
            Turn::Came(bytes) => inbox = Inbox::from(bytes),
            Turn::Room => {}
            Turn::Late => break,
            Turn::Ended => return Err(cut(&pump)),
        }
        while let Some(message) = inbox.next_message().map_err(CallError::message)? {
            if let Event::Hello(hello) = session.receive(message)? {
                return Ok(Greeted { pump, inbox, session, hello });
            }
        }
    }
    Err(CallError::Silent(patience.as_secs()))
}

impl Greeted {
    /// Exchanges packets with the neighbour `peer`.
    ///
    /// Whatever comes of it, what is told as moved is durable on the side that it moved to.
    pub fn exchange(
        self,
        spool: &Spool,
        run: &Run,
        peer: NodeId,
        mut options: CallOptions,
        watch: &mut dyn Watch,
    ) -> (CallReport, Result<(), CallError>) {
        let mut report = CallReport::default();
        let Greeted { pump, inbox, session, hello } = self;
        // Either side may wish it.
        options.eager |= hello.eager;
        // What the other side asked for counts from now on.
        pump.set_ping(Duration::from_secs(hello.ping_secs.into()));
        let now = Instant::now();
        let call = Call {
            pump,
            inbox,
            session,
            give: Give::new(spool, run, peer),
            take: Take::new(spool, run, peer, options.eager),
            options,
            watch,
            report: &mut report,
            progressed: now,
            ends: options.max_time.map(|time| now + time),
            is_winding_up: false,
            is_up: false,
        };
        let done = call.all(hello);
        (report, done)
    }
}

/// Why the link has ended.
fn cut(pump: &Pump) -> CallError {
    match pump.take_end() {
        End::Failed(cause) => CallError::Broken(cause),
        End::Frame(error) => error.into(),
        End::Message(error) => CallError::message(error),
        End::Closed => CallError::Cut,
    }
}

struct Call<'a> {
    pump: Pump,
    inbox: Inbox,
    session: Session,
    give: Give<'a>,
    take: Take<'a>,
    options: CallOptions<'a>,
    watch: &'a mut dyn Watch,
    report: &'a mut CallReport,
    /// When the other side last said more than that it is there.
    progressed: Instant,
    /// When its time is up, or, once it is, when the call must have ended.
    ends: Option<Instant>,
    is_winding_up: bool,
    /// Whether its time is up.
    is_up: bool,
}

impl Call<'_> {
    /// What is whole lands even if the call breaks.
    fn all(mut self, hello: Hello) -> Result<(), CallError> {
        let talked =
            self.give.begin(hello, self.options, self.watch).and_then(|()| self.came()).and_then(|()| self.talk());
        if talked.is_err() {
            self.salvage();
        }
        let landed = self.take.land(&mut self.session, self.watch, self.report);
        self.give.not_taken.tell(false, self.watch);
        self.take.not_taken.tell(true, self.watch);
        match talked.and(landed) {
            Ok(()) => {
                self.take.tidy(&self.session)?;
                let deadline = Instant::now() + FAREWELL;
                self.pump.finish(deadline);
                // Perhaps not all was said.
                if self.is_up { Err(CallError::TooLong) } else { Ok(()) }
            }
            Err(error) => {
                if !matches!(error, CallError::Cut | CallError::Broken(_)) {
                    // What has landed is still worth hearing.
                    self.speak();
                    self.pump.finish(Instant::now() + TURN);
                }
                Err(error)
            }
        }
    }

    /// Hands over what is to be said.
    fn speak(&mut self) {
        if self.session.has_output() {
            let next = self.pump.buffer();
            self.pump.send(self.session.take_output(next));
        }
    }

    fn talk(&mut self) -> Result<(), CallError> {
        loop {
            self.speak();
            if self.session.is_over() {
                return Ok(());
            }
            match self.pump.wait(self.give.has_more(&self.session), Instant::now() + TURN) {
                Turn::Came(bytes) => {
                    self.inbox = Inbox::from(bytes);
                    self.came()?;
                    self.pump.give_back(std::mem::take(&mut self.inbox).into_bytes());
                }
                Turn::Room => {
                    // What was said before is on its way.
                    self.progressed = Instant::now();
                    self.give.step(&mut self.session, self.options, self.watch, self.report)?;
                }
                Turn::Late => {}
                Turn::Ended => return Err(cut(&self.pump)),
            }
            self.check_time()?;
            if self.take.is_ready(&self.session) {
                self.speak();
                self.take.land(&mut self.session, self.watch, self.report)?;
                self.progressed = Instant::now();
            }
        }
    }

    fn came(&mut self) -> Result<(), CallError> {
        while let Some(message) = self.inbox.next_message().map_err(CallError::message)? {
            let event = self.session.receive(message)?;
            if !matches!(event, Event::Nothing) {
                self.progressed = Instant::now();
            }
            let Call { session, give, take, options, watch, report, .. } = self;
            match event {
                Event::Nothing | Event::Hello(_) => {}
                Event::Landed(given) => give.landed(given, *watch, report)?,
                Event::Refused(refused) => give.refused(refused),
                Event::Done(Rest::Busy) => watch.failed(CarryError::BusyThere),
                event => take.handle(event, session, *options, report)?,
            }
        }
        Ok(())
    }

    /// The whole chunks of a message that was cut short are worth keeping.
    fn salvage(&mut self) {
        let Call { session, take, options, report, pump, .. } = self;
        let inbox = Inbox::from(pump.take_rest());
        let event = inbox.cut_data().map(|message| session.receive(message));
        if let Some(Ok(event)) = event {
            let _ = take.handle(event, session, *options, report);
        }
    }

    fn check_time(&mut self) -> Result<(), CallError> {
        let now = Instant::now();
        let is_up = self.ends.is_some_and(|ends| now >= ends);
        if is_up && self.is_up {
            return Err(CallError::TooLong);
        }
        if is_up {
            self.is_up = true;
            self.ends = Some(now + FAREWELL);
            self.wind_up(false);
        } else if self.options.stop.load(Ordering::Relaxed) && !self.is_winding_up {
            self.wind_up(true);
        }
        let (heard, told) = self.pump.last_heard();
        let timeout = self.options.timeout;
        if now > heard + timeout || now > self.progressed.max(told) + timeout * PATIENCE {
            return Err(CallError::Silent(timeout.as_secs()));
        }
        Ok(())
    }

    /// From now on nothing new is begun. The packet in hand is finished, if there is time.
    fn wind_up(&mut self, has_time: bool) {
        self.is_winding_up = true;
        self.give.wind_up(&mut self.session, has_time);
        self.take.wind_up(&mut self.session);
    }
}
