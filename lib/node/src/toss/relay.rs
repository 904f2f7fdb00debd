//! Relay: a packet under way goes on, in an envelope of our own, into `NEXT/tx/`. Its bodies go on as links, unread; those of
//! an onion are veiled once more, in the run's folder.
//!
//! Published, then noted in `self/seen/` by the tag of its slot, then the input goes. Who dies in between does it again: the
//! same packet comes out, under the same name.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use mb_spool::barrier::Barrier;
use mb_spool::blocks::for_each_block;
use mb_spool::bodies::is_in_queue;
use mb_spool::durable::{self, FileRef};
use mb_spool::layout::Queue;
use mb_spool::names::body_name;
use mb_spool::outbox::Outbox;
use mb_spool::seen::{DoneMark, Seen};
use mb_spool::verify::body_root;
use mb_spool::way::{self, AFTER_DAYS, Origin, Record};
use mb_spool::{ahead, relayed};
use mb_wire::envelope::{BodyName, packet_id};
use mb_wire::id::{PacketId, Root, SlotTag};
use mb_wire::route::{Veil, Veils};

use super::apply::{Batch, Fate, Item};
use super::decide::{Accepted, Refusal, Relay, Task};
use super::payload::PayloadError;
use super::stage::Stage;
use super::{Event, Tell};

/// A packet that is ready to go on.
pub struct Outgoing {
    envelope: Vec<u8>,
    bodies: OutgoingBodies,
}

/// The names of bodies that leave, and where these names are.
enum OutgoingBodies {
    /// Where the packet came.
    Source(Vec<String>),
    /// In the run's folder.
    Run(Vec<String>),
}

/// A packet that has gone on.
struct Gone<'a> {
    item: Item<'a>,
    became: PacketId,
}

impl<'a> Batch<'_, 'a> {
    /// Makes the envelope in which a packet goes on, if all of it is here.
    pub(super) fn ready(
        &self,
        accepted: &Accepted,
        relay: &Relay,
        stage: &Stage,
        threads: usize,
    ) -> Result<Fate, PayloadError> {
        if stage.look_up(relay.end, &relay.tag)? != Seen::New {
            return Ok(Fate::Known);
        }
        let files = match self.open_bodies(accepted)? {
            Ok(files) => files,
            Err(missing) => return Ok(Fate::Waits(missing)),
        };
        let came = self.came(accepted)?;
        if let Some(until) = self.held_until(relay, came) {
            return Ok(Fate::Held(until));
        }
        let from = accepted.from;
        if self.is_suspended(accepted)? {
            return Err(Refusal::Suspended(from.name.clone()).into());
        }
        if !self.admits(accepted)? {
            return Err(Refusal::TooMuchUnderWay(from.name.clone()).into());
        }
        let secrets = self.tosser.secrets;
        let (envelope, bodies) = match &relay.veils {
            None => {
                let names = (0..files.len()).map(|number| body_name(&accepted.packet, number)).collect();
                (relay.wrap(secrets, &accepted.bodies, came)?, OutgoingBodies::Source(names))
            }
            Some(veils) => {
                let (names, leaving) = self.veil(accepted, &files, veils, threads)?;
                (relay.wrap(secrets, &leaving, came)?, OutgoingBodies::Run(names))
            }
        };
        Ok(Fate::Ready(Outgoing { envelope, bodies }))
    }

    /// Whether too many complain of the neighbour that handed it over.
    fn is_suspended(&self, accepted: &Accepted) -> durable::Result<bool> {
        let from = accepted.from;
        match from.relay.most_complaints {
            Some(most) => Ok(self.charges.complaints(self.tosser.spool, &from.id())? >= most),
            None => Ok(false),
        }
    }

    /// When the packet came, in seconds since 1970: when its envelope's file was made.
    fn came(&self, accepted: &Accepted) -> durable::Result<u64> {
        let came = self.source.dir.stat(accepted.packet.to_string().as_ref())?.modified.0;
        Ok(u64::try_from(came).unwrap_or(0))
    }

    /// Until when the packet stays here, if it does.
    fn held_until(&self, relay: &Relay, came: u64) -> Option<u64> {
        let until = came.saturating_add(relay.hold.into());
        // A clock that was set back keeps nothing for long.
        (came..until).contains(&self.tosser.now).then_some(until)
    }

    /// Puts our veil on the bodies: new files in the run's folder, synced, and what each is called everywhere else.
    fn veil(
        &self,
        accepted: &Accepted,
        files: &[FileRef],
        veils: &Veils,
        threads: usize,
    ) -> Result<(Vec<String>, Vec<BodyName>), PayloadError> {
        let needed = accepted.bodies.iter().map(|body| body.size).sum::<u64>().saturating_add(self.tosser.reserve);
        let free = self.run.dir().free_space()?;
        if free < needed {
            let folder = self.tosser.spool_path.display().to_string();
            return Err(Refusal::NoRoom { folder, free, needed }.into());
        }
        // As many bodies at a time as there are threads; a few large ones with several each.
        let at_once = threads.min(files.len()).max(1);
        let made = Mutex::new(Vec::with_capacity(files.len()));
        let mut rest = accepted.bodies.iter().zip(files).enumerate();
        let work = |(number, (body, file)): (usize, (&BodyName, &FileRef)), _: &mut Vec<u8>| {
            let one = self.veil_one(body, file, &veils.of(number), threads / at_once);
            let one = one?.ok_or_else(|| Refusal::Body { number, what: "has another size than it should".into() })?;
            made.lock().unwrap_or_else(PoisonError::into_inner).push((number, one));
            Ok::<(), PayloadError>(())
        };
        for_each_block(at_once, |_| Ok(rest.next()), work)?;
        let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_unstable_by_key(|(number, _)| *number);
        Ok(made.into_iter().map(|(_, one)| one).unzip())
    }

    /// One body with its veil: a new file, synced. `None`: it has another size than it should.
    fn veil_one(
        &self,
        body: &BodyName,
        file: &FileRef,
        veil: &Veil,
        threads: usize,
    ) -> durable::Result<Option<(String, BodyName)>> {
        let (name, target) = self.run.create("veiled-")?;
        let root = body_root(file, body.size, threads, |at, block| {
            veil.apply(at, block);
            target.write_at(block, at)
        })?;
        target.sync()?;
        Ok(root.map(|root| (name, BodyName { root, size: body.size })))
    }

    /// Publishes what goes on, together. What fails alone joins `others` as failed; what is through joins them as done.
    pub(super) fn hand_on(
        &self,
        outgoing: Vec<(Item<'a>, Outgoing)>,
        others: &mut Vec<Item<'a>>,
        stage: &Stage,
        tell: Tell,
    ) -> durable::Result<()> {
        let mut outbox = Outbox::new(self.tosser.spool, self.run);
        let mut tags: BTreeSet<SlotTag> = BTreeSet::new();
        let mut gone = Vec::with_capacity(outgoing.len());
        for (mut item, Outgoing { envelope, bodies }) in outgoing {
            let Some((_, relay)) = relay_of(&item) else { continue };
            // Another copy of the same goes on.
            if !tags.insert(relay.tag) {
                others.push(item);
                continue;
            }
            let (dir, names) = match &bodies {
                OutgoingBodies::Source(names) => (&self.source.dir, names),
                OutgoingBodies::Run(names) => (self.run.dir(), names),
            };
            match outbox.add(relay.next.id(), &envelope, dir, names) {
                Ok(became) => {
                    self.note_way(&item, &became)?;
                    gone.push(Gone { item, became });
                }
                Err(error) => {
                    item.fate = Fate::Failed(error);
                    others.push(item);
                }
            }
        }
        outbox.publish()?;
        self.mark(&gone, stage)?;
        self.end_ahead(&gone)?;
        for Gone { item, became } in gone {
            if let Some((_, relay)) = relay_of(&item) {
                tell(Event::Relayed { packet: item.packet, next: &relay.next.name, became });
            }
            others.push(item);
        }
        Ok(())
    }

    /// Makes ready what of a packet that waits may go on before the rest is here: in the open, and if it is not held.
    pub(super) fn go_ahead(&self, item: &Item) -> durable::Result<()> {
        let Some((accepted, relay)) = relay_of(item) else { return Ok(()) };
        let spool = self.tosser.spool;
        let Some(wait) = spool.find_queue(&accepted.from.id(), Queue::Wait)? else { return Ok(()) };
        if relay.veils.is_some() || relay.hold > 0 || relay.is_traced() || self.scope.no_relay {
            return Ok(());
        }
        if self.is_suspended(accepted)? {
            return Ok(());
        }
        // What is refused is so when it goes on.
        let Ok(envelope) = relay.wrap(self.tosser.secrets, &accepted.bodies, 0) else { return Ok(()) };
        let (next, became) = (relay.next.id(), packet_id(&envelope));
        if !is_in_queue(spool, &next, Queue::Ahead, &became)? {
            self.note_way(item, &became)?;
        }
        let bodies = (&wait, &accepted.packet, accepted.bodies.len());
        ahead::put(spool, &next, &envelope, bodies, self.run)
    }

    fn end_ahead(&self, gone: &[Gone]) -> durable::Result<()> {
        for Gone { item, became } in gone {
            let Some((accepted, relay)) = relay_of(item) else { continue };
            if !accepted.bodies.is_empty() {
                let roots: Vec<Root> = accepted.bodies.iter().map(|body| body.root).collect();
                ahead::end(self.tosser.spool, &relay.next.id(), became, &roots, self.run)?;
            }
        }
        Ok(())
    }

    /// Before the packet can leave, so that whatever is said of it finds its way back. An onion leaves no way.
    fn note_way(&self, item: &Item, became: &PacketId) -> durable::Result<()> {
        let Some((accepted, relay)) = relay_of(item).filter(|(_, relay)| relay.veils.is_none()) else { return Ok(()) };
        let mark = item.word.as_ref().map(|word| word.mark);
        let origin = Origin::Relayed { from: accepted.from.id(), packet: item.packet, mark };
        // Without receipts only complaints go back, and they come soon or never.
        let last = if mark.is_some() { relay.end } else { self.today.day };
        let record = Record { end: last.saturating_add(AFTER_DAYS), origin };
        way::note(self.tosser.spool, &relay.next.id(), became, &record, self.run, None)
    }

    /// Notes what has gone on: against the neighbour's limits, and so that no copy follows. Durable on return.
    fn mark(&self, gone: &[Gone], stage: &Stage) -> durable::Result<()> {
        let mark = DoneMark::make(self.run)?;
        let mut barrier = Barrier::new();
        for Gone { item, became } in gone {
            let Some((accepted, relay)) = relay_of(item) else { continue };
            relayed::note(self.tosser.spool, &accepted.from.id(), &relay.next.id(), became, self.run)?;
            let day = stage.day(relay.end)?;
            mark.settle(&day, &relay.tag, self.run)?;
            barrier.dir(&day);
        }
        barrier.wait()
    }
}

fn relay_of<'i, 'a>(item: &'i Item<'a>) -> Option<(&'i Accepted<'a>, &'i Relay<'a>)> {
    let accepted = item.accepted.as_deref()?;
    match &accepted.task {
        Task::Relay(relay) => Some((accepted, relay)),
        _ => None,
    }
}
