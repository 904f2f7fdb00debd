//! Our packets for the neighbour: from its `tx/` into the call, and out of `tx/` when it has them.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::AtomicBool;

use mb_spool::bodies::{exists, remove_packet};
use mb_spool::durable::{self, DirRef, FileRef, Lock, LockGuard};
use mb_spool::envelopes::{self, Read};
use mb_spool::layout::{Queue, Spool};
use mb_spool::names::body_name;
use mb_spool::run::Run;
use mb_spool::{sent, way};
use mb_wire::body::CHUNK_LEN;
use mb_wire::call::message::{Ask, DATA_CHUNKS_MOST, Hello, LIST_MOST, Message, Offer, Part, Reason, Rest};
use mb_wire::envelope::{BodyName, read_prefix};
use mb_wire::hash::Digest;
use mb_wire::id::{NodeId, PacketId};

use super::{CallError, CallOptions, CallReport, NotTaken, Step};
use crate::copy::{CopyError, Work, leaves_of, read_full};
use crate::destination::Destination;
use crate::error::CarryError;
use crate::exchange::{Given, Request, Session};
use crate::order::{MOST_AT_ONCE, Waiting, next_waiting, sweep_orphans};
use crate::report::{Event, Watch};

/// Bytes of a message with chunks.
const DATA_LEN: usize = DATA_CHUNKS_MOST * CHUNK_LEN;
/// Bytes that one step makes, about.
const STEP_LEN: u64 = 128 << 10;

/// The number of the queue of packets whose bodies are not all here, behind that of the others.
const AHEAD: u32 = 1;

/// A body on its way.
struct Sending {
    packet: PacketId,
    body: BodyName,
    file: FileRef,
    offset: u64,
}

/// Our half of the work as the giver.
pub(super) struct Give<'a> {
    spool: &'a Spool,
    run: &'a Run,
    peer: NodeId,
    queue: Option<DirRef>,
    /// In an eager call: packets whose bodies are not all here.
    ahead: Option<DirRef>,
    /// Those of them that were offered.
    incomplete: HashSet<PacketId>,
    /// Where what we hand over came from, if that is known of any.
    way: Option<DirRef>,
    /// What it has not confirmed, if there is any.
    sent: Option<DirRef>,
    _lock: Option<LockGuard>,
    nice: u8,
    /// Whether all that waits is offered, and nothing of it stays.
    is_all: bool,
    /// Whether another call gives to the same node.
    is_busy: bool,
    /// Whether nothing new is to be begun.
    is_winding_up: bool,
    /// Then only this packet is finished.
    in_hand: Option<PacketId>,
    /// What the other side did not take.
    pub not_taken: NotTaken,
    /// What was found and not offered yet, the most urgent first.
    waiting: VecDeque<Waiting>,
    /// The last one of a pass that may not have been all.
    after: Option<Waiting>,
    /// What was offered in this call and stays here: it is not offered again.
    left: HashSet<PacketId>,
    sending: Option<Sending>,
}

impl<'a> Give<'a> {
    pub fn new(spool: &'a Spool, run: &'a Run, peer: NodeId) -> Give<'a> {
        Give {
            spool,
            run,
            peer,
            queue: None,
            ahead: None,
            incomplete: HashSet::new(),
            way: None,
            sent: None,
            _lock: None,
            nice: 0,
            is_all: false,
            is_busy: false,
            is_winding_up: false,
            in_hand: None,
            not_taken: NotTaken::default(),
            waiting: VecDeque::new(),
            after: None,
            left: HashSet::new(),
            sending: None,
        }
    }

    /// The other side is there: what waits for it is offered, and what it has not confirmed. Another call that gives to the
    /// same node leaves nothing to this one.
    pub fn begin(&mut self, hello: Hello, options: CallOptions, watch: &mut dyn Watch) -> Result<(), CallError> {
        self.nice = hello.nice.min(options.nice);
        if !hello.take || !options.gives {
            return Ok(());
        }
        self.is_all = self.nice == u8::MAX;
        sent::again(self.spool, &self.peer, self.run)?;
        self.sent = self.spool.find_queue(&self.peer, Queue::Sent)?;
        self.way = way::open(self.spool, &self.peer)?;
        self.ahead = self.spool.find_queue(&self.peer, Queue::Ahead)?.filter(|_| options.eager);
        let queue = match self.spool.find_queue(&self.peer, Queue::Tx)? {
            None if self.ahead.is_some() => self.spool.queue(&self.peer, Queue::Tx)?,
            None => return Ok(()),
            Some(queue) => queue,
        };
        match queue.try_lock()? {
            Lock::Held(lock) => self._lock = Some(lock),
            Lock::Unsupported => {}
            Lock::Busy => {
                self.is_busy = true;
                watch.failed(CarryError::OtherCall(queue.path().to_owned()));
                return Ok(());
            }
        }
        sweep_orphans(&queue, self.run)?;
        self.queue = Some(queue);
        self.look()?;
        Ok(())
    }

    /// Nothing new is begun: what is not on its way is withdrawn. The packet in hand is finished, if there is time.
    pub fn wind_up(&mut self, session: &mut Session, has_time: bool) {
        self.is_winding_up = true;
        self.is_all = false;
        self.waiting.clear();
        let sending = self.sending.as_ref().map(|sending| sending.packet);
        self.in_hand = sending.filter(|_| has_time);
        let mut goes = session.giving.unanswered();
        goes.extend(sending.filter(|packet| !goes.contains(packet)));
        for packet in goes.into_iter().filter(|packet| Some(*packet) != self.in_hand) {
            session.withdraw(packet);
        }
        self.sending = self.sending.take().filter(|_| has_time);
    }

    /// Whether there is something to say without being told first.
    pub fn has_more(&self, session: &Session) -> bool {
        !session.giving.is_done()
            && (self.sending.is_some()
                || session.giving.is_asked()
                || session.giving.is_settled()
                || self.may_offer(session))
    }

    fn may_offer(&self, session: &Session) -> bool {
        // The length of the next envelope is not known before it is read; the longest is allowed for.
        !self.waiting.is_empty() && session.giving.may_offer(mb_wire::size::ENVELOPE_MOST as u64)
    }

    /// Says the next thing.
    pub fn step(
        &mut self,
        session: &mut Session,
        options: CallOptions,
        watch: &mut dyn Watch,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        if self.is_winding_up && self.withdraw_asked(session) {
            return Ok(());
        }
        if self.give_envelopes(session, options, watch, report)? {
            return Ok(());
        }
        if self.may_offer(session) {
            return self.offer(session);
        }
        if self.sending.is_some() {
            return self.send_on(session, options, watch, report);
        }
        match session.giving.next_body() {
            Some(Request::Body(ask, body)) => self.begin_body(session, ask, body, options, watch),
            Some(Request::Envelope(_)) => Ok(()),
            None => self.look_again(session),
        }
    }

    /// What is asked for only now, of other packets than that in hand, is withdrawn. `false`: nothing is.
    fn withdraw_asked(&self, session: &mut Session) -> bool {
        let mut goes = session.giving.asked();
        goes.retain(|packet| Some(*packet) != self.in_hand);
        goes.iter().for_each(|packet| session.withdraw(*packet));
        !goes.is_empty()
    }

    /// Everything is settled: perhaps something came meanwhile.
    fn look_again(&mut self, session: &mut Session) -> Result<(), CallError> {
        if session.giving.is_settled() && self.waiting.is_empty() {
            self.look()?;
            if self.waiting.is_empty() {
                let rest = if self.is_all { Rest::Nothing } else { Rest::Something };
                session.end_giving(if self.is_busy { Rest::Busy } else { rest });
            }
        }
        Ok(())
    }

    /// Looks what waits that was not offered in this call.
    fn look(&mut self) -> durable::Result<()> {
        let Some(queue) = self.queue.as_ref().filter(|_| !self.is_winding_up) else { return Ok(()) };
        let queues = std::iter::once(queue).chain(&self.ahead);
        let destinations: Vec<Destination> =
            queues.map(|queue| Destination { node: self.peer, queue: queue.clone(), way: None }).collect();
        loop {
            let found = next_waiting(&destinations, self.after)?;
            self.after = found.last().copied().filter(|_| found.len() == MOST_AT_ONCE);
            for waiting in
                found.iter().filter(|waiting| waiting.nice <= self.nice && !self.left.contains(&waiting.packet))
            {
                // One that has just become whole may be in both.
                let is_incomplete = waiting.queue == AHEAD;
                if is_incomplete && exists(&**queue, &waiting.packet.to_string())? {
                    continue;
                }
                if is_incomplete {
                    self.incomplete.insert(waiting.packet);
                }
                self.waiting.push_back(*waiting);
            }
            if !self.waiting.is_empty() || self.after.is_none() {
                return Ok(());
            }
        }
    }

    /// Offers the next packets.
    fn offer(&mut self, session: &mut Session) -> Result<(), CallError> {
        let mut offers = Vec::new();
        let mut envelopes_len = 0;
        while offers.len() < LIST_MOST
            && session.giving.may_offer_more(offers.len(), envelopes_len + mb_wire::size::ENVELOPE_MOST as u64)
            && let Some(waiting) = self.waiting.pop_front()
        {
            match self.offer_of(&waiting)? {
                Some(offer) => {
                    envelopes_len += offer.envelope_len;
                    offers.push(offer);
                }
                None => {
                    self.is_all = false;
                    self.left.insert(waiting.packet);
                }
            }
        }
        session.offer(&offers);
        Ok(())
    }

    /// Where a packet lies.
    fn folder(&self, packet: &PacketId) -> Option<DirRef> {
        let folder = if self.incomplete.contains(packet) { &self.ahead } else { &self.queue };
        folder.clone()
    }

    /// What is to be said of a packet; `None` if it has gone, or if somebody puts it on a stick at this moment.
    fn offer_of(&mut self, waiting: &Waiting) -> durable::Result<Option<Offer>> {
        let Some(queue) = self.folder(&waiting.packet) else { return Ok(None) };
        let name = waiting.packet.to_string();
        let file = match queue.open(name.as_ref()) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        if matches!(file.try_lock()?, Lock::Busy) {
            return Ok(None);
        }
        let envelope_len = file.stat()?.len.clamp(1, mb_wire::size::ENVELOPE_MOST as u64);
        // One that makes no sense is told when it is asked for.
        let bodies_len = if waiting.len == u64::MAX { 0 } else { waiting.len.saturating_sub(envelope_len) };
        Ok(Some(Offer { packet: waiting.packet, nice: waiting.nice, envelope_len, bodies_len }))
    }

    /// Gives envelopes that were asked for. `false`: none was.
    fn give_envelopes(
        &mut self,
        session: &mut Session,
        options: CallOptions,
        watch: &mut dyn Watch,
        report: &mut CallReport,
    ) -> Result<bool, CallError> {
        let mut given_len = 0;
        while given_len < STEP_LEN
            && let Some(Request::Envelope(packet)) = session.giving.next_envelope()
        {
            match self.read(&packet)? {
                Ok((envelope, bodies)) => {
                    let len = envelope.len() as u64;
                    given_len += len;
                    report.out_len += len;
                    (options.progress)(Step { packet, is_out: true, len });
                    session.give_envelope(packet, &envelope, bodies);
                }
                Err(failure) => {
                    given_len += 1;
                    self.is_all = false;
                    self.left.insert(packet);
                    session.withdraw(packet);
                    failure.into_iter().for_each(|failure| watch.failed(failure));
                }
            }
        }
        Ok(given_len > 0)
    }

    /// Reads an envelope and what it lists. `Err(None)`: it has gone.
    #[expect(clippy::type_complexity, reason = "what a packet has, or why it has it not")]
    fn read(&self, packet: &PacketId) -> durable::Result<Result<(Vec<u8>, Vec<BodyName>), Option<CarryError>>> {
        let Some(queue) = &self.folder(packet) else { return Ok(Err(None)) };
        let path = queue.path().join(packet.to_string());
        let envelope = match envelopes::read(queue, packet)? {
            Read::Whole(envelope) => envelope,
            Read::Missing => return Ok(Err(None)),
            Read::Damaged => return Ok(Err(Some(CarryError::Damaged(path)))),
        };
        Ok(match read_prefix(&envelope) {
            Ok(prefix) if prefix.to != self.peer => Err(Some(CarryError::OtherNode { path, to: prefix.to })),
            Ok(prefix) => Ok((envelope, prefix.bodies)),
            Err(cause) => Err(Some(CarryError::Prefix { path, cause })),
        })
    }

    /// Begins to answer an ask: with the leaves, if they are asked for.
    fn begin_body(
        &mut self,
        session: &mut Session,
        ask: Ask,
        body: BodyName,
        options: CallOptions,
        watch: &mut dyn Watch,
    ) -> Result<(), CallError> {
        let Some(queue) = self.folder(&ask.packet) else { return Ok(()) };
        let file = match self.open_body(&queue, &ask, &body, options.threads)? {
            Ok((file, leaves)) => {
                if ask.part == Part::All || ask.part == Part::Leaves {
                    session.say(&Message::Leaves(leaves.as_flattened()));
                }
                file
            }
            Err(CarryError::BodyMissing { .. }) if self.may_lack(&ask) => {
                session.say(&Message::Lack(ask.packet, ask.number));
                return Ok(());
            }
            Err(failure) => {
                self.give_up(session, ask.packet, watch, failure);
                return Ok(());
            }
        };
        let first = if let Part::From(first) = ask.part { u64::from(first) } else { 0 };
        if ask.part != Part::Leaves {
            self.sending = Some(Sending { packet: ask.packet, body, file, offset: first * CHUNK_LEN as u64 });
        }
        Ok(())
    }

    /// Whether it is no failure that a body is not here.
    fn may_lack(&self, ask: &Ask) -> bool {
        self.incomplete.contains(&ask.packet) && !matches!(ask.part, Part::From(_))
    }

    /// A body that was asked for, with its leaves unless only chunks are wanted. `Err` inside: what is wrong with it.
    fn open_body(
        &self,
        queue: &DirRef,
        ask: &Ask,
        body: &BodyName,
        threads: usize,
    ) -> durable::Result<Result<(FileRef, Vec<Digest>), CarryError>> {
        let path = queue.path().join(ask.packet.to_string());
        let root_of = body.root;
        let file = match queue.open(body_name(&ask.packet, usize::from(ask.number)).as_ref()) {
            Ok(file) if file.stat()?.len == body.size => file,
            Ok(_) => return Ok(Err(CarryError::BodyDamaged { path, root: root_of })),
            Err(error) if error.is_missing() => return Ok(Err(CarryError::BodyMissing { path, root: root_of })),
            Err(error) => return Err(error),
        };
        if matches!(ask.part, Part::From(_)) {
            return Ok(Ok((file, Vec::new())));
        }
        // What is in hand is finished, whoever wants to stop.
        let work = Work { threads, stop: &AtomicBool::new(false), progress: &|_| {} };
        Ok(match leaves_of(&file, body, work) {
            Ok(leaves) => Ok((file, leaves)),
            Err(CopyError::Source(error) | CopyError::Target(error)) => Err(error.into()),
            Err(CopyError::Damaged | CopyError::Stopped) => Err(CarryError::BodyDamaged { path, root: root_of }),
        })
    }

    /// A packet cannot be given after all: that is told on both sides.
    fn give_up(&mut self, session: &mut Session, packet: PacketId, watch: &mut dyn Watch, failure: CarryError) {
        self.is_all = false;
        self.left.insert(packet);
        session.withdraw(packet);
        watch.failed(failure);
    }

    /// Sends the next chunks of a body.
    fn send_on(
        &mut self,
        session: &mut Session,
        options: CallOptions,
        watch: &mut dyn Watch,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let len = (sending.body.size - sending.offset).min(DATA_LEN as u64);
        let read = session.give_data(len as usize, |data| {
            // Of a file that became shorter the rest is zeros, which no leaf agrees with.
            let there = read_full(&sending.file, data, sending.offset)?;
            data[there..].fill(0);
            Ok::<(), durable::Error>(())
        });
        if let Err(error) = read {
            let packet = sending.packet;
            self.sending = None;
            self.give_up(session, packet, watch, error.into());
            return Ok(());
        }
        report.out_len += len;
        (options.progress)(Step { packet: sending.packet, is_out: true, len });
        sending.offset += len;
        if sending.offset == sending.body.size {
            self.sending = None;
        }
        Ok(())
    }

    /// The other side has them, durable: in a call that is as good as a confirmation.
    pub fn landed(
        &mut self,
        given: Vec<Given>,
        watch: &mut dyn Watch,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        for Given { offer, bodies, .. } in given {
            let Some(queue) = self.folder(&offer.packet) else { continue };
            let bodies = match bodies {
                Some(bodies) => bodies,
                None => envelopes::prefix(&queue, &offer.packet)?.map(|prefix| prefix.bodies).unwrap_or_default(),
            };
            let roots: Vec<_> = bodies.iter().map(|body| body.root).collect();
            remove_packet(self.spool, &queue, &offer.packet, &roots, self.run)?;
            if let Some(sent) = &self.sent {
                remove_packet(self.spool, sent, &offer.packet, &roots, self.run)?;
            }
            if let Some(way) = &self.way {
                way::handed(self.spool, &self.peer, way, &offer.packet, self.run)?;
            }
            report.out_count += 1;
            let len = offer.envelope_len + offer.bodies_len;
            watch.moved(Event::Out { packet: offer.packet, to: self.peer, len });
        }
        Ok(())
    }

    /// The other side does not take them now: they stay.
    pub fn refused(&mut self, refused: Vec<(Given, Reason)>) {
        for (given, reason) in refused {
            self.is_all = false;
            self.left.insert(given.offer.packet);
            // Of what we do not have all of, that is no surprise.
            if reason != Reason::Incomplete || !self.incomplete.contains(&given.offer.packet) {
                self.not_taken.note(reason);
            }
        }
    }
}
