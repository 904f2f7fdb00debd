//! Apply: a batch of packets through the steps of delivery, one barrier a step.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mb_spool::areas::Marks;
use mb_spool::bad::Condemned;
use mb_spool::barrier::Barrier;
use mb_spool::blocks::for_each_block;
use mb_spool::bodies::{is_in_queue, link_from_index, remove_packet};
use mb_spool::class::{Class, Failure};
use mb_spool::day::Today;
use mb_spool::deliver::{Delivery, FreeNames};
use mb_spool::durable::{self, FileRef, Lock, LockGuard};
use mb_spool::envelopes::{self, Read};
use mb_spool::layout::Queue;
use mb_spool::names::body_name;
use mb_spool::partial;
use mb_spool::paths::{self, Came};
use mb_spool::run::Run;
use mb_spool::seen::{self, DoneMark, Seen};
use mb_spool::sent;
use mb_spool::tries::Claim;
use mb_spool::{bad, bodies};
use mb_wire::id::{MsgHash, PacketId, Root};

use super::charge::Charges;
use super::control::Talk;
use super::decide::{Accepted, Arrived, Decision, Deliver, How, Known, Refusal, Relay, Task, Word, arrive};
use super::payload::PayloadError;
use super::relay::Outgoing;
use super::reply::Answered;
use super::stage::{Shared, Stage};
use super::wait::{self, NextLook};
use crate::rules::Rules;

use super::{Delivered, Event, Failed, Scope, Source, Tell, Tosser, request};

/// A batch of packets from one queue.
pub struct Batch<'b, 'a> {
    pub tosser: &'b Tosser<'a>,
    pub source: &'b Source,
    pub today: &'b Today,
    pub run: &'b Run,
    /// What lies here because of each neighbour.
    pub charges: &'b Charges,
    /// When what waits is to be looked at again.
    pub next_look: &'b NextLook,
    /// Who has which message of an area.
    pub marks: &'b Marks<'b>,
    /// The rules of moderated areas.
    pub rules: Arc<Rules>,
    /// The messages of areas that this batch hands on.
    pub messages: Mutex<BTreeSet<MsgHash>>,
    /// What is to be left where it is.
    pub scope: &'b Scope,
}

/// A packet that this run has claimed.
struct Claimed {
    packet: PacketId,
    envelope: Read,
    /// Keeps other tossers away while it lives; no promise hangs on it.
    _lock: Option<LockGuard>,
}

/// What became of a packet before the barriers.
pub(super) enum Fate {
    /// Its payload is staged, or was staged by another run.
    Staged(Delivery),
    /// The same of the files that are whole of it: it lacks these bodies, and goes on waiting.
    Partial(Delivery, Vec<usize>),
    /// The envelope in which it goes on is made.
    Ready(Outgoing),
    /// It is a message of an area, and goes on to those who lack it before that becomes of it.
    GoesOn(Box<Fate>),
    /// Something is said to neighbours, and then it is through, or waits.
    Talks(Talk),
    /// It is the same message as another packet of this batch, which goes on.
    Twin,
    /// It asks for something, which is looked for when everything staged is through; or it goes on from a list then.
    Asked,
    /// It is processed now.
    Done,
    /// It is what the recipient of an onion of ours answers.
    Answered(Box<Answered>),
    /// It has been processed before: this is a copy.
    Known,
    /// It is not asked for.
    Left,
    /// Its author wants it to go on later: then, in seconds since 1970.
    Held(u64),
    /// All of the input of its command is here, and it may begin, unless another tosser is at it.
    Runs,
    /// Its command has done its work, in so many tries.
    Ran(Claim, u32),
    /// Its command failed, and is to be tried again from that time on; why.
    Tried(u64, String),
    /// Its command will not do its work.
    RanBadly(Claim, Refusal),
    /// It is to be looked at again from that time on, in seconds since 1970.
    Later(u64),
    /// It is large: staged by itself, with all threads.
    Large,
    /// It lacks bodies.
    Waits(Vec<usize>),
    /// It goes to `bad/`, or stays.
    Refused(Refusal),
    /// The system failed; it stays.
    Failed(durable::Error),
}

impl Fate {
    /// What becomes of a packet that could not be prepared.
    pub fn of_error(error: PayloadError) -> Fate {
        match error {
            PayloadError::Refused(refusal) => Fate::Refused(refusal),
            PayloadError::Disk(error) => Fate::Failed(error),
            PayloadError::Enough => Fate::Left,
        }
    }

    /// What was staged goes again, if it can; else the next run sees to it.
    pub fn drop_staged(&self, run: &Run) {
        if let Fate::Staged(delivery) = self {
            let _ = delivery.drop_staged();
            run.leave();
        }
    }
}

pub(super) struct Item<'a> {
    pub packet: PacketId,
    roots: Vec<Root>,
    pub accepted: Option<Box<Accepted<'a>>>,
    /// Where word of it goes.
    pub word: Option<Word<'a>>,
    pub fate: Fate,
    _lock: Option<LockGuard>,
}

/// A payload up to this long is staged beside others; a longer one gets all threads.
const LARGE_LEN: u64 = 4 << 20;

impl Accepted<'_> {
    fn is_large(&self) -> bool {
        match &self.task {
            Task::Deliver(deliver) => deliver.letter.payload_len() > LARGE_LEN,
            Task::Post(_) => self.bodies.iter().map(|body| body.size).sum::<u64>() > LARGE_LEN,
            // Bodies of an onion are rewritten.
            Task::Relay(Relay { veils: None, .. })
            | Task::Copy
            | Task::Confirm(_)
            | Task::Report(_)
            | Task::Statement(..)
            | Task::Reply(..) => false,
            Task::Relay(_) => self.bodies.iter().map(|body| body.size).sum::<u64>() > LARGE_LEN,
        }
    }
}

impl<'a> Batch<'_, 'a> {
    /// Tosses the packets. Only what ends the whole run is an error.
    pub fn toss(&self, packets: &[PacketId], tell: Tell) -> durable::Result<()> {
        let shared = Mutex::new(Shared::default());
        let stage = self.stage(&shared);
        let mut items = self.decide_and_stage(packets, &stage)?;
        for item in items.iter_mut().filter(|item| matches!(item.fate, Fate::Large)) {
            if let Some(accepted) = &item.accepted {
                item.fate = self.prepare(accepted, &stage, self.tosser.threads);
            }
        }
        let barrier = std::mem::take(&mut shared.lock().unwrap_or_else(PoisonError::into_inner).barrier);
        let delivered = self.finish(items, barrier, &stage, tell);
        if delivered.is_err() {
            // Names and lists may be there that no sync has confirmed.
            self.run.leave();
        }
        delivered
    }

    fn stage<'b>(&'b self, shared: &'b Mutex<Shared>) -> Stage<'b> {
        let Tosser { spool, spool_path, open, reserve, .. } = *self.tosser;
        Stage { spool, run: self.run, open, spool_path, reserve, shared }
    }

    /// Claims, reads, decides and, if the payload is small, stages: on all threads.
    fn decide_and_stage(&self, packets: &[PacketId], stage: &Stage) -> durable::Result<Vec<Item<'a>>> {
        let known = Known {
            own: self.tosser.spool.own(),
            today: self.today.day,
            is_doubted: self.today.doubt.is_some(),
            floor: seen::floor(self.tosser.spool)?,
            nodes: self.tosser.nodes,
            list: self.tosser.list,
            keys: self.tosser.keys,
            area_secrets: self.tosser.area_secrets,
            rules: self.rules.clone(),
            now: self.tosser.now,
        };
        let items = Mutex::new(Vec::with_capacity(packets.len()));
        let mut rest = packets.iter();
        let read = |_: &mut Vec<u8>| {
            for packet in rest.by_ref() {
                if let Some(claimed) = self.claim(packet)? {
                    return Ok(Some(claimed));
                }
            }
            Ok(None)
        };
        let work = |claimed: Claimed, _: &mut Vec<u8>| {
            let item = self.examine(claimed, &known, stage);
            items.lock().unwrap_or_else(PoisonError::into_inner).push(item);
            Ok::<(), durable::Error>(())
        };
        for_each_block(self.tosser.threads, read, work)?;
        let mut items = items.into_inner().unwrap_or_else(PoisonError::into_inner);
        items.sort_unstable_by_key(|item| item.packet);
        Ok(items)
    }

    /// Locks the packet's own file and reads it. `None`: somebody else has it, or had it.
    fn claim(&self, packet: &PacketId) -> durable::Result<Option<Claimed>> {
        match self.lock(packet) {
            Ok(None) => Ok(None),
            Ok(Some((file, _lock))) => {
                Ok(Some(Claimed { packet: *packet, envelope: envelopes::read_open(&file, packet)?, _lock }))
            }
            // A folder or a device of that name: told as damaged.
            Err(error) if error.class() == Class::Refused => {
                Ok(Some(Claimed { packet: *packet, envelope: Read::Damaged, _lock: None }))
            }
            Err(error) => Err(error),
        }
    }

    /// Locks the packet's own file. `None`: somebody else has it, or had it.
    fn lock(&self, packet: &PacketId) -> durable::Result<Option<(FileRef, Option<LockGuard>)>> {
        let name = packet.to_string();
        let file = match self.source.dir.open(name.as_ref()) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        let lock = match file.try_lock()? {
            Lock::Held(guard) => Some(guard),
            Lock::Busy => return Ok(None),
            Lock::Unsupported => None,
        };
        Ok(bodies::exists(&*self.source.dir, &name)?.then_some((file, lock)))
    }

    /// Locks an item that was let go. `false`: somebody else has it, or had it.
    pub(super) fn lock_again(&self, item: &mut Item) -> durable::Result<bool> {
        let locked = self.lock(&item.packet)?;
        Ok(locked.map(|(_, lock)| item._lock = lock).is_some())
    }

    fn examine(&self, claimed: Claimed, known: &Known<'a>, stage: &Stage) -> Item<'a> {
        let Claimed { packet, envelope, _lock } = claimed;
        let decision = match &envelope {
            Read::Whole(bytes) => match arrive(packet, bytes, known) {
                Ok(arrived) => self.decide(arrived, known),
                Err(decision) => *decision,
            },
            Read::Missing | Read::Damaged => Decision::Condemn(Refusal::Damaged, None),
        };
        let (fate, word, accepted) = match decision {
            Decision::Take(mut accepted) => {
                let fate = if accepted.is_large() { Fate::Large } else { self.prepare(&accepted, stage, 1) };
                (fate, accepted.word.take(), Some(accepted))
            }
            Decision::Condemn(refusal, word) => (Fate::Refused(refusal), word, None),
            Decision::Leave(refusal) => (Fate::Refused(refusal), None, None),
        };
        let roots = accepted.iter().flat_map(|accepted| accepted.bodies.iter().map(|body| body.root)).collect();
        Item { packet, roots, accepted, word, fate, _lock }
    }

    /// A message that we are through with is not looked into again, whoever brings it. Where that cannot be told, it comes to light later.
    fn decide(&self, arrived: Arrived<'a>, known: &Known<'a>) -> Decision<'a> {
        let is_copy = arrived.message().is_some_and(|message| self.marks.has(&known.own, &message).unwrap_or(false));
        if is_copy { Decision::Take(Box::new(arrived.copy())) } else { arrived.decide(known) }
    }

    /// Everything before the barriers.
    fn prepare(&self, accepted: &Accepted<'a>, stage: &Stage, threads: usize) -> Fate {
        let prepared = match &accepted.task {
            Task::Deliver(deliver) => match deliver.how {
                How::Place if self.scope.no_file => Ok(Fate::Left),
                How::Place => self.stage_letter(accepted, deliver, stage, threads),
                How::Run(_) if self.scope.no_exec => Ok(Fate::Left),
                How::Run(handler) => self.ready_to_run(accepted, deliver, handler, stage, threads),
                How::Answer(_) => request::look_up(deliver, stage),
                How::SendOn(_) if self.scope.no_file || self.scope.no_relay => Ok(Fate::Left),
                How::SendOn(_) => self.ready_to_send_on(accepted, deliver, stage, threads),
                // Only what is for an area is kept.
                How::Keep => Ok(Fate::Left),
            },
            Task::Post(post) => self.ready_to_post(accepted, post, stage, threads),
            Task::Relay(_) if self.scope.no_relay => Ok(Fate::Left),
            Task::Relay(relay) => self.ready(accepted, relay, stage, threads),
            Task::Confirm(packets) => {
                let confirmed = sent::confirm(self.tosser.spool, &accepted.from.id(), packets, self.run);
                confirmed.map(|()| Fate::Done).map_err(PayloadError::from)
            }
            Task::Copy => Ok(Fate::Known),
            Task::Report(_) => Ok(Fate::Done),
            Task::Statement(statement, bytes) => self.take_statement(accepted, statement, bytes),
            Task::Reply(returned, error) => self.take_reply(returned, error, stage),
        };
        prepared.unwrap_or_else(Fate::of_error)
    }

    pub(super) fn stage_letter(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        stage: &Stage,
        threads: usize,
    ) -> Result<Fate, PayloadError> {
        match stage.look_up(deliver.letter.end, &deliver.id)? {
            Seen::Done => return Ok(Fate::Known),
            Seen::Begun(list) => {
                let day = stage.day(deliver.letter.end)?;
                return Ok(Fate::Staged(Delivery::resume(deliver.id, day, list, self.tosser.open)?));
            }
            Seen::New => {}
        }
        let files = match self.open_bodies(accepted)? {
            Ok(files) => files,
            Err(missing) if self.source.is_wait => {
                return self.stage_whole_files(accepted, deliver, missing, stage, threads);
            }
            Err(missing) => return Ok(Fate::Waits(missing)),
        };
        let staged = stage.stage(deliver, files, threads)?;
        if let Err(error) = self.keep_path(accepted, deliver, &mut stage.shared().barrier) {
            drop(staged.drop_staged());
            self.run.leave();
            return Err(error.into());
        }
        Ok(Fate::Staged(staged))
    }

    /// Writes down how a letter came, where that can be told later. Durable when `barrier` is.
    pub(super) fn keep_path(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        barrier: &mut Barrier,
    ) -> durable::Result<()> {
        let Some(trace) = &deliver.trace else { return Ok(()) };
        let came = Came { from: accepted.from.id(), trace: trace.clone(), letter: deliver.id };
        paths::keep(self.tosser.spool, deliver.letter.end, &accepted.packet, &came, self.run, barrier)
    }

    /// Of a folder that has waited long the files that are whole with the bodies before the first that is missing. Once for each letter.
    fn stage_whole_files(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        missing: Vec<usize>,
        stage: &Stage,
        threads: usize,
    ) -> Result<Fate, PayloadError> {
        let (id, end) = (partial::id(&deliver.id), deliver.letter.end);
        let first = missing.first().copied().unwrap_or_default();
        if !deliver.is_folder() || first == 0 {
            return Ok(Fate::Waits(missing));
        }
        match stage.look_up(end, &id)? {
            Seen::Done => return Ok(Fate::Waits(missing)),
            Seen::Begun(list) => {
                return Ok(Fate::Partial(Delivery::resume(id, stage.day(end)?, list, self.tosser.open)?, missing));
            }
            Seen::New => {}
        }
        let at = self.partial_at(accepted, deliver)?;
        if at > self.tosser.now {
            self.next_look.at(at);
            return Ok(Fate::Waits(missing));
        }
        let open = |number| self.source.dir.open(body_name(&accepted.packet, number).as_ref());
        let files = (0..first).map(open).collect::<durable::Result<_>>()?;
        Ok(Fate::Partial(stage.stage(deliver, files, threads)?, missing))
    }

    /// When what is whole of a letter is delivered though bodies are missing, in seconds since 1970: so long after something of it came last, or
    /// when it ends.
    fn partial_at(&self, accepted: &Accepted, deliver: &Deliver) -> durable::Result<u64> {
        let patience = u64::from(deliver.inbox.accept.partial_after) * 60;
        let latest = self.tosser.now.saturating_add(patience);
        if self.today.doubt.is_some() {
            return Ok(latest);
        }
        if deliver.letter.end <= self.today.day + 1 {
            return Ok(self.tosser.now);
        }
        let (dir, packet) = (&self.source.dir, &accepted.packet);
        let bodies = (0..accepted.bodies.len()).map(|number| body_name(packet, number));
        let mut last = 0;
        for name in bodies.chain([packet.to_string()]) {
            match dir.stat(name.as_ref()) {
                Ok(stat) => last = last.max(u64::try_from(stat.modified.0).unwrap_or(0)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        // A file from the future waits no longer than one of now.
        Ok(last.saturating_add(patience).min(latest))
    }

    /// Opens the packet's bodies, or says which are missing. One that is missing here but known to the spool is linked.
    pub(super) fn open_bodies(&self, accepted: &Accepted) -> durable::Result<Result<Vec<FileRef>, Vec<usize>>> {
        let dir = &self.source.dir;
        let (mut files, mut missing, mut linked) = (Vec::new(), Vec::new(), false);
        for (number, body) in accepted.bodies.iter().enumerate() {
            let name = body_name(&accepted.packet, number);
            let opened = match dir.open(name.as_ref()) {
                Err(error) if error.is_missing() => {
                    linked |= link_from_index(self.tosser.spool, &body.root, dir, &name)?;
                    dir.open(name.as_ref())
                }
                other => other,
            };
            match opened {
                Ok(file) => files.push(file),
                Err(error) if error.is_missing() => missing.push(number),
                Err(error) => return Err(error),
            }
        }
        if linked {
            dir.sync()?;
        }
        Ok(if missing.is_empty() { Ok(files) } else { Err(missing) })
    }

    /// The steps that everything staged, and everything that goes on, takes together; then everything else, one by one.
    fn finish(&self, mut items: Vec<Item<'a>>, staged: Barrier, stage: &Stage, tell: Tell) -> durable::Result<()> {
        self.talk(&mut items)?;
        self.post(&mut items, tell)?;
        let (mut deliveries, mut outgoing, mut commands, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut asked = Vec::new();
        for mut item in items {
            match std::mem::replace(&mut item.fate, Fate::Done) {
                Fate::Staged(delivery) => deliveries.push((item, delivery)),
                Fate::Partial(delivery, missing) => {
                    item.fate = Fate::Waits(missing);
                    deliveries.push((item, delivery));
                }
                Fate::Ready(ready) => outgoing.push((item, ready)),
                // A process that has thousands of files open is slow to start another: it is locked again in its turn.
                Fate::Runs => commands.push(Item { _lock: None, ..item }),
                Fate::Asked => asked.push(item),
                fate => others.push(Item { fate, ..item }),
            }
        }
        if !deliveries.is_empty() {
            self.deliver_staged(deliveries, staged, &mut others, tell)?;
        }
        if !outgoing.is_empty() {
            self.hand_on(outgoing, &mut others, stage, tell)?;
        }
        if !asked.is_empty() {
            self.answer_requests(asked, &mut others, stage, tell)?;
        }
        self.end_all(others, tell)?;
        self.run_commands(commands, stage, tell)
    }

    /// Everything that comes after the work, for packets that are through and those that stay.
    pub(super) fn end_all(&self, items: Vec<Item>, tell: Tell) -> durable::Result<()> {
        self.end_posts(&items)?;
        self.answer(&items, tell)?;
        items.into_iter().try_for_each(|item| self.end(item, tell))
    }

    /// Claim, place, settle. What fails alone joins `others` as failed; what is through joins them as done.
    fn deliver_staged(
        &self,
        deliveries: Vec<(Item<'a>, Delivery)>,
        staged: Barrier,
        others: &mut Vec<Item<'a>>,
        tell: Tell,
    ) -> durable::Result<()> {
        if let Err(error) = staged.wait() {
            // Nothing that was staged may count as durable, ever.
            deliveries.iter().for_each(|(_, delivery)| drop(delivery.drop_staged()));
            return Err(error);
        }
        let mut barrier = Barrier::new();
        let mut claimed = Vec::with_capacity(deliveries.len());
        for (mut item, delivery) in deliveries {
            match delivery.claim(self.run, self.tosser.open, &mut barrier) {
                Ok(Some(delivery)) => claimed.push((item, delivery)),
                Ok(None) => others.push(item),
                Err(error) => {
                    item.fate = Fate::Failed(error);
                    others.push(item);
                }
            }
        }
        barrier.wait()?;
        let (mut barrier, mut names) = (Barrier::new(), FreeNames::new());
        let mut placed = Vec::with_capacity(claimed.len());
        for (mut item, delivery) in claimed {
            match self.place(&item, &delivery, &mut names, &mut barrier) {
                Ok(path) => placed.push((item, delivery, path)),
                Err(error) => {
                    item.fate = Fate::Failed(error);
                    others.push(item);
                }
            }
        }
        barrier.wait()?;
        self.settle(placed, others, tell)
    }

    /// Places what is staged; and what was delivered before of the same letter goes, or it is written down where it is.
    fn place(
        &self,
        item: &Item,
        delivery: &Delivery,
        names: &mut FreeNames,
        barrier: &mut Barrier,
    ) -> durable::Result<Option<PathBuf>> {
        let path = delivery.place(names, barrier)?;
        let (target, wanted) = delivery.goal();
        let letter = item.accepted.as_ref().and_then(|accepted| accepted.task.letter());
        let letter = letter.filter(|letter| letter.is_folder()).map(|letter| &letter.id);
        match (&item.fate, letter, path.as_ref().and_then(|path| path.file_name())) {
            (Fate::Waits(_), ..) => {
                let path = path.clone().unwrap_or_else(|| target.path.join(wanted));
                partial::note(self.tosser.spool, &item.packet, &path, self.run, barrier)?;
            }
            (_, Some(letter), Some(name)) if item.roots.len() > 1 => {
                // The letter has come whole: what cannot be taken away again stays beside it.
                let _ = partial::heal(&target.dir, &partial::name(wanted, letter), name);
            }
            _ => {}
        }
        Ok(path)
    }

    fn settle(
        &self,
        placed: Vec<(Item<'a>, Delivery, Option<PathBuf>)>,
        others: &mut Vec<Item<'a>>,
        tell: Tell,
    ) -> durable::Result<()> {
        let mark = DoneMark::make(self.run)?;
        let mut barrier = Barrier::new();
        let mut told = Vec::with_capacity(placed.len());
        for (item, delivery, path) in placed {
            delivery.settle(&mark, self.run, &mut barrier)?;
            if let (Some(path), Some(accepted)) = (path, item.accepted.as_ref())
                && let Some(deliver) = accepted.task.letter()
            {
                let area = accepted.task.area().map(|area| area.name.clone());
                let (packet, author) = (item.packet, deliver.author.name.clone());
                let re = deliver.letter.kind.as_file().and_then(|file| file.re);
                let writer = self.writer_of(deliver);
                let delivered = Delivered { packet, author, writer, path, area, re };
                let missing = if let Fate::Waits(missing) = &item.fate { missing.clone() } else { Vec::new() };
                told.push((delivered, missing));
            }
            others.push(item);
        }
        barrier.wait()?;
        for (delivered, missing) in &told {
            match &missing[..] {
                [] => tell(Event::Delivered(delivered)),
                missing => tell(Event::Partial { delivered, missing }),
            }
        }
        Ok(())
    }

    fn writer_of(&self, deliver: &Deliver) -> Option<String> {
        let writer = deliver.letter.forwarded.as_ref().map(|_| deliver.letter.writer())?;
        Some(self.tosser.nodes.node(&writer).map_or_else(|| writer.to_string(), |node| node.name.clone()))
    }

    /// What becomes of the packet in the end. The input goes last; what is known of a try that ended badly after it, since nothing else
    /// says that it has ended.
    fn end(&self, mut item: Item, tell: Tell) -> durable::Result<()> {
        match std::mem::replace(&mut item.fate, Fate::Left) {
            // It is marked as done: whoever comes after removes the input.
            Fate::Ran(claimed, _) => {
                claimed.end()?;
                self.remove(&item)
            }
            Fate::RanBadly(claimed, refusal) => {
                self.refuse(&item, &refusal, tell)?;
                claimed.end()
            }
            fate => self.end_other(&item, &fate, tell),
        }
    }

    fn end_other(&self, item: &Item, fate: &Fate, tell: Tell) -> durable::Result<()> {
        match fate {
            Fate::Done | Fate::Known | Fate::Answered(_) => self.remove(item),
            Fate::Waits(missing) => self.wait(item, missing, tell),
            Fate::Refused(refusal) => self.refuse(item, refusal, tell),
            Fate::Failed(error) => {
                let failure = self.failed(item, error.to_string(), error.class(), error.remedy(), false);
                tell(Event::Failed(&failure));
                Ok(())
            }
            Fate::Held(until) => {
                tell(Event::Held { packet: item.packet, until: *until });
                Ok(())
            }
            // All but the first have been given another fate by now.
            Fate::Later(at) | Fate::Tried(at, _) => self.put_aside(item, *at),
            Fate::Ran(..)
            | Fate::RanBadly(..)
            | Fate::Runs
            | Fate::Left
            | Fate::Staged(_)
            | Fate::Partial(..)
            | Fate::Ready(_)
            | Fate::GoesOn(_)
            | Fate::Twin
            | Fate::Talks(_)
            | Fate::Asked
            | Fate::Large => Ok(()),
        }
    }

    fn remove(&self, item: &Item) -> durable::Result<()> {
        let spool = self.tosser.spool;
        remove_packet(spool, &self.source.dir, &item.packet, &item.roots, self.run)?;
        if item.roots.len() > 1 {
            partial::forget(spool, &item.packet)?;
        }
        match &item.accepted {
            Some(accepted) if !item.roots.is_empty() && !self.source.is_wait => {
                wait::remove(spool, &accepted.from.id(), &item.packet, &item.roots, self.run)
            }
            _ => Ok(()),
        }
    }

    /// It goes on waiting, until that time.
    fn put_aside(&self, item: &Item, at: u64) -> durable::Result<()> {
        let Some(accepted) = item.accepted.as_ref().filter(|_| !self.source.is_wait) else {
            self.next_look.at(at);
            return Ok(());
        };
        wait::note_due(self.tosser.spool, at, self.run)?;
        wait::put(self.tosser.spool, &self.source.dir, &item.packet, &item.roots, &accepted.from.id(), self.run)
    }

    fn wait(&self, item: &Item, missing: &[usize], tell: Tell) -> durable::Result<()> {
        let Some(accepted) = &item.accepted else { return Ok(()) };
        if !self.source.is_wait && !self.put_to_wait(item, accepted, missing, tell)? {
            return Ok(());
        }
        match &accepted.task {
            Task::Relay(_) => self.go_ahead(item),
            Task::Deliver(_)
            | Task::Post(_)
            | Task::Copy
            | Task::Confirm(_)
            | Task::Report(_)
            | Task::Statement(..)
            | Task::Reply(..) => Ok(()),
        }
    }

    /// `false`: it may not wait here.
    fn put_to_wait(&self, item: &Item, accepted: &Accepted, missing: &[usize], tell: Tell) -> durable::Result<bool> {
        let (spool, from) = (self.tosser.spool, accepted.from);
        if !self.admits(accepted)? {
            self.refuse(item, &Refusal::TooMuchWaiting(from.name.clone()), tell)?;
            return Ok(false);
        }
        if let Task::Deliver(deliver) = &accepted.task
            && deliver.is_folder()
        {
            wait::note_due(spool, self.partial_at(accepted, deliver)?, self.run)?;
        }
        wait::put(spool, &self.source.dir, &item.packet, &item.roots, &from.id(), self.run)?;
        tell(Event::Waits { packet: item.packet, missing });
        Ok(true)
    }

    /// Whether the neighbour may have one more packet here; what waits has been charged for.
    pub(super) fn admits(&self, accepted: &Accepted) -> durable::Result<bool> {
        let (spool, from) = (self.tosser.spool, accepted.from);
        Ok(self.source.is_wait
            || is_in_queue(spool, &from.id(), Queue::Wait, &accepted.packet)?
            || self.charges.admit(spool, from, &accepted.bodies)?)
    }

    fn refuse(&self, item: &Item, refusal: &Refusal, tell: Tell) -> durable::Result<()> {
        let is_condemned = refusal.class() != Class::Later;
        let remedy = refusal.remedy().map(str::to_owned);
        let failure = self.failed(item, refusal.to_string(), refusal.class(), remedy, is_condemned);
        if is_condemned {
            let queue = Path::new(&self.source.name);
            let condemned = Condemned { from: &self.source.dir, queue, packet: &item.packet, why: &failure.why };
            bad::condemn(self.tosser.spool, &condemned, self.run)?;
        }
        tell(Event::Failed(&failure));
        Ok(())
    }

    fn failed(&self, item: &Item, why: String, class: Class, remedy: Option<String>, is_condemned: bool) -> Failed {
        let thing = format!("{}/{}", self.source.name, item.packet);
        let from = item.accepted.as_ref().map(|accepted| accepted.from.name.clone());
        Failed { thing, from, why, class, remedy, is_condemned }
    }
}
