//! The little that all programs share: options in common, the node opened, records on standard output, errors as lines
//! and as an exit status. No work of its own; each `bin/mb-*.rs` calls [`main`] with its one function.
#![forbid(unsafe_code)]
#![deny(missing_docs, clippy::print_stdout, clippy::print_stderr)]

/// From the first instruction to the exit status.
mod start;
/// Completions for shells.
mod completions;
/// Options that every program has.
mod common;
/// What a running program has at hand.
mod program;
/// A passphrase, from wherever the user has it.
mod passphrase;
/// The clock, randomness, the environment.
mod outside;
/// Lists on standard input.
mod input;
/// Names from outside, made harmless for a terminal.
pub mod escape;
/// Results on standard output.
mod records;
/// One thing with all its settings.
mod settings;
/// Nodes by name, where a configuration is at hand.
mod known;
/// How long ago, as an option says it.
pub mod age;
/// What programs that write the spool share.
mod work;
/// How far work has come.
mod progress;
/// What moves, told to people.
mod teller;
/// What programs that make or answer calls share.
mod calls;
/// Answering calls.
pub mod listen;
/// Errors that belong to the command line alone.
mod complaint;
/// Classes of failure to exit codes.
mod exit;

pub use calls::{CallProgress, CallSettings, call_coins, parse_rate};
pub use common::{Common, ProgressWhen};
pub use complaint::Complaint;
pub use exit::{Outcome, code};
pub use input::input_lines;
pub use known::Known;
pub use mb_spool::class::{Class, Failure};
pub use outside::{env, now_millis, now_secs, random};
pub use program::Program;
pub use progress::Progress;
pub use records::Records;
pub use settings::{in_groups, setting_lines};
pub use start::{Arguments, main};
pub use teller::{Teller, moved_text, node_name};

/// Any error that a program can tell and count.
pub type Failed = Box<dyn Failure>;
