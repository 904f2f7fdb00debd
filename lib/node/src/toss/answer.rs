//! Answer: what neighbours are told of what they handed over. Whoever asked for a confirmation hears what is settled;
//! where the author wants word of a packet, a receipt begins its way back, and those of others go on. That of an onion begins it as an
//! onion. Published before the inputs go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mb_spool::barrier::Barrier;
use mb_spool::class::Class;
use mb_spool::complaints;
use mb_spool::durable::{self, DirRef};
use mb_spool::outbox::Outbox;
use mb_spool::run::Run;
use mb_spool::way::{self, Hop, Left, Origin, Record};
use mb_wire::envelope::{Address, CONFIRM_MOST, Content, HOPS_MOST, Wrap, wrap};
use mb_wire::id::{Mark, NodeId, PacketId, SlotTag};
use mb_wire::key::NodeSecrets;
use mb_wire::reply::ReplyRoute;
use mb_wire::report::{Complaint, REPORTS_MOST, Receipt, Report, Signed, Stage};

use super::apply::{Batch, Fate, Item};
use super::decide::{Refusal, Task, Word, onion_end};
use super::reply::Answered;
use super::{Event, Job, Tell, Tosser};
use crate::config::{Keep, KnownNode};
use crate::receipts::hop_of;

/// Days until an answer is given up.
const DAYS: u32 = 90;
/// Before most of what people send.
const NICE: u8 = 64;
/// So many reports on one packet of others are passed on: more than its hops have to say.
const PASSED_MOST: usize = 32;
/// The number, behind those, of the complaint that was passed on.
const COMPLAINT: usize = PASSED_MOST;

/// Packets that have left and are told of together.
const LEFT_AT_ONCE: usize = 4096;

/// What one neighbour is told.
struct Answer<'a> {
    node: &'a KnownNode,
    settled: Vec<PacketId>,
    reports: Vec<Report>,
    /// By the way back that lies in their letters.
    replies: Vec<(Box<ReplyRoute>, Vec<u8>)>,
}

/// What all neighbours are told.
#[derive(Default)]
pub(super) struct Answers<'a>(BTreeMap<NodeId, Answer<'a>>);

impl<'a> Answers<'a> {
    fn to(&mut self, node: &'a KnownNode) -> &mut Answer<'a> {
        self.0.entry(node.id()).or_insert(Answer {
            node,
            settled: Vec::new(),
            reports: Vec::new(),
            replies: Vec::new(),
        })
    }

    pub fn receipt(&mut self, tosser: &Tosser, word: &Word<'a>, packet: PacketId, receipt: &Receipt) {
        let statement = receipt.sign(tosser.secrets);
        let answer = self.to(word.to);
        match &word.reply {
            Some(route) => answer.replies.push((route.clone(), statement)),
            None => answer.reports.push(Report { packet, statement }),
        }
    }

    /// Publishes them. Durable on return.
    pub fn publish(self, tosser: &Tosser, today: u32, run: &Run) -> durable::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut outbox = Outbox::new(tosser.spool, run);
        for Answer { node, settled, reports, replies } in self.0.into_values() {
            let confirms = settled.chunks(CONFIRM_MOST).map(|packets| Content::Confirm(packets.to_vec()));
            let reports = reports.chunks(REPORTS_MOST).map(|reports| Content::Reports(reports.to_vec()));
            for content in confirms.chain(reports) {
                // Who cannot be sealed to any more keeps what it keeps until its last day, and hears nothing.
                if let Some(envelope) = envelope(tosser.secrets, node, today, &content) {
                    outbox.add_unkept(node.id(), &envelope)?;
                }
            }
            for (route, statement) in replies {
                if let Some(envelope) = reply(tosser.secrets, node, today, &route, &statement) {
                    outbox.add(node.id(), &envelope, run.dir(), &[] as &[&str])?;
                }
            }
        }
        outbox.publish()
    }
}

/// The envelope in which an answer sets out by its way back: nothing tells it from that of an onion that we relay or wrote. `None`
/// if it is too late for it.
fn reply(secrets: &NodeSecrets, node: &KnownNode, today: u32, route: &ReplyRoute, statement: &[u8]) -> Option<Vec<u8>> {
    let (to, gone_after) = address(node, today)?;
    let end = onion_end(route.end, gone_after);
    let content = &Content::Routed(Box::new(route.answer(statement).ok()?));
    let ask = node.send.keep == Keep::UntilConfirmed;
    let wrapping = Wrap { to: &to, end, nice: route.nice, hops: HOPS_MOST, bodies: &[], ask, content };
    (end >= today).then(|| wrap(secrets, &wrapping).ok()).flatten()
}

/// Whom to seal to, and the day on which that key goes, or 0.
fn address(node: &KnownNode, today: u32) -> Option<(Address, u32)> {
    let key = node.card.exchange_key(today).ok()?;
    Some((Address { id: node.id(), exchange: key.public }, key.gone_after))
}

/// An envelope of ours with something to say to `node`; `None` if it cannot be sealed to any more.
pub fn envelope(secrets: &NodeSecrets, node: &KnownNode, today: u32, content: &Content) -> Option<Vec<u8>> {
    let (to, gone_after) = address(node, today)?;
    let last = today.saturating_add(DAYS);
    let end = if gone_after == 0 { last } else { last.min(gone_after) };
    wrap(secrets, &Wrap { to: &to, end, nice: NICE, hops: HOPS_MOST, bodies: &[], ask: false, content }).ok()
}

/// What comes of reports that came.
#[derive(Default)]
struct Taken<'a> {
    answers: Answers<'a>,
    /// Receipts of our own packets.
    kept: Barrier,
    /// What is passed on, by the node that says it, its packet and a number: written down when it is published, so that whoever
    /// dies in between passes it on again.
    passed: BTreeMap<(NodeId, PacketId, usize), Vec<u8>>,
    /// Complaints to be counted, by the neighbour that brought the packet: likewise.
    counted: BTreeSet<(NodeId, PacketId)>,
    /// Replies to our onions that have come.
    ended: Vec<(u32, SlotTag)>,
}

impl<'a> Batch<'_, 'a> {
    /// Tells the neighbours what has become of these items. Durable on return.
    pub(super) fn answer(&self, items: &[Item<'a>], tell: Tell) -> durable::Result<()> {
        let mut taken = Taken::default();
        for item in items {
            let is_settled = matches!(item.fate, Fate::Done | Fate::Known | Fate::Ran(..) | Fate::Answered(_));
            if let Some(accepted) = item.accepted.as_ref().filter(|_| is_settled) {
                // Not of what is said of packets.
                if accepted.ask
                    && matches!(
                        accepted.task,
                        Task::Deliver(_) | Task::Post(_) | Task::Copy | Task::Relay(_) | Task::Reply(..)
                    )
                {
                    taken.answers.to(accepted.from).settled.push(item.packet);
                }
                if let Task::Report(reports) = &accepted.task {
                    reports.iter().try_for_each(|report| self.take_report(accepted.from, report, &mut taken, tell))?;
                }
            }
            if let Fate::Answered(answered) = &item.fate {
                let Answered { day, tag, way, hops, report } = &**answered;
                self.hear(way, hops, report, &mut taken, tell)?;
                taken.ended.push((*day, *tag));
            }
            if let (Some(word), Some((stage, why))) = (&item.word, stage_of(item)) {
                let receipt = Receipt { about: word.mark, stage, why, time: self.tosser.now };
                taken.answers.receipt(self.tosser, word, item.packet, &receipt);
            }
        }
        let Taken { answers, mut kept, passed, counted, ended } = taken;
        answers.publish(self.tosser, self.today.day, self.run)?;
        for ((by, packet, number), statement) in passed {
            if let Some(dir) = way::open(self.tosser.spool, &by)? {
                way::keep_receipt(&dir, &packet, number, &statement, self.run, &mut kept)?;
            }
        }
        for (from, packet) in &counted {
            complaints::count(self.tosser.spool, from, packet, self.today.day)?;
        }
        kept.wait()?;
        self.end_replies(&ended)
    }

    /// What `by` says of a packet that we handed to it: kept if the packet is ours, passed on if it was somebody else's. Of
    /// any other packet it has nothing to say.
    fn take_report(&self, by: &KnownNode, report: &Report, taken: &mut Taken<'a>, tell: Tell) -> durable::Result<()> {
        let Report { packet, statement } = report;
        let Some(way) = way::open(self.tosser.spool, &by.id())? else { return Ok(()) };
        let Some(Record { origin, .. }) = way::read(&way, packet)? else { return Ok(()) };
        match origin {
            Origin::Ours { hops, .. } => self.hear(&way, &hops, report, taken, tell),
            Origin::Relayed { from, packet: before, mark } => {
                let numbers = match (Complaint::parse(statement), Signed::parse(statement), mark) {
                    (Ok(_), ..) => COMPLAINT..COMPLAINT + 1,
                    (_, Ok(_), Some(_)) => 0..PASSED_MOST,
                    // Nobody asked, or it does not hold.
                    _ => return Ok(()),
                };
                let Some(to) = self.tosser.nodes.node(&from) else { return Ok(()) };
                let Some(number) = taken.free_number(&way, by.id(), report, numbers)? else { return Ok(()) };
                if number == COMPLAINT {
                    taken.counted.insert((from, *packet));
                }
                taken.passed.insert((by.id(), *packet, number), statement.clone());
                taken.answers.to(to).reports.push(Report { packet: before, statement: statement.clone() });
                Ok(())
            }
        }
    }

    /// What is said of a packet of our own, by one of its hops.
    fn hear(&self, way: &DirRef, hops: &[Hop], report: &Report, taken: &mut Taken, tell: Tell) -> durable::Result<()> {
        let Report { packet, statement } = report;
        let packet = *packet;
        if let Ok((by, Complaint { about, reason })) = Complaint::parse(statement) {
            let is_recipients = hops.last() == Some(&Hop { node: by, mark: about.into() });
            if is_recipients && way::receipt(way, &packet, COMPLAINT)?.is_none() {
                way::keep_receipt(way, &packet, COMPLAINT, statement, self.run, &mut taken.kept)?;
                tell(Event::Complaint { packet, by, reason });
            }
            return Ok(());
        }
        let Ok(signed) = Signed::parse(statement) else { return Ok(()) };
        let Some(number) = hop_of(hops, &signed) else { return Ok(()) };
        let known = way::receipt(way, &packet, number)?.and_then(|known| Signed::parse(&known).ok());
        if known.is_none_or(|known| signed.counts_after(&known)) {
            way::keep_receipt(way, &packet, number, statement, self.run, &mut taken.kept)?;
            tell(Event::Receipt { packet, by: signed.by, receipt: &signed.receipt });
        }
        Ok(())
    }
}

impl Taken<'_> {
    /// The first of `numbers` under which nothing about the packet was passed on; `None` if this was, or if none is left.
    fn free_number(
        &self,
        way: &DirRef,
        by: NodeId,
        report: &Report,
        numbers: Range<usize>,
    ) -> durable::Result<Option<usize>> {
        for number in numbers {
            let known = way::receipt(way, &report.packet, number)?;
            match known.as_ref().or_else(|| self.passed.get(&(by, report.packet, number))) {
                None => return Ok(Some(number)),
                Some(known) if *known == report.statement => return Ok(None),
                Some(_) => {}
            }
        }
        Ok(None)
    }
}

/// What the author hears of an item, if anything: of a copy only that it was delivered, as that may have been lost.
fn stage_of(item: &Item) -> Option<(Stage, String)> {
    let task = item.accepted.as_ref().map(|accepted| &accepted.task);
    match (&item.fate, task) {
        (Fate::Done | Fate::Known | Fate::Ran(..), Some(Task::Deliver(_))) => Some((Stage::Delivered, String::new())),
        (Fate::Done, Some(Task::Relay(_))) => Some((Stage::Accepted, String::new())),
        (Fate::Refused(Refusal::Ended { .. }), _) => Some((Stage::Expired, String::new())),
        (Fate::Refused(refusal) | Fate::RanBadly(_, refusal), _) if refusal.class() != Class::Later => {
            Some((Stage::Refused, refusal.to_string()))
        }
        _ => None,
    }
}

/// Who is to hear of a packet that was handed on, or waits to be: what he knows it by, and what we do.
pub(super) struct Asked<'a> {
    pub to: &'a KnownNode,
    pub packet: PacketId,
    pub about: Mark,
}

impl Tosser<'_> {
    /// Who is to hear of `packet`, of which `way` is the folder of ways; `None` if it is ours, or nobody wants word of it.
    pub(super) fn asked(&self, way: &DirRef, packet: &PacketId) -> durable::Result<Option<Asked<'_>>> {
        let origin = way::read(way, packet)?.map(|record| record.origin);
        let Some(Origin::Relayed { from, packet, mark: Some(about) }) = origin else { return Ok(None) };
        Ok(self.nodes.node(&from).map(|to| Asked { to, packet, about }))
    }
}

impl Job<'_, '_> {
    /// Tells the neighbours of whose packets word is wanted that these have left.
    pub(super) fn answer_left(&self) -> durable::Result<()> {
        while self.answer_some()? {}
        Ok(())
    }

    /// Returns whether there may be more.
    fn answer_some(&self) -> durable::Result<bool> {
        let spool = self.tosser.spool;
        let left = way::left(spool, LEFT_AT_ONCE)?;
        if left.is_empty() {
            return Ok(false);
        }
        let mut answers = Answers::default();
        for Left { packet, next, time } in &left {
            let way = way::open(spool, next)?;
            if let Some(way) = &way
                && let Some(Asked { to, packet, about }) = self.tosser.asked(way, packet)?
            {
                let receipt = Receipt { about, stage: Stage::Handed, why: String::new(), time: *time };
                answers.receipt(self.tosser, &Word { to, mark: about, reply: None }, packet, &receipt);
            }
        }
        answers.publish(self.tosser, self.today.day, self.run)?;
        let may_be_more = left.len() == LEFT_AT_ONCE;
        way::end_left(spool, left.into_iter().map(|left| left.packet))?;
        Ok(may_be_more)
    }
}
