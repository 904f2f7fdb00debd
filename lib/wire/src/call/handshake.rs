//! The handshake: Noise IK, so the caller knows whom it calls, and says who it is under encryption; then each side seals
//! frames for the other (format.md, section 9).
//!
//! Both messages have one length, whatever waits. A first message can be replayed: nothing may change at the listener
//! before the first frame has opened, which proves that somebody is there who has the caller's key now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use snow::{Builder, HandshakeState, StatelessTransportState};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead::TAG_LEN;
use crate::call::noise::{Gate, Primitives};
use crate::cbor::{self, Version};
use crate::hash::Label;
use crate::id::NodeId;
use crate::key::NodeSecrets;

pub use crate::call::noise::Callers;

const SUITE: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2b";
/// The text that a call begins with, before the first message.
pub const PREAMBLE_LEN: usize = 16;
/// Bytes of a payload in the handshake, filled up with zeros.
const PAYLOAD_LEN: usize = 1024;
/// Bytes that the caller says first, the preamble before them.
pub const FIRST_LEN: usize = PREAMBLE_LEN + 32 + 32 + TAG_LEN + PAYLOAD_LEN + TAG_LEN;
/// Bytes that the listener answers.
pub const REPLY_LEN: usize = 32 + PAYLOAD_LEN + TAG_LEN;
/// Most bytes that one frame seals.
pub const FRAME_MOST: usize = 65_535 - TAG_LEN;
/// Bytes of the length that a frame begins with.
pub const FRAME_HEAD_LEN: usize = 2;

/// Why a call is not made, or ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// Something that is no call of ours.
    #[error("does not speak Mailbag")]
    Preamble,
    /// A version of the protocol that is not known.
    #[error("speaks another version of Mailbag's calls")]
    Version,
    /// The first message is to another node, or was altered.
    #[error("calls another node, or was altered on its way")]
    First,
    /// The caller has proved to know our card, and we do not know its.
    #[error("the caller is not known here")]
    Unknown,
    /// The reply is not from the node that was called.
    #[error("is not the node that was called, or its answer was altered on its way")]
    Reply,
    /// The payload is not in its form.
    #[error("handshake's payload is malformed")]
    Payload,
    /// A frame that does not open: altered, repeated, left out.
    #[error("sends a frame that was altered or does not belong here")]
    Frame,
    /// The primitives failed. Does not happen with keys of the right length.
    #[error("handshake cannot be begun")]
    Start,
}

/// What a payload says. `items` is the place for what later versions add (newer cards, certificates): of a kind that is not
/// known, an item is passed over.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: Version,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item(u16, #[serde(with = "cbor::bytes")] Vec<u8>);

/// The payload that says nothing yet, in its full length.
fn payload() -> [u8; PAYLOAD_LEN] {
    let item = cbor::bytes_item(&cbor::encode(&Payload { v: Version, items: Vec::new() }));
    let mut payload = [0; PAYLOAD_LEN];
    payload[..item.len()].copy_from_slice(&item);
    payload
}

fn check_payload(payload: &[u8]) -> Result<(), HandshakeError> {
    let refused = |_| HandshakeError::Payload;
    let (content, _, rest) = cbor::split_bytes(payload, PAYLOAD_LEN).map_err(refused)?;
    cbor::decode::<Payload>(content).map_err(refused)?;
    if rest.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(HandshakeError::Payload) }
}

/// What both sides must agree on before anything: protocol, version, who is called.
fn prologue(listener: &NodeId) -> [u8; PREAMBLE_LEN + 32] {
    let mut prologue = [0; PREAMBLE_LEN + 32];
    prologue[..PREAMBLE_LEN].copy_from_slice(&Label::Call.padded());
    prologue[PREAMBLE_LEN..].copy_from_slice(listener.as_bytes());
    prologue
}

/// A call whose first message is on its way.
pub struct Calling(HandshakeState);

/// Begins a call to the node `to` with the call key `call`; `coins` are 32 good random bytes, for this call alone. Returns
/// what is to be sent.
pub fn call(
    secrets: &NodeSecrets,
    to: &NodeId,
    call: &[u8; 32],
    coins: [u8; 32],
) -> Result<(Calling, [u8; FIRST_LEN]), HandshakeError> {
    let primitives = Primitives { coins: Zeroizing::new(coins), gate: None };
    let secret = secrets.call_secret();
    let prologue = prologue(to);
    let started = builder(primitives, &*secret, &prologue).and_then(|builder| builder.remote_public_key(call));
    let mut state = started.and_then(Builder::build_initiator).map_err(|_| HandshakeError::Start)?;
    let mut first = [0; FIRST_LEN];
    first[..PREAMBLE_LEN].copy_from_slice(&Label::Call.padded());
    // Fails only for a call key of low order.
    state.write_message(&payload(), &mut first[PREAMBLE_LEN..]).map_err(|_| HandshakeError::Reply)?;
    Ok((Calling(state), first))
}

fn builder<'a>(primitives: Primitives, secret: &'a [u8], prologue: &'a [u8]) -> Result<Builder<'a>, snow::Error> {
    let suite = SUITE.parse()?;
    Builder::with_resolver(suite, Box::new(primitives)).prologue(prologue)?.local_private_key(secret)
}

impl Calling {
    /// Reads the reply. After `Ok` the other side is the node that was called.
    pub fn finish(self, reply: &[u8; REPLY_LEN]) -> Result<(Sealer, Opener), HandshakeError> {
        let mut state = self.0;
        let mut payload = [0; PAYLOAD_LEN];
        state.read_message(reply, &mut payload).map_err(|_| HandshakeError::Reply)?;
        check_payload(&payload)?;
        transport(state)
    }
}

/// A call that was answered.
pub struct Answered {
    /// Who says to call. Believed when the first frame has opened.
    pub caller: NodeId,
    /// What is to be sent.
    pub reply: Box<[u8; REPLY_LEN]>,
    /// For what we send.
    pub sealer: Sealer,
    /// For what comes.
    pub opener: Opener,
}

/// Answers a call to the node of `secrets`, if the caller is among `callers`. Costs one key agreement for one who is not.
///
/// Nothing of an error may be told to the other side.
pub fn answer(
    secrets: &NodeSecrets,
    first: &[u8; FIRST_LEN],
    callers: &Arc<Callers>,
    coins: [u8; 32],
) -> Result<Answered, HandshakeError> {
    check_preamble(first)?;
    let gate = Gate::new(callers.clone());
    let primitives = Primitives { coins: Zeroizing::new(coins), gate: Some(gate.clone()) };
    let secret = secrets.call_secret();
    let prologue = prologue(&secrets.id());
    let started = builder(primitives, &*secret, &prologue).and_then(Builder::build_responder);
    let mut state = started.map_err(|_| HandshakeError::Start)?;
    let mut payload_in = [0; PAYLOAD_LEN];
    let read = state.read_message(&first[PREAMBLE_LEN..], &mut payload_in);
    if gate.has_refused() {
        return Err(HandshakeError::Unknown);
    }
    read.map_err(|_| HandshakeError::First)?;
    check_payload(&payload_in)?;
    let key: [u8; 32] = state.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(HandshakeError::First)?;
    let caller = *callers.get(&key).ok_or(HandshakeError::Unknown)?;
    let mut reply = Box::new([0; REPLY_LEN]);
    state.write_message(&payload(), &mut *reply).map_err(|_| HandshakeError::First)?;
    let (sealer, opener) = transport(state)?;
    Ok(Answered { caller, reply, sealer, opener })
}

fn check_preamble(first: &[u8; FIRST_LEN]) -> Result<(), HandshakeError> {
    let preamble = &first[..PREAMBLE_LEN];
    match preamble {
        _ if preamble == Label::Call.padded() => Ok(()),
        _ if preamble.starts_with(b"mailbag/") => Err(HandshakeError::Version),
        _ => Err(HandshakeError::Preamble),
    }
}

fn transport(state: HandshakeState) -> Result<(Sealer, Opener), HandshakeError> {
    let state = state.into_stateless_transport_mode().map_err(|_| HandshakeError::Start)?;
    let state = Arc::new(state);
    Ok((Sealer { state: state.clone(), number: 0 }, Opener { state, number: 0 }))
}

/// Seals frames, each once and in order.
pub struct Sealer {
    state: Arc<StatelessTransportState>,
    number: u64,
}

impl Sealer {
    /// Seals `bytes` as frames of at most `most` bytes each, which is 1 to [`FRAME_MOST`], at the beginning of `out`, which
    /// grows if it has to. Returns how many bytes the frames take.
    pub fn seal(&mut self, bytes: &[u8], most: usize, out: &mut Vec<u8>) -> Result<usize, HandshakeError> {
        let most = most.clamp(1, FRAME_MOST);
        let whole = bytes.len() + bytes.len().div_ceil(most) * (FRAME_HEAD_LEN + TAG_LEN);
        if out.len() < whole {
            out.resize(whole, 0);
        }
        let mut start = 0;
        for piece in bytes.chunks(most) {
            let len = piece.len() + TAG_LEN;
            let frame = &mut out[start..start + FRAME_HEAD_LEN + len];
            let (head, sealed) = frame.split_at_mut(FRAME_HEAD_LEN);
            head.copy_from_slice(&u16::try_from(len).map_err(|_| HandshakeError::Frame)?.to_be_bytes());
            self.state.write_message(self.number, piece, sealed).map_err(|_| HandshakeError::Frame)?;
            self.number += 1;
            start += FRAME_HEAD_LEN + len;
        }
        Ok(start)
    }
}

/// Opens frames in the order in which they were sealed.
pub struct Opener {
    state: Arc<StatelessTransportState>,
    number: u64,
}

impl Opener {
    /// How many bytes follow a frame's head. No frame is empty.
    pub fn frame_len(head: [u8; FRAME_HEAD_LEN]) -> Result<usize, HandshakeError> {
        let len = usize::from(u16::from_be_bytes(head));
        if len > TAG_LEN { Ok(len) } else { Err(HandshakeError::Frame) }
    }

    /// Opens what follows a frame's head, and adds what it holds to `plain`. After an error nothing more can be opened.
    pub fn open(&mut self, frame: &[u8], plain: &mut Vec<u8>) -> Result<(), HandshakeError> {
        let start = plain.len();
        plain.resize(start + frame.len().saturating_sub(TAG_LEN), 0);
        match self.state.read_message(self.number, frame, &mut plain[start..]) {
            Ok(_) => {
                self.number += 1;
                Ok(())
            }
            Err(_) => {
                plain.truncate(start);
                Err(HandshakeError::Frame)
            }
        }
    }
}
