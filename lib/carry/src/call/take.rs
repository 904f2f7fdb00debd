//! The neighbour's packets for us: from the call into `NODE/rx/`.
//!
//! A packet's envelope is held in memory until its bodies are all here; then it joins the batch that lands next. In an eager call
//! envelopes, and bodies that are whole, land before that too. Bodies grow in `part/NODE/`, checked chunk by chunk, and stay there until what lists them has landed: a call that breaks, or a
//! program that dies, costs only what was not sent.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use mb_spool::bodies::{is_in_queue, link_from_index, link_or_copy};
use mb_spool::durable::{self, DirRef, FileRef, Lock, LockGuard};
use mb_spool::land::Landing;
use mb_spool::layout::{PART, Queue, Spool};
use mb_spool::names::Name;
use mb_spool::relayed;
use mb_spool::run::{Run, gone};
use mb_spool::waiting::tally;
use mb_wire::body::{CHUNK_LEN, chunk_count};
use mb_wire::call::message::{Offer, Part, Reason};
use mb_wire::envelope::{BodyName, Prefix};
use mb_wire::hash::Digest;
use mb_wire::id::{NodeId, PacketId, Root};

use super::rest::{good_chunks, is_whole, open_part_file};
use super::{CallError, CallOptions, CallReport, NotTaken, Step};
use crate::exchange::{Chunks, Event, MOST_ASKS, Session};
use crate::report::{self, Watch};
use crate::room::Room;

/// Packets that land together.
const MOST_PACKETS: usize = 512;
/// Bytes of bodies that were asked for and have not come, unless it is a single body.
const MOST_ASKED_LEN: u64 = 16 << 20;
/// What has come waits no longer than this for more.
const MOST_WAIT: Duration = Duration::from_secs(1);
/// Bodies that are known to be here because of this neighbour.
const MOST_BROUGHT: usize = 64 * 1024;

/// A packet whose envelope came.
struct Open {
    envelope: Vec<u8>,
    bodies: Vec<BodyName>,
    missing_count: usize,
    /// Of these, what the other side does not have.
    lacking_count: usize,
    /// Whether the envelope has landed, in an eager call.
    is_announced: bool,
    /// The bodies that have landed beside it.
    landed: BTreeSet<u16>,
}

/// A body that an open packet lists.
struct Body {
    name: BodyName,
    place: Place,
    /// The open packets that list it, and its number there. It is asked for through the first.
    users: Vec<(PacketId, u16)>,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// Not asked for yet, or on its way.
    Coming,
    /// In `part/NODE/`, whole.
    Part,
    /// In the run's folder, by this name: the spool had it.
    Run(String),
}

/// Our half of the work as the taker.
pub(super) struct Take<'a> {
    spool: &'a Spool,
    run: &'a Run,
    peer: NodeId,
    /// Whether envelopes land before their bodies have come.
    is_eager: bool,
    part: Option<DirRef>,
    _lock: Option<LockGuard>,
    room: Option<Room>,
    /// What lies here because of the neighbour: packets and bytes. Known once something is offered.
    charge: Option<(u64, u64)>,
    is_winding_up: bool,
    /// Whether something is still over there that was not taken.
    has_refused: bool,
    /// What we did not take.
    pub not_taken: NotTaken,
    open: HashMap<PacketId, Open>,
    bodies: HashMap<Root, Body>,
    /// Packets of which the other side does not have all.
    lacking: HashSet<PacketId>,
    /// Bodies that are to be asked for.
    todo: VecDeque<Root>,
    asked_len: u64,
    writing: Option<(Root, FileRef)>,
    landing: Option<Landing<'a>>,
    batch: Vec<(PacketId, u64, Vec<Root>)>,
    /// When the first of what is to land came.
    since: Option<Instant>,
    /// Bodies of ours that may be called "here already" without giving away what others brought.
    brought: Option<HashSet<(u64, u64)>>,
}

impl<'a> Take<'a> {
    pub fn new(spool: &'a Spool, run: &'a Run, peer: NodeId, is_eager: bool) -> Take<'a> {
        Take {
            spool,
            run,
            peer,
            is_eager,
            part: None,
            _lock: None,
            room: None,
            charge: None,
            is_winding_up: false,
            has_refused: false,
            not_taken: NotTaken::default(),
            open: HashMap::new(),
            bodies: HashMap::new(),
            lacking: HashSet::new(),
            todo: VecDeque::new(),
            asked_len: 0,
            writing: None,
            landing: None,
            batch: Vec::new(),
            since: None,
            brought: None,
        }
    }

    /// Does what an event of the taking half asks for.
    pub fn handle(
        &mut self,
        event: Event,
        session: &mut Session,
        options: CallOptions,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        match event {
            Event::Offered(offers) => self.offered(offers, session, options)?,
            Event::Envelope(packet, prefix, bytes) => {
                let len = bytes.len() as u64;
                report.in_len += len;
                (options.progress)(Step { packet, is_out: false, len });
                self.envelope(packet, prefix, bytes, session, options)?;
            }
            Event::Leaves(packet, number, leaves) => self.resume(packet, number, leaves, session, report)?,
            Event::Data(chunks) => {
                let len = chunks.bytes.len() as u64;
                report.in_len += len;
                (options.progress)(Step { packet: chunks.packet, is_out: false, len });
                self.write(chunks)?;
            }
            Event::Lacked(packet, number) => self.lacked(packet, number),
            Event::Withdrawn(packets) => {
                self.has_refused = true;
                for packet in &packets {
                    // What has come of it is worth keeping.
                    self.announce(packet)?;
                    self.drop_packet(packet)?;
                }
            }
            Event::Nothing | Event::Hello(_) | Event::Landed(_) | Event::Refused(_) | Event::Done(_) => {}
        }
        self.give_up_lacking(session)?;
        self.ask(session)
    }

    /// Nothing new is begun: what needs more than is on its way stays over there.
    pub fn wind_up(&mut self, session: &mut Session) {
        self.is_winding_up = true;
        let root_of = |root: &Root| self.bodies.get(root).map(|body| body.users.clone());
        let unasked: HashSet<PacketId> =
            self.todo.iter().filter_map(root_of).flatten().map(|(packet, _)| packet).collect();
        for packet in unasked {
            if !session.taking.is_awaited(&packet) && self.drop_packet(&packet).is_ok() {
                self.refuse(session, packet, Reason::Stopping);
            }
        }
    }

    fn refuse(&mut self, session: &mut Session, packet: PacketId, reason: Reason) {
        self.has_refused = true;
        // That not all has come over there is what an eager call is for.
        if reason != Reason::Incomplete || !self.is_eager {
            self.not_taken.note(reason);
        }
        session.refuse(packet, reason);
    }

    /// Answers offers: here already, wanted, or not now.
    fn offered(&mut self, offers: Vec<Offer>, session: &mut Session, options: CallOptions) -> Result<(), CallError> {
        let (mut wanted, mut here) = (Vec::new(), Vec::new());
        let rx = self.spool.find_queue(&self.peer, Queue::Rx)?;
        for offer in offers {
            if let Some(rx) = &rx
                && is_whole(rx, &offer.packet)?
            {
                here.push(offer.packet);
                continue;
            }
            match self.objection(&offer, options)? {
                None => wanted.push(offer.packet),
                Some(reason) => self.refuse(session, offer.packet, reason),
            }
        }
        if let Some(rx) = rx.filter(|_| !here.is_empty()) {
            // A name that is there need not be durable, nor that of its folder.
            rx.sync()?;
            self.spool.above_queue(&self.peer, Queue::Rx)?.iter().try_for_each(|dir| dir.sync())?;
            session.landed(&here);
        }
        session.want(&wanted);
        Ok(())
    }

    /// Why a packet is not taken.
    fn objection(&mut self, offer: &Offer, options: CallOptions) -> durable::Result<Option<Reason>> {
        let len = offer.envelope_len + offer.bodies_len;
        if self.is_winding_up {
            return Ok(Some(Reason::Stopping));
        }
        if offer.nice > options.nice {
            return Ok(Some(Reason::Unwanted));
        }
        if !self.open_part()? {
            return Ok(Some(Reason::Busy));
        }
        // To count costs a look at each name that is there.
        let has_limit = options.most_packets.is_some() || options.most_bytes.is_some();
        let (packet_count, stored_len) = match has_limit {
            true if self.waits(&offer.packet)? => {
                // It is counted, though not with what is still to come: what waits for the rest is not kept from it.
                let (packet_count, stored_len) = self.charge()?;
                (packet_count.saturating_sub(1), stored_len.saturating_sub(len))
            }
            true => self.charge()?,
            false => (0, 0),
        };
        let is_over = |most: Option<u64>, value: u64| most.is_some_and(|most| value > most);
        if is_over(options.most_packets, packet_count + 1)
            || is_over(options.most_bytes, stored_len.saturating_add(len))
        {
            return Ok(Some(Reason::Quota));
        }
        let room = self.room.get_or_insert_with(|| Room::new(self.spool.root(), options.reserve, u64::MAX));
        if !room.fits(&[len])? {
            return Ok(Some(Reason::Room));
        }
        room.take(&[len]);
        self.charge = has_limit.then_some((packet_count + 1, stored_len + len));
        Ok(None)
    }

    /// Opens and locks `part/NODE`. `false`: another call takes from this neighbour.
    fn open_part(&mut self) -> durable::Result<bool> {
        if self.part.is_some() {
            return Ok(true);
        }
        let part = self.spool.make(&[PART, &self.peer.to_string()])?;
        match part.try_lock()? {
            Lock::Busy => return Ok(false),
            Lock::Held(lock) => self._lock = Some(lock),
            Lock::Unsupported => {}
        }
        self.part = Some(part);
        Ok(true)
    }

    /// What lies here because of the neighbour. Bodies in `part/` are not counted: they become what is offered.
    fn charge(&mut self) -> durable::Result<(u64, u64)> {
        if let Some(charge) = self.charge {
            return Ok(charge);
        }
        let mut charge = (0, 0);
        for queue in [Queue::Rx, Queue::Wait] {
            if let Some(dir) = self.spool.find_queue(&self.peer, queue)? {
                let tally = tally(&dir)?;
                charge = (charge.0 + tally.packet_count, charge.1 + tally.len);
            }
        }
        for ticket in relayed::tickets(self.spool, &self.peer)? {
            let len = ticket.bodies.iter().fold(0u64, |len, body| len.saturating_add(body.size));
            charge = (charge.0 + 1, charge.1.saturating_add(len));
        }
        self.charge = Some(charge);
        Ok(charge)
    }

    /// An envelope came: which of its bodies are to be asked for?
    fn envelope(
        &mut self,
        packet: PacketId,
        prefix: Prefix,
        bytes: &[u8],
        session: &mut Session,
        options: CallOptions,
    ) -> Result<(), CallError> {
        let most = options.most_sharing as usize;
        let shares = |body: &BodyName| self.bodies.get(&body.root).is_some_and(|body| body.users.len() >= most);
        if prefix.bodies.iter().any(shares) {
            self.refuse(session, packet, Reason::Quota);
            return Ok(());
        }
        let is_announced = self.is_eager && self.waits(&packet)?;
        let mut open = Open {
            envelope: bytes.to_vec(),
            bodies: prefix.bodies,
            missing_count: 0,
            lacking_count: 0,
            is_announced,
            landed: BTreeSet::new(),
        };
        for (number, name) in open.bodies.iter().enumerate() {
            open.missing_count += usize::from(!self.use_body(packet, number as u16, name)?);
        }
        let is_whole = open.missing_count == 0;
        self.open.insert(packet, open);
        match is_whole {
            true => self.whole(packet),
            false if self.is_winding_up => {
                self.drop_packet(&packet)?;
                self.refuse(session, packet, Reason::Stopping);
                Ok(())
            }
            false => {
                if self.is_eager {
                    self.since.get_or_insert_with(Instant::now);
                }
                Ok(())
            }
        }
    }

    /// Whether a packet waits here for its bodies.
    fn waits(&self, packet: &PacketId) -> durable::Result<bool> {
        is_in_queue(self.spool, &self.peer, Queue::Wait, packet)
    }

    /// The other side does not have a body that `packet` lists: others may bring it, this packet does not come whole.
    fn lacked(&mut self, packet: PacketId, number: u16) {
        self.has_refused = true;
        let Some(open) = self.open.get_mut(&packet) else { return };
        let Some(name) = open.bodies.get(usize::from(number)).copied() else { return };
        open.lacking_count += 1;
        self.lacking.insert(packet);
        self.unask(&packet, &name);
        if self.bodies.get(&name.root).is_some_and(|body| body.users.is_empty()) {
            self.bodies.remove(&name.root);
        }
    }

    /// Packets of which all has come but what the other side does not have: that lands, in an eager call.
    fn give_up_lacking(&mut self, session: &mut Session) -> Result<(), CallError> {
        let is_done =
            |packet: &PacketId| self.open.get(packet).is_none_or(|open| open.lacking_count == open.missing_count);
        let done: Vec<PacketId> = self.lacking.iter().filter(|packet| is_done(packet)).copied().collect();
        for packet in done {
            self.lacking.remove(&packet);
            if self.open.contains_key(&packet) {
                self.announce(&packet)?;
                self.drop_packet(&packet)?;
                self.refuse(session, packet, Reason::Incomplete);
            }
        }
        Ok(())
    }

    /// In an eager call: what has come of packets that are not whole joins what lands next.
    fn announce_all(&mut self) -> durable::Result<()> {
        if !self.is_eager || self.open.is_empty() {
            return Ok(());
        }
        let mut open = std::mem::take(&mut self.open);
        let announced = open.iter_mut().try_for_each(|(packet, open)| self.announce_one(*packet, open));
        self.open = open;
        announced
    }

    /// The same of one packet, if it is open.
    fn announce(&mut self, packet: &PacketId) -> durable::Result<()> {
        if !self.is_eager {
            return Ok(());
        }
        let Some(mut open) = self.open.remove(packet) else { return Ok(()) };
        let announced = self.announce_one(*packet, &mut open);
        self.open.insert(*packet, open);
        announced
    }

    fn announce_one(&mut self, packet: PacketId, open: &mut Open) -> durable::Result<()> {
        let mut bodies = Vec::new();
        for (number, body) in (0..).zip(&open.bodies) {
            if !open.landed.contains(&number)
                && let Some(name) = self.body_to_land(body)?
            {
                open.landed.insert(number);
                bodies.push((number, body.root, name));
            }
        }
        if bodies.is_empty() && open.is_announced {
            return Ok(());
        }
        let landing = self.landing()?;
        match std::mem::replace(&mut open.is_announced, true) {
            true => landing.add_bodies(packet, bodies),
            false => landing.add(packet, &open.envelope, bodies)?,
        }
        Ok(())
    }

    /// What lands next.
    fn landing(&mut self) -> durable::Result<&mut Landing<'a>> {
        let landing = match self.landing.take() {
            Some(landing) => landing,
            None => Landing::new(self.spool, self.run, &self.peer, Queue::Rx)?,
        };
        Ok(self.landing.insert(landing))
    }

    /// A name in the run's folder under which a body that is here may land.
    fn body_to_land(&mut self, body: &BodyName) -> durable::Result<Option<String>> {
        let Some(place) = self.bodies.get(&body.root).map(|body| body.place.clone()) else { return Ok(None) };
        let name = self.run.fresh_name("body-");
        match (place, &self.part) {
            (Place::Part, Some(part)) => {
                link_or_copy(part, &body.root.to_string(), self.run.dir(), &name, self.run)?;
                let file = self.run.dir().open(name.as_ref())?;
                self.landing()?.wrote_body(file, &name);
            }
            (Place::Run(own), _) => link_or_copy(self.run.dir(), &own, self.run.dir(), &name, self.run)?,
            _ => return Ok(None),
        }
        Ok(Some(name))
    }

    /// Notes that `packet` needs a body; `false`: it has to come first.
    fn use_body(&mut self, packet: PacketId, number: u16, name: &BodyName) -> durable::Result<bool> {
        if let Some(body) = self.bodies.get_mut(&name.root) {
            body.users.push((packet, number));
            return Ok(body.place != Place::Coming);
        }
        let place = self.own(name)?.map_or(Place::Coming, Place::Run);
        if place == Place::Coming {
            self.todo.push_back(name.root);
        }
        let is_here = place != Place::Coming;
        self.bodies.insert(name.root, Body { name: *name, place, users: vec![(packet, number)] });
        Ok(is_here)
    }

    /// A link to a body that the spool has, if the neighbour may know that: it brought it, or is to get it.
    fn own(&mut self, body: &BodyName) -> durable::Result<Option<String>> {
        let name = self.run.fresh_name("own-");
        if !link_from_index(self.spool, &body.root, self.run.dir(), &name)? {
            return Ok(None);
        }
        let stat = self.run.dir().stat(name.as_ref())?;
        if stat.len == body.size && self.brought()?.contains(&stat.inode) {
            return Ok(Some(name));
        }
        gone(self.run.dir().unlink(name.as_ref()))?;
        Ok(None)
    }

    /// The files of bodies that came from the neighbour or go to it.
    fn brought(&mut self) -> durable::Result<&HashSet<(u64, u64)>> {
        if self.brought.is_none() {
            let mut inodes = HashSet::new();
            for queue in [Queue::Rx, Queue::Wait, Queue::Tx] {
                let Some(dir) = self.spool.find_queue(&self.peer, queue)? else { continue };
                for entry in dir.list()? {
                    let entry = entry?;
                    if matches!(Name::parse(&entry.name), Name::Body(..)) && inodes.len() < MOST_BROUGHT {
                        inodes.extend(dir.stat(&entry.name).ok().map(|stat| stat.inode));
                    }
                }
            }
            self.brought = Some(inodes);
        }
        Ok(self.brought.get_or_insert_default())
    }

    /// Asks for bodies, as many as may be on their way at a time. One of which something is here is asked for alone: first its
    /// leaves, to compare.
    fn ask(&mut self, session: &mut Session) -> Result<(), CallError> {
        let Some(part) = self.part.clone() else { return Ok(()) };
        while let Some(root) = self.todo.front() {
            let count = session.taking.ask_count();
            let Some(body) = self.bodies.get(root) else {
                self.todo.pop_front();
                continue;
            };
            if count > 0 && (count >= MOST_ASKS || self.asked_len + body.name.size > MOST_ASKED_LEN) {
                break;
            }
            let is_begun = match part.stat(root.to_string().as_ref()) {
                Ok(stat) => stat.len > 0,
                Err(error) if error.is_missing() => false,
                Err(error) => return Err(error.into()),
            };
            if is_begun && count > 0 {
                break;
            }
            if let Some((packet, number)) = body.users.first().copied() {
                let what = if is_begun { Part::Leaves } else { Part::All };
                self.asked_len += body.name.size;
                session.ask(packet, number, what, Vec::new());
            }
            self.todo.pop_front();
            if is_begun {
                break;
            }
        }
        Ok(())
    }

    /// Leaves came for a body of which something is here: what is right of it is kept.
    fn resume(
        &mut self,
        packet: PacketId,
        number: u16,
        leaves: Vec<Digest>,
        session: &mut Session,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        let body = self.open.get(&packet).and_then(|open| open.bodies.get(usize::from(number))).copied();
        let Some((body, part)) = body.zip(self.part.clone()) else { return Ok(()) };
        let name = body.root.to_string();
        let file = open_part_file(&part, &name)?;
        let good = good_chunks(&file, body.size, &leaves)?;
        file.set_len((good * CHUNK_LEN as u64).min(body.size))?;
        report.resumed_len += (good * CHUNK_LEN as u64).min(body.size);
        if good == chunk_count(body.size).unwrap_or_default() {
            return self.body_is_here(&body);
        }
        self.writing = Some((body.root, file));
        session.ask(packet, number, Part::From(good as u32), leaves);
        Ok(())
    }

    /// Writes chunks that were checked.
    fn write(&mut self, chunks: Chunks) -> Result<(), CallError> {
        let Some(part) = &self.part else { return Ok(()) };
        let root = chunks.body.root;
        if self.writing.as_ref().is_none_or(|(writing, _)| *writing != root) {
            self.writing = Some((root, open_part_file(part, &root.to_string())?));
        }
        if let Some((_, file)) = &self.writing {
            file.write_at(chunks.bytes, chunks.offset)?;
        }
        if chunks.is_last {
            self.writing = None;
            self.body_is_here(&chunks.body)?;
        }
        Ok(())
    }

    /// A body is whole: packets that lacked nothing else are whole too.
    fn body_is_here(&mut self, name: &BodyName) -> Result<(), CallError> {
        self.asked_len = self.asked_len.saturating_sub(name.size);
        let Some(body) = self.bodies.get_mut(&name.root) else { return Ok(()) };
        body.place = Place::Part;
        for (packet, _) in body.users.clone() {
            let Some(open) = self.open.get_mut(&packet) else { continue };
            open.missing_count -= 1;
            if open.missing_count == 0 {
                self.whole(packet)?;
            } else if self.is_eager {
                self.since.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    /// Takes a packet into the batch.
    fn whole(&mut self, packet: PacketId) -> Result<(), CallError> {
        let Some(open) = self.open.remove(&packet) else { return Ok(()) };
        let mut bodies = Vec::new();
        for (number, body) in (0..).zip(&open.bodies) {
            bodies.extend(self.body_to_land(body)?.map(|name| (number, body.root, name)));
        }
        self.landing()?.add(packet, &open.envelope, bodies)?;
        let roots = open.bodies.iter().map(|body| body.root).collect();
        let len = open.envelope.len() as u64 + open.bodies.iter().map(|body| body.size).sum::<u64>();
        self.batch.push((packet, len, roots));
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Whether what has come is to land now: nothing more is on its way, or it is much, or has waited long.
    pub fn is_ready(&self, session: &Session) -> bool {
        let is_late = || self.since.is_some_and(|since| since.elapsed() > MOST_WAIT);
        (!self.batch.is_empty() || self.landing.is_some() || (self.is_eager && is_late()))
            && ((session.taking.is_answered() && self.todo.is_empty())
                || self.is_winding_up
                || self.batch.len() >= MOST_PACKETS
                || is_late())
    }

    /// Makes what has come durable in the spool, and says so.
    pub fn land(
        &mut self,
        session: &mut Session,
        watch: &mut dyn Watch,
        report: &mut CallReport,
    ) -> Result<(), CallError> {
        self.announce_all()?;
        let Some(landing) = self.landing.take() else {
            self.since = None;
            return Ok(());
        };
        let batch = std::mem::take(&mut self.batch);
        self.since = None;
        landing.land()?;
        let packets: Vec<_> = batch.iter().map(|(packet, ..)| *packet).collect();
        session.landed(&packets);
        for (packet, len, roots) in batch {
            report.in_count += 1;
            watch.moved(report::Event::In { packet, len });
            roots.iter().try_for_each(|root| self.release(root, &packet))?;
        }
        Ok(())
    }

    /// `packet` needs a body no more; when nobody does, what was kept of it for the call goes.
    fn release(&mut self, root: &Root, packet: &PacketId) -> durable::Result<()> {
        let Some(body) = self.bodies.get_mut(root) else { return Ok(()) };
        body.users.retain(|(user, _)| user != packet);
        if !body.users.is_empty() {
            return Ok(());
        }
        let Some(body) = self.bodies.remove(root) else { return Ok(()) };
        match (body.place, &self.part) {
            (Place::Run(own), _) => gone(self.run.dir().unlink(own.as_ref())),
            (Place::Part, Some(part)) => {
                let name = root.to_string();
                if let Some(brought) = &mut self.brought {
                    brought.extend(part.stat(name.as_ref()).ok().map(|stat| stat.inode));
                }
                gone(part.unlink(name.as_ref()))
            }
            _ => Ok(()),
        }
    }

    /// Forgets a packet that does not come after all. What others need of its bodies is asked for anew.
    fn drop_packet(&mut self, packet: &PacketId) -> durable::Result<()> {
        let Some(open) = self.open.remove(packet) else { return Ok(()) };
        for name in &open.bodies {
            self.unask(packet, name);
            if self.writing.as_ref().is_some_and(|(root, _)| *root == name.root) {
                self.writing = None;
            }
            let is_unused = self.bodies.get(&name.root).is_some_and(|body| body.users.is_empty());
            if is_unused && let Some(Body { place: Place::Run(own), .. }) = self.bodies.remove(&name.root) {
                gone(self.run.dir().unlink(own.as_ref()))?;
            }
        }
        Ok(())
    }

    /// `packet` waits for a body no more: if it was asked for through it, and others need it, it is asked for anew.
    fn unask(&mut self, packet: &PacketId, name: &BodyName) {
        let Some(body) = self.bodies.get_mut(&name.root) else { return };
        let was_asked = body.users.first().is_some_and(|(user, _)| user == packet);
        body.users.retain(|(user, _)| user != packet);
        if body.place == Place::Coming && was_asked && !self.todo.contains(&name.root) {
            self.asked_len = self.asked_len.saturating_sub(name.size);
            if !body.users.is_empty() {
                self.todo.push_front(name.root);
            }
        }
    }

    /// At the end of a call in which everything was taken that waits over there: what rests in `part/` is of no use any more.
    pub fn tidy(&mut self, session: &Session) -> durable::Result<()> {
        if self.has_refused || !session.taking.was_all() {
            return Ok(());
        }
        if self.part.is_none() && (self.spool.find(&[PART, &self.peer.to_string()])?.is_none() || !self.open_part()?) {
            return Ok(());
        }
        let Some(part) = &self.part else { return Ok(()) };
        let names = part.list()?.collect::<durable::Result<Vec<_>>>()?;
        names.iter().try_for_each(|entry| gone(part.unlink(&entry.name)))
    }
}
