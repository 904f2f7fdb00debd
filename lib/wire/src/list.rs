//! Lists: a letter of a list's own that carries the author's signed letter to the list (format.md, section 6).
//!
//! Both are verified, and say the same of the payload: what is delivered is what its author has signed.

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::cbor::{self, Signed};
use crate::hash::Label;
use crate::id::NodeId;
use crate::letter::{Letter, LetterError, Reader, SignedLetter};
use crate::sign;

/// The letter that a list sends on, and its author's card. What is in it is looked at when the list's letter is checked, and not
/// before: however deep somebody nests, one is read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    #[serde(with = "cbor::bytes")]
    card: Vec<u8>,
    letter: Signed,
}

impl Forwarded {
    /// Carries `letter`, whose author's card is `card`. Whether the two and the list's letter belong together is checked when that is
    /// wrapped.
    pub fn new(card: &Card, letter: SignedLetter) -> Forwarded {
        Forwarded { card: card.as_bytes().to_vec(), letter: letter.into_signed() }
    }

    /// Who wrote it, as the card says; of a verified letter also who signed it.
    pub fn author(&self) -> Result<NodeId, LetterError> {
        Ok(self.card()?.id())
    }

    fn card(&self) -> Result<Card, LetterError> {
        Card::from_bytes(&self.card).map_err(|error| inner(LetterError::Card(error.to_string())))
    }

    /// Everything that can be said of it and of the list's letter that carries it.
    pub(crate) fn check(&self, outer: &Letter) -> Result<(), LetterError> {
        if matches!(outer.to, Reader::Area(_)) {
            return Err(LetterError::List("is to an area"));
        }
        let signed = SignedLetter::from_signed(self.letter.clone()).map_err(inner)?;
        let (card, letter) = (self.card()?, signed.unverified());
        if card.id() != letter.author {
            return Err(inner(LetterError::Card("another node's".into())));
        }
        let Signed(bytes, signature) = &self.letter;
        if !sign::verify(&card.identity, Label::Letter, &[bytes], signature) {
            return Err(inner(LetterError::Signature(letter.author)));
        }
        match () {
            () if letter.forwarded.is_some() => return Err(LetterError::List("brings one of another list")),
            () if letter.to != Reader::Node(outer.author) => {
                return Err(LetterError::List("brings one to somebody else"));
            }
            () if letter.kind != outer.kind => return Err(LetterError::List("says something else than its author")),
            () if letter.bodies != outer.bodies || letter.inline != outer.inline => {
                return Err(LetterError::List("has another payload than its author's"));
            }
            () if letter.reply.is_some() => return Err(LetterError::List("brings one with a way back")),
            () if letter.end < outer.end => return Err(LetterError::List("ends after its author's")),
            () => {}
        }
        letter.check().map_err(inner)
    }
}

fn inner(error: LetterError) -> LetterError {
    LetterError::Forwarded(Box::new(error))
}
