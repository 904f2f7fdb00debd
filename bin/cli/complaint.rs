//! Errors that belong to the command line alone.

use mb_spool::class::{Class, Failure};
use std::fmt;

/// A failure that no library has a type for: an operand that cannot be, a card on a line of standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    class: Class,
    line: String,
    remedy: Option<String>,
}

impl Complaint {
    /// A failure of `class` that prints as `line`: `thing: attempt: cause`.
    pub fn new(class: Class, line: impl Into<String>) -> Complaint {
        Complaint { class, line: line.into(), remedy: None }
    }

    /// The failure of something else, told in other words.
    pub fn of(failure: &dyn Failure, words: impl FnOnce(String) -> String) -> Complaint {
        let (class, remedy) = (failure.class(), failure.remedy());
        Complaint { class, line: words(failure.to_string()), remedy }
    }

    /// The same with what the user can do about it.
    pub fn with_remedy(self, remedy: impl Into<String>) -> Complaint {
        Complaint { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for Complaint {}

impl Failure for Complaint {
    fn class(&self) -> Class {
        self.class
    }

    fn remedy(&self) -> Option<String> {
        self.remedy.clone()
    }
}
