//! Deterministic CBOR.

use ciborium::Value;
use mb_wire::area::{AreaMessage, Summary, Want};
use mb_wire::cbor::{self, CborError};
use mb_wire::envelope::BodyName;
use mb_wire::folder::FolderEntry;
use mb_wire::id::{KeyTag, NodeId};
use mb_wire::letter::{Kind, Letter, LetterBody};
use mb_wire::statement::StatementKind;

use crate::input::Input;

/// What reads as a type is the one encoding of its value.
pub fn cbor(data: &[u8]) {
    one::<Value>(data);
    one::<NodeId>(data);
    one::<KeyTag>(data);
    one::<BodyName>(data);
    one::<LetterBody>(data);
    one::<Kind>(data);
    one::<Letter>(data);
    one::<AreaMessage>(data);
    one::<Summary>(data);
    one::<Want>(data);
    one::<FolderEntry>(data);
    one::<StatementKind>(data);
    one::<Vec<(u64, String)>>(data);
}

fn one<T: serde::Serialize + serde::de::DeserializeOwned>(data: &[u8]) {
    match cbor::decode::<T>(data) {
        Ok(value) => assert_eq!(cbor::encode(&value), data),
        Err(CborError::Form(words)) => assert!(!words.contains(char::is_control) && words.len() < 4096),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A byte string is split off where its head says, or more is needed, or it is refused.
pub fn item(data: &[u8]) {
    let mut input = Input(data);
    let most = input.length();
    let rest = input.0;
    match (cbor::bytes_head(rest, most), cbor::split_bytes(rest, most)) {
        (Ok(None), split) => assert_eq!(split, Err(CborError::Short)),
        (Ok(Some((head_len, len))), Ok((content, item, behind))) => {
            assert!(len <= most && content.len() == len && item.len() == head_len + len);
            assert_eq!([item, behind].concat(), rest);
            assert_eq!(cbor::bytes_item(content), item);
        }
        (Ok(Some((head_len, len))), split) => {
            assert_eq!(split, Err(CborError::Short));
            assert!(head_len + len > rest.len());
        }
        (Err(head), split) => assert_eq!(split, Err(head)),
    }
}
