//! The settings of a moderated area, signed by its owner: who may write, read and carry, and what a message may take (format.md,
//! section 14). Of two the greater version counts, whatever came first; of equal ones that with the greater hash.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AreaError, Under};
use crate::aead::{self, TAG_LEN};
use crate::cbor;
use crate::hash::{Digest, Label, hash, lp};
use crate::id::{AreaId, KeyTag, NodeId};
use crate::key::{ExchangeSecret, NodeSecrets, key_tag};
use crate::seal::{Address, Agreement, Context};
use crate::size::NUMBER_MOST;
use crate::statement::{Statement, StatementKind};

/// Longest settings, in bytes.
pub const SETTINGS_MOST: usize = 200_000;
/// Most writers, readers and carrying nodes, each.
const LIST_MOST: usize = 1_000;
/// Length of a read key that is sealed.
const WRAPPED_LEN: usize = 32 + TAG_LEN;

/// What settings are made of.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Post keys that may write (Ed25519).
    pub posts: Vec<[u8; 32]>,
    /// Who may read, and what their copy of the read key is sealed to.
    pub readers: Vec<Address>,
    /// The nodes that answer for what there is; nobody in particular if there are none.
    pub nodes: Vec<NodeId>,
    /// Most bytes of the bodies of a message.
    pub most: Option<u64>,
    /// Most days that a message may still live when it comes.
    pub days: Option<u32>,
}

/// Settings whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The area.
    pub area: AreaId,
    /// Identity key of whoever signed them: of the area's owner, or they are none.
    pub owner: [u8; 32],
    /// Version and epoch.
    pub under: Under,
    /// Seconds since 1970: the owner's claim.
    pub created: u64,
    /// What letters of this epoch are sealed to (X25519).
    pub read: [u8; 32],
    /// Post keys that may write (Ed25519).
    pub posts: Vec<[u8; 32]>,
    /// The nodes that answer for what there is.
    pub nodes: Vec<NodeId>,
    /// Most bytes of the bodies of a message.
    pub most: Option<u64>,
    /// Most days that a message may still live when it comes.
    pub days: Option<u32>,
    readers: Vec<Wrapped>,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsMap {
    area: AreaId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    most: Option<u64>,
    #[serde(with = "cbor::fixed")]
    read: [u8; 32],
    epoch: u64,
    nodes: Vec<NodeId>,
    posts: Vec<Key>,
    readers: Vec<Wrapped>,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Key(#[serde(with = "cbor::fixed")] [u8; 32]);

/// The read key, sealed to a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wrapped(
    NodeId,
    KeyTag,
    #[serde(with = "cbor::fixed")] [u8; 32],
    #[serde(with = "cbor::fixed")] Digest,
    #[serde(with = "cbor::fixed")] [u8; WRAPPED_LEN],
);

impl Settings {
    /// Settings of `node`'s area, of which this epoch's letters are opened by `read`. `salt` is random, and used once.
    pub fn issue(
        node: &NodeSecrets,
        area: AreaId,
        draft: &Draft,
        (under, read): (Under, &ExchangeSecret),
        created: u64,
        salt: [u8; 32],
    ) -> Result<Settings, AreaError> {
        let wrap = |to: &Address| wrap(node, area, under.epoch, read, to, &salt);
        let map = SettingsMap {
            area,
            days: draft.days,
            most: draft.most,
            read: read.public(),
            epoch: under.epoch,
            nodes: draft.nodes.clone(),
            posts: draft.posts.iter().copied().map(Key).collect(),
            readers: draft.readers.iter().map(wrap).collect::<Result<_, _>>()?,
        };
        let (body, issuer) = (cbor::encode(&map), node.identity_key());
        let statement = Statement { kind: StatementKind::Settings, body, issuer, created, version: under.version };
        Settings::from_bytes(&statement.sign(node))
    }

    /// Reads and verifies settings. Whether their issuer owns the area the caller knows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Settings, AreaError> {
        if bytes.len() > SETTINGS_MOST {
            return Err(AreaError::Settings);
        }
        let Statement { kind, body, issuer: owner, created, version } = Statement::parse(bytes)?;
        if kind != StatementKind::Settings {
            return Err(AreaError::Kind("settings"));
        }
        let SettingsMap { area, days, most, read, epoch, nodes, posts, readers } =
            cbor::decode(&body).map_err(AreaError::SettingsForm)?;
        if [nodes.len(), posts.len(), readers.len()].iter().any(|len| *len > LIST_MOST) {
            return Err(AreaError::Settings);
        }
        if !(1..=NUMBER_MOST).contains(&epoch) || most.is_some_and(|most| most > NUMBER_MOST) {
            return Err(AreaError::Range("epoch or most bytes"));
        }
        let (under, posts) = (Under { version, epoch }, posts.into_iter().map(|key| key.0).collect());
        Ok(Settings { area, owner, under, created, read, posts, nodes, most, days, readers, bytes: bytes.to_vec() })
    }

    /// The signed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether these count, and not those.
    pub fn counts_after(&self, other: &Settings) -> bool {
        self.order() > other.order()
    }

    /// Of two settings of an area those count for which this is greater.
    pub fn order(&self) -> (u64, Digest) {
        (self.under.version, hash(Label::Stmt, &[&self.bytes]))
    }

    /// Who may read.
    pub fn readers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.readers.iter().map(|wrapped| wrapped.0)
    }

    /// What opens the letters of this epoch, if the node `own`, whose exchange keys `find` gives by their tags, may read.
    pub fn read_key<'k>(
        &self,
        own: NodeId,
        find: impl Fn(KeyTag) -> Option<&'k ExchangeSecret>,
    ) -> Option<ExchangeSecret> {
        let Wrapped(_, tag, share, commit, sealed) = self.readers.iter().find(|wrapped| wrapped.0 == own)?;
        let agreement = Agreement::find(find(*tag)?, Context::Epoch, own.as_bytes(), *share, commit).ok()?;
        let mut buf = Zeroizing::new(*sealed);
        let key = agreement.derive(Label::Key, &[]);
        let opened = aead::open(&key, &aead::ONCE, &bound(self.area, self.under.epoch), &mut *buf).ok()?;
        let read = ExchangeSecret::from_random(<[u8; 32]>::try_from(&*opened).ok()?);
        (read.public() == self.read).then_some(read)
    }
}

/// What a sealed read key belongs to.
fn bound(area: AreaId, epoch: u64) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(area.as_bytes());
    bytes[32..].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

fn wrap(
    node: &NodeSecrets,
    area: AreaId,
    epoch: u64,
    read: &ExchangeSecret,
    to: &Address,
    salt: &[u8; 32],
) -> Result<Wrapped, AreaError> {
    let parts: [&[u8]; 3] = [&lp(&to.exchange), &to.exchange, to.id.as_bytes()];
    let coins = node.coins("epoch", salt, &parts);
    let agreement = Agreement::new(&coins, Context::Epoch, to.id.as_bytes(), &to.exchange)?;
    let mut sealed = [0; WRAPPED_LEN];
    sealed[..32].copy_from_slice(&*read.to_bytes());
    aead::seal(&agreement.derive(Label::Key, &[]), &aead::ONCE, &bound(area, epoch), &mut sealed);
    Ok(Wrapped(to.id, key_tag(&to.exchange), agreement.share, agreement.commit, sealed))
}
