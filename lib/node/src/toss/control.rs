//! Control: statements that neighbours hand to us about areas, and what we hand to them.
//!
//! New settings go on to the area's subscribers, then they are kept, then what waited for them is due, then the input goes.

use std::collections::BTreeMap;

use mb_spool::barrier::Barrier;
use mb_spool::batch;
use mb_spool::durable;
use mb_spool::rules::{self, Taken};
use mb_wire::area::{Settings, Want};
use mb_wire::envelope::Content;
use mb_wire::id::{AreaId, NodeId};
use mb_wire::statement::{Statement, StatementKind};

use super::answer::envelope;
use super::apply::{Batch, Fate, Item};
use super::decide::{Accepted, Refusal};
use super::payload::PayloadError;
use super::wait;
use crate::config::{KnownArea, KnownNode};

/// What is to be said about an area.
pub enum Talk {
    /// The area's owner has new settings.
    News(Box<Settings>),
    /// The neighbour has older settings than we do.
    Tell(AreaId),
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
            StatementKind::Settings => Ok(self.take_settings(bytes)?),
            StatementKind::Want => {
                let (by, want) = Want::read(statement).map_err(Refusal::BadArea)?;
                if by != from.id() {
                    return Err(Refusal::NotTheirs(from.name.clone()).into());
                }
                let ours = self.rules.under(&want.area).filter(|ours| ours.version > want.version);
                Ok(ours.map_or(Fate::Done, |_| Fate::Talks(Talk::Tell(want.area))))
            }
            kind => Err(Refusal::Statement { from: from.name.clone(), kind: kind.word() }.into()),
        }
    }

    fn take_settings(&self, bytes: &[u8]) -> Result<Fate, Refusal> {
        let settings = Settings::from_bytes(bytes).map_err(Refusal::BadArea)?;
        let area = self.tosser.nodes.area(&settings.area).ok_or(Refusal::UnknownArea(settings.area))?;
        let refused = |what| Refusal::Rules { area: area.name.clone(), what };
        if !area.is_moderated() || settings.owner != area.card.owner {
            return Err(refused("settings that are not its owner's"));
        }
        if self.rules.is_news(&settings).map_err(refused)? {
            return Ok(Fate::Talks(Talk::News(Box::new(settings))));
        }
        let are_older = self.rules.current(&settings.area).is_some_and(|ours| ours.counts_after(&settings));
        Ok(if are_older { Fate::Talks(Talk::Tell(settings.area)) } else { Fate::Done })
    }

    /// Says what is to be said about areas, and keeps new settings. Durable on return.
    pub(super) fn talk(&self, items: &mut [Item<'a>]) -> durable::Result<()> {
        let Batch { tosser, today, run, .. } = self;
        let (mut news, mut said) = (Vec::new(), BTreeMap::<(NodeId, Vec<u8>), &KnownNode>::new());
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
                Talk::Tell(area) => {
                    if let Some(ours) = self.rules.current(area) {
                        said.insert((from.id(), ours.as_bytes().to_vec()), from);
                    }
                    item.fate = Fate::Done;
                }
                Talk::Ask(area) => {
                    let version = self.rules.under(area).map_or(0, |under| under.version);
                    let want = Want { area: *area, version }.sign(tosser.secrets, tosser.now);
                    said.insert((from.id(), want), from);
                    item.fate = Fate::Later(tosser.now.saturating_add(ASK_SECS));
                }
            }
        }
        if !said.is_empty() {
            let batch = batch::Batch::new(tosser.spool, run)?;
            for ((to, statement), node) in said {
                if let Some(envelope) = envelope(tosser.secrets, node, today.day, &Content::Statement(statement)) {
                    batch.add_unkept(to, &envelope)?;
                }
            }
            batch.publish()?;
        }
        if news.is_empty() {
            return Ok(());
        }
        let mut barrier = Barrier::new();
        for settings in news {
            rules::keep(tosser.spool, &Taken { settings, since: tosser.now }, run, &mut barrier)?;
        }
        barrier.wait()?;
        wait::note_due(tosser.spool, tosser.now, run)
    }

    /// Who is told of what is new in an area: its subscribers, but for whom it came from. One that is not known hears of it when it is.
    fn listeners(&self, area: &KnownArea, from: &KnownNode) -> Vec<&'a KnownNode> {
        let own = self.tosser.spool.own();
        let nodes = area.subscribers.iter().filter_map(|name| self.tosser.nodes.named(name));
        nodes.filter(|node| node.id() != from.id() && node.id() != own).collect()
    }
}

/// So long after it asked in vain a node asks again, in seconds.
const ASK_SECS: u64 = 86_400;
