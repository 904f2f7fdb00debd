//! A known area: what `areas/NAME.toml` says, and what `areas/NAME.key` holds.

use super::source::{Key, Keys, Source};
use super::{Accept, Askers, ConfigError, Handler, Mode, askers, fields, handler, parse_size};
use mb_wire::area::{AreaCard, AreaSecret, Mode as AreaMode};
use mb_wire::id::AreaId;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// An area whose card we hold, and what becomes of its messages here.
#[derive(Debug, Clone)]
pub struct KnownArea {
    /// What we call it: the file's name.
    pub name: String,
    /// Its card.
    pub card: AreaCard,
    /// The nodes that get its messages from us, by their local names, each once.
    pub subscribers: Vec<String>,
    /// Which neighbours may ask for its messages by a statement of their own.
    pub requests: Askers,
    /// Whether letters of authors whose card we do not hold are delivered.
    pub allow_unknown: bool,
    /// What becomes of its files. Without a folder posts are kept instead.
    pub accept: Accept,
    /// How long its messages are kept for others who ask; None: not for that.
    pub keep: Option<KeepFor>,
    /// `[exec.HANDLE]`: the commands that its letters may ask for.
    pub exec: BTreeMap<String, Handler>,
}

/// `keep`: how long messages are kept. Never beyond their last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepFor {
    /// So many days after they came, 1 to 400: `"90d"`.
    Days(u32),
    /// Until there are more than so many bytes, the oldest first out: `"10 GiB"`.
    Bytes(u64),
}

impl<'de> Deserialize<'de> for KeepFor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
        match days {
            Some(days) if (1..=400).contains(&days) => Ok(KeepFor::Days(days)),
            Some(_) => Err(de::Error::custom(format!("{text:?} is not from 1d to 400d"))),
            None => parse_size(&text).map(KeepFor::Bytes).map_err(de::Error::custom),
        }
    }
}

impl Serialize for KeepFor {
    fn serialize<S: serde::Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        match self {
            KeepFor::Days(days) => into.collect_str(&format_args!("{days}d")),
            KeepFor::Bytes(bytes) => into.serialize_u64(*bytes),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(deserialize_with = "card")]
    card: AreaCard,
    #[serde(default, deserialize_with = "askers::names")]
    subscribers: Vec<String>,
    #[serde(default)]
    requests: Askers,
    #[serde(default)]
    allow_unknown: bool,
    #[serde(default, deserialize_with = "fields::absolute")]
    folder: Option<PathBuf>,
    #[serde(default, deserialize_with = "fields::size_limit")]
    most_bytes: Option<u64>,
    #[serde(default)]
    mode: Option<Mode>,
    keep: Option<KeepFor>,
    #[serde(default, deserialize_with = "handler::by_handle")]
    exec: BTreeMap<String, Handler>,
}

/// All keys of `areas/NAME.toml`.
pub(super) const KEYS: Keys = &[
    ("card", Key::Value),
    ("subscribers", Key::Value),
    ("requests", Key::Value),
    ("allow_unknown", Key::Value),
    ("folder", Key::Value),
    ("most_bytes", Key::Value),
    ("mode", Key::Value),
    ("keep", Key::Value),
    ("exec", Key::Named(handler::KEYS)),
];

impl KnownArea {
    /// An area that is called `name` and has nothing but defaults.
    pub fn new(name: impl Into<String>, card: AreaCard) -> KnownArea {
        let (subscribers, exec) = (Vec::new(), BTreeMap::new());
        KnownArea {
            name: name.into(),
            card,
            subscribers,
            requests: Askers::default(),
            allow_unknown: false,
            accept: Accept::default(),
            keep: None,
            exec,
        }
    }

    /// Reads the text of `areas/NAME.toml`; `path` is for messages.
    pub fn parse(path: &Path, name: &str, text: &str) -> Result<KnownArea, ConfigError> {
        let Raw { card, subscribers, requests, allow_unknown, folder, most_bytes, mode, keep, exec } =
            Source { path, text }.read(KEYS)?;
        let accept = Accept { folder, most_bytes, mode: mode.unwrap_or(Mode::Keep), ..Accept::default() };
        Ok(KnownArea { name: name.to_owned(), card, subscribers, requests, allow_unknown, accept, keep, exec })
    }

    /// The text of a new file of an area.
    pub fn file_text(card: &AreaCard) -> String {
        format!("card = \"{}\"\nsubscribers = []\n", card.to_text())
    }

    /// Whether its owner's settings say who may write and read.
    pub fn is_moderated(&self) -> bool {
        self.card.mode == AreaMode::Moderated
    }

    /// Its id.
    pub fn id(&self) -> AreaId {
        self.card.id()
    }
}

fn card<'de, D: Deserializer<'de>>(from: D) -> Result<AreaCard, D::Error> {
    let text = String::deserialize(from)?;
    AreaCard::parse(text.trim()).map_err(de::Error::custom)
}

/// What `areas/NAME.key` holds: the secrets of an area.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    #[serde(deserialize_with = "fields::secret")]
    secret: Option<Zeroizing<String>>,
}

/// Reads the text of `areas/NAME.key`; `path` is for messages. Errors never quote the secret.
pub(crate) fn parse_area_key(path: &Path, text: &str) -> Result<AreaSecret, ConfigError> {
    let source = Source { path, text };
    let RawKey { secret } = source.read(&[("secret", Key::Value)])?;
    let fault = |why: String| source.error(0, "secret", super::Fault::Value(why));
    let secret = secret.ok_or_else(|| fault("missing".into()))?;
    AreaSecret::from_text(secret.trim()).map_err(|error| fault(error.to_string()))
}

/// The text of an `areas/NAME.key` with this secret.
pub(crate) fn area_key_text(secret: &AreaSecret) -> Zeroizing<Vec<u8>> {
    let text = secret.to_text();
    let text = Zeroizing::new(format!("# Keep this file to yourself.\nsecret = \"{}\"\n", text.as_str()));
    Zeroizing::new(text.as_bytes().to_vec())
}

/// What may be set in an area's file from the command line, as `mb-area show` lists it.
#[derive(Debug, Serialize)]
pub struct AreaSettings<'a> {
    /// See [`KnownArea`].
    pub subscribers: &'a [String],
    /// See [`KnownArea`].
    pub requests: &'a Askers,
    /// See [`KnownArea`].
    pub allow_unknown: bool,
    /// See [`Accept`].
    pub folder: Option<&'a Path>,
    /// See [`Accept`].
    pub most_bytes: Option<u64>,
    /// See [`Accept`].
    pub mode: Mode,
    /// See [`KnownArea`].
    pub keep: Option<KeepFor>,
}

impl KnownArea {
    /// What its file says, but for its card and its commands.
    pub fn settings(&self) -> AreaSettings<'_> {
        let KnownArea { subscribers, requests, allow_unknown, accept, keep, .. } = self;
        let Accept { folder, most_bytes, mode, .. } = accept;
        let (allow_unknown, most_bytes, mode) = (*allow_unknown, *most_bytes, *mode);
        AreaSettings { subscribers, requests, allow_unknown, folder: folder.as_deref(), most_bytes, mode, keep: *keep }
    }
}
