//! Tell: a program of ours has something to say to neighbours, in an envelope for each.

use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::outbox::Outbox;
use mb_spool::run::Run;
use mb_wire::envelope::Content;
use mb_wire::id::PacketId;
use mb_wire::key::NodeSecrets;

use crate::config::KnownNode;
use crate::toss::answer::envelope;

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The spool could not be read or written.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// The card of one of them, by its local name, has no key that is still valid.
    #[error("{0}: its card has no valid key to seal to")]
    NoKey(String),
}

impl Failure for TellError {
    fn class(&self) -> Class {
        match self {
            TellError::Disk(error) => error.class(),
            TellError::NoKey(_) => Class::Data,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            TellError::Disk(error) => error.remedy(),
            TellError::NoKey(_) => Some("put the newest card of that node into its file".into()),
        }
    }
}

/// Sends `content` on its way to these nodes, each of which is given once: durable on return; a crash may leave it sent to some of them.
/// The packets that it lies in, in the order of the nodes. Nothing is sent if one of them cannot be sealed to.
pub fn tell(
    spool: &Spool,
    secrets: &NodeSecrets,
    nodes: &[&KnownNode],
    today: u32,
    content: &Content,
    run: &Run,
) -> Result<Vec<PacketId>, TellError> {
    let wrap = |node: &&KnownNode| {
        let envelope = envelope(secrets, node, today, content).ok_or_else(|| TellError::NoKey(node.name.clone()));
        envelope.map(|envelope| (node.id(), envelope))
    };
    let envelopes = nodes.iter().map(wrap).collect::<Result<Vec<_>, _>>()?;
    let mut outbox = Outbox::new(spool, run);
    let add = |(node, envelope): &(_, Vec<u8>)| outbox.add_unkept(*node, envelope);
    let packets = envelopes.iter().map(add).collect::<durable::Result<_>>()?;
    outbox.publish()?;
    Ok(packets)
}
