//! `[[call]]`: when a known node is called, and how.

use super::fields;
use super::{Address, Cron};
use serde::{Deserialize, Serialize};

/// One `[[call]]` table. At least one of `cron` and `when` is there, which the list of keys asks for; where both are,
/// both must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CallRule {
    /// At these times.
    pub cron: Option<Cron>,
    /// Only if this holds.
    pub when: Option<When>,
    /// Only packets with at most this nice move, 1 to 255; None: all.
    #[serde(default, deserialize_with = "fields::some_within::<_, _, 1, 255>")]
    pub nice: Option<u8>,
    /// Which way packets go.
    #[serde(default)]
    pub direction: Direction,
    /// Where it is called; None: at the node's `addresses`.
    pub address: Option<Address>,
    /// Bytes a second, at least 1; None: no limit.
    #[serde(default, deserialize_with = "fields::rate")]
    pub rate: Option<u64>,
    /// Seconds without a word from the other side until we hang up, 1 to 3600; None: the caller's default.
    #[serde(default, deserialize_with = "fields::some_within::<_, _, 1, 3600>")]
    pub timeout: Option<u32>,
    /// Seconds that the whole call may last, 1 to 86400; None: no limit.
    #[serde(default, deserialize_with = "fields::some_within::<_, _, 1, 86400>")]
    pub max_time: Option<u32>,
}

/// What must hold for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// A packet for the node waits here, with at most the rule's nice.
    Waiting,
}

/// Which way packets go in a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// Only to the node.
    Out,
    /// Only from it.
    In,
}
