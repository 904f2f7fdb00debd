//! What waits: counts and sizes of a folder of packets, in memory that does not grow with it. Reads only.
//!
//! A packet's bytes are those of its envelope and of its bodies that are here. A body that several packets share counts
//! for each of them: that is what each will cost when it travels alone.

use mb_wire::envelope::{Prefix, read_prefix};
use mb_wire::id::PacketId;

use crate::durable::{self, DirRef, Stat};
use crate::envelopes::{self, Read};
use crate::names::{Name, body_name};

/// One packet.
#[derive(Debug)]
pub struct Waiting {
    /// Its id.
    pub packet: PacketId,
    /// When its envelope was written, in seconds since 1970.
    pub since: i64,
    /// Bytes.
    pub len: u64,
    /// What stands in clear; `None` if the envelope is damaged.
    pub prefix: Option<Prefix>,
    /// Bodies that are here.
    pub here_count: u64,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets.
    pub packet_count: u64,
    /// Bytes.
    pub len: u64,
    /// When the oldest envelope was written.
    pub since: Option<i64>,
    /// Bodies that are here; only counted by [`Tally::add`].
    pub here_count: u64,
    /// Bodies that the packets list; only counted by [`Tally::add`].
    pub body_count: u64,
}

impl Tally {
    /// Counts one packet.
    pub fn add(&mut self, waiting: &Waiting) {
        self.packet(waiting.since);
        self.len += waiting.len;
        self.here_count += waiting.here_count;
        self.body_count += waiting.prefix.as_ref().map_or(0, |prefix| prefix.bodies.len() as u64);
    }

    fn packet(&mut self, since: i64) {
        self.packet_count += 1;
        self.since = Some(self.since.map_or(since, |oldest| oldest.min(since)));
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.packet_count == 0
    }
}

/// Counts a folder by its names alone: one look at each, no file is opened.
pub fn tally(dir: &DirRef) -> durable::Result<Tally> {
    let mut tally = Tally::default();
    for entry in dir.list()? {
        let name = entry?.name;
        let kind = Name::parse(&name);
        if !matches!(kind, Name::Envelope(_) | Name::Body(..)) {
            continue;
        }
        let Some(stat) = stat(dir, &name)? else { continue };
        tally.len += stat.len;
        if matches!(kind, Name::Envelope(_)) {
            tally.packet(stat.modified.0);
        }
    }
    Ok(tally)
}

/// Calls `visit` with every packet of a folder, in no order.
pub fn for_each_packet<E: From<durable::Error>>(
    dir: &DirRef,
    mut visit: impl FnMut(Waiting) -> Result<(), E>,
) -> Result<(), E> {
    for entry in dir.list()? {
        if let Name::Envelope(packet) = Name::parse(&entry?.name)
            && let Some(waiting) = look(dir, &packet)?
        {
            visit(waiting)?;
        }
    }
    Ok(())
}

/// One packet of a folder; `None` if it has gone.
pub fn look(dir: &DirRef, packet: &PacketId) -> durable::Result<Option<Waiting>> {
    let Some(stat) = stat(dir, packet.to_string().as_ref())? else { return Ok(None) };
    let prefix = match envelopes::read(dir, packet) {
        Ok(Read::Whole(bytes)) => read_prefix(&bytes).ok(),
        Ok(Read::Missing) => return Ok(None),
        Ok(Read::Damaged) => None,
        Err(error) if error.is_wrong_kind() => None,
        Err(error) => return Err(error),
    };
    let mut waiting = Waiting { packet: *packet, since: stat.modified.0, len: stat.len, prefix, here_count: 0 };
    let count = waiting.prefix.as_ref().map_or(0, |prefix| prefix.bodies.len());
    for number in 0..count {
        if let Some(stat) = self::stat(dir, body_name(packet, number).as_ref())? {
            waiting.len += stat.len;
            waiting.here_count += 1;
        }
    }
    Ok(Some(waiting))
}

fn stat(dir: &DirRef, name: &std::ffi::OsStr) -> durable::Result<Option<Stat>> {
    match dir.stat(name) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
