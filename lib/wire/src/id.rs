//! The names of things: newtypes that print one way and are read only in that spelling.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::cbor;
use crate::hash::{Label, hash};
use crate::text::{self, TextError};

/// Why a text is not the name of a packet, letter, body or key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Too short or too long.
    #[error("has {found} characters instead of {expected}")]
    Length {
        /// Characters asked for.
        expected: usize,
        /// Characters there (bytes, where it is no ASCII).
        found: usize,
    },
    /// Not the lower-case base32 of any bytes.
    #[error("is not base32 in lower case")]
    Base32,
}

/// RFC 4648 in lower case, no padding, trailing bits checked.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().expect("an alphabet of 32 different characters")
});

fn from_base32<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let expected = (N * 8).div_ceil(5);
    if text.len() != expected {
        return Err(IdError::Length { expected, found: text.len() });
    }
    let bytes = BASE32.decode(text.as_bytes()).map_err(|_| IdError::Base32)?;
    bytes.try_into().map_err(|_| IdError::Base32)
}

/// Everything an id has but its text form.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The id that these bytes are.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                cbor::fixed::serialize(&self.0, s)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                cbor::fixed::deserialize(d).map(Self)
            }
        }
    };
}

/// An id that prints as base32.
macro_rules! base32_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        id!($(#[$doc])* $name, $len);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&BASE32.encode(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                from_base32(text).map(Self)
            }
        }
    };
}

id!(
    /// A node: the hash of its identity key. Prints as `mbn1…`, read in all lower or all upper case.
    NodeId,
    32
);
id!(
    /// An area: the hash of its owner's identity key and 16 random bytes. Prints as `mba1…`, read in all lower or all upper case.
    AreaId,
    32
);
base32_id!(
    /// A message of an area, the same on each node: the hash of its head and what is sealed behind it. 52 characters.
    MsgHash,
    32
);
base32_id!(
    /// A packet: the hash of its envelope. Its file's name, 52 characters.
    PacketId,
    32
);
base32_id!(
    /// The public half of a post key (Ed25519), of one who writes in an area. 52 characters.
    PostKey,
    32
);
base32_id!(
    /// A letter: the hash of what its author signed. 52 characters.
    LetterId,
    32
);
base32_id!(
    /// A hop of a route: the tag of its block. 52 characters.
    SlotTag,
    32
);
base32_id!(
    /// What a node remembers a packet by: the tag of its slot, or, at the recipient, the letter's id.
    Mark,
    32
);
base32_id!(
    /// A body: the hash of its size and the top of its tree. 52 characters.
    Root,
    32
);
base32_id!(
    /// An exchange key, shortened: 13 characters, the name of its file in `self/keys/`.
    KeyTag,
    8
);

impl From<SlotTag> for Mark {
    fn from(tag: SlotTag) -> Mark {
        Mark(tag.0)
    }
}

impl From<LetterId> for Mark {
    fn from(letter: LetterId) -> Mark {
        Mark(letter.0)
    }
}

const NODE_PREFIX: &str = "mbn";
const AREA_PREFIX: &str = "mba";

impl NodeId {
    /// The id of the node with this identity key.
    pub fn of(identity: &[u8; 32]) -> NodeId {
        NodeId(hash(Label::Node, &[identity]))
    }
}

impl AreaId {
    /// The id of the area that the node with this identity key made with this salt.
    pub fn of(owner: &[u8; 32], salt: &[u8; 16]) -> AreaId {
        AreaId(hash(Label::Area, &[owner, salt]))
    }
}

/// The text form of an id that prints as bech32m.
macro_rules! bech32_id {
    ($name:ident, $prefix:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&text::encode($prefix, &self.0))
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<$name, TextError> {
                text::decode_fixed($prefix, text).map($name)
            }
        }
    };
}

bech32_id!(NodeId, NODE_PREFIX);
bech32_id!(AreaId, AREA_PREFIX);
