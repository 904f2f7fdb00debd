//! Toss: packets that came become delivered files, packets for the next hop, waiting packets, or entries in `bad/`.
//!
//! `decide` is pure; everything else here gathers what it asks for and applies what it says. Packets are taken in
//! batches that share their barriers; inputs go last. Any number of tossers may run at the same time, and each may die
//! at any step.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mb_spool::areas::{self, Marks};
use mb_spool::bodies::{self, QueueListing};
use mb_spool::class::Class;
use mb_spool::day::{self, Doubt, Today};
use mb_spool::deliver::{OpenFolder, clear_dead_runs};
use mb_spool::durable::{self, DirRef};
use mb_spool::layout::{Queue, Spool};
use mb_spool::run::Run;
use mb_spool::{
    ahead, asked, bad, batch, complaints, once, partial, paths, relayed, replies, roads, rules, seen, sent, subscribed,
    tries, way,
};
use mb_wire::id::{LetterId, NodeId, PacketId};
use mb_wire::key::NodeSecrets;
use mb_wire::report::{Reason, Receipt};

use crate::config::List;
use crate::exec::Runner;
use crate::home::AreaSecrets;
use crate::keys::ExchangeKeys;
use crate::rules::Rules;
use crate::send::Random;
use charge::Charges;
use wait::NextLook;

/// What a packet means. Pure.
pub mod decide;
/// A batch of packets, through the steps of delivery.
mod apply;
/// What lies here because of a neighbour.
mod charge;
/// Packets under way go on.
mod relay;
/// Messages of areas go on to their subscribers.
mod post;
/// Neighbours are told what became of what they brought.
pub(crate) mod answer;
/// What the recipients of our onions answer.
mod reply;
/// What somebody asks for.
mod request;
/// What is written to a list.
mod list;
/// A letter that answers a letter.
mod send_back;
/// Packets of ours that nobody came for.
mod reroute;
/// Packets that nobody came for until it was too late.
mod late;
/// Letters whose payload is for a command.
mod command;
/// Statements about areas.
mod control;
/// Packets whose bodies are missing.
mod wait;
/// A payload under a staged name.
mod stage;
/// A letter's content, verified and written.
pub mod payload;
/// A folder payload becomes a folder. Public for the fuzzer only.
#[doc(hidden)]
pub mod unpack;
/// Waits until something comes.
pub mod watch;

pub use decide::Nodes;

/// What tossing needs.
pub struct Tosser<'a> {
    /// The spool.
    pub spool: &'a Spool,
    /// Its absolute path.
    pub spool_path: &'a Path,
    /// The known nodes.
    pub nodes: &'a dyn Nodes,
    /// Who signs what goes on.
    pub secrets: &'a NodeSecrets,
    /// If this node is a list: whose.
    pub list: Option<&'a List>,
    /// The node's exchange keys.
    pub keys: &'a ExchangeKeys,
    /// The secrets of areas.
    pub area_secrets: &'a AreaSecrets,
    /// Opens a folder outside the spool by its absolute path; a link as its last part is refused.
    pub open: OpenFolder<'a>,
    /// Seconds since 1970.
    pub now: u64,
    /// Bytes to leave free.
    pub reserve: u64,
    /// Threads to work with.
    pub threads: usize,
    /// Packets that share their barriers; each keeps a lock, which is an open file.
    pub batch: usize,
    /// Runs commands.
    pub runner: &'a dyn Runner,
    /// Set when the user wants to stop.
    pub stop: &'a AtomicBool,
    /// Where randomness comes from, for letters that answer letters.
    pub random: Random<'a>,
}

/// What to toss.
#[derive(Default)]
pub struct Scope {
    /// Only what these nodes brought; all if empty.
    pub from: Vec<NodeId>,
    /// Leaves what is under way to others where it is.
    pub no_relay: bool,
    /// Leaves files where they are.
    pub no_file: bool,
    /// Leaves what is for a command where it is.
    pub no_exec: bool,
}

/// What happened, as it happens.
pub enum Event<'a> {
    /// A letter was delivered.
    Delivered(&'a Delivered),
    /// A command has done its work.
    Ran {
        /// The packet.
        packet: PacketId,
        /// Our name for its author.
        author: &'a str,
        /// Our name for the area to which it was written.
        area: Option<&'a str>,
        /// What the command is known by.
        handle: &'a str,
        /// In how many tries.
        tries: u32,
    },
    /// A command failed, and is to be tried again.
    Tried {
        /// The packet.
        packet: PacketId,
        /// Our name for its author.
        author: &'a str,
        /// What the command is known by.
        handle: &'a str,
        /// How it failed.
        why: &'a str,
        /// From when on it is to be tried again, in seconds since 1970.
        next: u64,
    },
    /// A packet is held, as its author wants, before it goes on.
    Held {
        /// The packet.
        packet: PacketId,
        /// Until then, in seconds since 1970.
        until: u64,
    },
    /// A packet went on.
    Relayed {
        /// The packet.
        packet: PacketId,
        /// Our name for the next hop.
        next: &'a str,
        /// The packet that it became.
        became: PacketId,
    },
    /// A packet of ours that nobody came for goes by another road.
    Rerouted {
        /// The packet.
        packet: PacketId,
        /// Our name for the first node of that road.
        next: &'a str,
        /// The packet that it became.
        became: PacketId,
    },
    /// What a packet asks for was sent.
    Answered {
        /// The packet.
        packet: PacketId,
        /// Our name for who asked.
        to: &'a str,
        /// The packet with the answer.
        became: PacketId,
    },
    /// A packet waits for bodies, since now.
    Waits {
        /// The packet.
        packet: PacketId,
        /// The numbers of the bodies that are missing.
        missing: &'a [usize],
    },
    /// Of a packet that waits for bodies the files that are whole were delivered, since it has waited long.
    Partial {
        /// The packet, and where its files lie.
        delivered: &'a Delivered,
        /// The numbers of the bodies that are missing.
        missing: &'a [usize],
    },
    /// Somebody on its way says how far a packet of ours has come.
    Receipt {
        /// The packet.
        packet: PacketId,
        /// Who says it.
        by: NodeId,
        /// What it says.
        receipt: &'a Receipt,
    },
    /// Somebody complains of a packet of ours.
    Complaint {
        /// The packet.
        packet: PacketId,
        /// Who complains.
        by: NodeId,
        /// Why.
        reason: Reason,
    },
    /// A packet was not processed; it went to `bad/`, or stays.
    Failed(&'a Failed),
    /// A packet in `bad/` went for good: too old, or one too many.
    Dropped(PacketId),
    /// The clock is not believed.
    Doubt(Doubt),
}

/// A letter that this run delivered, or what is whole of one.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The packet.
    pub packet: PacketId,
    /// The author's local name.
    pub author: String,
    /// Of what a list has sent on: our name for who wrote it, or its id. The author is the list.
    pub writer: Option<String>,
    /// Where it lies now, absolute.
    pub path: PathBuf,
    /// Our name for the area to which it was written.
    pub area: Option<String>,
    /// The letter that it says it answers.
    pub re: Option<LetterId>,
}

/// A packet that was not processed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// The queue and packet, as a path below the spool.
    pub thing: String,
    /// Who handed it over, where that is known.
    pub from: Option<String>,
    /// Why.
    pub why: String,
    /// What it means.
    pub class: Class,
    /// What helps.
    pub remedy: Option<String>,
    /// Whether it went to `bad/`; otherwise it stays.
    pub is_condemned: bool,
}

/// Takes what happens.
pub type Tell<'a> = &'a mut dyn FnMut(Event);

/// Where packets are taken from.
struct Source {
    /// For messages: the path below the spool.
    name: String,
    dir: DirRef,
    /// Whose `wait/` it is.
    is_wait: bool,
}

impl Tosser<'_> {
    /// Tosses everything that is here. What concerns a single packet is told and does not end the run.
    pub fn toss(&self, scope: &Scope, random: [u8; 16], tell: Tell) -> durable::Result<()> {
        if !is_due(self.spool, scope, self.now)? {
            return Ok(());
        }
        let run = Run::start(self.spool, random)?;
        let done = self.toss_all(scope, &run, tell);
        if done.is_err() {
            run.leave();
        }
        done
    }

    fn toss_all(&self, scope: &Scope, run: &Run, tell: Tell) -> durable::Result<()> {
        clear_dead_runs(self.spool, self.open)?;
        batch::publish_all(self.spool, run)?;
        let last = day::last(self.spool)?;
        let is_new_day = last != Some(day::clock_day(self.now));
        if is_new_day {
            self.note_due(run)?;
        }
        let today = day::work_on(self.spool, self.now, run)?;
        if let Some(doubt) = today.doubt.filter(|doubt| doubt.is_new) {
            tell(Event::Doubt(doubt));
        }
        if is_new_day && today.doubt.is_none() {
            self.forget(&today, run)?;
            bad::trim(self.spool, self.now)?.into_iter().for_each(|packet| tell(Event::Dropped(packet)));
        }
        let (charges, next_look, marks) = (Charges::default(), NextLook::never(), Marks::new(self.spool));
        let job = Job { tosser: self, scope, today: &today, run, charges, next_look, marks };
        job.answer_left()?;
        job.reroute(tell)?;
        if is_new_day && today.doubt.is_none() {
            job.look_for_late(tell)?;
        }
        let mut bodies_came = false;
        for source in sources(self.spool, scope, Queue::Rx)? {
            bodies_came |= job.toss_queue(&source, tell)?;
        }
        match wait::due(self.spool, self.now)? {
            None if !bodies_came => Ok(()),
            due => job.toss_waiting(due, tell),
        }
    }

    /// Writes down that what waits is to be looked at, before whatever says so goes. Nothing, if nothing waits.
    fn note_due(&self, run: &Run) -> durable::Result<()> {
        for source in sources(self.spool, &Scope::default(), Queue::Wait)? {
            if source.dir.list()?.next().is_some() {
                return wait::note_due(self.spool, self.now, run);
            }
        }
        Ok(())
    }

    /// Once a day: what has ended is forgotten.
    fn forget(&self, today: &Today, run: &Run) -> durable::Result<()> {
        seen::forget_before(self.spool, today.day, run)?;
        once::forget_before(self.spool, today.day)?;
        sent::forget_before(self.spool, today.day, run)?;
        relayed::sweep_all(self.spool)?;
        way::forget_before(self.spool, today.day)?;
        complaints::forget_before(self.spool, today.day)?;
        replies::forget_before(self.spool, today.day)?;
        asked::forget_before(self.spool, today.day)?;
        paths::forget_before(self.spool, today.day)?;
        areas::forget_before(self.spool, today.day)?;
        rules::forget_before(self.spool, self.now)?;
        subscribed::forget_before(self.spool, today.day)?;
        partial::sweep(self.spool)?;
        ahead::clear(self.spool)?;
        tries::sweep(self.spool, self.now)?;
        roads::sweep(self.spool, self.now)?;
        bad::sweep(self.spool, run)?;
        bodies::sweep_all(self.spool, run)
    }
}

/// A run's way through the queues.
struct Job<'t, 'a> {
    tosser: &'t Tosser<'a>,
    scope: &'t Scope,
    today: &'t Today,
    run: &'t Run,
    charges: Charges,
    /// When what waits is to be looked at again.
    next_look: NextLook,
    /// Who has which message of an area.
    marks: Marks<'t>,
}

impl Job<'_, '_> {
    /// Tosses what waits. It stays due if anything failed, or was left out.
    fn toss_waiting(&self, due: Option<wait::Due>, tell: Tell) -> durable::Result<()> {
        let Job { tosser, scope, .. } = *self;
        let mut is_done = scope.from.is_empty() && !(scope.no_relay || scope.no_file || scope.no_exec);
        for source in sources(tosser.spool, scope, Queue::Wait)? {
            self.toss_queue(&source, &mut |event| {
                is_done &= !matches!(event, Event::Failed(_) | Event::Held { .. });
                tell(event);
            })?;
            if due.is_some() {
                // Else a power cut could bring back what went, and not what says that it is to be looked at.
                source.dir.sync()?;
            }
        }
        match due {
            Some(due) if is_done && !tosser.stop.load(Ordering::Relaxed) => {
                wait::end_due(tosser.spool, due, &self.next_look, self.run)
            }
            _ => Ok(()),
        }
    }

    /// Tosses one queue. Returns whether bodies came that packets may wait for.
    fn toss_queue(&self, source: &Source, tell: Tell) -> durable::Result<bool> {
        let Job { tosser, scope, today, run, charges, next_look, marks } = self;
        let listing = bodies::packets(&source.dir)?;
        if !source.is_wait && !listing.bodies.is_empty() {
            tosser.note_due(run)?;
        }
        let adopted = self.take_orphans(source, &listing)?;
        for packets in listing.envelopes.chunks(tosser.batch.max(1)) {
            if tosser.stop.load(Ordering::Relaxed) {
                break;
            }
            // Anew for each batch: the one before may have brought settings.
            let rules = Arc::new(Rules::load(tosser.spool, tosser.nodes.areas(), tosser.keys)?);
            let messages = Mutex::default();
            let batch = apply::Batch { tosser, source, today, run, charges, next_look, marks, rules, messages, scope };
            batch.toss(packets, tell)?;
        }
        Ok(adopted || !listing.bodies.is_empty())
    }

    /// Bodies without an envelope: one that a waiting packet lacks is given to it, everything else is litter.
    fn take_orphans(&self, source: &Source, listing: &QueueListing) -> durable::Result<bool> {
        let (Tosser { spool, threads, .. }, run) = (self.tosser, self.run);
        let mut adopted = false;
        for (packet, number) in listing.orphans() {
            adopted |= !source.is_wait && wait::adopt(spool, &source.dir, &packet, number, *threads, run)?;
            bodies::sweep_orphan(&source.dir, &packet, number, run)?;
        }
        Ok(adopted)
    }
}

/// Whether there is anything to toss now, in seconds since 1970. Reads a few folders, needs no key and writes nothing.
pub fn is_due(spool: &Spool, scope: &Scope, now: u64) -> durable::Result<bool> {
    let is_new_day = day::last(spool)? != Some(day::clock_day(now));
    if is_new_day
        || batch::is_publishing_due(spool)?
        || has_entries(spool, &["tmp"])?
        || has_entries(spool, &["self", way::HANDED])?
    {
        return Ok(true);
    }
    if wait::due(spool, now)?.is_some() || !roads::stalled(spool, now, 1)?.is_empty() {
        return Ok(true);
    }
    for source in sources(spool, scope, Queue::Rx)? {
        if source.dir.list()?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The queues to toss from, without making any.
fn sources(spool: &Spool, scope: &Scope, queue: Queue) -> durable::Result<Vec<Source>> {
    let own = spool.own();
    let mut nodes: BTreeSet<NodeId> = spool.nodes()?.into_iter().collect();
    nodes.insert(own);
    let mut sources = Vec::new();
    for node in nodes.iter().filter(|node| scope.from.is_empty() || scope.from.contains(node) || **node == own) {
        if let Some(dir) = spool.find_queue(node, queue)? {
            let folder = if *node == own { "self".into() } else { node.to_string() };
            let name = format!("{folder}/{}", queue.name());
            sources.push(Source { name, dir, is_wait: queue == Queue::Wait });
        }
    }
    Ok(sources)
}

fn has_entries(spool: &Spool, path: &[&str]) -> durable::Result<bool> {
    match spool.find(path)? {
        Some(dir) => Ok(dir.list()?.next().is_some()),
        None => Ok(false),
    }
}
