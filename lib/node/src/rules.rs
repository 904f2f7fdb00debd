//! The rules of moderated areas, as their owners' settings give them: who may write, and what opens the letters of an epoch.

use std::collections::BTreeMap;

use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::rules::{self, Taken};
use mb_wire::area::{Head, Settings, Under};
use mb_wire::id::{AreaId, NodeId};
use mb_wire::key::ExchangeSecret;

use crate::config::KnownArea;
use crate::keys::ExchangeKeys;

/// So long a message is still taken that was written under settings which were replaced: 14 days, in seconds.
const GRACE_SECS: u64 = 14 * 86_400;
/// Versions of settings that come one after another are not further apart.
const JUMP_MOST: u64 = 1 << 32;

/// What is known of the settings of areas. Wiped when dropped.
#[derive(Default)]
pub struct Rules {
    /// The newest last; those of the areas' owners only.
    taken: BTreeMap<AreaId, Vec<Taken>>,
    /// What opens letters, by epoch.
    keys: BTreeMap<(AreaId, u64), ExchangeSecret>,
}

/// What the rules say of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Good,
    /// It was written under settings that have not come.
    Unknown,
    /// It may not.
    Bad(&'static str),
}

impl Rules {
    /// Reads the settings of these areas, and our own read keys out of them.
    pub fn load<'a>(
        spool: &Spool,
        areas: impl IntoIterator<Item = &'a KnownArea>,
        keys: &ExchangeKeys,
    ) -> durable::Result<Rules> {
        let mut rules = Rules::default();
        for area in areas.into_iter().filter(|area| area.is_moderated()) {
            let mut taken = rules::of(spool, &area.id())?;
            taken.retain(|taken| taken.settings.owner == area.card.owner);
            for Taken { settings, .. } in &taken {
                if let Some(key) = settings.read_key(spool.own(), |tag| keys.find(tag)) {
                    rules.keys.insert((area.id(), settings.under.epoch), key);
                }
            }
            rules.taken.insert(area.id(), taken);
        }
        Ok(rules)
    }

    /// The settings that count now.
    pub fn current(&self, area: &AreaId) -> Option<&Settings> {
        Some(&self.taken.get(area)?.last()?.settings)
    }

    /// What opens the letters of an epoch, if we may read them.
    pub fn read_key(&self, area: &AreaId, epoch: u64) -> Option<&ExchangeSecret> {
        self.keys.get(&(*area, epoch))
    }

    /// Whether these settings are newer than ours, and may follow them.
    pub fn is_news(&self, settings: &Settings) -> Result<bool, &'static str> {
        match self.current(&settings.area) {
            Some(ours) if settings.under.version > ours.under.version.saturating_add(JUMP_MOST) => {
                Err("its version is too far ahead")
            }
            Some(ours) => Ok(settings.counts_after(ours)),
            None if settings.under.version > JUMP_MOST => Err("its version is too far ahead"),
            None => Ok(true),
        }
    }

    /// Whether a message with this head may go on, `now` in seconds since 1970, `today` its day.
    pub fn verdict(&self, head: &Head, now: u64, today: u32) -> Verdict {
        let Some(under) = head.under else { return Verdict::Bad("it names no settings") };
        let taken = self.taken.get(&head.area).map(Vec::as_slice).unwrap_or_default();
        let Some(ours) = taken.last().map(|taken| &taken.settings) else { return Verdict::Unknown };
        if under.version > ours.under.version {
            return match under.version > ours.under.version.saturating_add(JUMP_MOST) {
                true => Verdict::Bad("it names settings that are too far ahead"),
                false => Verdict::Unknown,
            };
        }
        let len = head.bodies.iter().fold(0_u64, |len, body| len.saturating_add(body.size));
        if ours.most.is_some_and(|most| len > most) {
            return Verdict::Bad("it is larger than a message of the area may be");
        }
        if ours.days.is_some_and(|days| head.end > today.saturating_add(days)) {
            return Verdict::Bad("it lives longer than a message of the area may");
        }
        // The last of ours under which it would have been right.
        let allows = |taken: &Taken| taken.settings.under.epoch == under.epoch && taken.settings.posts.contains(&head.post);
        match taken.iter().rposition(allows) {
            None => Verdict::Bad("it is signed with a post key that may not write, or of another epoch"),
            Some(last) => match taken.get(last + 1) {
                Some(next) if next.since.saturating_add(GRACE_SECS) < now => {
                    Verdict::Bad("whoever wrote it may not write any more")
                }
                _ => Verdict::Good,
            },
        }
    }

    /// Whether a node answers for what there is in an area.
    pub fn is_carrier(&self, area: &AreaId, node: &NodeId) -> bool {
        self.current(area).is_none_or(|settings| settings.nodes.is_empty() || settings.nodes.contains(node))
    }

    /// Version and epoch that count now.
    pub fn under(&self, area: &AreaId) -> Option<Under> {
        self.current(area).map(|settings| settings.under)
    }
}
