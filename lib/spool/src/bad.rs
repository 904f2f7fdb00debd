//! `bad/`: what could not be processed, and why. Kept, bounded, never looped on.

use std::path::Path;

use mb_wire::id::{NodeId, PacketId};

use crate::bodies::{exists, link_or_copy, packets, sweep_orphan};
use crate::durable::{self, DirRef};
use crate::envelopes::{self, read_whole};
use crate::layout::{Queue, Spool};
use crate::names::{Name, body_name, why_name};
use crate::run::{Run, gone};

/// Packets kept, at the most.
const MOST_PACKETS: usize = 10_000;
/// How long a packet is kept, in seconds: 90 days.
const KEPT_SECS: u64 = 90 * 86_400;
/// The longest reason that is kept, in bytes.
const MOST_WHY_LEN: usize = 4096;

/// A packet that goes to `bad/`.
pub struct Condemned<'a> {
    /// The queue that it is in.
    pub from: &'a DirRef,
    /// The path of that queue below the spool.
    pub queue: &'a Path,
    /// The packet.
    pub packet: &'a PacketId,
    /// Why, in a line.
    pub why: &'a str,
}

/// Moves a packet from a queue to `bad/` with its reason. Durable in `bad/` before the source goes.
///
/// A crash leaves it in both; the next run does it again.
pub fn condemn(spool: &Spool, condemned: &Condemned, run: &Run) -> durable::Result<()> {
    match envelopes::prefix(condemned.from, condemned.packet) {
        Ok(Some(prefix)) => condemn_sound(spool, condemned, prefix.bodies.len(), run),
        Err(error) if !error.is_wrong_kind() => Err(error),
        _ => {
            let Condemned { from, packet, .. } = *condemned;
            let numbers = body_numbers(from, packet)?;
            put_beside(spool, condemned, &numbers, run)?;
            discard(from, packet, &numbers)
        }
    }
}

/// The same for a packet whose envelope is sound and lists `body_count` bodies: the queue, which may be long, is not listed for it.
/// A body that comes at this moment goes along, or stays, without its envelope.
pub fn condemn_sound(spool: &Spool, condemned: &Condemned, body_count: usize, run: &Run) -> durable::Result<()> {
    let Condemned { from, packet, .. } = *condemned;
    let numbers = numbers_there(from, packet, body_count)?;
    let bad = put_beside(spool, condemned, &numbers, run)?;
    gone(from.unlink(packet.to_string().as_ref()))?;
    // Whoever brought one meanwhile counts on it from now on: never away here before it is durable there.
    let there = numbers_there(from, packet, body_count)?;
    let late: Vec<usize> = there.iter().filter(|number| !numbers.contains(number)).copied().collect();
    if !late.is_empty() {
        for name in late.iter().map(|number| body_name(packet, *number)) {
            // Another run may have swept it: it has no envelope any more.
            gone(link_or_copy(from, &name, &bad, &name, run))?;
        }
        bad.sync()?;
    }
    discard_bodies(from, packet, &there)
}

/// Gives it a place in `bad/`, with its reason and these bodies. Durable on return.
fn put_beside(spool: &Spool, condemned: &Condemned, numbers: &[usize], run: &Run) -> durable::Result<DirRef> {
    let bad = spool.make(&["bad"])?;
    write_why(&bad, condemned, run)?;
    add(condemned.from, condemned.packet, numbers, &bad, run)?;
    Ok(bad)
}

/// Of so many bodies of `packet` the numbers of those that lie in `dir`.
fn numbers_there(dir: &DirRef, packet: &PacketId, body_count: usize) -> durable::Result<Vec<usize>> {
    let mut numbers = Vec::new();
    for number in 0..body_count {
        if exists(&**dir, &body_name(packet, number))? {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn link_bodies(from: &DirRef, packet: &PacketId, numbers: &[usize], to: &DirRef, run: &Run) -> durable::Result<()> {
    numbers.iter().try_for_each(|number| {
        let name = body_name(packet, *number);
        link_or_copy(from, &name, to, &name, run)
    })
}

/// Gives a packet a second place, durable on return.
fn add(from: &DirRef, packet: &PacketId, numbers: &[usize], to: &DirRef, run: &Run) -> durable::Result<()> {
    link_bodies(from, packet, numbers, to, run)?;
    let name = packet.to_string();
    link_or_copy(from, &name, to, &name, run)?;
    // A sweep may have taken one that had no envelope yet.
    link_bodies(from, packet, numbers, to, run)?;
    let synced = to.sync();
    if synced.is_err() {
        // A name whose sync failed may be gone tomorrow, whatever is synced later: nobody shall find it.
        let _ = discard(to, packet, numbers);
    }
    synced
}

/// The reason and, on a second line, the queue.
fn write_why(bad: &DirRef, condemned: &Condemned, run: &Run) -> durable::Result<()> {
    let mut text: String = condemned.why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let queue = condemned.queue.display().to_string();
    text.truncate(text.floor_char_boundary(MOST_WHY_LEN.saturating_sub(queue.len() + 2)));
    text.push_str(&format!("\n{queue}\n"));
    let (name, file) = run.write("why-", text.as_bytes())?;
    file.sync()?;
    run.dir().rename(name.as_ref(), &**bad, why_name(condemned.packet).as_ref())
}

/// The numbers of the bodies of `packet` that lie in `dir`.
fn body_numbers(dir: &DirRef, packet: &PacketId) -> durable::Result<Vec<usize>> {
    let mut numbers = Vec::new();
    match envelopes::prefix(dir, packet) {
        // Bodies need not all have come, so there may be gaps.
        Ok(Some(prefix)) => return numbers_there(dir, packet, prefix.bodies.len()),
        Err(error) if !error.is_wrong_kind() => return Err(error),
        _ => {}
    }
    // It is damaged: the queue, which may be long, is only listed if it has any.
    if !exists(&**dir, &body_name(packet, 0))? && !exists(&**dir, &body_name(packet, 1))? {
        return Ok(numbers);
    }
    for entry in dir.list()? {
        if let Name::Body(owner, number) = Name::parse(&entry?.name)
            && owner == *packet
        {
            numbers.push(usize::from(number));
        }
    }
    Ok(numbers)
}

/// Why a packet is in `bad/`.
pub fn why(bad: &DirRef, packet: &PacketId) -> durable::Result<Option<String>> {
    Ok(read_why(bad, packet)?.map(|text| text.lines().next().unwrap_or_default().to_owned()))
}

fn read_why(bad: &DirRef, packet: &PacketId) -> durable::Result<Option<String>> {
    match bad.open(why_name(packet).as_ref()) {
        Ok(file) => Ok(Some(String::from_utf8_lossy(&read_whole(&file, MOST_WHY_LEN)?).into_owned())),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings a packet from `bad/` back, to be tried again: into the `tx/` that it was taken from; whatever came is opened
/// from `self/rx`, by whichever way it came. Durable there before it goes here.
pub fn retry(spool: &Spool, packet: &PacketId, run: &Run) -> durable::Result<()> {
    let bad = spool.make(&["bad"])?;
    let destination = read_why(&bad, packet)?.and_then(|text| sent_to(&text)).unwrap_or(spool.own());
    let queue = spool.queue(&destination, Queue::Tx)?;
    let numbers = body_numbers(&bad, packet)?;
    add(&bad, packet, &numbers, &queue, run)?;
    discard(&bad, packet, &numbers)?;
    gone(bad.unlink(why_name(packet).as_ref()))
}

/// The node whose `tx/` the second line names.
fn sent_to(why: &str) -> Option<NodeId> {
    let (node, queue) = why.lines().nth(1)?.split_once('/')?;
    node.parse().ok().filter(|_| queue == Queue::Tx.name())
}

/// Removes from `bad/` what is older than it is kept, and the oldest of what is more than it may hold. Returns what went.
/// Ages are those of our own `PKT.why`; `now` is in seconds since 1970.
pub fn trim(spool: &Spool, now: u64) -> durable::Result<Vec<PacketId>> {
    let Some(bad) = spool.find(&["bad"])? else { return Ok(Vec::new()) };
    let mut aged = Vec::new();
    for packet in packets(&bad)?.envelopes {
        match bad.stat(why_name(&packet).as_ref()) {
            Ok(stat) => aged.push((stat.modified.0, packet)),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    aged.sort_unstable();
    let oldest = i64::try_from(now.saturating_sub(KEPT_SECS)).unwrap_or(i64::MAX);
    let too_many = aged.len().saturating_sub(MOST_PACKETS);
    let too_old = aged.partition_point(|(modified, _)| *modified < oldest);
    aged.truncate(too_many.max(too_old));
    aged.iter().try_for_each(|(_, packet)| remove(&bad, packet))?;
    Ok(aged.into_iter().map(|(_, packet)| packet).collect())
}

/// Removes a packet from `bad/` for good.
pub fn remove(bad: &DirRef, packet: &PacketId) -> durable::Result<()> {
    let numbers = body_numbers(bad, packet)?;
    discard(bad, packet, &numbers)?;
    gone(bad.unlink(why_name(packet).as_ref()))
}

/// Removes bodies and reasons whose envelope is gone: a run that removed a packet died midway.
///
/// The reason of a packet that is being condemned at this very moment may go with them; the packet does not.
pub fn sweep(spool: &Spool, run: &Run) -> durable::Result<()> {
    let Some(bad) = spool.find(&["bad"])? else { return Ok(()) };
    let names = bad.list()?.map(|entry| entry.map(|entry| Name::parse(&entry.name)));
    for name in names.collect::<durable::Result<Vec<_>>>()? {
        match name {
            Name::Body(packet, number) => sweep_orphan(&bad, &packet, number, run)?,
            Name::Why(packet) if !exists(&*bad, &packet.to_string())? => {
                gone(bad.unlink(why_name(&packet).as_ref()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The envelope goes first: what is left of a packet without one is litter.
fn discard(dir: &DirRef, packet: &PacketId, numbers: &[usize]) -> durable::Result<()> {
    gone(dir.unlink(packet.to_string().as_ref()))?;
    discard_bodies(dir, packet, numbers)
}

fn discard_bodies(dir: &DirRef, packet: &PacketId, numbers: &[usize]) -> durable::Result<()> {
    numbers.iter().try_for_each(|number| gone(dir.unlink(body_name(packet, *number).as_ref())))
}
