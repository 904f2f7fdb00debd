//! Areas: one message for many readers, by nodes of which not all can read it (format.md, section 14). An area has a card, secrets
//! for those who write and read, and messages, whose names are the same on each node. Neighbours are asked for them by statements.

mod card;
mod message;
mod secret;
mod settings;
mod subscribe;
mod summary;
mod want;

use thiserror::Error;

use crate::cbor::CborError;
use crate::envelope::EnvelopeError;
use crate::letter::LetterError;
use crate::seal::SealError;
use crate::statement::StatementError;
use crate::text::TextError;

pub use card::{AreaCard, AreaKeys, Mode};
pub use message::{AreaMessage, Head, MESSAGE_MOST, PostTerms, Under, post};
pub use secret::{AreaSecret, PostSecret};
pub use settings::{Draft, SETTINGS_MOST, Settings};
pub use subscribe::Subscribe;
pub use summary::Summary;
pub use want::Want;

/// Why something of an area is refused, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AreaError {
    /// Not the text of a card or secret.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Longer than a card may be.
    #[error("area's card has {0} bytes, more than allowed")]
    Long(usize),
    /// Not a statement, altered, or a number out of range.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A statement of another kind than this.
    #[error("not {0} but another statement")]
    Kind(&'static str),
    /// The card has another structure.
    #[error("area's card {0}")]
    Card(CborError),
    /// The name breaks the rule.
    #[error("an area's name has 1 to 32 of a-z 0-9 - _ . and begins with a letter or digit")]
    Name,
    /// Keys that this mode has not, or lacks.
    #[error("area's card has keys that its mode has not, or lacks them")]
    Keys,
    /// The secret of something else.
    #[error("not the secret of an area")]
    NoSecret,
    /// A secret without keys.
    #[error("an area's secret without keys")]
    NoKeys,
    /// A secret key whose public half is not the card's.
    #[error("a secret key does not belong to the area's card")]
    Halves,
    /// Settings longer than they may be, or with too many in a list.
    #[error("area's settings are longer than allowed, or name too many")]
    Settings,
    /// Settings of another structure.
    #[error("area's settings {0}")]
    SettingsForm(CborError),
    /// What a neighbour asks has another structure.
    #[error("what is asked of an area {0}")]
    Asked(CborError),
    /// The message has another structure.
    #[error("area message {0}")]
    Form(CborError),
    /// The head has another structure.
    #[error("head of an area message {0}")]
    Head(CborError),
    /// The head lists bodies that none may have.
    #[error("head of an area message: {0}")]
    Bodies(Box<EnvelopeError>),
    /// A suite that this version does not know.
    #[error("area message is of suite {0}, which is not known")]
    Suite(u8),
    /// The length of head and sealed letter is no size class, or too long.
    #[error("no area message has {0} bytes")]
    Length(usize),
    /// A number outside its range.
    #[error("area's {0} is out of range")]
    Range(&'static str),
    /// The signature is not that of the post key.
    #[error("signature does not match: the message was not signed with the post key that it names, or was altered")]
    Signature,
    /// The envelope lists other bodies than the head.
    #[error("envelope lists other bodies than the area message in it")]
    OtherBodies,
    /// The envelope outlives the message.
    #[error("area message ends on day {head}, before its envelope on day {envelope}")]
    End {
        /// Last day of the message.
        head: u32,
        /// Last day of the envelope.
        envelope: u32,
    },
    /// The seal does not open.
    #[error("area message {0}")]
    Seal(#[from] SealError),
    /// The letter inside breaks a rule.
    #[error(transparent)]
    Letter(#[from] LetterError),
}
