//! What is wrong with a configuration file, and where.

use mb_spool::class::{Class, Failure};
use std::path::PathBuf;

/// One fault in a configuration file. Prints as `FILE:LINE:COLUMN: KEY: FAULT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {}{fault}", file.display(), key_part(key))]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The key with the tables that it is in, as `send.nice`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl ConfigError {
    /// The same without the place.
    pub fn what(&self) -> String {
        format!("{}{}", key_part(&self.key), self.fault)
    }
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such key.
    #[error("unknown key{}", did_you_mean(near))]
    Unknown {
        /// A key that is spelt much like it.
        near: Option<String>,
    },
    /// The key is one of ours, and what it asks for is not built yet.
    #[error("not built yet")]
    NotBuilt,
    /// The value is not what it must be, or the text is no TOML.
    #[error("{0}")]
    Value(String),
}

fn key_part(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

/// `; did you mean "near"?`, or nothing.
pub(crate) fn did_you_mean(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default()
}

impl Failure for ConfigError {
    fn class(&self) -> Class {
        Class::Config
    }
}
