//! `self/day` and the doubt about the clock.
//!
//! `self/day` is the last day that was worked on. When the clock is a day behind it, or 30 days ahead, nothing is
//! destroyed or expired on the clock's word alone: `self/day` stands for today until the clock has gone on for 48
//! hours or somebody says that it is right.

use crate::durable;
use crate::layout::Spool;
use crate::number;
use crate::run::{Run, gone};

/// A clock this many days ahead of the last day worked on is doubted.
const DOUBTED_AHEAD: u32 = 30;
/// For how long a doubted clock has to go on before it is believed, in seconds.
const BELIEVED_AFTER_SECS: u64 = 48 * 3600;
/// Seconds in a day.
const DAY_SECS: u64 = 86_400;

/// What day it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Today {
    /// The day to work with.
    pub day: u32,
    /// Whether the clock says something that is not believed.
    pub doubt: Option<Doubt>,
}

/// A clock that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// The day that the clock says.
    pub clock: u32,
    /// Whether this is the first run that notices.
    pub is_new: bool,
}

/// The last day that was worked on.
pub fn last(spool: &Spool) -> durable::Result<Option<u32>> {
    let Some(dir) = spool.find(&["self"])? else { return Ok(None) };
    Ok(number::read(&dir, "day")?.and_then(|day| u32::try_from(day).ok()))
}

/// The day, as far as it can be told without writing. `now` is in seconds since 1970.
pub fn today(spool: &Spool, now: u64) -> durable::Result<Today> {
    let clock = clock_day(now);
    let Some(dir) = spool.find(&["self"])? else { return Ok(Today { day: clock, doubt: None }) };
    let Some(last) = last(spool)?.filter(|last| is_doubtful(*last, clock)) else {
        return Ok(Today { day: clock, doubt: None });
    };
    let since = number::read(&dir, "doubt")?;
    if since.is_some_and(|since| now >= since.saturating_add(BELIEVED_AFTER_SECS)) {
        return Ok(Today { day: clock, doubt: None });
    }
    let is_new = since.is_none_or(|since| now < since);
    Ok(Today { day: last, doubt: Some(Doubt { clock, is_new }) })
}

/// The day, written down as the last one that was worked on. A doubt is written down instead, or ended.
pub fn work_on(spool: &Spool, now: u64, run: &Run) -> durable::Result<Today> {
    let today = today(spool, now)?;
    let dir = spool.make(&["self"])?;
    match today.doubt {
        Some(Doubt { is_new: true, .. }) => number::write(&dir, "doubt", now, run)?,
        Some(_) => {}
        None => believe(&dir, today.day, run)?,
    }
    Ok(today)
}

/// Takes the clock's word, whatever it was before.
pub fn accept_clock(spool: &Spool, now: u64, run: &Run) -> durable::Result<()> {
    believe(&spool.make(&["self"])?, clock_day(now), run)
}

fn believe(dir: &durable::DirRef, day: u32, run: &Run) -> durable::Result<()> {
    if number::read(dir, "day")? != Some(u64::from(day)) {
        number::write(dir, "day", u64::from(day), run)?;
    }
    gone(dir.unlink("doubt".as_ref()))
}

fn is_doubtful(last: u32, clock: u32) -> bool {
    clock < last || clock >= last.saturating_add(DOUBTED_AHEAD)
}

/// The day of a time in seconds since 1970.
pub fn clock_day(now: u64) -> u32 {
    u32::try_from(now / DAY_SECS).unwrap_or(u32::MAX)
}
