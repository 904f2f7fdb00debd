//! Traces: the path of a packet, told by each node on it (format.md, section 12). The author begins one, each relay adds a step,
//! and whoever gets it can tell that none was left out, altered or taken from another packet.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cbor::{self, CborError};
use crate::hash::{Digest, Label, hash};
use crate::id::{LetterId, NodeId};
use crate::key::NodeSecrets;
use crate::report::STATEMENT_MOST;
use crate::route::ROUTE_MOST;
use crate::size::NUMBER_MOST;
use crate::statement::{Statement, StatementError, StatementKind};

/// Why a trace does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// More steps than a route has hops, or one that is too long.
    #[error("trace has too many steps, or one that is too long")]
    Long,
    /// A step is no statement, or not signed by its issuer.
    #[error("step {0} of the trace: {1}")]
    Statement(usize, StatementError),
    /// A step's content is none.
    #[error("step {0} of the trace {1}")]
    Form(usize, CborError),
    /// A step that does not follow from the one before.
    #[error("step {0} of the trace does not belong behind the one before")]
    Broken(usize),
    /// A trace that is not this packet's.
    #[error("trace is not that of this packet")]
    Other,
    /// No trace where the author wants one.
    #[error("trace is missing: its author wants one")]
    Missing,
}

/// The signed steps so far, the author's first; none where no trace is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace(Vec<StepBytes>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StepBytes(#[serde(with = "cbor::bytes")] Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepMap {
    next: NodeId,
    #[serde(with = "cbor::fixed")]
    before: Digest,
    letter: LetterId,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// Who handed it on.
    pub node: NodeId,
    /// To whom.
    pub next: NodeId,
    /// When, in seconds since 1970, as that node claims.
    pub time: u64,
}

/// A path whose signatures were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The letter that went by it, as all of its nodes say.
    pub letter: LetterId,
    /// From the author on; at least one.
    pub steps: Vec<PathStep>,
}

impl Trace {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The author's first step, to `next`.
    pub fn begin(author: &NodeSecrets, letter: LetterId, next: NodeId, time: u64) -> Trace {
        Trace::default().with(author, letter, next, time)
    }

    /// With one step more, of a relay that hands it on to `next`. Refuses what does not hold, or has not come to it.
    pub fn extend(&self, relay: &NodeSecrets, next: NodeId, time: u64) -> Result<Trace, TraceError> {
        let path = self.verify()?;
        if path.next() != Some(relay.id()) {
            return Err(TraceError::Other);
        }
        if self.0.len() >= ROUTE_MOST { Err(TraceError::Long) } else { Ok(self.with(relay, path.letter, next, time)) }
    }

    fn with(&self, node: &NodeSecrets, letter: LetterId, next: NodeId, time: u64) -> Trace {
        let body = cbor::encode(&StepMap { next, before: self.digest(self.0.len()), letter });
        let (issuer, created) = (node.identity_key(), time.min(NUMBER_MOST));
        let step = Statement { kind: StatementKind::Step, body, issuer, created, version: 1 }.sign(node);
        Trace(self.0.iter().cloned().chain([StepBytes(step)]).collect())
    }

    /// What stands for the first `count` steps in the next one.
    fn digest(&self, count: usize) -> Digest {
        match count.checked_sub(1).and_then(|last| self.0.get(last)) {
            None => [0; 32],
            // Each covers the one before.
            Some(StepBytes(step)) => hash(Label::Step, &[step]),
        }
    }

    /// Checks lengths only.
    pub(crate) fn check(&self) -> Result<(), TraceError> {
        let is_long = self.0.len() > ROUTE_MOST || self.0.iter().any(|step| step.0.len() > STATEMENT_MOST);
        if is_long { Err(TraceError::Long) } else { Ok(()) }
    }

    /// The path, if every step is signed and follows from the one before.
    pub fn verify(&self) -> Result<Path, TraceError> {
        self.check()?;
        let mut path: Option<Path> = None;
        for (number, StepBytes(bytes)) in self.0.iter().enumerate() {
            let Statement { kind, body, issuer, created: time, .. } =
                Statement::parse(bytes).map_err(|error| TraceError::Statement(number, error))?;
            let map: StepMap = cbor::decode(&body).map_err(|error| TraceError::Form(number, error))?;
            let (node, StepMap { next, before, letter }) = (NodeId::of(&issuer), map);
            let follows = path.as_ref().is_none_or(|path| path.next() == Some(node) && path.letter == letter);
            if kind != StatementKind::Step || before != self.digest(number) || !follows {
                return Err(TraceError::Broken(number));
            }
            path.get_or_insert_with(|| Path { letter, steps: Vec::new() }).steps.push(PathStep { node, next, time });
        }
        path.ok_or(TraceError::Missing)
    }
}

impl Path {
    /// Who has it now.
    pub fn next(&self) -> Option<NodeId> {
        self.steps.last().map(|step| step.next)
    }

    /// Whether it leads from the author to `own`, which `from` handed the packet to.
    pub fn leads(&self, author: &NodeId, from: &NodeId, own: &NodeId) -> bool {
        let (first, last) = (self.steps.first(), self.steps.last());
        let begins = first.is_some_and(|step| step.node == *author);
        begins && last.is_some_and(|step| step.node == *from && step.next == *own)
    }
}
