//! How single values are read, with their limits.

use super::{check_name, parse_size};
use mb_wire::card::Card;
use mb_wire::route::ROUTE_MOST;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Most roads to a node: an envelope is made for each.
const ROADS_MOST: usize = 8;

/// A card; its signature is checked.
pub(super) fn card<'de, D: Deserializer<'de>>(from: D) -> Result<Card, D::Error> {
    let text = String::deserialize(from)?;
    Card::parse(text.trim()).map_err(de::Error::custom)
}

/// A text that is wiped when it is dropped; errors never quote it.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    let text = String::deserialize(from).map_err(|_| de::Error::custom("not a text"))?;
    Ok(Some(Zeroizing::new(text)))
}

/// A name that a node may have.
pub(super) fn own_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(from)?;
    check_name(&name).map_err(de::Error::custom)?;
    Ok(Some(name))
}

/// An absolute path: what a relative one is relative to, no two people would guess alike.
pub(super) fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.is_absolute() { Ok(Some(path)) } else { Err(de::Error::custom("not an absolute path")) }
}

/// A whole number from `LOW` to `HIGH`.
pub(super) fn within<'de, D, T, const LOW: u64, const HIGH: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = i64::deserialize(from)?;
    let fits = u64::try_from(number).ok().filter(|n| (LOW..=HIGH).contains(n)).and_then(|n| T::try_from(n).ok());
    fits.ok_or_else(|| de::Error::custom(format!("{number} is not from {LOW} to {HIGH}")))
}

/// The same where there is no default.
pub(super) fn some_within<'de, D, T, const LOW: u64, const HIGH: u64>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    within::<D, T, LOW, HIGH>(from).map(Some)
}

/// The same where the default is no limit.
pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    within::<D, u64, 0, { (1 << 53) - 1 }>(from).map(Some)
}

/// A size in bytes, as a number or as `"10 GiB"`.
pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(SizeVisitor)
}

/// The same where the default is no limit.
pub(super) fn size_limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    size(from).map(Some)
}

/// Bytes a second, as a size. With none nothing would ever move.
pub(super) fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match size(from)? {
        0 => Err(de::Error::custom("a rate is at least 1 byte a second")),
        rate => Ok(Some(rate)),
    }
}

/// Ways to a node: at least one, each by at most seven relays.
pub(super) fn roads<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<String>>, D::Error> {
    let roads = Vec::<Vec<String>>::deserialize(from)?;
    if roads.is_empty() {
        return Err(de::Error::custom("no way at all; [[]] is directly"));
    }
    if roads.len() > ROADS_MOST {
        return Err(de::Error::custom(format!("{} roads; at most {ROADS_MOST} are allowed", roads.len())));
    }
    for road in &roads {
        road.iter().try_for_each(|name| check_name(name)).map_err(de::Error::custom)?;
        if road.len() >= ROUTE_MOST {
            return Err(de::Error::custom(format!("{} relays; at most {} are allowed", road.len(), ROUTE_MOST - 1)));
        }
    }
    Ok(roads)
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 4096 or \"10 GiB\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse_size(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
        parse_size(&number.to_string()).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        parse_size(&number.to_string()).map_err(E::custom)
    }
}
