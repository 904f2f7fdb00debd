//! Control: statements that neighbours hand to us about areas, and what we hand to them.
//!
//! New settings go on to the area's subscribers, then they are kept, then what waited for them is due, then the input goes.

use std::collections::{BTreeMap, BTreeSet};

use mb_spool::areas::{self, Message};
use mb_spool::barrier::Barrier;
use mb_spool::durable;
use mb_spool::outbox::Outbox;
use mb_spool::rules::{self, Taken};
use mb_spool::seen::DoneMark;
use mb_spool::subscribed::{self, Subscribed};
use mb_wire::area::{Settings, Subscribe, Summary, Want};
use mb_wire::envelope::Content;
use mb_wire::id::{AreaId, MsgHash, NodeId};
use mb_wire::statement::{Statement, StatementKind};

use super::answer::envelope;
use super::apply::{Batch, Fate, Item};
use super::decide::{Accepted, CLOCK_SLACK_DAYS, Refusal, is_too_far};
use super::payload::PayloadError;
use super::wait;
use crate::config::{KnownArea, KnownNode};

/// What is to be said about an area.
pub enum Talk {
    /// The area's owner has new settings.
    News(Box<Settings>),
    /// The neighbour has older settings than we do.
    Tell(AreaId),
    /// The neighbour lacks messages; which, its summary says. And perhaps the settings.
    Serve(AreaId, Summary, bool),
    /// A message was written under settings that have not come.
    Ask(AreaId),
}

impl<'a> Batch<'_, 'a> {
    /// What follows from a statement, if it may be made.
    pub(super) fn take_statement(
        &self,
        accepted: &Accepted<'a>,
        statement: &Statement,
        bytes: &[u8],
    ) -> Result<Fate, PayloadError> {
        let from = accepted.from;
        match statement.kind {
            StatementKind::Settings => self.take_settings(from, bytes),
            StatementKind::Want => {
                let (by, want) = Want::read(statement).map_err(Refusal::BadArea)?;
                if by != from.id() {
                    return Err(Refusal::NotTheirs(from.name.clone()).into());
                }
                let is_behind = self.rules.under(&want.area).is_some_and(|ours| ours.version > want.version);
                Ok(match want.have {
                    Some(have) => {
                        self.check_served(&want.area, from)?;
                        Fate::Talks(Talk::Serve(want.area, have, is_behind))
                    }
                    // Settings name readers: they are for whoever gets the messages here.
                    None if is_behind && self.gets(&want.area, from)? => Fate::Talks(Talk::Tell(want.area)),
                    None => Fate::Done,
                })
            }
            StatementKind::Subscribe => {
                let (by, asked) = Subscribe::read(statement).map_err(Refusal::BadArea)?;
                if by != from.id() {
                    return Err(Refusal::NotTheirs(from.name.clone()).into());
                }
                self.subscribe(from, &asked, statement.version)
            }
            kind => Err(Refusal::Statement { from: from.name.clone(), kind: kind.word() }.into()),
        }
    }

    /// Whether a neighbour may ask for the messages of an area: as one that gets them anyhow, from a node that answers for what there is.
    fn check_served(&self, area: &AreaId, from: &KnownNode) -> Result<(), PayloadError> {
        let refused = || Refusal::NotServed { from: from.name.clone(), area: *area };
        let answers = self.rules.is_carrier(area, &self.tosser.spool.own());
        if self.gets(area, from)? && answers { Ok(()) } else { Err(refused().into()) }
    }

    /// Whether a neighbour gets the messages of an area from us.
    fn gets(&self, area: &AreaId, node: &KnownNode) -> Result<bool, PayloadError> {
        match self.tosser.nodes.area(area) {
            Some(area) => Ok(self.subscribed(area)?.iter().any(|known| known.id() == node.id())),
            None => Ok(false),
        }
    }

    /// The neighbour wants an area's messages, or no more: noted, and durable on return. An unknown area is refused in the same words as one that is
    /// not for it.
    fn subscribe(&self, from: &KnownNode, asked: &Subscribe, version: u64) -> Result<Fate, PayloadError> {
        let name = || from.name.clone();
        let is_for_it = self.tosser.nodes.area(&asked.area).is_some_and(|area| area.requests.has(&from.name));
        if !is_for_it {
            return Err(Refusal::NotServed { from: name(), area: asked.area }.into());
        }
        let (end, day, today) = (asked.until, Subscribe::made_on(version), self.today.day);
        let (is_far, is_early) = (is_too_far(end, today), day > today.saturating_add(CLOCK_SLACK_DAYS));
        let refusal = match (is_far || is_early, self.today.doubt.is_some()) {
            (false, _) => {
                let noted = Subscribed { version, until: end };
                subscribed::put(self.tosser.spool, &from.id(), &asked.area, noted)?;
                return Ok(Fate::Done);
            }
            (true, true) => Refusal::DoubtedDate { end },
            (true, false) if is_far => Refusal::TooFarAhead { end, today },
            (true, false) => Refusal::NotYet { from: name(), day, today },
        };
        Err(refusal.into())
    }

    fn take_settings(&self, from: &KnownNode, bytes: &[u8]) -> Result<Fate, PayloadError> {
        let settings = Settings::from_bytes(bytes).map_err(Refusal::BadArea)?;
        let area = self.tosser.nodes.area(&settings.area).ok_or(Refusal::UnknownArea(settings.area))?;
        let refused = |what| Refusal::Rules { area: area.name.clone(), what };
        if !area.is_moderated() || settings.owner != area.card.owner {
            return Err(refused("settings that are not its owner's").into());
        }
        if self.rules.is_news(&settings).map_err(refused)? {
            return Ok(Fate::Talks(Talk::News(Box::new(settings))));
        }
        let are_older = self.rules.current(&settings.area).is_some_and(|ours| ours.counts_after(&settings));
        let is_told = are_older && self.gets(&settings.area, from)?;
        Ok(if is_told { Fate::Talks(Talk::Tell(settings.area)) } else { Fate::Done })
    }

    /// Says what is to be said about areas, and keeps new settings. Durable on return.
    pub(super) fn talk(&self, items: &mut [Item<'a>]) -> durable::Result<()> {
        let Batch { tosser, today, run, .. } = self;
        let (mut news, mut served, mut said) =
            (Vec::new(), Vec::new(), BTreeMap::<(NodeId, Vec<u8>), &KnownNode>::new());
        for item in items.iter_mut() {
            let (Some(accepted), Fate::Talks(talk)) = (item.accepted.as_deref(), &mut item.fate) else { continue };
            let from = accepted.from;
            match talk {
                Talk::News(settings) => {
                    if let Some(area) = tosser.nodes.area(&settings.area) {
                        for node in self.listeners(area, from) {
                            said.insert((node.id(), settings.as_bytes().to_vec()), node);
                        }
                    }
                    news.push((**settings).clone());
                    item.fate = Fate::Done;
                }
                Talk::Serve(area, have, is_behind) => {
                    if let Some(ours) = self.rules.current(area).filter(|_| *is_behind) {
                        said.insert((from.id(), ours.as_bytes().to_vec()), from);
                    }
                    served.push((from, *area, have.clone(), accepted.nice));
                    item.fate = Fate::Done;
                }
                Talk::Tell(area) => {
                    if let Some(ours) = self.rules.current(area) {
                        said.insert((from.id(), ours.as_bytes().to_vec()), from);
                    }
                    item.fate = Fate::Done;
                }
                Talk::Ask(area) => {
                    let version = self.rules.under(area).map_or(0, |under| under.version);
                    let want = Want { area: *area, have: None, version }.sign(tosser.secrets, tosser.now);
                    said.insert((from.id(), want), from);
                    item.fate = Fate::Later(tosser.now.saturating_add(ASK_SECS));
                }
            }
        }
        if !said.is_empty() || !served.is_empty() {
            let mut outbox = Outbox::new(tosser.spool, run);
            for ((to, statement), node) in said {
                if let Some(envelope) = envelope(tosser.secrets, node, today.day, &Content::Statement(statement)) {
                    outbox.add_unkept(to, &envelope)?;
                }
            }
            let mut given = Vec::new();
            for (node, area, have, nice) in served {
                self.serve(node, &area, &have, nice, &mut outbox, &mut given)?;
            }
            outbox.publish()?;
            let (mark, mut barrier) = (DoneMark::make(run)?, Barrier::new());
            for (node, message) in &given {
                self.marks.put(&mark, node, message, run, &mut barrier)?;
            }
            barrier.wait()?;
        }
        if news.is_empty() {
            return Ok(());
        }
        let mut barrier = Barrier::new();
        for settings in in_order(news) {
            rules::keep(tosser.spool, &Taken { settings, since: tosser.now }, run, &mut barrier)?;
        }
        barrier.wait()?;
        wait::note_due(tosser.spool, tosser.now, run)
    }

    /// An envelope for each message that is kept here and that the neighbour lacks. One that is damaged is left out.
    fn serve(
        &self,
        node: &KnownNode,
        area: &AreaId,
        have: &Summary,
        nice: u8,
        outbox: &mut Outbox,
        given: &mut Vec<(NodeId, Message)>,
    ) -> durable::Result<()> {
        let kept = areas::kept(self.tosser.spool, area)?;
        let ours: Vec<MsgHash> = kept.iter().map(|kept| kept.hash).collect();
        let lacks: BTreeSet<MsgHash> = have.lacks(&ours).into_iter().collect();
        for kept in kept.iter().filter(|kept| lacks.contains(&kept.hash)) {
            let Some(message) = kept.read()? else { continue };
            let message = Box::new(message);
            let (end, names) = (message.head.end, kept.body_names(message.head.bodies.len()));
            if end < self.today.day {
                continue;
            }
            let Ok(envelope) = self.wrap_message(node, &message, nice) else { continue };
            match outbox.add(node.id(), &envelope, kept.dir(), &names) {
                Ok(_) => given.push((node.id(), Message { area: *area, end, hash: kept.hash })),
                // It was asked for twice.
                Err(error) if error.is_taken() => {}
                // A body that has gone.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Who is told of what is new in an area: its subscribers, but for whom it came from. One that is not known hears of it when it is.
    fn listeners(&self, area: &KnownArea, from: &KnownNode) -> Vec<&'a KnownNode> {
        let nodes = self.subscribed(area).unwrap_or_default().into_iter();
        nodes.filter(|node| node.id() != from.id()).collect()
    }
}

/// As they are kept: of two of one version the one that counts takes the place of the other, whichever came first.
fn in_order(mut news: Vec<Settings>) -> Vec<Settings> {
    news.sort_by_key(Settings::order);
    news
}

/// So long after it asked in vain a node asks again, in seconds.
const ASK_SECS: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use mb_wire::area::{Draft, Under};
    use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};

    /// Symptom: after two settings of one version had come in one run, a node kept those that do not count. Cause: they were kept in
    /// the order in which they came. Remedy: in that in which they count.
    #[test]
    fn of_two_settings_of_one_version_in_a_run_the_one_that_counts_is_kept() {
        let owner = NodeSecrets::from_seed(&Seed::from_bytes([1; 32]));
        let area = AreaId::of(&owner.identity_key(), &[7; 16]);
        let of = |days| {
            let (draft, read) = (Draft { days: Some(days), ..Draft::default() }, ExchangeSecret::from_random([2; 32]));
            Settings::issue(&owner, area, &draft, (Under { version: 5, epoch: 1 }, &read), 1, [3; 32]).unwrap()
        };
        let (one, other) = (of(1), of(2));
        let counts = if one.counts_after(&other) { &one } else { &other };
        for news in [[&one, &other], [&other, &one]] {
            assert_eq!(in_order(news.map(Settings::clone).into()).last(), Some(counts));
        }
    }
}
