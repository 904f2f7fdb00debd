//! What goes wrong while packets move: with one of them, or with the run.

use std::path::PathBuf;

use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_wire::call::message::Reason;
use mb_wire::envelope::EnvelopeError;
use mb_wire::id::{NodeId, Root};

use crate::call::CallError;

/// What went wrong, at which path. Prints as `PATH: CAUSE`.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// A call failed.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// The folder has no `mailbag` in it.
    #[error("no mailbag folder in {}: is it mounted? first time: --node NAME", .0.display())]
    NoMailbag(PathBuf),
    /// A packet for ourselves was to go out.
    #[error("{0} is this node: nothing is carried from here to here")]
    Ourselves(NodeId),
    /// An envelope whose hash is not its name, or that is too long for one.
    #[error("{}: damaged: it is not what its name says", .0.display())]
    Damaged(PathBuf),
    /// The envelope is whole, but its prefix breaks a rule.
    #[error("{}: {cause}", path.display())]
    Prefix {
        /// The envelope.
        path: PathBuf,
        /// Which rule.
        cause: EnvelopeError,
    },
    /// The envelope lies in the folder of another node.
    #[error("{}: it is for {to}", path.display())]
    OtherNode {
        /// The envelope.
        path: PathBuf,
        /// For whom it is.
        to: NodeId,
    },
    /// A body that the envelope lists is not there, or has another size.
    #[error("{}: body missing: {root}", path.display())]
    BodyMissing {
        /// The envelope.
        path: PathBuf,
        /// The body.
        root: Root,
    },
    /// A body whose tree is not what its name, or its envelope, says.
    #[error("{}: damaged: it is not body {root}", path.display())]
    BodyDamaged {
        /// The body's file.
        path: PathBuf,
        /// The body.
        root: Root,
    },
    /// A body went from the stick while a packet that needs it came.
    #[error("{}: body was taken away meanwhile: {root}", path.display())]
    BodyGone {
        /// The envelope on the stick.
        path: PathBuf,
        /// The body.
        root: Root,
    },
    /// What was written reads back otherwise.
    #[error("{}: reads back otherwise than it was written", .0.display())]
    ReadsBack(PathBuf),
    /// Some packets did not fit.
    #[error("{}: no room for {packet_count} packets ({len} bytes), which stay where they are", place.display())]
    NoRoom {
        /// Stick or spool.
        place: PathBuf,
        /// How many.
        packet_count: u64,
        /// Bytes that they would take.
        len: u64,
    },
    /// Another call gives to the same neighbour at this moment.
    #[error("{}: another call is at it", .0.display())]
    OtherCall(PathBuf),
    /// The other side of a call gives nothing, because another call of this node with it is at it.
    #[error("nothing is given over there: another call of this node is at it")]
    BusyThere,
    /// Packets that were offered in a call are not taken now. They stay where they are.
    #[error("{} not taken {}: {}", counted(*packet_count), if *is_here { "here" } else { "over there" }, said(*reason))]
    NotTaken {
        /// How many.
        packet_count: u64,
        /// Whether it is we who do not take them.
        is_here: bool,
        /// Why.
        reason: Reason,
    },
    /// A call with the neighbour of this name was cut, or broke.
    #[error("{0}: {1}")]
    Call(String, Box<CallError>),
    /// One read after another failed.
    #[error("{}: too many errors one after another", .0.display())]
    GaveUp(PathBuf),
}

impl Failure for CarryError {
    fn class(&self) -> Class {
        match self {
            CarryError::Disk(error) => error.class(),
            CarryError::NoMailbag(_) => Class::NoInput,
            CarryError::Ourselves(_) => Class::Usage,
            CarryError::Damaged(_)
            | CarryError::Prefix { .. }
            | CarryError::OtherNode { .. }
            | CarryError::BodyMissing { .. }
            | CarryError::BodyDamaged { .. } => Class::Data,
            CarryError::BodyGone { .. }
            | CarryError::NoRoom { .. }
            | CarryError::OtherCall(_)
            | CarryError::BusyThere
            | CarryError::NotTaken { .. } => Class::Later,
            CarryError::ReadsBack(_) | CarryError::GaveUp(_) => Class::Io,
            CarryError::Call(_, error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            CarryError::ReadsBack(_) => Some("the stick may be worn out, or smaller than it says".into()),
            CarryError::GaveUp(_) => Some("was it pulled? what is whole counts; the next run goes on from here".into()),
            CarryError::BodyGone { .. } => Some("run it again".into()),
            CarryError::Call(_, error) => error.remedy(),
            _ => None,
        }
    }
}

fn counted(packet_count: u64) -> String {
    if packet_count == 1 { "1 packet".into() } else { format!("{packet_count} packets") }
}

/// A reason in words.
fn said(reason: Reason) -> &'static str {
    match reason {
        Reason::Room => "no room",
        Reason::Quota => "more than its neighbour may store there",
        Reason::Busy => "another call from the same neighbour is at it",
        Reason::Unwanted => "not wanted in this call",
        Reason::Stopping => "asked to stop",
        Reason::Incomplete => "not all of it could be had",
    }
}

/// Why one packet is not moved now.
pub(crate) enum Setback {
    /// It is not there any more, or another run is at it.
    Gone,
    /// Something is wrong with it.
    Bad(CarryError),
    /// It does not fit; it would take so many bytes.
    NoRoom(u64),
    /// The run was asked to stop.
    Stopped,
    /// The run cannot go on.
    Fatal(CarryError),
}
