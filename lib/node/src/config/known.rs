//! A known node: what `nodes/NAME.toml` says.

use super::source::{Key, Keys, Source};
use super::{Address, CallRule, ConfigError, Handler, Share, fields, handler, share};
use mb_wire::card::Card;
use mb_wire::id::NodeId;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A node whose card we hold, and what it may do here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownNode {
    /// What we call it: the file's name.
    #[serde(skip)]
    pub name: String,
    /// Its card, which pins its identity.
    #[serde(deserialize_with = "fields::card")]
    pub card: Card,
    /// Where it is called, in the order in which they are tried.
    #[serde(default)]
    pub addresses: Vec<Address>,
    /// Ways to reach it, in order: each the names of its relays, nearest first; none is directly.
    #[serde(default = "directly", deserialize_with = "fields::roads")]
    pub roads: Vec<Vec<String>>,
    /// How we send to it.
    #[serde(default)]
    pub send: Sending,
    /// What its letters may do here, by whatever way they come.
    #[serde(default)]
    pub accept: Accept,
    /// What it may hand to us, whoever wrote it.
    #[serde(default)]
    pub link: Link,
    /// What is handed on for it and to it.
    #[serde(default)]
    pub relay: Relaying,
    /// `[exec.HANDLE]`: the commands that its letters may ask for.
    #[serde(default, deserialize_with = "handler::by_handle")]
    pub exec: BTreeMap<String, Handler>,
    /// `[[share]]`: the folders whose files it may ask for.
    #[serde(default, rename = "share", deserialize_with = "share::shares")]
    pub shares: Vec<Share>,
    /// `[[call]]`: when it is called and how, in the order of the file.
    #[serde(default, rename = "call")]
    pub calls: Vec<CallRule>,
}

/// `[send]`: how we send to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sending {
    /// Priority, 1 (first) to 255 (last).
    #[serde(deserialize_with = "fields::within::<_, _, 1, 255>")]
    pub nice: u8,
    /// Days until what we send is refused as too old, 1 to 400.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 400>")]
    pub ttl: u16,
    /// When our copy goes.
    pub keep: Keep,
    /// Days that it waits for its first relay before it goes by the next of `roads`, 1 to 400.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 400>")]
    pub deadline: u16,
    /// Whether we want to hear how far what we send it has come.
    pub receipt: bool,
}

/// When our copy of a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// As soon as it is durable at the other side or on the stick.
    UntilDurable,
    /// When the node confirms that it has settled it.
    UntilConfirmed,
}

/// `[accept]`: what its letters may do here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// Whether it may send us files.
    pub files: bool,
    /// Where they go, an absolute path; None: `SPOOL/incoming/NAME`.
    #[serde(deserialize_with = "fields::absolute")]
    pub folder: Option<PathBuf>,
    /// Bytes that may lie there; None: no limit but free space.
    #[serde(deserialize_with = "fields::size_limit")]
    pub most_bytes: Option<u64>,
    /// Their permission bits.
    pub mode: Mode,
    /// Minutes after which, if nothing more of a folder has come, the files that are whole are delivered, 1 to 525,600.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 525_600>")]
    pub partial_after: u32,
}

/// The permission bits of what is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those that the letter names.
    Keep,
    /// These, at most 0o777.
    Fixed(u32),
}

/// `[link]`: what it may hand to us, whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Whether it is a neighbour at all.
    pub from: bool,
    /// Bytes stored because of it; None: no limit but free space.
    #[serde(deserialize_with = "fields::size_limit")]
    pub most_bytes: Option<u64>,
    /// Packets stored because of it; None: no limit.
    #[serde(deserialize_with = "fields::count")]
    pub most_packets: Option<u64>,
    /// Packets of it that may share one body, 1 to 64.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 64>")]
    pub most_sharing: u32,
}

/// `[relay]`: what is handed on for it and to it, whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relaying {
    /// Whether what it hands to us goes on to other nodes.
    pub from: bool,
    /// Whether what others hand to us goes on to it.
    pub to: bool,
    /// Complaints within 30 days at which nothing of it goes on any more; None: no limit.
    #[serde(deserialize_with = "fields::some_within::<_, _, 1, 1_000_000>")]
    pub most_complaints: Option<u64>,
}

/// One way: no relay.
fn directly() -> Vec<Vec<String>> {
    vec![Vec::new()]
}

/// All keys of `nodes/NAME.toml`.
pub(super) const KEYS: Keys = &[
    ("card", Key::Value),
    ("addresses", Key::Value),
    ("roads", Key::Value),
    (
        "send",
        Key::Table(&[
            ("nice", Key::Value),
            ("ttl", Key::Value),
            ("keep", Key::Value),
            ("deadline", Key::Value),
            ("receipt", Key::Value),
        ]),
    ),
    (
        "accept",
        Key::Table(&[
            ("files", Key::Value),
            ("folder", Key::Value),
            ("most_bytes", Key::Value),
            ("mode", Key::Value),
            ("partial_after", Key::Value),
            ("group", Key::NotBuilt),
        ]),
    ),
    (
        "link",
        Key::Table(&[
            ("from", Key::Value),
            ("most_bytes", Key::Value),
            ("most_packets", Key::Value),
            ("most_sharing", Key::Value),
        ]),
    ),
    ("relay", Key::Table(&[("from", Key::Value), ("to", Key::Value), ("most_complaints", Key::Value)])),
    ("exec", Key::Named(handler::KEYS)),
    ("share", Key::Tables(share::KEYS)),
    (
        "call",
        Key::Tables(&[
            ("cron", Key::Value),
            ("when", Key::Value),
            ("nice", Key::Value),
            ("direction", Key::Value),
            ("address", Key::Value),
            ("rate", Key::Value),
            ("timeout", Key::Value),
            ("max_time", Key::Value),
        ]),
    ),
];

impl KnownNode {
    /// A node that is called `name` and has nothing but defaults.
    pub fn new(name: impl Into<String>, card: Card) -> KnownNode {
        KnownNode {
            name: name.into(),
            card,
            addresses: Vec::new(),
            roads: directly(),
            send: Sending::default(),
            accept: Accept::default(),
            link: Link::default(),
            relay: Relaying::default(),
            exec: BTreeMap::new(),
            shares: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// Reads the text of `nodes/NAME.toml`; `path` is for messages.
    pub fn parse(path: &Path, name: &str, text: &str) -> Result<KnownNode, ConfigError> {
        let node: KnownNode = Source { path, text }.read(KEYS)?;
        Ok(KnownNode { name: name.to_owned(), ..node })
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.card.id()
    }
}

impl Default for Sending {
    fn default() -> Self {
        Sending { nice: 128, ttl: 90, keep: Keep::UntilDurable, deadline: 3, receipt: false }
    }
}

impl Default for Accept {
    fn default() -> Self {
        Accept { files: true, folder: None, most_bytes: None, mode: Mode::Keep, partial_after: 15 }
    }
}

impl Default for Relaying {
    fn default() -> Self {
        Relaying { from: true, to: true, most_complaints: None }
    }
}

impl Default for Link {
    fn default() -> Self {
        Link { from: true, most_bytes: None, most_packets: None, most_sharing: 64 }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "until-durable" => Ok(Keep::UntilDurable),
            "until-confirmed" => Ok(Keep::UntilConfirmed),
            other => Err(de::Error::custom(format!("{other:?} is neither \"until-durable\" nor \"until-confirmed\""))),
        }
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.len() <= 4 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(&text, 8) {
            _ if text == "keep" => Ok(Mode::Keep),
            Ok(mode) if digits && mode <= 0o777 => Ok(Mode::Fixed(mode)),
            Ok(_) if digits => Err(de::Error::custom(format!("{text:?}: set-user-id bits are never set"))),
            _ => Err(de::Error::custom(format!("{text:?} is neither \"keep\" nor octal permission bits as \"0640\""))),
        }
    }
}

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        match self {
            Mode::Keep => into.serialize_str("keep"),
            Mode::Fixed(mode) => into.collect_str(&format_args!("{mode:04o}")),
        }
    }
}
