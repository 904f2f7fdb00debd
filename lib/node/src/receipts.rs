//! Receipts: how far packets of ours have come, as those who have them say.

use mb_spool::durable::{self, DirRef};
use mb_spool::layout::Spool;
use mb_spool::way::{self, Hop, Origin};
use mb_wire::id::{NodeId, PacketId};
use mb_wire::report::{Signed, Stage};

/// What is known of a packet of ours, of which word is wanted.
#[derive(Debug, Clone)]
pub struct Told {
    /// When it was sent, in seconds since 1970.
    pub since: i64,
    /// The nodes on its way, the recipient last, and what each said last.
    pub hops: Vec<(NodeId, Option<Signed>)>,
    /// When it went by another road, in order.
    pub rerouted: Vec<Rerouted>,
}

/// That nobody came for a packet of ours in time, and it went by another road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rerouted {
    /// Who is handed it there.
    pub next: NodeId,
    /// What it is called there.
    pub became: PacketId,
    /// When, in seconds since 1970.
    pub time: i64,
}

impl Told {
    /// Whether the recipient says that it was delivered.
    pub fn is_delivered(&self) -> bool {
        let said = self.hops.last().and_then(|(_, said)| said.as_ref());
        said.is_some_and(|said| said.receipt.stage == Stage::Delivered)
    }
}

/// More roads than a packet can have gone by.
const ROADS_MOST: usize = 64;

/// What is known of `packet`; `None` if it is not ours, no word of it is wanted, or all was forgotten. Of one that went by several
/// roads, what is known of it by the one that it was delivered by, else by the last.
pub fn told(spool: &Spool, packet: &PacketId) -> durable::Result<Option<Told>> {
    let (mut packet, mut found, mut rerouted) = (*packet, None::<Told>, Vec::new());
    for _ in 0..ROADS_MOST {
        let ways = way::find(spool, &packet)?.into_iter();
        let ours = ways.filter_map(|(_, dir, record)| match record.origin {
            Origin::Ours { hops, went } => Some((dir, hops, went)),
            Origin::Relayed { .. } => None,
        });
        let Some((dir, hops, went)) = ours.last() else { break };
        let told = found.insert(told_of(&dir, &packet, &hops)?);
        // The record was written anew when it went on.
        rerouted.extend(went.map(|(next, became)| Rerouted { next, became, time: told.since }));
        match went {
            Some((_, became)) if !told.is_delivered() => packet = became,
            _ => break,
        }
    }
    Ok(found.map(|told| Told { rerouted, ..told }))
}

fn told_of(way: &DirRef, packet: &PacketId, hops: &[Hop]) -> durable::Result<Told> {
    let since = way.stat(packet.to_string().as_ref())?.modified.0;
    let mut said = Vec::with_capacity(hops.len());
    for (number, hop) in hops.iter().enumerate() {
        let found = way::receipt(way, packet, number)?.and_then(|statement| Signed::parse(&statement).ok());
        said.push((hop.node, found.filter(|signed| hop_of(hops, signed) == Some(number))));
    }
    Ok(Told { since, hops: said, rerouted: Vec::new() })
}

/// The number of the hop that says it. A relay says nothing that only the recipient can, nor the other way round.
pub fn hop_of(hops: &[Hop], signed: &Signed) -> Option<usize> {
    let last = hops.len().checked_sub(1)?;
    (0..hops.len()).find(|number| {
        let Hop { node, mark } = &hops[*number];
        signed.is_of(node, mark, *number == last)
    })
}
