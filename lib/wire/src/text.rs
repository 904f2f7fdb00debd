//! Ids, cards and secrets as one line of bech32m (BIP 350): a prefix for the kind, and a checksum that refuses a
//! mistyped character. All lower or all upper case; nothing around it, no white space.

use bech32::primitives::decode::{CharError, ChecksumError, UncheckedHrpstring, UncheckedHrpstringError};
use bech32::{Bech32m, Hrp};
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest text, in characters: what the checksum is made for.
pub const TEXT_MOST: usize = 1_023;

/// Why a text is not an id, card or secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Begins like something else, or like nothing known.
    #[error("does not begin with \"{expected}1\": {found}")]
    Kind {
        /// The prefix asked for.
        expected: &'static str,
        /// What the text seems to be instead.
        found: &'static str,
    },
    /// A character that bech32m does not use.
    #[error("has a character that cannot be in it: {}", .0.escape_default())]
    Character(char),
    /// Upper and lower case mixed.
    #[error("mixes upper and lower case")]
    MixedCase,
    /// The checksum does not fit.
    #[error("checksum does not match: a character was mistyped or lost")]
    Checksum,
    /// Longer than any such text.
    #[error("is longer than {TEXT_MOST} characters")]
    TooLong,
    /// The bits that fill up the last character are not zero, or are too many.
    #[error("ends with bits that belong to nothing")]
    Padding,
    /// Right kind, right checksum, wrong length.
    #[error("holds {found} bytes instead of {expected}")]
    Length {
        /// Bytes asked for.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
}

/// What begins with which prefix, for the error that says what was pasted instead.
const KINDS: [(&str, &str); 5] = [
    ("mbn", "this is a node id"),
    ("mba", "this is an area id"),
    ("mbcard", "this is a card"),
    ("mbsecret", "this is a secret key"),
    ("mbsealed", "this is a secret key under a passphrase"),
];

/// `bytes` as lower-case text. They must be few enough for [`TEXT_MOST`], which the callers' limits see to.
pub(crate) fn encode(prefix: &'static str, bytes: &[u8]) -> String {
    bech32::encode_lower::<Bech32m>(hrp(prefix), bytes).expect("limits of cards and keys keep the text short enough")
}

/// The bytes of a text that begins with `prefix`; refuses every spelling but all lower or all upper case of what
/// [`encode`] writes.
pub(crate) fn decode(prefix: &'static str, text: &str) -> Result<Vec<u8>, TextError> {
    if text.len() > TEXT_MOST {
        return Err(TextError::TooLong);
    }
    if !begins(text, prefix) {
        let known = KINDS.iter().find(|(other, _)| begins(text, other));
        return Err(kind(prefix, known.map_or("this is something else", |(_, what)| what)));
    }
    let unchecked = UncheckedHrpstring::new(text).map_err(|e| unreadable(prefix, e))?;
    if unchecked.hrp() != hrp(prefix) {
        return Err(TextError::Character('1'));
    }
    let checked = unchecked.validate_and_remove_checksum::<Bech32m>().map_err(|e| match e {
        ChecksumError::CodeLength(_) => TextError::TooLong,
        _ => TextError::Checksum,
    })?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    // bech32 ignores what is left over of the last character.
    let canonical = Zeroizing::new(encode(prefix, &bytes));
    if canonical.eq_ignore_ascii_case(text) { Ok(bytes) } else { Err(TextError::Padding) }
}

/// As [`decode`], for something of exactly `N` bytes.
pub(crate) fn decode_fixed<const N: usize>(prefix: &'static str, text: &str) -> Result<[u8; N], TextError> {
    let bytes = Zeroizing::new(decode(prefix, text)?);
    let found = bytes.len();
    bytes.as_slice().try_into().map_err(|_| TextError::Length { expected: N, found })
}

fn hrp(prefix: &'static str) -> Hrp {
    Hrp::parse(prefix).expect("the prefixes of this crate are well-formed")
}

/// Whether the text has this prefix, in whatever case, and the 1 that ends it.
fn begins(text: &str, prefix: &str) -> bool {
    let head = text.as_bytes().get(..=prefix.len());
    head.is_some_and(|head| head[prefix.len()] == b'1' && head[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes()))
}

fn kind(expected: &'static str, found: &'static str) -> TextError {
    TextError::Kind { expected, found }
}

fn unreadable(prefix: &'static str, error: UncheckedHrpstringError) -> TextError {
    match error {
        UncheckedHrpstringError::Char(CharError::MixedCase) => TextError::MixedCase,
        UncheckedHrpstringError::Char(CharError::InvalidChar(c)) => TextError::Character(c),
        UncheckedHrpstringError::Char(_) => TextError::Checksum,
        _ => kind(prefix, "this is something else"),
    }
}
