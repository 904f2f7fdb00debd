//! Reroute: a packet of ours that nobody came for by its deadline goes by the next of its roads. What the first road still brings
//! is dropped at the recipient, by letter id.

use mb_spool::barrier::Barrier;
use mb_spool::bodies::remove_packet;
use mb_spool::durable;
use mb_spool::envelopes;
use mb_spool::names::body_name;
use mb_spool::outbox::Outbox;
use mb_spool::roads::{self, Road, Roads, Stalled};
use mb_wire::id::Root;

use crate::receipts::told;

use super::{Event, Job, Tell, Tosser};

/// Packets that go together: their envelopes are in memory.
const MOST_AT_ONCE: usize = 256;

impl Job<'_, '_> {
    /// Gives each stalled packet its next road: published before it leaves the first one. Who dies in between does it again.
    pub(super) fn reroute(&self, tell: Tell) -> durable::Result<()> {
        // Else a clock that runs ahead would send everything by its last road.
        while self.today.doubt.is_none() && self.reroute_some(tell)? {}
        Ok(())
    }

    /// Returns whether there may be more.
    fn reroute_some(&self, tell: Tell) -> durable::Result<bool> {
        let Tosser { spool, now, .. } = *self.tosser;
        let stalled = roads::stalled(spool, now, MOST_AT_ONCE)?;
        if stalled.is_empty() {
            return Ok(false);
        }
        let (mut outbox, mut barrier) = (Outbox::new(spool, self.run), Barrier::new());
        let mut gone = Vec::with_capacity(stalled.len());
        for one in &stalled {
            let Stalled { packet, tx, roads: Roads { roads, days }, .. } = one;
            // Somebody may be handing it over.
            let (true, lock) = one.lock()? else { continue };
            // A copy of it may have left.
            if told(spool, packet)?.is_some_and(|told| told.is_delivered()) {
                one.forget(spool)?;
                continue;
            }
            let Some(prefix) = envelopes::prefix(tx, packet)? else { continue };
            // None outlives the letter; one by a key that goes soon may end before.
            let mut open = roads.iter().filter(|road| road.is_open_on(self.today.day));
            let Some(road) = open.next() else {
                one.forget(spool)?;
                continue;
            };
            let bodies: Vec<String> = (0..prefix.bodies.len()).map(|number| body_name(packet, number)).collect();
            match outbox.add(road.to, &road.envelope, tx, &bodies) {
                Ok(_) => {}
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error),
            }
            let left = Roads { roads: open.cloned().collect(), days: *days };
            if !left.roads.is_empty() {
                roads::note(spool, &road.to, &road.packet(), &left, self.run, &mut barrier)?;
            }
            one.lead_on(spool, road, self.run, &mut barrier)?;
            gone.push((one, road, prefix.bodies, lock));
        }
        barrier.wait()?;
        outbox.publish()?;
        let may_be_more = !gone.is_empty() && stalled.len() == MOST_AT_ONCE;
        for (one, road, bodies, _lock) in gone {
            let roots: Vec<Root> = bodies.iter().map(|body| body.root).collect();
            remove_packet(spool, &one.tx, &one.packet, &roots, self.run)?;
            one.forget(spool)?;
            tell(self.event(one, road));
        }
        Ok(may_be_more)
    }

    fn event(&self, one: &Stalled, road: &Road) -> Event<'_> {
        let next = self.tosser.nodes.node(&road.to).map_or("a node that is not known any more", |node| &node.name);
        Event::Rerouted { packet: one.packet, next, became: road.packet() }
    }
}
