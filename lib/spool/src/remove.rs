//! Removing packets because somebody says so.
//!
//! A packet is claimed by a lock on its envelope first, so that one that is being tossed or carried right now stays; where
//! locks do not work, it goes all the same, and whoever works on it finds it gone.

use mb_wire::id::PacketId;

use crate::bad;
use crate::bodies::{self, exists, sweep_index};
use crate::durable::{self, DirRef, Lock};
use crate::envelopes;
use crate::layout::Spool;
use crate::names::Name;
use crate::places::{Place, for_each_place};
use crate::run::Run;

/// What is to go.
pub struct Selection<'a> {
    /// Whether packets of this folder may go.
    pub places: &'a dyn Fn(&Place) -> bool,
    /// Only packets whose envelope was written before this second, counted from 1970.
    pub before: Option<i64>,
    /// Only these packets; empty: all.
    pub packets: &'a [PacketId],
}

/// What became of a packet that was selected.
#[derive(Debug)]
pub enum Removed {
    /// It is gone; in a dry run: it would be.
    Gone,
    /// Another program works on it.
    Busy,
}

/// Removes what is selected; without a run it is only told. `tell` hears of each packet: its removal is durable when this
/// returns.
pub fn remove(
    spool: &Spool,
    selection: &Selection,
    run: Option<&Run>,
    tell: &mut dyn FnMut(&Place, &PacketId, Removed),
) -> durable::Result<()> {
    for_each_place(spool, |place, dir| {
        if !(selection.places)(&place) {
            return Ok(());
        }
        if let Some(run) = run.filter(|_| place == Place::Bad) {
            bad::sweep(spool, run)?;
        }
        let mut gone = false;
        for packet in selection.in_folder(&dir)? {
            let removed = match run {
                Some(run) => remove_one(spool, &place, &dir, &packet, run)?,
                None => Removed::Gone,
            };
            gone |= matches!(removed, Removed::Gone);
            tell(&place, &packet, removed);
        }
        if gone && run.is_some() { dir.sync() } else { Ok(()) }
    })
}

impl Selection<'_> {
    /// The ids of what is selected in a folder; listed before anything is removed.
    fn in_folder(&self, dir: &DirRef) -> durable::Result<Vec<PacketId>> {
        let mut found = Vec::new();
        if self.packets.is_empty() {
            for entry in dir.list()? {
                if let Name::Envelope(packet) = Name::parse(&entry?.name)
                    && self.is_old_enough(dir, &packet)?
                {
                    found.push(packet);
                }
            }
            found.sort_unstable();
        } else {
            for packet in self.packets {
                if exists(&**dir, &packet.to_string())? && self.is_old_enough(dir, packet)? {
                    found.push(*packet);
                }
            }
        }
        Ok(found)
    }

    fn is_old_enough(&self, dir: &DirRef, packet: &PacketId) -> durable::Result<bool> {
        let Some(before) = self.before else { return Ok(true) };
        match dir.stat(packet.to_string().as_ref()) {
            Ok(stat) => Ok(stat.modified.0 < before),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn remove_one(spool: &Spool, place: &Place, dir: &DirRef, packet: &PacketId, run: &Run) -> durable::Result<Removed> {
    let file = match dir.open(packet.to_string().as_ref()) {
        Err(error) if error.is_missing() => return Ok(Removed::Gone),
        other => other?,
    };
    let lock = match file.try_lock()? {
        Lock::Busy => return Ok(Removed::Busy),
        other => other,
    };
    let roots: Option<Vec<_>> =
        envelopes::prefix(dir, packet)?.map(|prefix| prefix.bodies.iter().map(|body| body.root).collect());
    match roots {
        Some(roots) if *place != Place::Bad => bodies::remove_packet(spool, dir, packet, &roots, run)?,
        // It has a reason beside it, or cannot say what bodies it has: what lies there is asked.
        roots => {
            bad::remove(dir, packet)?;
            roots.iter().flatten().try_for_each(|root| sweep_index(spool, root, run))?;
        }
    }
    drop(lock);
    Ok(Removed::Gone)
}
