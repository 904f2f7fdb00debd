//! `bad/`: what could not be processed, and why. Kept, bounded, never looped on.

use mb_wire::id::PacketId;

use crate::barrier::Barrier;
use crate::bodies::{exists, link_or_copy, packets, sweep_orphan};
use crate::durable::{self, DirRef};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::names::{Name, body_name, why_name};
use crate::run::{Run, gone};

/// Packets kept, at the most.
const MOST_PACKETS: usize = 10_000;
/// How long a packet is kept, in seconds: 90 days.
const KEPT_SECS: u64 = 90 * 86_400;
/// The longest reason that is kept, in bytes.
const MOST_WHY_LEN: usize = 4096;

/// Moves a packet from a queue to `bad/` with its reason. Durable in `bad/` before the source goes.
///
/// A crash leaves it in both; the next run does it again.
pub fn condemn(spool: &Spool, from: &DirRef, packet: &PacketId, why: &str, run: &Run) -> durable::Result<()> {
    let bad = spool.make(&["bad"])?;
    let mut barrier = Barrier::new();
    write_why(&bad, packet, why, run, &mut barrier)?;
    let numbers = body_numbers(from, packet)?;
    for number in &numbers {
        let name = body_name(packet, *number);
        link_or_copy(from, &name, &bad, &name, run)?;
    }
    let name = packet.to_string();
    link_or_copy(from, &name, &bad, &name, run)?;
    // A sweep may have taken one that had no envelope yet.
    for number in &numbers {
        let name = body_name(packet, *number);
        link_or_copy(from, &name, &bad, &name, run)?;
    }
    barrier.dir(&bad);
    barrier.wait()?;
    gone(from.unlink(name.as_ref()))?;
    numbers.iter().try_for_each(|number| gone(from.unlink(body_name(packet, *number).as_ref())))
}

fn write_why(dir: &DirRef, packet: &PacketId, why: &str, run: &Run, barrier: &mut Barrier) -> durable::Result<()> {
    let mut line: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MOST_WHY_LEN - 1));
    line.push('\n');
    let (name, file) = run.write("why-", line.as_bytes())?;
    file.sync()?;
    run.dir().rename(name.as_ref(), &**dir, why_name(packet).as_ref())?;
    barrier.dir(dir);
    Ok(())
}

/// The numbers of the bodies of `packet` that lie in `dir`.
fn body_numbers(dir: &DirRef, packet: &PacketId) -> durable::Result<Vec<usize>> {
    let mut numbers = Vec::new();
    // Bodies need not all have come, so the list has gaps; the envelope may be damaged, so it is not asked.
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
pub fn why(dir: &DirRef, packet: &PacketId) -> durable::Result<Option<String>> {
    match dir.open(why_name(packet).as_ref()) {
        Ok(file) => {
            let text = String::from_utf8_lossy(&read_whole(&file, MOST_WHY_LEN)?).trim_end().to_owned();
            Ok(Some(text))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings a packet from `bad/` back into a queue, to be tried again. Durable there before it goes here.
pub fn retry(spool: &Spool, packet: &PacketId, queue: &DirRef, run: &Run) -> durable::Result<()> {
    let bad = spool.make(&["bad"])?;
    let numbers = body_numbers(&bad, packet)?;
    let link_bodies = || {
        numbers.iter().try_for_each(|number| {
            let name = body_name(packet, *number);
            link_or_copy(&bad, &name, queue, &name, run)
        })
    };
    link_bodies()?;
    let name = packet.to_string();
    link_or_copy(&bad, &name, queue, &name, run)?;
    // A sweep may have taken one that had no envelope yet.
    link_bodies()?;
    queue.sync()?;
    discard(&bad, packet, &numbers)
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
    discard(bad, packet, &numbers)
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

fn discard(bad: &DirRef, packet: &PacketId, numbers: &[usize]) -> durable::Result<()> {
    gone(bad.unlink(packet.to_string().as_ref()))?;
    for number in numbers {
        gone(bad.unlink(body_name(packet, *number).as_ref()))?;
    }
    gone(bad.unlink(why_name(packet).as_ref()))
}
