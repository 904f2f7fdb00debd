//! Post: a message of an area goes on to its subscribers, as an envelope and links for each, and then its letter is delivered here.
//!
//! Published, then marked for each subscriber, then delivered or kept, then marked as ours, then the input goes. Who dies in between
//! does the rest again: what was published twice comes out as the same packet, and who has the message drops it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use mb_spool::areas::{self, Message};
use mb_spool::barrier::Barrier;
use mb_spool::blocks::for_each_block;
use mb_spool::durable::{self, FileRef};
use mb_spool::names::body_name;
use mb_spool::outbox::Outbox;
use mb_spool::relayed;
use mb_spool::seen::DoneMark;
use mb_spool::verify::is_body;
use mb_wire::area::AreaMessage;
use mb_wire::envelope::{Address, Content, HOPS_MOST, Wrap, wrap};
use mb_wire::id::NodeId;

use super::apply::{Batch, Fate, Item};
use super::control::Talk;
use super::decide::{Accepted, How, Post, Reading, Refusal, Task};
use super::payload::PayloadError;
use super::stage::Stage;
use super::{Event, Tell};
use crate::config::{Keep, KeepFor, KnownArea, KnownNode};
use crate::subscribe::askers;

impl Post<'_> {
    /// By what it is marked.
    pub(super) fn message(&self) -> Message {
        Message { area: self.message.head.area, end: self.message.head.end, hash: self.hash }
    }
}

impl<'a> Batch<'_, 'a> {
    /// Whether a message may go on, and what becomes of it here.
    pub(super) fn ready_to_post(
        &self,
        accepted: &Accepted,
        post: &Post,
        stage: &Stage,
        threads: usize,
    ) -> Result<Fate, PayloadError> {
        let spool = self.tosser.spool;
        if self.marks.has(&spool.own(), &post.message())? {
            return Ok(Fate::Known);
        }
        let files = match self.open_bodies(accepted)? {
            Ok(files) => files,
            Err(missing) => return Ok(Fate::Waits(missing)),
        };
        if matches!(post.reading, Reading::Unknown) {
            return match self.admits(accepted)? {
                true => Ok(Fate::Talks(Talk::Ask(post.message.head.area))),
                false => Err(Refusal::TooMuchWaiting(accepted.from.name.clone()).into()),
            };
        }
        let to = self.subscribers(accepted, post)?;
        if self.scope.no_relay && !to.is_empty() {
            return Ok(Fate::Left);
        }
        if !self.messages.lock().unwrap_or_else(PoisonError::into_inner).insert(post.hash) {
            return Ok(Fate::Twin);
        }
        verify_bodies(accepted, &files, threads)?;
        if !self.admits(accepted)? {
            return Err(Refusal::TooMuchUnderWay(accepted.from.name.clone()).into());
        }
        let here = match &post.reading {
            Reading::No | Reading::Unknown => Ok(Fate::Done),
            Reading::Refuse(refusal) => Ok(Fate::Refused(refusal.clone())),
            Reading::Deliver(deliver) => match deliver.how {
                How::Place if self.scope.no_file => Ok(Fate::Left),
                How::Run(_) if self.scope.no_exec => Ok(Fate::Left),
                How::Place => self.stage_letter(accepted, deliver, stage, threads),
                How::Run(handler) => self.ready_to_run(accepted, deliver, handler, stage, threads),
                How::Keep | How::Answer(_) | How::SendOn(_) => Ok(Fate::Done),
            },
        };
        // Whatever is wrong with it here, others get it.
        let here = match here.unwrap_or_else(Fate::of_error) {
            // Delivered before, by another message with the same letter.
            Fate::Known => Fate::Done,
            other => other,
        };
        Ok(Fate::GoesOn(Box::new(here)))
    }

    /// The subscribers that lack the message: not whom it came from, nor whoever wrote it.
    fn subscribers(&self, accepted: &Accepted, post: &Post) -> Result<Vec<&'a KnownNode>, PayloadError> {
        let message = post.message();
        let mut to = Vec::new();
        for node in self.subscribed(post.area)? {
            let id = node.id();
            let has_it = id == accepted.from.id() || Some(id) == post.author;
            if !has_it && !self.marks.has(&id, &message)? {
                to.push(node);
            }
        }
        Ok(to)
    }

    /// The nodes that get an area's messages from us, each once: those that its file names, and those that have asked.
    pub(super) fn subscribed(&self, area: &KnownArea) -> Result<Vec<&'a KnownNode>, PayloadError> {
        let (nodes, own) = (self.tosser.nodes, self.tosser.spool.own());
        let listed = area.subscribers.iter().map(|name| {
            let unknown = || Refusal::UnknownSubscriber { area: area.name.clone(), name: name.clone() };
            nodes.named(name).ok_or_else(unknown)
        });
        let askers = askers(self.tosser.spool, nodes, area, self.today)?;
        let (mut known, mut subscribed) = (BTreeSet::from([own]), Vec::new());
        for node in listed.chain(askers.iter().map(|asker| Ok(asker.node))) {
            let node = node?;
            if known.insert(node.id()) {
                subscribed.push(node);
            }
        }
        Ok(subscribed)
    }

    /// Hands the messages among `items` on, together, and notes who has them then. Durable on return. What fails alone stays.
    pub(super) fn post(&self, items: &mut [Item<'a>], tell: Tell) -> durable::Result<()> {
        let (mut posted, mut twins) = (Vec::new(), Vec::new());
        for item in items.iter_mut() {
            match &mut item.fate {
                Fate::GoesOn(here) => {
                    item.fate = std::mem::replace(&mut **here, Fate::Left);
                    posted.push(item);
                }
                Fate::Twin => {
                    item.fate = Fate::Left;
                    twins.push(item);
                }
                _ => {}
            }
        }
        if posted.is_empty() {
            // What they are twins of did not hold: they are looked at by the next run.
            return Ok(());
        }
        let mut outbox = Outbox::new(self.tosser.spool, self.run);
        let brought = twins.iter().filter_map(|item| post_of(item));
        let brought: BTreeSet<(NodeId, Message)> =
            brought.map(|(accepted, post)| (accepted.from.id(), post.message())).collect();
        let mut has_it: Vec<(NodeId, Message)> = Vec::new();
        let mut gone = Vec::new();
        for item in posted {
            let Some((accepted, post)) = post_of(item) else { continue };
            let message = post.message();
            match self.add(accepted, post, &brought, &mut outbox) {
                Ok(added) => {
                    let known = [Some(accepted.from.id()), post.author].into_iter().flatten();
                    has_it.extend(known.map(|node| (node, message)));
                    has_it.extend(added.iter().map(|(node, _)| (node.id(), message)));
                    gone.extend(added.into_iter().map(|(node, became)| (item.packet, accepted.from, node, became)));
                }
                Err(error) => {
                    item.fate.drop_staged(self.run);
                    item.fate = Fate::of_error(error);
                }
            }
        }
        for item in twins {
            let Some((accepted, post)) = post_of(item) else { continue };
            let message = post.message();
            if has_it.iter().any(|(_, known)| *known == message) {
                has_it.push((accepted.from.id(), message));
                item.fate = Fate::Known;
            }
        }
        outbox.publish()?;
        let (mark, mut barrier) = (DoneMark::make(self.run)?, Barrier::new());
        let own = self.tosser.spool.own();
        for (node, message) in has_it.iter().filter(|(node, _)| *node != own) {
            self.marks.put(&mark, node, message, self.run, &mut barrier)?;
            barrier.split_if_many().map_or(Ok(()), Barrier::wait)?;
        }
        barrier.wait()?;
        for (packet, from, next, became) in gone {
            if from.link.most_bytes.is_some() || from.link.most_packets.is_some() {
                relayed::note(self.tosser.spool, &from.id(), &next.id(), &became, self.run)?;
            }
            tell(Event::Relayed { packet, next: &next.name, became });
        }
        Ok(())
    }

    /// An envelope for each subscriber that lacks it, and the packets that they are.
    fn add(
        &self,
        accepted: &Accepted,
        post: &Post,
        brought: &BTreeSet<(NodeId, Message)>,
        outbox: &mut Outbox,
    ) -> Result<Vec<(&'a KnownNode, mb_wire::id::PacketId)>, PayloadError> {
        let names: Vec<String> = (0..accepted.bodies.len()).map(|number| body_name(&accepted.packet, number)).collect();
        let to = self.subscribers(accepted, post)?.into_iter();
        let mut to = to.filter(|node| !brought.contains(&(node.id(), post.message()))).enumerate();
        let envelopes = Mutex::new(Vec::new());
        let wrap = |(number, node): (usize, &'a KnownNode), _: &mut Vec<u8>| {
            let envelope = self.wrap_message(node, &post.message, accepted.nice)?;
            envelopes.lock().unwrap_or_else(PoisonError::into_inner).push((number, node, envelope));
            Ok::<(), PayloadError>(())
        };
        for_each_block(self.tosser.threads, |_| Ok(to.next()), wrap)?;
        let mut envelopes = envelopes.into_inner().unwrap_or_else(PoisonError::into_inner);
        envelopes.sort_unstable_by_key(|(number, ..)| *number);
        let mut added = Vec::with_capacity(envelopes.len());
        for (_, node, envelope) in envelopes {
            added.push((node, outbox.add(node.id(), &envelope, &self.source.dir, &names)?));
        }
        Ok(added)
    }

    /// The envelope in which a message goes on to `node`: the same each time. Marks end its way, so `hops` stays as it was at the author.
    pub(super) fn wrap_message(&self, node: &KnownNode, message: &AreaMessage, nice: u8) -> Result<Vec<u8>, Refusal> {
        let key = node.card.exchange_key(self.today.day).map_err(|cause| {
            let node = node.name.clone();
            Refusal::Card { node, cause }
        })?;
        let end = message.head.end;
        let end = if key.gone_after == 0 { end } else { end.min(key.gone_after) };
        let to = &Address { id: node.id(), exchange: key.public };
        let ask = node.send.keep == Keep::UntilConfirmed;
        let (bodies, content) = (&message.head.bodies[..], &Content::Area(Box::new(message.clone())));
        Ok(wrap(self.tosser.secrets, &Wrap { to, end, nice, hops: HOPS_MOST, bodies, ask, content })?)
    }

    /// Keeps what is to be kept of the messages that are through, and marks all of these as ours. Durable on return.
    pub(super) fn end_posts(&self, items: &[Item<'a>]) -> durable::Result<()> {
        let is_through = |item: &&Item| matches!(item.fate, Fate::Done | Fate::Ran(..));
        let through: Vec<_> = items.iter().filter(is_through).filter_map(post_of).collect();
        if through.is_empty() {
            return Ok(());
        }
        let mut barrier = Barrier::new();
        for (accepted, post) in &through {
            let is_read = matches!(&post.reading, Reading::Deliver(deliver) if matches!(deliver.how, How::Keep));
            if is_read || post.area.keep.is_some() {
                let names: Vec<String> =
                    (0..accepted.bodies.len()).map(|number| body_name(&accepted.packet, number)).collect();
                let (spool, dir, mut day) = (self.tosser.spool, &self.source.dir, post.message.head.end);
                if let (Some(KeepFor::Days(days)), false) = (post.area.keep, is_read) {
                    day = day.min(self.today.day.saturating_add(days));
                }
                areas::keep(spool, day, &post.message, dir, &names, self.run, &mut barrier)?;
            }
        }
        barrier.wait()?;
        for (_, post) in &through {
            if let Some(KeepFor::Bytes(most)) = post.area.keep {
                areas::trim(self.tosser.spool, &post.area.id(), most)?;
            }
        }
        let (mark, mut barrier) = (DoneMark::make(self.run)?, Barrier::new());
        let own = self.tosser.spool.own();
        for (_, post) in &through {
            self.marks.put(&mark, &own, &post.message(), self.run, &mut barrier)?;
        }
        barrier.wait()
    }
}

/// Relays cannot open what they hand on: that all of it is what the head says they check by its names.
pub(super) fn verify_bodies(accepted: &Accepted, files: &[FileRef], threads: usize) -> Result<(), PayloadError> {
    for (number, (body, file)) in accepted.bodies.iter().zip(files).enumerate() {
        if !is_body(file, body, threads)? {
            return Err(Refusal::Body { number, what: "is not what its name says".into() }.into());
        }
    }
    Ok(())
}

fn post_of<'i, 'a>(item: &'i Item<'a>) -> Option<(&'i Accepted<'a>, &'i Post<'a>)> {
    let accepted = item.accepted.as_deref()?;
    match &accepted.task {
        Task::Post(post) => Some((accepted, post)),
        _ => None,
    }
}
