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

    /// Whether we may read letters of some epoch of an area.
    pub fn reads(&self, area: &AreaId) -> bool {
        self.keys.keys().any(|(known, _)| known == area)
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
        let allows =
            |taken: &Taken| taken.settings.under.epoch == under.epoch && taken.settings.posts.contains(&head.post);
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

#[cfg(test)]
mod tests {
    use super::*;
    use mb_wire::area::{AreaMessage, Draft, PostSecret, PostTerms, post};
    use mb_wire::card::{Card, ExchangeKey};
    use mb_wire::envelope::Address;
    use mb_wire::folder::FileTime;
    use mb_wire::key::{NodeSecrets, Seed};
    use mb_wire::letter::{FileMeta, Form, Kind, Letter, Wants};

    const TODAY: u32 = 20_000;
    const NOW: u64 = 20_000 * 86_400;

    fn owner() -> NodeSecrets {
        NodeSecrets::from_seed(&Seed::from_bytes([1; 32]))
    }

    fn area() -> AreaId {
        AreaId::of(&owner().identity_key(), &[7; 16])
    }

    fn writer(number: u8) -> PostSecret {
        PostSecret::from_random([number; 32])
    }

    fn settings(version: u64, epoch: u64, writers: &[u8], salt: u8) -> Settings {
        let draft = Draft {
            posts: writers.iter().map(|number| writer(*number).public()).collect(),
            readers: vec![Address { id: owner().id(), exchange: ExchangeSecret::from_random([2; 32]).public() }],
            most: Some(1000),
            days: Some(30),
            ..Draft::default()
        };
        let read = ExchangeSecret::from_random([epoch as u8; 32]);
        let under = Under { version, epoch };
        Settings::issue(&owner(), area(), &draft, (under, &read), u64::from(salt), [salt; 32]).unwrap()
    }

    fn rules(taken: &[(Settings, u64)]) -> Rules {
        let taken = taken.iter().map(|(settings, since)| Taken { settings: settings.clone(), since: *since });
        Rules { taken: BTreeMap::from([(area(), taken.collect())]), keys: BTreeMap::new() }
    }

    fn head(number: u8, version: u64, epoch: u64, end: u32) -> Head {
        let key = ExchangeKey { suite: 1, public: [9; 32], use_until: 0, gone_after: 0 };
        let card = Card::issue(&owner(), vec![key], "owner", 1, 0).unwrap();
        let mtime: FileTime = (0, 0);
        let letter = Letter {
            to: owner().id().into(),
            end,
            kind: Kind::File(FileMeta { re: None, form: Form::Plain, mode: 0o644, path: b"x".to_vec(), mtime }),
            salt: [0; 16],
            time: 0,
            forwarded: None,
            reply: None,
            wants: Wants::default(),
            author: owner().id(),
            bodies: vec![],
            inline: Some(vec![]),
        };
        let (read, post_key) = (ExchangeSecret::from_random([epoch as u8; 32]).public(), writer(number));
        let under = Some(Under { version, epoch });
        let terms =
            PostTerms { area: area(), post: &post_key, read: &read, under, card: &card, re: None, salt: [3; 32] };
        let (message, _): (AreaMessage, _) = post(&owner(), &letter, &terms).unwrap();
        message.head
    }

    #[test]
    fn newer_settings_count_whatever_came_first_and_no_version_is_out_of_reach() {
        let rules = rules(&[(settings(5, 1, &[1], 1), NOW)]);
        assert_eq!(rules.is_news(&settings(6, 1, &[1], 1)), Ok(true));
        assert_eq!(rules.is_news(&settings(4, 1, &[1], 1)), Ok(false));
        assert_eq!(rules.is_news(&settings(5, 1, &[1], 1)), Ok(false), "the same");
        // Of two of one version one counts at both ends, whichever came first.
        let (one, other) = (settings(5, 1, &[1], 1), settings(5, 1, &[1, 2], 2));
        assert_ne!(one.counts_after(&other), other.counts_after(&one));
        assert_eq!(rules.is_news(&other), Ok(other.counts_after(&one)));
        assert!(rules.is_news(&settings(5 + JUMP_MOST, 1, &[1], 1)).is_ok());
        assert!(rules.is_news(&settings(6 + JUMP_MOST, 1, &[1], 1)).is_err(), "a jump");
        assert!(Rules::default().is_news(&settings(1 + JUMP_MOST, 1, &[1], 1)).is_err());
    }

    /// Threat: 16.
    #[test]
    fn who_was_removed_writes_for_a_time_of_grace_and_then_no_more() {
        let first = (settings(1, 1, &[1, 2], 1), NOW - 100 * 86_400);
        let second = (settings(2, 2, &[1], 2), NOW - 10 * 86_400);
        let rules = rules(&[first, second]);
        let verdict = |head: &Head, now: u64| rules.verdict(head, now, TODAY);
        let end = TODAY + 20;
        assert_eq!(verdict(&head(1, 2, 2, end), NOW), Verdict::Good);
        assert_eq!(verdict(&head(2, 1, 1, end), NOW), Verdict::Good, "within 14 days");
        assert_eq!(verdict(&head(1, 1, 1, end), NOW), Verdict::Good, "of the epoch before, within 14 days");
        let late = NOW + 5 * 86_400;
        assert!(matches!(verdict(&head(2, 1, 1, end), late), Verdict::Bad(_)));
        assert!(matches!(verdict(&head(1, 1, 1, end), late), Verdict::Bad(_)), "the epoch is over");
        assert_eq!(verdict(&head(1, 2, 2, end), late), Verdict::Good);
        // Who was removed cannot name the new epoch, nor who never was, any.
        assert!(matches!(verdict(&head(2, 2, 2, end), NOW), Verdict::Bad(_)));
        assert!(matches!(verdict(&head(3, 1, 1, end), NOW), Verdict::Bad(_)));
        assert_eq!(verdict(&head(1, 3, 2, end), NOW), Verdict::Unknown, "settings that have not come");
        assert!(matches!(verdict(&head(1, 3 + JUMP_MOST, 2, end), NOW), Verdict::Bad(_)));
        assert!(matches!(verdict(&head(1, 2, 2, TODAY + 31), NOW), Verdict::Bad(_)), "too long a life");
        assert_eq!(Rules::default().verdict(&head(1, 1, 1, end), NOW, TODAY), Verdict::Unknown);
    }
}
