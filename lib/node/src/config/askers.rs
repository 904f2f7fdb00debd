//! Who may ask for something: nobody, anybody, or the nodes of a list.

use super::check_name;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// The neighbours that may ask for something: `false`, `true`, or a list of their local names, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Askers {
    /// None.
    #[default]
    Nobody,
    /// All that are known.
    Anybody,
    /// These.
    These(Vec<String>),
}

impl Askers {
    /// Whether the node that we call `name` is one of them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Askers::Nobody => false,
            Askers::Anybody => true,
            Askers::These(names) => names.iter().any(|known| known == name),
        }
    }
}

impl Serialize for Askers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Askers::Nobody => to.serialize_bool(false),
            Askers::Anybody => to.serialize_bool(true),
            Askers::These(names) => names.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Askers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Askers, D::Error> {
        from.deserialize_any(AskersVisitor)
    }
}

struct AskersVisitor;

impl<'de> Visitor<'de> for AskersVisitor {
    type Value = Askers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a list of nodes")
    }

    fn visit_bool<E: de::Error>(self, is_anybody: bool) -> Result<Askers, E> {
        Ok(if is_anybody { Askers::Anybody } else { Askers::Nobody })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Askers, A::Error> {
        names(SeqAccessDeserializer::new(list)).map(Askers::These)
    }
}

/// Names of nodes; one that comes again counts once.
pub(super) fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let mut names = Vec::<String>::deserialize(from)?;
    names.iter().try_for_each(|name| check_name(name)).map_err(de::Error::custom)?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
