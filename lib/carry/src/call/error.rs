//! Why a call was not made, or ended before all was said.

use std::io;

use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_wire::call::handshake::HandshakeError;
use mb_wire::call::message::MessageError;

use crate::exchange::Breach;

/// What ended a call. Who called whom stands before it.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address cannot be reached.
    #[error("{address}: {cause}")]
    Connect {
        /// Which one.
        address: String,
        /// Why.
        cause: io::Error,
    },
    /// Whoever answers does not do so as the node that was called would.
    #[error("{address}: {cause}")]
    Answer {
        /// Which one.
        address: String,
        /// What is wrong.
        cause: HandshakeError,
    },
    /// The link was closed before anything was said.
    #[error("{0}: hung up without a word")]
    HungUp(String),
    /// Whoever was on the link has gone before it called.
    #[error("{0}: hung up before it said who it is")]
    NoCall(String),
    /// No handshake within the time limit.
    #[error("{address}: no answer within {secs} s")]
    NoAnswer {
        /// Where.
        address: String,
        /// How long was waited.
        secs: u64,
    },
    /// The other side broke the rules.
    #[error("the other side {0}")]
    Breach(#[from] Breach),
    /// A frame that does not open.
    #[error("the other side {0}")]
    Frame(#[from] HandshakeError),
    /// The link ended before all was said.
    #[error("the call was cut")]
    Cut,
    /// The link failed before all was said.
    #[error("the call was cut: {0}")]
    Broken(#[from] io::Error),
    /// The other side has said nothing, or nothing new.
    #[error("nothing came within {0} s")]
    Silent(u64),
    /// It has lasted as long as it may.
    #[error("the call's time is up")]
    TooLong,
    /// The spool.
    #[error(transparent)]
    Disk(#[from] durable::Error),
}

impl CallError {
    pub(super) fn message(error: MessageError) -> CallError {
        Breach::Message(error).into()
    }
}

impl Failure for CallError {
    fn class(&self) -> Class {
        match self {
            CallError::Connect { .. } | CallError::HungUp(_) | CallError::NoCall(_) | CallError::NoAnswer { .. } => {
                Class::Unreachable
            }
            CallError::Answer { cause: HandshakeError::Reply, .. } => Class::Refused,
            CallError::Answer { .. } | CallError::Breach(_) | CallError::Frame(_) => Class::Protocol,
            CallError::Cut | CallError::Broken(_) | CallError::Silent(_) | CallError::TooLong => Class::Later,
            CallError::Disk(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            CallError::HungUp(_) => Some(
                "does it know this node? there: mb-node add, with this node's card; or the address is another's".into(),
            ),
            CallError::Cut | CallError::Broken(_) | CallError::Silent(_) | CallError::TooLong => {
                Some("what came counts; the next call goes on from here".into())
            }
            _ => None,
        }
    }
}
