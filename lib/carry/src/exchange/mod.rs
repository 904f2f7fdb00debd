//! The exchange: what two neighbours say to each other in a live call (format.md, section 9), as a state machine without
//! I/O. Messages in, events out, and what we say in return as bytes.
//!
//! Each side gives and takes at the same time, by rules of their own: `Giving` keeps what we offered and what was asked of
//! it, `Taking` what we were offered and what of it has come. Both are bounded, whatever the other side says, and a
//! message that breaks the rules is a `Breach`, which ends the call. Files are the caller's business ([`crate::call`]).

mod breach;
mod giving;
mod taking;

pub use breach::Breach;
pub use giving::{Given, Giving, Request};
pub use taking::{Chunks, Taking};

use mb_wire::call::message::{Hello, LIST_MOST, Message, Offer, Part, Reason, Rest};
use mb_wire::envelope::{BodyName, Prefix};
use mb_wire::hash::Digest;
use mb_wire::id::{NodeId, PacketId};

/// Packets that may be offered and not settled.
pub const MOST_OPEN: usize = 1024;
/// Bytes of their envelopes, unless it is a single one.
pub const MOST_ENVELOPES_LEN: u64 = 4 << 20;
/// Bodies that may be asked for and not answered.
pub const MOST_ASKS: usize = 256;

/// Whether one more packet may be open beside `count` with envelopes of `len` bytes.
fn fits(count: usize, len: u64, envelope_len: u64) -> bool {
    count == 0 || (count < MOST_OPEN && len + envelope_len <= MOST_ENVELOPES_LEN)
}

/// What a message means for whoever reads and writes files.
#[derive(Debug)]
pub enum Event<'a> {
    /// Nothing to do but to look what is to be said next.
    Nothing,
    /// The other side has begun: now packets may be offered to it.
    Hello(Hello),
    /// Packets wait over there. Each is to be answered by `want`, `landed` or `refuse`.
    Offered(Vec<Offer>),
    /// An envelope came, whole and as it was offered.
    Envelope(PacketId, Prefix, &'a [u8]),
    /// The leaves of a body that was asked for by [`Part::Leaves`].
    Leaves(PacketId, u16, Vec<Digest>),
    /// Chunks came, whole and right.
    Data(Chunks<'a>),
    /// The other side has these packets, durable: our copies may go.
    Landed(Vec<Given>),
    /// It does not take these now.
    Refused(Vec<(Given, Reason)>),
    /// These are not to be had any more.
    Withdrawn(Vec<PacketId>),
    /// A body that was asked for has not come there yet.
    Lacked(PacketId, u16),
    /// Nothing more is offered; so much stays over there.
    Done(Rest),
}

/// One call, from the first message after the handshake to the last.
pub struct Session {
    /// What we give.
    pub giving: Giving,
    /// What we take.
    pub taking: Taking,
    peer: Option<Hello>,
    out: Vec<u8>,
}

impl Session {
    /// A call of the node `own`, which says `hello` first.
    pub fn new(own: NodeId, hello: Hello) -> Session {
        let mut session =
            Session { giving: Giving::default(), taking: Taking::new(own, hello.take), peer: None, out: Vec::new() };
        session.say(&Message::Hello(hello));
        session
    }

    /// What is to be sent now; empty if nothing is. `next` is used for what follows.
    pub fn take_output(&mut self, next: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.out, next)
    }

    /// Whether there is something to be sent now.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether both sides have said all.
    pub fn is_over(&self) -> bool {
        self.giving.is_done() && self.taking.is_done()
    }

    /// Says something that changes nothing about what is open: leaves and chunks.
    pub fn say(&mut self, message: &Message) {
        message.write(&mut self.out);
    }

    /// Says the next chunks of the body that is on its way: `len` bytes, which `fill` writes in place.
    pub fn give_data<E>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        Message::write_data(len, &mut self.out, fill)
    }

    /// Takes what the other side said.
    pub fn receive<'a>(&mut self, message: Message<'a>) -> Result<Event<'a>, Breach> {
        match message {
            Message::Ping => return Ok(Event::Nothing),
            Message::Hello(hello) if self.peer.is_none() => {
                self.peer = Some(hello);
                return Ok(Event::Hello(hello));
            }
            _ if self.peer.is_none() || self.is_over() => return Err(Breach::Order),
            _ => {}
        }
        match message {
            Message::Offer(offers) => self.taking.offered(offers).map(Event::Offered),
            Message::Envelope(bytes) => {
                let (packet, prefix) = self.taking.envelope(bytes)?;
                Ok(Event::Envelope(packet, prefix, bytes))
            }
            Message::Leaves(bytes) => Ok(match self.taking.leaves(bytes)? {
                Some((packet, number, leaves)) => Event::Leaves(packet, number, leaves),
                None => Event::Nothing,
            }),
            Message::Data(bytes) => self.taking.data(bytes).map(Event::Data),
            Message::Lack(packet, number) => self.taking.lacked(packet, number).map(|()| Event::Lacked(packet, number)),
            Message::Withdraw(packets) => Ok(Event::Withdrawn(self.taking.withdrawn(packets))),
            Message::Done(rest) => self.taking.done(rest).map(|()| Event::Done(rest)),
            Message::Want(packets) => self.giving.wanted(&packets).map(|()| Event::Nothing),
            Message::Ask(ask) => self.giving.take_ask(ask).map(|()| Event::Nothing),
            Message::Landed(packets) => self.giving.landed(&packets).map(Event::Landed),
            Message::Refuse(refused) => self.giving.refused(&refused).map(Event::Refused),
            Message::Hello(_) | Message::Ping => Err(Breach::Order),
        }
    }

    /// Offers packets, the most urgent first. Each must be allowed by [`Giving::may_offer`].
    pub fn offer(&mut self, offers: &[Offer]) {
        offers.iter().for_each(|offer| self.giving.offer(*offer));
        for list in offers.chunks(LIST_MOST) {
            self.say(&Message::Offer(list.to_vec()));
        }
    }

    /// Sends an envelope that was asked for; `bodies` are what it lists.
    pub fn give_envelope(&mut self, packet: PacketId, envelope: &[u8], bodies: Vec<BodyName>) {
        self.giving.gave_envelope(packet, bodies);
        self.say(&Message::Envelope(envelope));
    }

    /// A packet cannot be given after all.
    pub fn withdraw(&mut self, packet: PacketId) {
        self.giving.withdraw(packet);
        self.say(&Message::Withdraw(vec![packet]));
    }

    /// Everything that was offered is settled, and nothing more will be. `rest`: what stays.
    pub fn end_giving(&mut self, rest: Rest) {
        if self.giving.end() {
            self.say(&Message::Done(rest));
        }
    }

    /// Asks for the envelopes of packets that were offered.
    pub fn want(&mut self, packets: &[PacketId]) {
        packets.iter().for_each(|packet| self.taking.want(packet));
        for list in packets.chunks(LIST_MOST) {
            self.say(&Message::Want(list.to_vec()));
        }
    }

    /// Asks for a body that `packet` lists as number `number`. With [`Part::From`] the leaves that came are handed back.
    pub fn ask(&mut self, packet: PacketId, number: u16, part: Part, leaves: Vec<Digest>) {
        if let Some(ask) = self.taking.ask(packet, number, part, leaves) {
            self.say(&Message::Ask(ask));
        }
    }

    /// These packets are here, durable.
    pub fn landed(&mut self, packets: &[PacketId]) {
        packets.iter().for_each(|packet| self.taking.close(packet));
        for list in packets.chunks(LIST_MOST) {
            self.say(&Message::Landed(list.to_vec()));
        }
    }

    /// A packet is not taken now. Nothing may have been asked for of it that is still to come.
    pub fn refuse(&mut self, packet: PacketId, reason: Reason) {
        self.taking.close(&packet);
        self.say(&Message::Refuse(vec![(packet, reason)]));
    }
}
