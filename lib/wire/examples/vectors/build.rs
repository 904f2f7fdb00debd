//! What all vectors are built with: the JSON file itself, and CBOR by hand.

use ciborium::Value;
use data_encoding::HEXLOWER;
use serde_json::{Map as JsonMap, Value as Json};

/// One file.
pub struct Vector {
    name: String,
    fields: JsonMap<String, Json>,
}

/// Something that must be accepted; `fields` are the inputs and all that comes out.
pub fn good(name: &str, kind: &str, what: &str, fields: Json) -> Vector {
    Vector::new(name, kind, what, "good", fields)
}

/// Something that must be refused, and words of the reason.
pub fn bad(name: &str, kind: &str, what: &str, reason: &str, fields: Json) -> Vector {
    let mut vector = Vector::new(name, kind, what, "bad", fields);
    vector.fields.insert("reason".into(), reason.into());
    vector
}

impl Vector {
    fn new(name: &str, kind: &str, what: &str, verdict: &str, fields: Json) -> Vector {
        let Json::Object(mut fields) = fields else { panic!("{name}: fields are an object") };
        for (key, value) in [("what", what), ("kind", kind), ("verdict", verdict)] {
            assert!(fields.insert(key.into(), value.into()).is_none(), "{name}: {key} twice");
        }
        Vector { name: name.into(), fields }
    }

    /// Where it lies: `good/NAME.json` or `bad/NAME.json`.
    pub fn path(&self) -> String {
        format!("{}/{}.json", self.fields["verdict"].as_str().unwrap_or_default(), self.name)
    }

    /// What it holds.
    pub fn text(&self) -> String {
        format!("{}\n", serde_json::to_string_pretty(&self.fields).expect("JSON from a map"))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

/// A CBOR map, its entries in the order in which they are written.
pub type Map = Vec<(Value, Value)>;

/// The encoding of a value, shortest heads throughout.
pub fn cbor(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).expect("writing to memory");
    out
}

/// A map with text keys, in this order.
pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Map {
    entries.map(|(key, value)| (text(key), value)).into()
}

pub fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub fn bytes(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bytes(bytes.as_ref().to_vec())
}

pub fn int(number: impl Into<i128>) -> Value {
    Value::Integer(number.into().try_into().expect("64 bits"))
}

pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(items.into_iter().collect())
}

/// Sets the value of a key, which is put in its canonical place if it is new.
pub fn set(map: &mut Map, key: &str, value: Value) {
    match entry(map, key) {
        Some(place) => *place = value,
        None => {
            let rank = cbor(&text(key));
            let place = map.iter().position(|(other, _)| cbor(other) > rank).unwrap_or(map.len());
            map.insert(place, (text(key), value));
        }
    }
}

/// The value of a key.
pub fn entry<'a>(map: &'a mut Map, key: &str) -> Option<&'a mut Value> {
    map.iter_mut().find(|(k, _)| *k == text(key)).map(|(_, value)| value)
}

/// The map that is the value of a key.
pub fn inside<'a>(map: &'a mut Map, key: &str) -> &'a mut Map {
    match entry(map, key) {
        Some(Value::Map(inner)) => inner,
        other => panic!("{key} is no map: {other:?}"),
    }
}

pub fn remove(map: &mut Map, key: &str) {
    map.retain(|(k, _)| *k != text(key));
}

/// Replaces the one place where `from` stands by `to`.
pub fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let places: Vec<usize> = (0..=bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{} in {}", hex(from), hex(&*bytes));
    bytes.splice(places[0]..places[0] + from.len(), to.iter().copied());
}

/// The same signature with the order of the group added to S: the textbook equation still holds.
pub fn beyond_order(signature: &mut [u8; 64]) {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = HEXLOWER.decode(order.as_bytes()).expect("hex");
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
}

/// ChaCha20-Poly1305: ciphertext and tag.
pub fn aead_seal(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    use chacha20poly1305::aead::AeadInOut;
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
    let mut out = plain.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(&nonce.into(), associated, out.as_mut_slice().into());
    out.extend_from_slice(&tag.expect("short enough"));
    out
}
