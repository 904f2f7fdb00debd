//! In: packets for us from a stick to the spool's `self/rx/`.
//!
//! Only the copy counts: an envelope is read and hashed, a body is hashed while it is copied into the run's folder, and what
//! was not what its name says is told and left on the stick. When a batch is durable in the spool, its envelopes go from
//! the stick, and at the end each body that no envelope left there lists. Nothing on the stick is written if it is to keep
//! its packets.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::PathBuf;

use mb_spool::bodies::link_from_index;
use mb_spool::class::Class;
use mb_spool::durable::{self, DirRef, FileRef};
use mb_spool::land::Landing;
use mb_spool::layout::{Queue, Spool};
use mb_spool::run::{Run, gone};
use mb_wire::envelope::{BodyName, Prefix, packet_id, read_prefix};
use mb_wire::id::{PacketId, Root};

use crate::copy::{CopyError, Work, copy_body};
use crate::error::{CarryError, Setback};
use crate::order::{MOST_AT_ONCE, next_packets, read_bounded};
use crate::part::{self, Part, taken_name};
use crate::report::{Event, Report, Watch};
use crate::room::{Room, is_full};
use crate::stick::{Stick, packet_shard, packet_shards};

/// Packets that land together.
const MOST_PACKETS: usize = 1000;
/// Bodies of these.
const MOST_BODIES: usize = 4096;
/// Bytes of these.
const MOST_LEN: u64 = 256 << 20;
/// Errors of reading, one after another, after which the stick is taken for gone.
const MOST_ERRORS: u32 = 16;

/// What is asked of a run.
#[derive(Clone, Copy)]
pub struct TakeOptions<'a> {
    /// Nothing on the stick is removed or written.
    pub keep: bool,
    /// Bytes that stay free on the spool's file system.
    pub reserve: u64,
    /// How bodies are copied.
    pub work: Work<'a>,
}

/// Takes in what is for this node. Everything told as moved is durable in the spool.
///
/// Returns an error if the run could not go on: a sync failed, the stick went away. A crash at any point leaves each packet
/// on the stick, or whole and durable in `self/rx/`, or both.
pub fn take(
    spool: &Spool,
    stick: &Stick,
    run: &Run,
    options: TakeOptions,
    watch: &mut dyn Watch,
) -> Result<Report, CarryError> {
    let mut take = Take {
        spool,
        stick,
        run,
        options,
        watch,
        room: Room::new(spool.root(), options.reserve, u64::MAX),
        shards: BTreeMap::new(),
        batch: Batch::default(),
        part: None,
        removes: !options.keep,
        removed: false,
        left: (0, 0),
        error_count: 0,
        report: Report::default(),
    };
    if take.removes {
        let recovered = part::recover(stick);
        take.tell_removal(recovered);
    }
    let done = take.all();
    let ended = take.end();
    done.and(ended)?;
    Ok(take.report)
}

/// Tells what a run would take, and writes nothing. Bodies are not read.
pub fn would_come(spool: &Spool, stick: &Stick, watch: &mut dyn Watch) -> Result<Report, CarryError> {
    let mut report = Report::default();
    let Some(node) = stick.node(&spool.own())? else { return Ok(report) };
    for shard in packet_shards(&node)? {
        let dir = match node.open_dir(shard.as_ref()) {
            Ok(dir) => dir,
            Err(error) => {
                watch.failed(error.into());
                continue;
            }
        };
        for packet in next_packets(&dir, &shard, None, MOST_AT_ONCE)? {
            match read_envelope(spool, &dir, &packet) {
                Ok((envelope, prefix)) => {
                    report.packet_count += 1;
                    let len = envelope.len() as u64 + prefix.bodies.iter().map(|body| body.size).sum::<u64>();
                    watch.moved(Event::In { packet, len });
                }
                Err(Setback::Bad(error) | Setback::Fatal(error)) => watch.failed(error),
                Err(Setback::Gone | Setback::NoRoom(_) | Setback::Stopped) => {}
            }
        }
    }
    Ok(report)
}

/// A failed call on the stick concerns one packet, unless it would fail for all.
fn on_stick(error: durable::Error) -> Setback {
    match error.class() {
        _ if error.is_missing() => Setback::Gone,
        Class::Later => Setback::Fatal(error.into()),
        _ => Setback::Bad(error.into()),
    }
}

/// A failed call in the spool concerns all packets, unless there is no room for one of `len` bytes.
fn in_spool(error: durable::Error, len: u64) -> Setback {
    if is_full(&error) { Setback::NoRoom(len) } else { Setback::Fatal(error.into()) }
}

/// Reads an envelope from the stick and checks what a carrier can check.
fn read_envelope(spool: &Spool, dir: &DirRef, packet: &PacketId) -> Result<(Vec<u8>, Prefix), Setback> {
    let file = dir.open(packet.to_string().as_ref()).map_err(on_stick)?;
    let path = || dir.path().join(packet.to_string());
    let envelope = read_bounded(&file).map_err(on_stick)?.filter(|envelope| packet_id(envelope) == *packet);
    let Some(envelope) = envelope else { return Err(Setback::Bad(CarryError::Damaged(path()))) };
    match read_prefix(&envelope) {
        Ok(prefix) if prefix.to == spool.own() => Ok((envelope, prefix)),
        Ok(prefix) => Err(Setback::Bad(CarryError::OtherNode { path: path(), to: prefix.to })),
        Err(cause) => Err(Setback::Bad(CarryError::Prefix { path: path(), cause })),
    }
}

/// Packets that are in the run's folder and have not landed.
#[derive(Default)]
struct Batch<'a> {
    landing: Option<Landing<'a>>,
    packets: Vec<Copied>,
    /// Bodies in the run's folder, by their names there.
    bodies: HashMap<Root, String>,
    len: u64,
}

/// A packet that was copied.
struct Copied {
    packet: PacketId,
    len: u64,
    has_bodies: bool,
    missing_count: usize,
}

impl Batch<'_> {
    fn is_full(&self) -> bool {
        self.packets.len() >= MOST_PACKETS || self.bodies.len() >= MOST_BODIES || self.len >= MOST_LEN
    }
}

struct Take<'a> {
    spool: &'a Spool,
    stick: &'a Stick,
    run: &'a Run,
    options: TakeOptions<'a>,
    watch: &'a mut dyn Watch,
    room: Room,
    /// Our own folders of packets on the stick.
    shards: BTreeMap<String, DirRef>,
    batch: Batch<'a>,
    part: Option<Part>,
    /// Whether what was taken goes from the stick.
    removes: bool,
    /// Whether something went.
    removed: bool,
    /// Packets that did not fit, and their bytes.
    left: (u64, u64),
    /// Errors of reading since something could be read.
    error_count: u32,
    report: Report,
}

impl<'a> Take<'a> {
    /// What is whole lands even if the stick goes away in the middle.
    fn all(&mut self) -> Result<(), CarryError> {
        let walked = self.walk();
        let landed = self.land();
        walked.and(landed)
    }

    fn walk(&mut self) -> Result<(), CarryError> {
        let Some(node) = self.stick.node(&self.spool.own())? else { return Ok(()) };
        for shard in packet_shards(&node)? {
            match node.open_dir(shard.as_ref()) {
                Ok(dir) => {
                    self.shards.insert(shard.clone(), dir.clone());
                    self.shard(&shard, &dir)?;
                }
                Err(error) => self.note_bad(error.into())?,
            }
            if self.report.is_stopped {
                break;
            }
        }
        Ok(())
    }

    fn shard(&mut self, shard: &str, dir: &DirRef) -> Result<(), CarryError> {
        let mut after = None;
        loop {
            let packets = next_packets(dir, shard, after, MOST_AT_ONCE)?;
            for packet in &packets {
                if self.options.work.is_stopped() {
                    self.report.is_stopped = true;
                    return Ok(());
                }
                self.one(dir, packet)?;
                if self.batch.is_full() {
                    self.land()?;
                }
            }
            match packets.last() {
                Some(last) if packets.len() == MOST_AT_ONCE => after = Some(*last),
                _ => return Ok(()),
            }
        }
    }

    fn one(&mut self, dir: &DirRef, packet: &PacketId) -> Result<(), CarryError> {
        match self.copy(dir, packet) {
            Ok(()) => self.error_count = 0,
            Err(Setback::Gone) => {}
            Err(Setback::Bad(error)) => self.note_bad(error)?,
            Err(Setback::NoRoom(len)) => {
                self.room.forget();
                self.left = (self.left.0 + 1, self.left.1.saturating_add(len));
            }
            Err(Setback::Stopped) => self.report.is_stopped = true,
            Err(Setback::Fatal(error)) => return Err(error),
        }
        Ok(())
    }

    /// Tells what is wrong with one packet; gives up if nothing can be read any more.
    fn note_bad(&mut self, error: CarryError) -> Result<(), CarryError> {
        self.error_count = match &error {
            CarryError::Disk(cause) if cause.class() == Class::Io => self.error_count + 1,
            _ => 0,
        };
        self.watch.failed(error);
        match self.error_count {
            0..MOST_ERRORS => Ok(()),
            _ => Err(CarryError::GaveUp(self.stick.dir().path().to_owned())),
        }
    }

    /// Copies a packet into the run's folder and takes it into the batch.
    fn copy(&mut self, dir: &DirRef, packet: &PacketId) -> Result<(), Setback> {
        let (envelope, prefix) = read_envelope(self.spool, dir, packet)?;
        self.check_room(&[envelope.len() as u64])?;
        let mut fresh = Vec::new();
        let added = self.add(*packet, &envelope, &prefix.bodies, &mut fresh);
        if added.is_err() {
            // What was copied for it must not keep others from fitting.
            for name in fresh.iter().filter_map(|root| self.batch.bodies.remove(root)) {
                gone(self.run.dir().unlink(name.as_ref())).map_err(|error| in_spool(error, 0))?;
            }
        }
        added
    }

    /// `fresh` gets the bodies that were brought into the run's folder for this packet.
    fn add(
        &mut self,
        packet: PacketId,
        envelope: &[u8],
        listed: &[BodyName],
        fresh: &mut Vec<Root>,
    ) -> Result<(), Setback> {
        let mut len = envelope.len() as u64;
        let mut bodies = Vec::new();
        for (number, body) in listed.iter().enumerate() {
            let is_new = !self.batch.bodies.contains_key(&body.root);
            if let Some(name) = self.body(body)? {
                fresh.extend(is_new.then_some(body.root));
                len += body.size;
                bodies.push((number as u16, body.root, name));
            }
        }
        let missing_count = listed.len() - bodies.len();
        self.landing(len)?.add(packet, envelope, bodies).map_err(|error| in_spool(error, len))?;
        self.wrote(envelope.len() as u64);
        self.batch.packets.push(Copied { packet, len, has_bodies: !listed.is_empty(), missing_count });
        Ok(())
    }

    fn landing(&mut self, len: u64) -> Result<&mut Landing<'a>, Setback> {
        match &mut self.batch.landing {
            Some(landing) => Ok(landing),
            none => {
                let landing = Landing::new(self.spool, self.run, &self.spool.own(), Queue::Rx);
                Ok(none.insert(landing.map_err(|error| in_spool(error, len))?))
            }
        }
    }

    fn wrote(&mut self, len: u64) {
        self.room.take(&[len]);
        self.report.written_len += len;
        self.batch.len += len;
    }

    fn check_room(&mut self, sizes: &[u64]) -> Result<(), Setback> {
        let len = sizes.iter().sum();
        match self.room.fits(sizes).map_err(|error| in_spool(error, len))? {
            true => Ok(()),
            false => Err(Setback::NoRoom(len)),
        }
    }

    /// Brings a body into the run's folder; its name there, or `None` if it is not to be had from this stick.
    fn body(&mut self, body: &BodyName) -> Result<Option<String>, Setback> {
        if let Some(name) = self.batch.bodies.get(&body.root) {
            return Ok(Some(name.clone()));
        }
        let name = match self.link_own(body).map_err(|error| in_spool(error, body.size))? {
            Some(name) => name,
            None => match self.copy_from_stick(body)? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        self.batch.bodies.insert(body.root, name.clone());
        Ok(Some(name))
    }

    /// A link to the body if the spool has it already.
    fn link_own(&self, body: &BodyName) -> durable::Result<Option<String>> {
        let name = self.run.fresh_name("body-");
        if !link_from_index(self.spool, &body.root, self.run.dir(), &name)? {
            return Ok(None);
        }
        if self.run.dir().stat(name.as_ref())?.len == body.size {
            return Ok(Some(name));
        }
        gone(self.run.dir().unlink(name.as_ref()))?;
        Ok(None)
    }

    /// A copy that was hashed. What is wrong with the body on the stick is told.
    fn copy_from_stick(&mut self, body: &BodyName) -> Result<Option<String>, Setback> {
        let source = match self.stick.open_body(&body.root) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(None),
            Err(error) => return self.bad_body(error.into()),
        };
        if source.stat().map_err(on_stick)?.len != body.size {
            return self.bad_body(CarryError::BodyDamaged { path: self.body_path(body), root: body.root });
        }
        self.check_room(&[body.size])?;
        let (name, target) = self.run.create("body-").map_err(|error| in_spool(error, body.size))?;
        let copied = self.copy_whole(&source, body, &target);
        match copied {
            Ok(None) => {
                self.wrote(body.size);
                self.landing(body.size)?.wrote_body(target, &name);
                Ok(Some(name))
            }
            bad => {
                gone(self.run.dir().unlink(name.as_ref())).map_err(|error| in_spool(error, body.size))?;
                match bad? {
                    Some(error) => self.bad_body(error),
                    None => Ok(None),
                }
            }
        }
    }

    /// `Some`: what is wrong with the body on the stick.
    fn copy_whole(&self, source: &FileRef, body: &BodyName, target: &FileRef) -> Result<Option<CarryError>, Setback> {
        match copy_body(source, body, target, self.options.work) {
            Ok(()) => Ok(None),
            Err(CopyError::Source(error)) => Ok(Some(error.into())),
            Err(CopyError::Damaged) => {
                Ok(Some(CarryError::BodyDamaged { path: self.body_path(body), root: body.root }))
            }
            Err(CopyError::Target(error)) => Err(in_spool(error, body.size)),
            Err(CopyError::Stopped) => Err(Setback::Stopped),
        }
    }

    fn body_path(&self, body: &BodyName) -> PathBuf {
        let shard = crate::stick::body_shard(&body.root);
        self.stick.root().path().join(crate::stick::BODY).join(shard).join(body.root.to_string())
    }

    fn bad_body(&mut self, error: CarryError) -> Result<Option<String>, Setback> {
        self.note_bad(error).map_err(Setback::Fatal)?;
        Ok(None)
    }

    /// Makes the batch durable in the spool, and takes its envelopes off the stick.
    fn land(&mut self) -> Result<(), CarryError> {
        let batch = std::mem::take(&mut self.batch);
        let Some(landing) = batch.landing else { return Ok(()) };
        landing.land()?;
        for copied in &batch.packets {
            let Copied { packet, len, missing_count, .. } = *copied;
            self.report.packet_count += 1;
            self.watch.moved(match missing_count {
                0 => Event::In { packet, len },
                _ => Event::Incomplete { packet, missing_count },
            });
            if missing_count == 0 && self.removes {
                let removed = self.remove(copied);
                self.tell_removal(removed);
            }
        }
        Ok(())
    }

    /// Takes an envelope off the stick; one that lists bodies stands for them in `part/RUN` until they were looked at.
    fn remove(&mut self, copied: &Copied) -> durable::Result<()> {
        let Some(shard) = self.shards.get(&packet_shard(&copied.packet)) else { return Ok(()) };
        self.removed = true;
        let name = copied.packet.to_string();
        if !copied.has_bodies {
            return gone(shard.unlink(name.as_ref()));
        }
        let part = match &self.part {
            Some(part) => part,
            None => self.part.insert(Part::open(self.stick, self.run)?),
        };
        gone(shard.rename(name.as_ref(), &**part.dir(), taken_name(&copied.packet).as_ref()))
    }

    /// That a stick cannot be written costs only that its packets come again. It is told once, unless it is
    /// write-protected: then somebody wanted it so.
    fn tell_removal(&mut self, removed: durable::Result<()>) {
        let Err(error) = removed else { return };
        self.removes = false;
        if error.cause.kind() != ErrorKind::ReadOnlyFilesystem {
            self.watch.failed(error.into());
        }
    }

    fn end(&mut self) -> Result<(), CarryError> {
        if let (packet_count @ 1.., len) = self.left {
            let place = self.spool.root().path().to_owned();
            self.watch.failed(CarryError::NoRoom { place, packet_count, len });
        }
        if let Some(part) = self.part.take() {
            let finished = part.finish(self.stick);
            self.tell_removal(finished);
        }
        if self.removed && self.removes {
            let synced = self.sync_stick();
            self.tell_removal(synced);
        }
        Ok(())
    }

    /// So that what was taken does not come back when the stick is pulled now; that would cost only work.
    fn sync_stick(&self) -> durable::Result<()> {
        match self.stick.root().sync_fs() {
            Err(error) if error.is_unsupported() => self.shards.values().try_for_each(|shard| shard.sync()),
            other => other,
        }
    }
}
