//! `bad/`: what could not be processed, and why. Kept, bounded, never looped on.

use mb_wire::id::PacketId;

use crate::barrier::Barrier;
use crate::bodies::{exists, link_or_copy};
use crate::durable::{self, DirRef};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::names::{Name, body_name, why_name};
use crate::run::{Run, gone};

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
    for number in &numbers {
        let name = body_name(packet, *number);
        link_or_copy(&bad, &name, queue, &name, run)?;
    }
    let name = packet.to_string();
    link_or_copy(&bad, &name, queue, &name, run)?;
    queue.sync()?;
    discard(&bad, packet, &numbers)
}

/// Removes a packet from `bad/` for good.
pub fn remove(bad: &DirRef, packet: &PacketId) -> durable::Result<()> {
    let numbers = body_numbers(bad, packet)?;
    discard(bad, packet, &numbers)
}

fn discard(bad: &DirRef, packet: &PacketId, numbers: &[usize]) -> durable::Result<()> {
    gone(bad.unlink(packet.to_string().as_ref()))?;
    for number in numbers {
        gone(bad.unlink(body_name(packet, *number).as_ref()))?;
    }
    gone(bad.unlink(why_name(packet).as_ref()))
}
