//! Due: whether a known node is to be called now, by which of its `[[call]]` rules.
//!
//! Calls nobody and runs no clock: `mb-call --due` looks, calls, and tells what came of it. For each node it asks [`due`](crate::due::due),
//! then [`note_looked`](crate::due::note_looked) in any case, makes the call if one is due, and ends with [`note_outcome`](crate::due::note_outcome).
//!
//! **Nothing is lost.** What is remembered of a node (`NODE/call` in the spool) says until when its schedule has been worked
//! off. Looking moves that on only past times at which no call was to be made; past the time of a due call only its
//! outcome does. So a program that is killed between the two leaves the call due, and the next look makes it, perhaps
//! once more. A call that failed counts as made: `cron` says when to call, and the next try is at its next time. A rule
//! without `cron` stays due as long as something waits, so it is tried again when its node's back-off is over. A time that
//! passes in the back-off is put off until then.
//!
//! **A clock that jumped back** must not stop calls: times that lie further ahead than we would have written them count as
//! not there.

use crate::config::{CallRule, KnownNode, When};
use jiff::tz::TimeZone;
use mb_spool::called::{self, Called};
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_spool::waiting;
use mb_wire::id::NodeId;

/// How far back the first look at a node's schedule reaches, in seconds.
const FIRST_LOOK_SECS: u64 = 60;
/// The wait after the first failure, in seconds, before jitter; it doubles with each one after it.
const BACK_OFF_SECS: u64 = 60;
/// It is never longer than this, before jitter.
const BACK_OFF_MOST_SECS: u64 = 3600;
/// No call is put off further than this: the longest back-off with the most jitter lies well below.
const BELIEVED_SECS: u64 = 7200;

/// The rule by which `node` is to be called now, if it is: the first one in the file that is due. A rule with `cron` is due
/// if one of its times has come since the schedule was last worked off; one with `when` if something waits, with at most
/// its `nice`. Local time is that of the system. Writes nothing.
pub fn due<'n>(spool: &Spool, node: &'n KnownNode, now_secs: u64) -> durable::Result<Option<&'n CallRule>> {
    if node.calls.is_empty() {
        return Ok(None);
    }
    let look = Look::new(called::read(spool, &node.id())?, now_secs, TimeZone::system());
    look.first_due(&node.calls, |nice| waiting::waits(spool, &node.id(), nice))
}

/// Remembers that somebody looked at `node` now. To be called at each look before a due call is made, whether one is due
/// or not; a call that is due stays due. Writes only if a time of the schedule has passed, or at the first look; durable
/// on return.
pub fn note_looked(spool: &Spool, node: &KnownNode, now_secs: u64, run: &Run) -> durable::Result<()> {
    if node.calls.iter().all(|rule| rule.cron.is_none()) {
        return Ok(());
    }
    let before = called::read(spool, &node.id())?;
    let look = Look::new(before, now_secs, TimeZone::system());
    let due = look.first_due(&node.calls, |nice| waiting::waits(spool, &node.id(), nice))?;
    let after = look.looked(&node.calls, due.is_some());
    if before == Some(after) { Ok(()) } else { called::write(spool, &node.id(), &after, run) }
}

/// Remembers how a call to `node` ended at `now_secs`; durable on return. After a failure nothing of that node is due for
/// 60 seconds, twice as long after each one that follows, at most an hour, all times a factor from 0.5 to 1.5 that
/// `random`, any number, chooses: nodes that lost the same line do not all come back at once.
pub fn note_outcome(
    spool: &Spool,
    node: &NodeId,
    now_secs: u64,
    is_ok: bool,
    random: u64,
    run: &Run,
) -> durable::Result<()> {
    let failures = called::read(spool, node)?.map_or(0, |called| called.failure_count);
    called::write(spool, node, &outcome(failures, now_secs, is_ok, random), run)
}

/// What is remembered after a call that followed `failures` failed ones.
fn outcome(failures: u32, now_secs: u64, is_ok: bool, random: u64) -> Called {
    let failure_count = if is_ok { 0 } else { failures.saturating_add(1) };
    let not_before_secs = if is_ok { 0 } else { now_secs.saturating_add(back_off_secs(failure_count, random)) };
    Called { looked_secs: now_secs, failure_count, not_before_secs }
}

/// Seconds of back-off after so many failures, at least one.
fn back_off_secs(failure_count: u32, random: u64) -> u64 {
    let doublings = failure_count.saturating_sub(1).min(BACK_OFF_MOST_SECS.ilog2());
    let base = (BACK_OFF_SECS << doublings).min(BACK_OFF_MOST_SECS);
    // `random` as a fraction of its range: from half of `base` on, less than `base` more.
    let jitter = (u128::from(base) * u128::from(random)) >> u64::BITS;
    base / 2 + jitter as u64
}

/// What is known at one look at a node: what is believed of what was remembered, and the time.
struct Look {
    called: Called,
    now_secs: u64,
    zone: TimeZone,
}

impl Look {
    fn new(remembered: Option<Called>, now_secs: u64, zone: TimeZone) -> Look {
        let mut called = remembered.unwrap_or_default();
        if remembered.is_none() || called.looked_secs > now_secs {
            called.looked_secs = now_secs.saturating_sub(FIRST_LOOK_SECS);
        }
        if called.not_before_secs.saturating_sub(now_secs) > BELIEVED_SECS {
            called.not_before_secs = 0;
        }
        Look { called, now_secs, zone }
    }

    fn is_put_off(&self) -> bool {
        self.called.not_before_secs > self.now_secs
    }

    /// Whether a time of the rule has come since the schedule was worked off.
    fn has_come(&self, rule: &CallRule) -> bool {
        let within = |cron: &crate::config::Cron| cron.comes_within(self.called.looked_secs, self.now_secs, &self.zone);
        rule.cron.as_ref().is_some_and(within)
    }

    /// The first of the rules that is due. `waits` says whether something waits with at most this nice.
    fn first_due<'n>(
        &self,
        rules: &'n [CallRule],
        mut waits: impl FnMut(Option<u8>) -> durable::Result<bool>,
    ) -> durable::Result<Option<&'n CallRule>> {
        if self.is_put_off() {
            return Ok(None);
        }
        for rule in rules.iter().filter(|rule| rule.cron.is_none() || self.has_come(rule)) {
            let is_due = match rule.when {
                None => rule.cron.is_some(),
                Some(When::Waiting) => waits(rule.nice)?,
            };
            if is_due {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }

    /// What is remembered after this look.
    fn looked(&self, rules: &[CallRule], is_due: bool) -> Called {
        let is_worked_off = !is_due && !self.is_put_off() && rules.iter().any(|rule| self.has_come(rule));
        let looked_secs = if is_worked_off { self.now_secs } else { self.called.looked_secs };
        Called { looked_secs, ..self.called }
    }
}

#[cfg(test)]
mod tests;
