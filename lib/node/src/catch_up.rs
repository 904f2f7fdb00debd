//! Catching up: a node asks a neighbour for the messages of an area that it lacks.

use mb_spool::areas;
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_wire::area::{Summary, Want};
use mb_wire::id::AreaId;

use crate::rules::Rules;

/// What we ask for of `area`: what we have been through with it is told, in few bytes.
pub fn want(spool: &Spool, rules: &Rules, area: AreaId) -> durable::Result<Want> {
    let have = Some(Summary::of(&areas::marked(spool, &area)?));
    let version = rules.under(&area).map_or(0, |under| under.version);
    Ok(Want { area, have, version })
}
