//! A list: what `config.toml` says of a node that sends on what is written to it.

use super::source::{Key, Keys};
use super::{Askers, askers};
use serde::Deserialize;

/// `[list]`: what is sent to this node goes on to its subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The local names of those who get it, each once.
    #[serde(deserialize_with = "askers::names")]
    pub subscribers: Vec<String>,
    /// Who may write to it.
    #[serde(default = "anybody")]
    pub from: Askers,
}

/// All keys of `[list]`.
pub(super) const KEYS: Keys = &[("subscribers", Key::Value), ("from", Key::Value)];

fn anybody() -> Askers {
    Askers::Anybody
}
