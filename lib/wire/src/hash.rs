//! The one hash, BLAKE2b-256, personalized with a label of its own for every use (format.md, section 1), so that a hash
//! of one kind never stands for another.

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, Update};

/// What a hash prints as bytes: 32 of them.
pub type Digest = [u8; 32];

/// The uses of hash and signature, each with its own label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Node id.
    Node,
    /// Packet id.
    Packet,
    /// Letter id; letter signature.
    Letter,
    /// Prefix inside the hop signature.
    Prefix,
    /// Content inside the hop signature; hop signature.
    Hop,
    /// Key schedule, extract.
    Seal,
    /// Key schedule, encryption key.
    Key,
    /// Key schedule, commitment.
    Commit,
    /// Private half of a share.
    Coins,
    /// Tag of an exchange key.
    Tag,
    /// A chunk in the body tree.
    Leaf,
    /// Two subtrees in the body tree.
    Join,
    /// Name of a body.
    Root,
    /// Key of a hop for its tag.
    Mac,
    /// Key of a hop for its route block.
    Block,
    /// Key of a hop for its payload.
    Pay,
    /// Keys of a hop for bodies.
    Veil,
    /// Tag of a route block.
    Slot,
    /// Payload of a route, as a hop gets it.
    Load,
    /// List of bodies.
    List,
    /// A step of a trace, in the next one.
    Step,
    /// Area id.
    Area,
    /// Head of an area message, in the letter behind it.
    Head,
    /// Area message: MsgHash.
    Msg,
    /// Signature of an area message.
    Post,
    /// A message in a summary.
    Have,
    /// Statement signature.
    Stmt,
    /// Identity seed, from a node's seed.
    Ident,
    /// Call secret, from a node's seed.
    Call,
    /// Coin secret, from a node's seed.
    Coin,
    /// Store secret, from a node's seed.
    Store,
    /// Names of `--once` records; local, never sent.
    Once,
    /// Digests of `--once` records; local, never sent.
    Input,
    /// Sum of a record of a delivery under way (local).
    Seen,
    /// Sum of a record of a packet's way (local).
    Way,
}

impl Label {
    /// The label as text, at most 16 bytes of ASCII.
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Node => "mailbag/1 node",
            Label::Packet => "mailbag/1 packet",
            Label::Letter => "mailbag/1 letter",
            Label::Prefix => "mailbag/1 prefix",
            Label::Hop => "mailbag/1 hop",
            Label::Seal => "mailbag/1 seal",
            Label::Key => "mailbag/1 key",
            Label::Commit => "mailbag/1 commit",
            Label::Coins => "mailbag/1 coins",
            Label::Tag => "mailbag/1 tag",
            Label::Leaf => "mailbag/1 leaf",
            Label::Join => "mailbag/1 join",
            Label::Root => "mailbag/1 root",
            Label::Mac => "mailbag/1 mac",
            Label::Block => "mailbag/1 block",
            Label::Pay => "mailbag/1 pay",
            Label::Veil => "mailbag/1 veil",
            Label::Slot => "mailbag/1 slot",
            Label::Load => "mailbag/1 load",
            Label::List => "mailbag/1 list",
            Label::Step => "mailbag/1 step",
            Label::Area => "mailbag/1 area",
            Label::Head => "mailbag/1 head",
            Label::Msg => "mailbag/1 msg",
            Label::Post => "mailbag/1 post",
            Label::Have => "mailbag/1 have",
            Label::Stmt => "mailbag/1 stmt",
            Label::Ident => "mailbag/1 ident",
            Label::Call => "mailbag/1 call",
            Label::Coin => "mailbag/1 coin",
            Label::Store => "mailbag/1 store",
            Label::Once => "mailbag/1 once",
            Label::Input => "mailbag/1 input",
            Label::Seen => "mailbag/1 seen",
            Label::Way => "mailbag/1 way",
        }
    }

    /// The label filled up with zeros to 16 bytes: personalization of a hash, beginning of what a signature covers.
    pub fn padded(self) -> [u8; 16] {
        let mut out = [0; 16];
        let text = self.as_str().as_bytes();
        out[..text.len()].copy_from_slice(text);
        out
    }
}

/// The hash of something that comes in parts: `Hasher::new(l)`, `update` as often as needed, `finish`.
pub struct Hasher(Blake2bMac<U32>);

impl Hasher {
    /// Begins an unkeyed hash.
    pub fn new(label: Label) -> Hasher {
        Hasher::with(None, label)
    }

    fn with(key: Option<&[u8]>, label: Label) -> Hasher {
        let state = Blake2bMac::new_with_salt_and_personal(key, &[], &label.padded());
        Hasher(state.expect("a key of 32 bytes and a label of 16 are within BLAKE2b's limits"))
    }

    /// Takes the next bytes. Where they are cut makes no difference.
    pub fn update(&mut self, bytes: &[u8]) {
        Update::update(&mut self.0, bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Digest {
        self.0.finalize_fixed().into()
    }
}

/// `H(label, parts one after another)`.
pub fn hash(label: Label, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(label);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// `K(key, label, parts one after another)`. Where the result is a secret, the caller wraps it in `Zeroizing`.
pub fn keyed(key: &[u8; 32], label: Label, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::with(Some(key), label);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// The length of a part as 8 bytes, to stand before it: `lp(x)` of format.md is `[&lp(x), x]` here.
pub(crate) fn lp(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}
