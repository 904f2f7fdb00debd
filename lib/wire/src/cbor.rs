//! Deterministic CBOR (RFC 8949, 4.2.1), decoded strictly.
//!
//! The typed structs of this crate declare their fields in canonical order, so encoding them is deterministic. The
//! decoder underneath is lenient (integers that are not shortest, duplicate keys, tags, trailing bytes): [`decode`]
//! therefore encodes again and compares with the input. Nothing is allocated by a length that is only claimed.

use ciborium::de::Error as Broken;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

/// Deepest nesting that a reader follows.
const DEPTH_MOST: usize = 16;

/// Why bytes are not the structure they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CborError {
    /// The bytes end before the structure does.
    #[error("ends in the middle")]
    Short,
    /// Not CBOR.
    #[error("is not CBOR at byte {0}")]
    Syntax(usize),
    /// Nested deeper than anything of ours.
    #[error("is nested deeper than {DEPTH_MOST}")]
    Depth,
    /// Another structure: a key unknown or missing, a wrong type, a number out of range. The words are safe to print.
    #[error("has the wrong form: {0}")]
    Form(String),
    /// The right structure, but not in its one spelling, or with bytes behind it.
    #[error("is not in the one deterministic form")]
    NotCanonical,
    /// A byte string was expected.
    #[error("is not a byte string")]
    NotBytes,
    /// A byte string over its limit.
    #[error("claims {claimed} bytes where at most {most} are allowed")]
    Long {
        /// Bytes claimed.
        claimed: u64,
        /// Bytes allowed.
        most: usize,
    },
}

/// The one encoding of `value`.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut len = Count(0);
    write(value, &mut len);
    let mut out = Vec::with_capacity(len.0);
    write(value, &mut out);
    out
}

/// As [`encode`], for what holds secrets: the buffer never grows, so that no copy is left behind, and is wiped.
pub fn encode_secret<T: Serialize>(value: &T) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(encode(value))
}

/// The value that these bytes, all of them, are the one encoding of.
pub fn decode<T: DeserializeOwned + Serialize>(input: &[u8]) -> Result<T, CborError> {
    let value: T = ciborium::de::from_reader_with_recursion_limit(input, DEPTH_MOST).map_err(broken)?;
    let mut rest = Same(input);
    match ciborium::into_writer(&value, &mut rest) {
        Ok(()) if rest.0.is_empty() => Ok(value),
        _ => Err(CborError::NotCanonical),
    }
}

/// A byte string's content, the whole item, and what follows it.
pub type Split<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits one byte string of at most `most` bytes off the front.
pub fn split_bytes(input: &[u8], most: usize) -> Result<Split<'_>, CborError> {
    let (head_len, len) = bytes_head(input, most)?.ok_or(CborError::Short)?;
    if input.len() - head_len < len {
        return Err(CborError::Short);
    }
    let (item, rest) = input.split_at(head_len + len);
    Ok((&item[head_len..], item, rest))
}

/// The head of a byte string of at most `most` bytes: lengths of head and content; `None` while more input is needed.
pub fn bytes_head(input: &[u8], most: usize) -> Result<Option<(usize, usize)>, CborError> {
    let Some(&first) = input.first() else { return Ok(None) };
    let (width, least) = match first {
        0x40..=0x57 => (0, 0),
        0x58 => (1, 24),
        0x59 => (2, 1 << 8),
        0x5a => (4, 1 << 16),
        0x5b => (8, 1 << 32),
        _ => return Err(CborError::NotBytes),
    };
    let Some(number) = input.get(1..1 + width) else { return Ok(None) };
    let claimed = match width {
        0 => u64::from(first & 0x1f),
        _ => number.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    };
    if claimed < least {
        return Err(CborError::NotCanonical);
    }
    match usize::try_from(claimed) {
        Ok(len) if len <= most => Ok(Some((1 + width, len))),
        _ => Err(CborError::Long { claimed, most }),
    }
}

/// `content` as a byte string.
pub fn bytes_item(content: &[u8]) -> Vec<u8> {
    encode(&Bytes(content))
}

fn write<T: Serialize>(value: &T, out: impl std::io::Write) {
    ciborium::into_writer(value, out).expect("our types encode, and writing to memory does not fail");
}

/// What the decoder complains of. It quotes the input in places, hence the escapes and the limit.
fn broken<E>(error: Broken<E>) -> CborError {
    match error {
        Broken::Io(_) => CborError::Short,
        Broken::Syntax(at) => CborError::Syntax(at),
        Broken::RecursionLimitExceeded => CborError::Depth,
        Broken::Semantic(_, words) => CborError::Form(words.chars().take(160).flat_map(char::escape_debug).collect()),
    }
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes only the bytes that it begins with.
struct Same<'a>(&'a [u8]);

impl std::io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(self.0)
    }
}

/// The number that stands for the version of a structure. Only 1 is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(1)
    }
}

impl<'de> serde::Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u64::deserialize(d)? {
            1 => Ok(Version),
            other => Err(serde::de::Error::custom(format!("unknown version {other}"))),
        }
    }
}

/// What was signed, and the signature: `[bytes, bytes(64)]`.
#[derive(Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Signed(#[serde(with = "bytes")] pub Zeroizing<Vec<u8>>, #[serde(with = "fixed")] pub [u8; 64]);

/// Serde: a field that is a byte string of any length, `Vec<u8>` or `Zeroizing<Vec<u8>>`.
pub(crate) mod bytes {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(value)
    }

    pub(crate) fn deserialize<'de, T: From<Vec<u8>>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
        d.deserialize_byte_buf(Any).map(T::from)
    }

    struct Any;

    impl Visitor<'_> for Any {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a byte string")
        }

        fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Vec<u8>, E> {
            Ok(value.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(value)
        }
    }
}

/// Serde: a field that is a byte string of any length, or left out.
pub(crate) mod optional {
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Vec<u8>>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(content) => s.serialize_bytes(content),
            None => s.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<u8>>, D::Error> {
        super::bytes::deserialize(d).map(Some)
    }
}

/// Serde: a field that is a byte string of exactly N bytes.
pub(crate) mod fixed {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<const N: usize, S: Serializer>(value: &[u8; N], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(value)
    }

    pub(crate) fn deserialize<'de, const N: usize, D: Deserializer<'de>>(d: D) -> Result<[u8; N], D::Error> {
        d.deserialize_bytes(Exactly)
    }

    struct Exactly<const N: usize>;

    impl<const N: usize> Visitor<'_> for Exactly<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a byte string of {N} bytes")
        }

        fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<[u8; N], E> {
            value.try_into().map_err(|_| E::invalid_length(value.len(), &self))
        }
    }
}
