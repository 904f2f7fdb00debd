//! Receipts: how far packets of ours have come, as those who have them say.

use mb_spool::durable;
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
}

impl Told {
    /// Whether the recipient says that it was delivered.
    pub fn is_delivered(&self) -> bool {
        let said = self.hops.last().and_then(|(_, said)| said.as_ref());
        said.is_some_and(|said| said.receipt.stage == Stage::Delivered)
    }

    /// What was said last of all.
    pub fn last(&self) -> Option<&Signed> {
        self.hops.iter().filter_map(|(_, said)| said.as_ref()).max_by_key(|said| (said.receipt.time, said.version))
    }
}

/// What is known of `packet`; `None` if it is not ours, no word of it is wanted, or all was forgotten.
pub fn told(spool: &Spool, packet: &PacketId) -> durable::Result<Option<Told>> {
    for (_, dir, record) in way::find(spool, packet)? {
        let Origin::Ours(hops) = record.origin else { continue };
        let since = dir.stat(packet.to_string().as_ref())?.modified.0;
        let mut said = Vec::with_capacity(hops.len());
        for (number, hop) in hops.iter().enumerate() {
            let found = way::receipt(&dir, packet, number)?.and_then(|statement| Signed::parse(&statement).ok());
            said.push((hop.node, found.filter(|signed| hop_of(&hops, signed) == Some(number))));
        }
        return Ok(Some(Told { since, hops: said }));
    }
    Ok(None)
}

/// The number of the hop that says it. A relay says nothing that only the recipient can, nor the other way round.
pub fn hop_of(hops: &[Hop], signed: &Signed) -> Option<usize> {
    let last = hops.len().checked_sub(1)?;
    (0..hops.len()).find(|number| {
        let Hop { node, mark } = &hops[*number];
        signed.is_of(node, mark, *number == last)
    })
}
