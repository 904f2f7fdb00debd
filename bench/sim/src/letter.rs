//! Letters: a payload of some size, for a node that is reached by relays. Envelopes are real; of bodies there are names and
//! sizes, which is all that a decision asks for.

use mb_wire::body::{BodyKey, body_len};
use mb_wire::envelope::{BodyName, Content, HOPS_MOST, Wrap, list_hash, wrap};
use mb_wire::id::{NodeId, Root};
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};
use mb_wire::route::{Route, Terms};

use crate::net::{Net, TODAY};
use crate::random::Random;

/// A multiple of 8, as an onion's last day is.
pub const END: u32 = TODAY + 88;
pub const NICE: u8 = 128;
/// What rides in the envelope, at most.
const INLINE_MOST: u64 = 32 << 10;
/// The least body of an onion, and how many there may be.
const ONION_BODY_LEAST: u64 = 256 << 10;
const ONION_BODIES_MOST: u64 = 16;
/// Payloads have 2^6 to 2^21 bytes.
const LEN_BITS: (u32, usize) = (6, 15);

/// What is known of a letter, wherever it is.
pub struct Sent {
    /// The relays and the recipient.
    pub way: Vec<usize>,
    /// Bytes of the payload.
    pub len: u64,
    /// The round in which it was written.
    pub round: usize,
    /// The bodies as they come to each hop.
    pub arriving: Vec<Vec<BodyName>>,
}

/// Bytes of a payload, few large ones among many small ones.
fn draw_len(random: &mut Random) -> u64 {
    let bits = LEN_BITS.0 + random.below(LEN_BITS.1) as u32;
    (1 << bits) + random.below(1 << bits) as u64
}

/// Payload bytes in each body.
fn cut(len: u64, is_onion: bool) -> Vec<u64> {
    match (len <= INLINE_MOST, is_onion) {
        (true, _) => vec![],
        (false, false) => vec![len],
        (false, true) => {
            let each = len.div_ceil(ONION_BODIES_MOST).next_power_of_two().max(ONION_BODY_LEAST);
            (0..len.div_ceil(each)).map(|number| each.min(len - number * each)).collect()
        }
    }
}

/// Bodies of these sizes.
pub fn named(sizes: &[u64], random: &mut Random) -> Vec<BodyName> {
    sizes.iter().map(|size| BodyName { root: Root::from_bytes(random.bytes()), size: *size }).collect()
}

/// A letter, and the envelope in which its author hands it to the first hop.
pub fn write(
    net: &Net,
    author: usize,
    way: Vec<usize>,
    round: usize,
    is_onion: bool,
    random: &mut Random,
) -> (Sent, Vec<u8>) {
    let len = draw_len(random);
    let ranges = cut(len, is_onion);
    let filled = |range: &u64| if is_onion { ranges[0].next_power_of_two().max(ONION_BODY_LEAST) } else { *range };
    let sizes: Vec<u64> = ranges.iter().map(|range| body_len(filled(range))).collect();
    let listed = named(&sizes, random);
    // Other names at each hop, if each of them rewrites the bodies.
    let mut name = || if is_onion { named(&sizes, random) } else { listed.clone() };
    let arriving: Vec<_> = way.iter().map(|_| name()).collect();
    let to = net.nodes[*way.last().expect("a hop")].address.id;
    let letter = letter(net, author, to, &listed, &ranges, len, random);
    let secrets = &net.nodes[author].secrets;
    let lists: Vec<_> = arriving.iter().chain([&listed]).map(|names| list_hash(names.iter().copied())).collect();
    let hops = way.iter().map(|hop| net.nodes[*hop].address.clone()).collect();
    let route = Route::new(secrets, hops, random.bytes()).expect("a route");
    let terms = Terms { end: END, nice: NICE, lists: &lists, is_onion, receipt: false, holds: &[] };
    let (routed, _) = route.seal(&letter.sign(secrets), &terms).expect("it fits");
    let content = Content::Routed(Box::new(routed));
    let (to, bodies) = (&net.nodes[way[0]].address, &arriving[0]);
    let wrapping = Wrap { to, end: END, nice: NICE, hops: HOPS_MOST, bodies, ask: false, content: &content };
    let envelope = wrap(secrets, &wrapping).expect("it fits");
    (Sent { way, len, round, arriving }, envelope)
}

/// A letter with a file of `len` bytes, of which `ranges` are in the bodies.
pub fn letter(
    net: &Net,
    author: usize,
    to: NodeId,
    listed: &[BodyName],
    ranges: &[u64],
    len: u64,
    random: &mut Random,
) -> Letter {
    let body = |(name, range): (&BodyName, &u64)| LetterBody {
        root: name.root,
        size: name.size,
        key: BodyKey::from_random([7; 32]),
        len: *range,
        codec: Codec::Plain,
    };
    Letter {
        to: to.into(),
        end: END,
        forwarded: None,
        kind: Kind::File(FileMeta { re: None, form: Form::Plain, mode: 0o644, path: b"file".to_vec(), mtime: (0, 0) }),
        salt: random.bytes(),
        time: 0,
        reply: None,
        wants: Wants::default(),
        author: net.nodes[author].address.id,
        bodies: listed.iter().zip(ranges).map(body).collect(),
        inline: listed.is_empty().then(|| vec![0; len as usize]),
    }
}
