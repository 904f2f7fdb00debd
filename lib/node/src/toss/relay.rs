//! Relay: a packet under way goes on, in an envelope of our own, into `NEXT/tx/`. Its bodies go on as links, unread.
//!
//! Published, then noted in `self/seen/` by the tag of its slot, then the input goes. Who dies in between does it again: the
//! same packet comes out, under the same name.

use std::collections::BTreeSet;

use mb_spool::barrier::Barrier;
use mb_spool::seen::{DoneMark, Seen};
use mb_spool::{batch, durable, names, relayed};
use mb_wire::id::{PacketId, SlotTag};

use super::apply::{Batch, Fate, Item};
use super::decide::{Accepted, Refusal, Relay, Task};
use super::payload::PayloadError;
use super::stage::Stage;
use super::{Event, Tell};

/// A packet that is ready to go on.
pub struct Outgoing {
    envelope: Vec<u8>,
}

/// A packet that has gone on.
struct Gone<'a> {
    item: Item<'a>,
    became: PacketId,
}

impl<'a> Batch<'_, 'a> {
    /// Makes the envelope in which a packet goes on, if all of it is here.
    pub(super) fn ready(&self, accepted: &Accepted, relay: &Relay, stage: &Stage) -> Result<Fate, PayloadError> {
        if stage.look_up(relay.end, &relay.tag)? != Seen::New {
            return Ok(Fate::Done);
        }
        if let Err(missing) = self.open_bodies(accepted)? {
            return Ok(Fate::Waits(missing));
        }
        // What waited has been charged for.
        if !self.source.is_wait && !self.charges.admit(self.tosser.spool, accepted.from, &accepted.bodies)? {
            return Err(Refusal::TooMuchUnderWay(accepted.from.name.clone()).into());
        }
        let envelope = relay.wrap(self.tosser.secrets, &accepted.bodies).map_err(Refusal::from)?;
        Ok(Fate::Ready(Outgoing { envelope }))
    }

    /// Publishes what goes on, together. What fails alone joins `others` as failed; what is through joins them as done.
    pub(super) fn hand_on(
        &self,
        outgoing: Vec<(Item<'a>, Outgoing)>,
        others: &mut Vec<Item<'a>>,
        stage: &Stage,
        tell: Tell,
    ) -> durable::Result<()> {
        let batch = batch::Batch::new(self.tosser.spool, self.run)?;
        let mut tags: BTreeSet<SlotTag> = BTreeSet::new();
        let mut gone = Vec::with_capacity(outgoing.len());
        for (mut item, Outgoing { envelope }) in outgoing {
            let Some((accepted, relay)) = relay_of(&item) else { continue };
            // Another copy of the same goes on.
            if !tags.insert(relay.tag) {
                others.push(item);
                continue;
            }
            let bodies: Vec<String> = (0..accepted.bodies.len()).map(|n| names::body_name(&item.packet, n)).collect();
            match batch.add(relay.next.id(), &envelope, &self.source.dir, &bodies) {
                Ok(became) => gone.push(Gone { item, became }),
                Err(error) => {
                    item.fate = Fate::Failed(error);
                    others.push(item);
                }
            }
        }
        batch.publish()?;
        self.mark(&gone, stage)?;
        for Gone { item, became } in gone {
            if let Some((_, relay)) = relay_of(&item) {
                tell(Event::Relayed { packet: item.packet, next: &relay.next.name, became });
            }
            others.push(item);
        }
        Ok(())
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
        Task::Deliver(_) => None,
    }
}
