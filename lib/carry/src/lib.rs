//! How packets move between spools: by stick, a folder that somebody carries, and by live calls.
//!
//! Knows envelopes and bodies by their names and prefixes, opens neither, and holds no key but those of a call. Nothing here prints: what
//! happens is told to a [`Watch`], one line an item, and a batch goes on past a bad one. `spool-layout.md` is the law of the
//! names on a stick; the modules stand in the order in which a packet meets them.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// What goes wrong.
pub mod error;
/// What is told while packets move.
pub mod report;
/// The names on a stick.
pub mod stick;
/// Its folders, opened once and synced together.
mod folders;
/// Where packets go.
mod destination;
/// Which packet goes first.
mod order;
/// Bodies copied while they are hashed.
pub mod copy;
/// How much still fits.
mod room;
/// Half-made work of one run on a stick.
mod part;
/// Bodies on a stick that no packet needs any more.
mod sweep;
/// From the spool to a stick.
pub mod out;
/// One batch on its way out.
mod batch;
/// From a stick to the spool.
pub mod take;
/// Is every byte on a stick what its name says?
pub mod check;
/// What two neighbours say in a live call; no I/O.
pub mod exchange;
/// Live calls: links, and the spool at both ends.
pub mod call;
/// What lies on a stick, for whom.
pub mod waiting;

pub use error::CarryError;
pub use report::{Event, Report, Watch};
pub use stick::Stick;
