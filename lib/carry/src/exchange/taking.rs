//! Our half as the taker: what we were offered, what of it we asked for, what has come. A body's leaves come first and make
//! up its root, so each chunk is checked when it comes.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use mb_wire::body::{CHUNK_LEN, chunk_count, leaves, root};
use mb_wire::call::message::{Ask, DATA_CHUNKS_MOST, Offer, Part, Rest};
use mb_wire::envelope::{BodyName, Prefix, packet_id, read_prefix};
use mb_wire::hash::Digest;
use mb_wire::id::{NodeId, PacketId};

use super::{Breach, fits};

/// What has come of a packet.
enum Taken {
    Offered,
    Wanted,
    /// Its envelope, which lists these bodies.
    Here(Vec<BodyName>),
}

struct Open {
    offer: Offer,
    taken: Taken,
}

/// A body that we asked for and that has not all come.
struct Asked {
    ask: Ask,
    body: BodyName,
    /// Known once they came, or if they were there before.
    leaves: Vec<Digest>,
    /// The chunk that comes next.
    next: u64,
}

/// Chunks of a body, checked.
#[derive(PartialEq, Eq)]
pub struct Chunks<'a> {
    /// The packet through which it was asked for.
    pub packet: PacketId,
    /// Its number there.
    pub number: u16,
    /// Which body.
    pub body: BodyName,
    /// Where the bytes belong.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the body is whole with them.
    pub is_last: bool,
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {} of {}", self.bytes.len(), self.offset, self.body.root)
    }
}

/// What is open of what we were offered.
pub struct Taking {
    own: NodeId,
    open: HashMap<PacketId, Open>,
    envelopes_len: u64,
    asks: VecDeque<Asked>,
    wanted_count: usize,
    /// Whether we take at all.
    takes: bool,
    is_done: bool,
    rest: Rest,
}

impl Taking {
    pub(super) fn new(own: NodeId, takes: bool) -> Taking {
        let (open, asks) = (HashMap::new(), VecDeque::new());
        Taking { own, open, envelopes_len: 0, asks, wanted_count: 0, takes, is_done: false, rest: Rest::Something }
    }

    /// Whether the other side has said that nothing more comes.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether nothing stays over there that waits for us, as it says.
    pub fn was_all(&self) -> bool {
        self.rest == Rest::Nothing
    }

    /// Bodies that were asked for and have not all come.
    pub fn ask_count(&self) -> usize {
        self.asks.len()
    }

    /// Whether nothing that we asked for is still to come.
    pub fn is_answered(&self) -> bool {
        self.asks.is_empty() && self.wanted_count == 0
    }

    /// Whether something that was asked for through `packet` is still to come.
    pub fn is_awaited(&self, packet: &PacketId) -> bool {
        let is_wanted = self.open.get(packet).is_some_and(|open| matches!(open.taken, Taken::Wanted));
        is_wanted || self.asks.iter().any(|asked| asked.ask.packet == *packet)
    }

    pub(super) fn offered(&mut self, offers: Vec<Offer>) -> Result<Vec<Offer>, Breach> {
        if self.is_done || !self.takes {
            return Err(Breach::Order);
        }
        for offer in &offers {
            if !fits(self.open.len(), self.envelopes_len, offer.envelope_len) {
                return Err(Breach::TooMany);
            }
            if self.open.insert(offer.packet, Open { offer: *offer, taken: Taken::Offered }).is_some() {
                return Err(Breach::Twice(offer.packet));
            }
            self.envelopes_len += offer.envelope_len;
        }
        Ok(offers)
    }

    pub(super) fn want(&mut self, packet: &PacketId) {
        if let Some(open) = self.open.get_mut(packet) {
            open.taken = Taken::Wanted;
            self.wanted_count += 1;
        }
    }

    pub(super) fn envelope(&mut self, bytes: &[u8]) -> Result<(PacketId, Prefix), Breach> {
        let packet = packet_id(bytes);
        let open = self.open.get_mut(&packet).filter(|open| matches!(open.taken, Taken::Wanted));
        let open = open.ok_or(Breach::Unasked(packet))?;
        let prefix = read_prefix(bytes).map_err(|cause| Breach::Envelope { packet, cause })?;
        let bodies_len: u64 = prefix.bodies.iter().map(|body| body.size).sum();
        let Offer { nice, envelope_len, bodies_len: said, .. } = open.offer;
        if (prefix.to, prefix.nice, bytes.len() as u64, bodies_len) != (self.own, nice, envelope_len, said) {
            return Err(Breach::Lied(packet));
        }
        open.taken = Taken::Here(prefix.bodies.clone());
        self.wanted_count -= 1;
        Ok((packet, prefix))
    }

    pub(super) fn ask(&mut self, packet: PacketId, number: u16, part: Part, leaves: Vec<Digest>) -> Option<Ask> {
        let Taken::Here(bodies) = &self.open.get(&packet)?.taken else { return None };
        let body = *bodies.get(usize::from(number))?;
        let next = if let Part::From(first) = part { u64::from(first) } else { 0 };
        let ask = Ask { packet, number, part };
        self.asks.push_back(Asked { ask, body, leaves, next });
        Some(ask)
    }

    /// Leaves belong to the first ask that has had no answer.
    pub(super) fn leaves(&mut self, bytes: &[u8]) -> Result<Option<(PacketId, u16, Vec<Digest>)>, Breach> {
        let asked = self.asks.front_mut().filter(|asked| asked.leaves.is_empty()).ok_or(Breach::Order)?;
        let body = asked.body;
        let (digests, _) = bytes.as_chunks::<32>();
        if digests.len() as u64 != chunk_count(body.size)? || root(body.size, digests) != body.root {
            return Err(Breach::Leaves(body.root));
        }
        if asked.ask.part == Part::Leaves {
            let Ask { packet, number, .. } = asked.ask;
            self.asks.pop_front();
            return Ok(Some((packet, number, digests.to_vec())));
        }
        asked.leaves = digests.to_vec();
        Ok(None)
    }

    pub(super) fn data<'a>(&mut self, bytes: &'a [u8]) -> Result<Chunks<'a>, Breach> {
        let asked = self.asks.front_mut().filter(|asked| !asked.leaves.is_empty()).ok_or(Breach::Order)?;
        let (ask, body) = (asked.ask, asked.body);
        let offset = asked.next * CHUNK_LEN as u64;
        let left = body.size.saturating_sub(offset);
        let len = bytes.len() as u64;
        let is_whole = len == left || (len < left && bytes.len().is_multiple_of(CHUNK_LEN));
        if bytes.is_empty() || !is_whole || bytes.len() > DATA_CHUNKS_MOST * CHUNK_LEN {
            return Err(Breach::Data(body.root));
        }
        let found = leaves(bytes);
        let next = asked.next as usize;
        if asked.leaves.get(next..next + found.len()) != Some(&found[..]) {
            return Err(Breach::Data(body.root));
        }
        asked.next += found.len() as u64;
        let is_last = len == left;
        if is_last {
            self.asks.pop_front();
        }
        Ok(Chunks { packet: ask.packet, number: ask.number, body, offset, bytes, is_last })
    }

    /// A body that is not there yet is told in its turn.
    pub(super) fn lacked(&mut self, packet: PacketId, number: u16) -> Result<(), Breach> {
        let is_next = |asked: &Asked| asked.ask.packet == packet && asked.ask.number == number;
        // Of one that has begun to come it is too late to say so.
        let front = self.asks.front().filter(|asked| is_next(asked) && asked.leaves.is_empty());
        front.ok_or(Breach::Order)?;
        self.asks.pop_front();
        Ok(())
    }

    /// Those of them that are open: we may have settled one before we heard of it.
    pub(super) fn withdrawn(&mut self, mut packets: Vec<PacketId>) -> Vec<PacketId> {
        packets.retain(|packet| self.open.contains_key(packet));
        for packet in &packets {
            self.asks.retain(|asked| asked.ask.packet != *packet);
            self.close(packet);
        }
        packets
    }

    pub(super) fn close(&mut self, packet: &PacketId) {
        let Some(open) = self.open.remove(packet) else { return };
        self.envelopes_len -= open.offer.envelope_len;
        self.wanted_count -= usize::from(matches!(open.taken, Taken::Wanted));
    }

    pub(super) fn done(&mut self, rest: Rest) -> Result<(), Breach> {
        match self.open.is_empty() && !self.is_done {
            true => {
                self.is_done = true;
                self.rest = rest;
                Ok(())
            }
            false => Err(Breach::Order),
        }
    }
}
