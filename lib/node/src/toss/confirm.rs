//! Confirm: whoever handed over what is settled now, and asked for that, is told. Published before the inputs go.

use std::collections::BTreeMap;

use mb_spool::batch;
use mb_spool::durable;
use mb_wire::envelope::{Address, CONFIRM_MOST, Content, EnvelopeError, HOPS_MOST, Wrap, wrap};
use mb_wire::id::{NodeId, PacketId};

use super::apply::{Batch, Fate, Item};
use crate::config::KnownNode;

/// Days until a confirmation is given up.
const DAYS: u32 = 90;
/// Before most of what people send.
const NICE: u8 = 64;

impl Batch<'_, '_> {
    /// Publishes a confirmation for each neighbour that asked for one. Durable on return.
    pub(super) fn confirm(&self, items: &[Item]) -> durable::Result<()> {
        let mut settled: BTreeMap<NodeId, (&KnownNode, Vec<PacketId>)> = BTreeMap::new();
        for item in items.iter().filter(|item| matches!(item.fate, Fate::Done)) {
            if let Some(accepted) = item.accepted.as_ref().filter(|accepted| accepted.ask) {
                let (_, packets) = settled.entry(accepted.from.id()).or_insert((accepted.from, Vec::new()));
                packets.push(item.packet);
            }
        }
        if settled.is_empty() {
            return Ok(());
        }
        let batch = batch::Batch::new(self.tosser.spool, self.run)?;
        for (node, packets) in settled.values() {
            for packets in packets.chunks(CONFIRM_MOST) {
                // Who cannot be sealed to any more keeps what it keeps until its last day.
                if let Some(Ok(envelope)) = self.confirmation(node, packets) {
                    batch.add_unkept(node.id(), &envelope)?;
                }
            }
        }
        batch.publish()
    }

    fn confirmation(&self, node: &KnownNode, packets: &[PacketId]) -> Option<Result<Vec<u8>, EnvelopeError>> {
        let key = node.card.exchange_key(self.today.day).ok()?;
        let last = self.today.day.saturating_add(DAYS);
        let end = if key.gone_after == 0 { last } else { last.min(key.gone_after) };
        let to = Address { id: node.id(), exchange: key.public };
        let content = Content::Confirm(packets.to_vec());
        let wrapping = Wrap { to: &to, end, nice: NICE, hops: HOPS_MOST, bodies: &[], ask: false, content: &content };
        Some(wrap(self.tosser.secrets, &wrapping))
    }
}
