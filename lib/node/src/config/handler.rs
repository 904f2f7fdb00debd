//! `[exec.HANDLE]`: a command that a node's letters may ask for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mb_wire::letter::check_handle;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::fields;
use super::source::{Key, Keys};

/// A command, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handler {
    /// The program, an absolute path, and its arguments.
    #[serde(deserialize_with = "command")]
    pub command: Vec<String>,
    /// Whether the author may add arguments.
    #[serde(default)]
    pub arguments: bool,
    /// Seconds that it may take, 1 to 604,800.
    #[serde(default = "an_hour", deserialize_with = "fields::within::<_, _, 1, 604_800>")]
    pub seconds: u32,
    /// Bytes that it may print, on standard output and standard error.
    #[serde(default = "a_mebibyte", deserialize_with = "fields::size")]
    pub output: u64,
    /// Where it runs, an absolute path; None: in the top folder.
    #[serde(default, deserialize_with = "fields::absolute")]
    pub folder: Option<PathBuf>,
    /// As which user, by number; None: as this one.
    #[serde(default)]
    pub uid: Option<u32>,
    /// As which group.
    #[serde(default)]
    pub gid: Option<u32>,
    /// Whether what it prints goes back to the author.
    #[serde(default)]
    pub reply: bool,
    /// Whether it is rather not run at all than twice.
    #[serde(default)]
    pub once: bool,
    /// When it is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
}

/// `retry`: when a command that could not do its work now is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Seconds before the second try, 1 to 604,800.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 604_800>")]
    pub first: u32,
    /// By what that grows with each further one, 1 to 100.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 100>")]
    pub factor: u32,
    /// Seconds between two tries at the most, 1 to 604,800.
    #[serde(deserialize_with = "fields::within::<_, _, 1, 604_800>")]
    pub most: u32,
    /// Tries at the most, 1 to 1,000,000; None: until the letter ends.
    #[serde(deserialize_with = "fields::some_within::<_, _, 1, 1_000_000>")]
    pub times: Option<u32>,
}

/// `limits`: what a command may use, as in setrlimit(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of address space of each of its processes.
    #[serde(deserialize_with = "fields::size_limit")]
    pub memory: Option<u64>,
    /// Bytes of each file that it writes.
    #[serde(deserialize_with = "fields::size_limit")]
    pub file: Option<u64>,
    /// Seconds of processor time of each of its processes.
    #[serde(deserialize_with = "fields::count")]
    pub cpu: Option<u64>,
    /// Processes of its user.
    #[serde(deserialize_with = "fields::count")]
    pub processes: Option<u64>,
    /// Files that each of its processes may have open.
    #[serde(deserialize_with = "fields::count")]
    pub open_files: Option<u64>,
}

/// All keys of `[exec.HANDLE]`.
pub(super) const KEYS: Keys = &[
    ("command", Key::Value),
    ("arguments", Key::Value),
    ("seconds", Key::Value),
    ("output", Key::Value),
    ("folder", Key::Value),
    ("uid", Key::Value),
    ("gid", Key::Value),
    ("reply", Key::Value),
    ("once", Key::Value),
    (
        "retry",
        Key::Table(&[("first", Key::Value), ("factor", Key::Value), ("most", Key::Value), ("times", Key::Value)]),
    ),
    (
        "limits",
        Key::Table(&[
            ("memory", Key::Value),
            ("file", Key::Value),
            ("cpu", Key::Value),
            ("processes", Key::Value),
            ("open_files", Key::Value),
        ]),
    ),
];

impl Default for Retry {
    fn default() -> Self {
        Retry { first: 60, factor: 2, most: 3600, times: None }
    }
}

impl Retry {
    /// Seconds after try number `tries`, counted from 1, before the next one; `None`: there is none.
    pub fn after(&self, tries: u32) -> Option<u64> {
        if self.times.is_some_and(|times| tries >= times) {
            return None;
        }
        let factor = u64::from(self.factor).saturating_pow(tries.saturating_sub(1));
        Some(u64::from(self.first).saturating_mul(factor).min(self.most.into()))
    }
}

fn an_hour() -> u32 {
    3600
}

fn a_mebibyte() -> u64 {
    1 << 20
}

fn command<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    match words.first() {
        None => Err(de::Error::custom("no program")),
        Some(program) if !program.starts_with('/') => {
            Err(de::Error::custom(format!("{program:?} is not an absolute path")))
        }
        _ if words.iter().any(|word| word.contains('\0')) => Err(de::Error::custom("a zero byte in it")),
        _ => Ok(words),
    }
}

/// The handlers, each by a name that a letter can ask for.
pub(super) fn by_handle<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Handler>, D::Error> {
    let handlers = BTreeMap::<String, Handler>::deserialize(from)?;
    match handlers.keys().find(|handle| !check_handle(handle)) {
        Some(handle) => Err(de::Error::custom(format!("{handle:?} is no handle: 1 to 64 of a-z A-Z 0-9 - _ . are"))),
        None => Ok(handlers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_at_growing_distances_and_may_have_an_end() {
        let retry = Retry::default();
        let after: Vec<_> = (1..9).map(|tries| retry.after(tries)).collect();
        assert_eq!(after, [60, 120, 240, 480, 960, 1920, 3600, 3600].map(Some));
        assert_eq!(retry.after(u32::MAX), Some(3600));
        let three = Retry { times: Some(3), factor: 1, ..retry };
        assert_eq!([1, 2, 3, 4].map(|tries| three.after(tries)), [Some(60), Some(60), None, None]);
    }
}
