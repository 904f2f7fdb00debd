//! Our half as the giver: what we offered, what of it was asked for, in which order it is sent.

use std::collections::{HashMap, HashSet, VecDeque};

use mb_wire::body::chunk_count;
use mb_wire::call::message::{Ask, Offer, Part, Reason};
use mb_wire::envelope::BodyName;
use mb_wire::id::PacketId;

use super::{Breach, MOST_ASKS, fits};

/// How often a body is asked for at the most: for its leaves, then for its chunks. Each answer costs us a reading of it.
const ASKS_A_BODY: usize = 2;

/// A packet that we offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What was said of it.
    pub offer: Offer,
    /// The bodies that it lists, once its envelope was given.
    pub bodies: Option<Vec<BodyName>>,
    is_wanted: bool,
    ask_count: usize,
}

/// What the other side waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// An envelope.
    Envelope(PacketId),
    /// A body, or part of it.
    Body(Ask, BodyName),
}

impl Request {
    fn packet(&self) -> PacketId {
        match self {
            Request::Envelope(packet) => *packet,
            Request::Body(ask, _) => ask.packet,
        }
    }
}

/// What is open of what we offered.
#[derive(Default)]
pub struct Giving {
    open: HashMap<PacketId, Given>,
    envelopes_len: u64,
    /// What may still be named by the other side, which has not heard yet that it was withdrawn.
    withdrawn: HashSet<PacketId>,
    /// Envelopes go before bodies: they are small, and say what to ask for.
    envelopes: VecDeque<Request>,
    bodies: VecDeque<Request>,
    is_done: bool,
}

impl Giving {
    /// Whether we have said that nothing more comes.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether everything that was offered is settled.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the other side waits for something.
    pub fn is_asked(&self) -> bool {
        !self.envelopes.is_empty() || !self.bodies.is_empty()
    }

    /// Whether a packet with an envelope of so many bytes may be offered now.
    pub fn may_offer(&self, envelope_len: u64) -> bool {
        !self.is_done && fits(self.open.len(), self.envelopes_len, envelope_len)
    }

    /// The same beside `count` others that are about to be offered, all of them with envelopes of so many bytes.
    pub fn may_offer_more(&self, count: usize, envelopes_len: u64) -> bool {
        !self.is_done && fits(self.open.len() + count, self.envelopes_len, envelopes_len)
    }

    /// The packets of which nothing was asked for yet, or something that was not sent.
    pub fn unanswered(&self) -> Vec<PacketId> {
        let asked = self.asked();
        let is_unanswered = |(packet, given): &(&PacketId, &Given)| !given.is_wanted || asked.contains(*packet);
        self.open.iter().filter(is_unanswered).map(|(packet, _)| *packet).collect()
    }

    /// The packets of which something was asked for that was not sent.
    pub fn asked(&self) -> HashSet<PacketId> {
        self.envelopes.iter().chain(&self.bodies).map(Request::packet).collect()
    }

    pub(super) fn offer(&mut self, offer: Offer) {
        self.envelopes_len += offer.envelope_len;
        self.open.insert(offer.packet, Given { offer, bodies: None, is_wanted: false, ask_count: 0 });
    }

    /// `false` if it was said before.
    pub(super) fn end(&mut self) -> bool {
        !std::mem::replace(&mut self.is_done, true)
    }

    pub(super) fn gave_envelope(&mut self, packet: PacketId, bodies: Vec<BodyName>) {
        if let Some(given) = self.open.get_mut(&packet) {
            given.bodies = Some(bodies);
        }
    }

    /// What is to be sent next: envelopes in the order in which they were asked for, then bodies likewise.
    pub fn next_envelope(&mut self) -> Option<Request> {
        self.envelopes.pop_front()
    }

    /// The body that is to be sent next.
    pub fn next_body(&mut self) -> Option<Request> {
        self.bodies.pop_front()
    }

    pub(super) fn wanted(&mut self, packets: &[PacketId]) -> Result<(), Breach> {
        for packet in packets {
            if self.withdrawn.contains(packet) {
                continue;
            }
            let given = self.open.get_mut(packet).ok_or(Breach::NotOpen(*packet))?;
            if std::mem::replace(&mut given.is_wanted, true) {
                return Err(Breach::Order);
            }
            self.envelopes.push_back(Request::Envelope(*packet));
        }
        Ok(())
    }

    pub(super) fn take_ask(&mut self, ask: Ask) -> Result<(), Breach> {
        if self.withdrawn.contains(&ask.packet) {
            return Ok(());
        }
        if self.bodies.len() >= MOST_ASKS {
            return Err(Breach::TooMany);
        }
        let given = self.open.get_mut(&ask.packet).ok_or(Breach::NotOpen(ask.packet))?;
        let bodies = given.bodies.as_deref().unwrap_or_default();
        let body = *bodies.get(usize::from(ask.number)).ok_or(Breach::NoSuchBody(ask.packet))?;
        given.ask_count += 1;
        if given.ask_count > bodies.len() * ASKS_A_BODY {
            return Err(Breach::TooMany);
        }
        let count = chunk_count(body.size)?;
        match ask.part {
            Part::From(first) if u64::from(first) >= count => Err(Breach::NoSuchBody(ask.packet)),
            _ => {
                self.bodies.push_back(Request::Body(ask, body));
                Ok(())
            }
        }
    }

    pub(super) fn landed(&mut self, packets: &[PacketId]) -> Result<Vec<Given>, Breach> {
        let open = packets.iter().filter(|packet| !self.withdrawn.contains(*packet)).copied().collect::<Vec<_>>();
        open.iter().map(|packet| self.settle(packet)).collect()
    }

    pub(super) fn refused(&mut self, refused: &[(PacketId, Reason)]) -> Result<Vec<(Given, Reason)>, Breach> {
        let open = refused.iter().filter(|(packet, _)| !self.withdrawn.contains(packet)).copied().collect::<Vec<_>>();
        open.into_iter().map(|(packet, reason)| Ok((self.settle(&packet)?, reason))).collect()
    }

    /// Nothing may be settled that we still owe an answer.
    fn settle(&mut self, packet: &PacketId) -> Result<Given, Breach> {
        if self.envelopes.iter().chain(&self.bodies).any(|request| request.packet() == *packet) {
            return Err(Breach::Order);
        }
        self.close(packet).ok_or(Breach::NotOpen(*packet))
    }

    fn close(&mut self, packet: &PacketId) -> Option<Given> {
        let given = self.open.remove(packet)?;
        self.envelopes_len -= given.offer.envelope_len;
        Some(given)
    }

    pub(super) fn withdraw(&mut self, packet: PacketId) {
        self.close(&packet);
        self.withdrawn.insert(packet);
        self.envelopes.retain(|request| request.packet() != packet);
        self.bodies.retain(|request| request.packet() != packet);
    }
}
