//! A statement by hand (format.md, section 2), and in it each place where a vector can do it wrong.

use ciborium::Value;
use mb_wire::hash::Label;

use super::build::{Map, bytes, cbor, int, list, map, text};
use super::draft::node;

/// What is stated, and by whom.
#[derive(Clone)]
pub struct Stated {
    pub kind: &'static str,
    /// Seeds of nodes are of one byte, 32 times.
    pub issuer: u8,
    pub created: u64,
    pub version: u64,
    pub body: Map,
}

/// What can be changed, in the order in which it comes up. All that follows is made from the changed one.
pub enum Part<'a> {
    Body(&'a mut Map),
    BodyBytes(&'a mut Vec<u8>),
    Map(&'a mut Map),
    Bytes(&'a mut Vec<u8>),
    Sig(&'a mut [u8; 64]),
    Pair(&'a mut Vec<Value>),
    Whole(&'a mut Vec<u8>),
}

impl Stated {
    /// As it should be.
    pub fn make(&self) -> Vec<u8> {
        self.make_with(&|_| {})
    }

    /// With one thing done wrong.
    pub fn make_with(&self, edit: &dyn Fn(Part)) -> Vec<u8> {
        let mut body = self.body.clone();
        edit(Part::Body(&mut body));
        let mut body = cbor(&Value::Map(body));
        edit(Part::BodyBytes(&mut body));
        let mut statement = map([
            ("v", int(1)),
            ("body", bytes(body)),
            ("kind", text(self.kind)),
            ("issuer", bytes(node(self.issuer).identity_key())),
            ("created", int(self.created)),
            ("version", int(self.version)),
        ]);
        edit(Part::Map(&mut statement));
        let mut signed = cbor(&Value::Map(statement));
        edit(Part::Bytes(&mut signed));
        let mut sig = node(self.issuer).sign(Label::Stmt, &[&signed]);
        edit(Part::Sig(&mut sig));
        let mut pair = vec![bytes(signed), bytes(sig)];
        edit(Part::Pair(&mut pair));
        let mut whole = cbor(&list(pair));
        edit(Part::Whole(&mut whole));
        whole
    }
}
