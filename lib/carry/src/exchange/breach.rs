//! What the other side may not say.

use mb_wire::body::BodyError;
use mb_wire::call::message::MessageError;
use mb_wire::envelope::EnvelopeError;
use mb_wire::id::{PacketId, Root};

/// How the other side broke the rules. The call ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Bytes that are no message.
    #[error("sends a {0}")]
    Message(#[from] MessageError),
    /// A message that may not come now.
    #[error("sends a message that may not come now")]
    Order,
    /// More at once than may be.
    #[error("wants or offers more at once than is allowed")]
    TooMany,
    /// A packet that is not open: never offered, or settled.
    #[error("names packet {0}, which is not open")]
    NotOpen(PacketId),
    /// A packet that is open already.
    #[error("offers packet {0} twice")]
    Twice(PacketId),
    /// An envelope that nobody asked for, or another one than was offered.
    #[error("sends an envelope that was not asked for: {0}")]
    Unasked(PacketId),
    /// An envelope that is none.
    #[error("sends packet {packet}: {cause}")]
    Envelope {
        /// Which one.
        packet: PacketId,
        /// What is wrong with it.
        cause: EnvelopeError,
    },
    /// An envelope that is not what was said of it, or not for us.
    #[error("sends packet {0}, which is not what it was offered as")]
    Lied(PacketId),
    /// A body that the packet does not list, or a part of it that is not there.
    #[error("asks for a body that is not there, of packet {0}")]
    NoSuchBody(PacketId),
    /// A body of a size that none has.
    #[error("names a body of impossible size: {0}")]
    Size(#[from] BodyError),
    /// Leaves that do not make up the root.
    #[error("sends leaves that are not those of body {0}")]
    Leaves(Root),
    /// A chunk that is not the one that its leaf stands for.
    #[error("sends other bytes than those of body {0}")]
    Data(Root),
}
