//! The spool: a directory tree that holds all state, and the steps by which it changes.
//!
//! Knows packets, bodies and letters by their ids only. `spool-layout.md` is the law of its names; the modules stand in
//! the order in which a packet meets them.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// What a failure means to whoever called the program.
pub mod class;
/// The only place that creates, renames, links, unlinks or syncs.
pub mod durable;
/// One durability barrier for many files and folders.
pub mod barrier;
/// The tree of folders.
pub mod layout;
/// The names that packets have in a queue.
pub mod names;
/// Small state files that hold one number.
pub mod number;
/// What day it is, and whether the clock is believed.
pub mod day;
/// Days and times as text.
pub mod date;
/// Half-made work of one program run.
pub mod run;
/// Read in order, work on all cores.
pub mod blocks;
/// Make, commit, publish.
pub mod batch;
/// Packets that are sent one by one.
pub mod outbox;
/// What was sent under a `--once` key.
pub mod once;
/// Reading envelopes from a folder.
pub mod envelopes;
/// Bodies: links, index, sweep.
pub mod bodies;
/// Is a file the body that a prefix names?
pub mod verify;
/// Land: packets that somebody brought.
pub mod land;
/// Which letters were delivered, which slots relayed.
pub mod seen;
/// Who has which message of an area, and which are kept.
pub mod areas;
/// Settings of moderated areas.
pub mod rules;
/// Which neighbours asked for an area.
pub mod subscribed;
/// What was handed over and is not confirmed.
pub mod sent;
/// What may go before all of it is here.
pub mod ahead;
/// What a neighbour's packets became.
pub mod relayed;
/// Small text files that count only whole.
mod record;
/// Where packets came from, for what is said of them.
pub mod way;
/// What may come back of onions.
pub mod replies;
/// Under which names answers are put.
pub mod asked;
/// Exactly-once delivery of staged files.
pub mod deliver;
/// Letters of which whole files were delivered though bodies are missing.
pub mod partial;
/// Commands that letters ask for.
pub mod tries;
/// What could not be processed.
pub mod bad;
/// Is every byte what its name says?
pub mod check;
/// By which other roads packets that wait could go.
pub mod roads;
/// What receivers complain of.
pub mod complaints;
/// How packets came.
pub mod paths;
/// Where packets lie.
pub mod places;
/// What waits, for whom, since when.
pub mod waiting;
/// What is remembered of the calls to a node.
pub mod called;
/// Bodies of calls that have not all come.
pub mod parts;
/// Removing packets because somebody says so.
pub mod remove;
