//! The configuration files: `config.toml` and `nodes/NAME.toml`, from text to values.
//!
//! Keys and defaults are those of `cli.md`. An unknown key, a key whose work is not built yet, a value of the wrong
//! type or beyond its limit is an error with file, line, column and the key; nothing is ever ignored. This module
//! reads text that somebody hands it and touches no files: [`crate::home`] does.

mod address;
mod area;
mod askers;
mod call;
mod cron;
mod error;
mod fields;
mod handler;
mod key;
mod known;
mod list;
mod name;
mod near;
mod share;
mod size;
mod source;

pub use address::{Address, PORT};
pub use area::{AreaSettings, KeepFor, KnownArea};
pub(crate) use area::{area_key_text, parse_area_key};
pub use askers::Askers;
pub use call::{CallRule, Direction, When};
pub use cron::Cron;
pub(crate) use error::did_you_mean;
pub use error::{ConfigError, Fault};
pub use handler::{Handler, Limits, Retry};
pub(crate) use key::{KeyFile, SeedText};
pub use known::{Accept, Keep, KnownNode, Link, Mode, Relaying, Sending};
pub use list::List;
pub use name::{check_name, name_from_host};
pub use near::nearest;
pub use share::{Patterns, Share};
pub use size::parse_size;

use serde::Deserialize;
use source::{Key, Keys, Source};
use std::path::{Path, PathBuf};

/// Space that is kept free unless `reserve` says otherwise, in bytes.
pub const RESERVE: u64 = 16 << 20;

/// What `config.toml` says. An empty file is one that says nothing, so all defaults hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the node calls itself; the card says so too. None: whatever the card says.
    #[serde(deserialize_with = "fields::own_name")]
    pub name: Option<String>,
    /// Where the spool is, an absolute path, unless an option or the environment says otherwise.
    #[serde(deserialize_with = "fields::absolute")]
    pub spool: Option<PathBuf>,
    /// Bytes that are left free on the spool's file system.
    #[serde(deserialize_with = "fields::size")]
    pub reserve: u64,
    /// Whether the node is a list, and whose.
    pub list: Option<List>,
}

/// All keys of `config.toml`.
const KEYS: Keys = &[
    ("name", Key::Value),
    ("spool", Key::Value),
    ("reserve", Key::Value),
    ("list", Key::Table(list::KEYS)),
    ("strangers", Key::NotBuilt),
];

impl Default for Config {
    fn default() -> Self {
        Config { name: None, spool: None, reserve: RESERVE, list: None }
    }
}

impl Config {
    /// Reads the text of `config.toml`; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        Source { path, text }.read(KEYS)
    }
}

#[cfg(test)]
mod tests;
