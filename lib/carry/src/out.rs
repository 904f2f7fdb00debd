//! Out: packets from the spool's `tx/` to a stick.
//!
//! What goes: packets for nodes that have a folder on the stick, highest priority first, then smaller ones first, so
//! that a full stick holds a useful subset. A packet leaves the spool when its envelope and all its bodies are durable on
//! this one stick. What does not fit stays, and smaller ones after it may still go.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use mb_spool::barrier::Barrier;
use mb_spool::batch::publish_all;
use mb_spool::bodies::remove_packet;
use mb_spool::class::Class;
use mb_spool::durable::{self, DirRef, Lock, LockGuard};
use mb_spool::layout::{Queue, Spool};
use mb_spool::names::body_name;
use mb_spool::run::{Run, gone};
use mb_spool::{sent, way};
use mb_wire::envelope::{BodyName, packet_id, read_prefix};
use mb_wire::id::{NodeId, PacketId, Root};

use crate::batch::{Batch, Pending, is_envelope, read_back};
use crate::copy::{CopyError, Work, copy_body, is_body};
use crate::destination::{Destination, destinations};
use crate::error::{CarryError, Setback};
use crate::folders::{Folders, Names, Place};
use crate::order::{MOST_AT_ONCE, Waiting, next_waiting, read_bounded, sweep_orphans};
use crate::part::{self, Part};
use crate::report::{Event, Report, Watch};
use crate::room::{Room, is_full};
use crate::stick::{Stick, none_if_missing};

/// Bodies that are known to be on the stick without looking again.
const MOST_KNOWN: usize = 64 * 1024;

/// What is asked of a run.
#[derive(Clone, Copy)]
pub struct OutOptions<'a> {
    /// Nodes that get a folder on the stick.
    pub nodes: &'a [NodeId],
    /// The packets stay in the spool as well.
    pub keep: bool,
    /// Nodes for which what leaves is kept until they confirm it.
    pub confirmed_by: &'a [NodeId],
    /// What is kept for the stick's nodes goes once more.
    pub again: bool,
    /// Everything is read back from the stick before the source goes.
    pub verify: bool,
    /// Bytes that this run may write to the stick.
    pub max_bytes: Option<u64>,
    /// How bodies are copied.
    pub work: Work<'a>,
}

/// Moves packets from `tx/` to the stick. Everything told as moved is durable there.
///
/// Returns an error if the run could not go on: a sync failed, the stick went away. A crash at any point leaves each packet
/// whole in `tx/`, or whole and durable on the stick, or both.
pub fn out(
    spool: &Spool,
    stick: &Stick,
    run: &Run,
    options: OutOptions,
    watch: &mut dyn Watch,
) -> Result<Report, CarryError> {
    publish_all(spool, run)?;
    recover(stick)?;
    let mut folders = Folders::default();
    make_nodes(spool, stick, options.nodes, &mut folders)?;
    if options.again {
        nodes_of(spool, stick)?.iter().try_for_each(|node| sent::again(spool, node, run))?;
    }
    let destinations = destinations(spool, Some(stick), &[], watch)?;
    if destinations.iter().any(|to| options.confirmed_by.contains(&to.node)) {
        // So that a confirmation finds its way back.
        make_folders(stick, &[spool.own()], &mut folders)?;
    }
    destinations.iter().try_for_each(|to| sweep_orphans(&to.queue, run))?;
    let room = Room::new(stick.root(), 0, options.max_bytes.unwrap_or(u64::MAX));
    let mut out = Out {
        spool,
        stick,
        run,
        options,
        watch,
        destinations,
        folders,
        room,
        part: None,
        batch: Batch::default(),
        on_stick: HashSet::new(),
        left: (0, 0),
        report: Report::default(),
    };
    let done = out.all();
    let ended = out.end();
    done.and(ended)?;
    Ok(out.report)
}

/// Tells what a run would move to the stick in `dir`, and writes nothing.
pub fn would_go(spool: &Spool, dir: &DirRef, options: OutOptions, watch: &mut dyn Watch) -> Result<Report, CarryError> {
    let stick = Stick::find(dir)?;
    let mut destinations = destinations(spool, stick.as_ref(), options.nodes, watch)?;
    if options.again {
        let on_stick = stick.as_ref().map(|stick| nodes_of(spool, stick)).transpose()?.unwrap_or_default();
        for node in spool.nodes()? {
            let Some(queue) = spool.find_queue(&node, Queue::Sent)? else { continue };
            if on_stick.contains(&node) || options.nodes.contains(&node) {
                destinations.push(Destination { node, queue, way: None });
            }
        }
    }
    let mut report = Report::default();
    let mut room = Room::new(dir, 0, options.max_bytes.unwrap_or(u64::MAX));
    for waiting in next_waiting(&destinations, None)? {
        if room.allows(waiting.len) && room.fits(&[waiting.len])? {
            room.take(&[waiting.len]);
            report.packet_count += 1;
            let to = destinations[waiting.queue as usize].node;
            watch.moved(Event::Out { packet: waiting.packet, to, len: waiting.len });
        }
    }
    Ok(report)
}

/// Settles what dead runs left. On a stick that cannot be written it stays; whether that matters shows when something is
/// to be put there.
fn recover(stick: &Stick) -> durable::Result<()> {
    match part::recover(stick) {
        Err(error) if error.cause.kind() == ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other,
    }
}

fn make_nodes(spool: &Spool, stick: &Stick, nodes: &[NodeId], folders: &mut Folders) -> Result<(), CarryError> {
    if nodes.contains(&spool.own()) {
        return Err(CarryError::Ourselves(spool.own()));
    }
    make_folders(stick, nodes, folders)
}

fn make_folders(stick: &Stick, nodes: &[NodeId], folders: &mut Folders) -> Result<(), CarryError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let mut names = Names::default();
    let made = nodes.iter().try_for_each(|node| names.add(stick, &Place::Node(*node), folders));
    if let Err(error) = made.and_then(|()| names.wait(stick, None)) {
        folders.unmake(stick);
        return Err(error.into());
    }
    folders.synced();
    Ok(())
}

/// A failed call in the spool concerns one packet, unless it would fail for all.
fn in_spool(error: durable::Error) -> Setback {
    match error.class() {
        _ if error.is_missing() => Setback::Gone,
        Class::Later => Setback::Fatal(error.into()),
        _ => Setback::Bad(error.into()),
    }
}

/// A failed call on the stick concerns all packets, unless there is no room for this one or something stands in its way.
fn on_stick(error: durable::Error) -> Setback {
    match error {
        error if is_full(&error) => Setback::NoRoom(0),
        error if error.is_wrong_kind() => Setback::Bad(error.into()),
        error => Setback::Fatal(error.into()),
    }
}

/// A packet in the spool that may go.
struct Source {
    packet: PacketId,
    queue: DirRef,
    to: NodeId,
    envelope: Vec<u8>,
    bodies: Vec<BodyName>,
    lock: Option<LockGuard>,
}

impl Source {
    fn path(&self) -> PathBuf {
        self.queue.path().join(self.packet.to_string())
    }
}

struct Out<'a> {
    spool: &'a Spool,
    stick: &'a Stick,
    run: &'a Run,
    options: OutOptions<'a>,
    watch: &'a mut dyn Watch,
    destinations: Vec<Destination>,
    folders: Folders,
    room: Room,
    part: Option<Part>,
    batch: Batch,
    /// Bodies on the stick that were read, or placed, by this run.
    on_stick: HashSet<Root>,
    /// Packets that did not fit, and their bytes.
    left: (u64, u64),
    report: Report,
}

impl Out<'_> {
    /// What is whole becomes durable even if the run cannot go on.
    fn all(&mut self) -> Result<(), CarryError> {
        let walked = self.walk();
        let committed = self.commit();
        walked.and(committed)
    }

    fn walk(&mut self) -> Result<(), CarryError> {
        let mut after = None;
        loop {
            let waiting = next_waiting(&self.destinations, after)?;
            for waiting in &waiting {
                if self.options.work.is_stopped() {
                    self.report.is_stopped = true;
                    return Ok(());
                }
                self.one(waiting)?;
                if self.batch.is_full() {
                    self.commit()?;
                }
            }
            match waiting.last() {
                Some(last) if waiting.len() == MOST_AT_ONCE => after = Some(*last),
                _ => return Ok(()),
            }
        }
    }

    fn one(&mut self, waiting: &Waiting) -> Result<(), CarryError> {
        match self.put(waiting) {
            Ok(()) | Err(Setback::Gone) => {}
            Err(Setback::Bad(error)) => self.watch.failed(error),
            Err(Setback::NoRoom(_)) => self.leave(waiting.len),
            Err(Setback::Stopped) => self.report.is_stopped = true,
            Err(Setback::Fatal(error)) => return Err(error),
        }
        Ok(())
    }

    fn leave(&mut self, len: u64) {
        self.room.forget();
        self.left = (self.left.0 + 1, self.left.1.saturating_add(len));
    }

    /// Writes all of a packet into `part/RUN` and takes it into the batch.
    fn put(&mut self, waiting: &Waiting) -> Result<(), Setback> {
        let source = self.read(waiting)?;
        self.check_sources(&source)?;
        self.make_room(&source)?;
        let mut written = Vec::new();
        let put = self.put_files(&source, &mut written);
        if let Err(Setback::Bad(_) | Setback::NoRoom(_)) = put {
            // It must not keep others from fitting.
            written.iter().try_for_each(|root| self.drop_body(root)).map_err(on_stick)?;
        }
        let is_written = put?;
        let Source { packet, to, envelope, bodies, lock, .. } = source;
        let len = envelope.len() as u64 + bodies.iter().map(|body| body.size).sum::<u64>();
        let is_new = is_written || !written.is_empty();
        let queue = waiting.queue;
        self.batch.packets.push(Pending { packet, to, queue, bodies, is_written, is_new, len, _lock: lock });
        Ok(())
    }

    /// Claims and reads a packet's envelope.
    fn read(&self, waiting: &Waiting) -> Result<Source, Setback> {
        let Destination { node: to, queue, .. } = self.destinations[waiting.queue as usize].clone();
        let packet = waiting.packet;
        let name = packet.to_string();
        let file = queue.open(name.as_ref()).map_err(in_spool)?;
        let lock = match file.try_lock().map_err(in_spool)? {
            Lock::Held(guard) => Some(guard),
            Lock::Unsupported => None,
            Lock::Busy => return Err(Setback::Gone),
        };
        // Whoever had the lock before may have removed it.
        queue.stat(name.as_ref()).map_err(in_spool)?;
        let path = queue.path().join(&name);
        let envelope = read_bounded(&file).map_err(in_spool)?.filter(|envelope| packet_id(envelope) == packet);
        let Some(envelope) = envelope else { return Err(Setback::Bad(CarryError::Damaged(path))) };
        match read_prefix(&envelope) {
            Ok(prefix) if prefix.to != to => Err(Setback::Bad(CarryError::OtherNode { path, to: prefix.to })),
            Ok(prefix) => Ok(Source { packet, queue, to, envelope, bodies: prefix.bodies, lock }),
            Err(cause) => Err(Setback::Bad(CarryError::Prefix { path, cause })),
        }
    }

    /// All bodies are there and of the right size, or none of the packet is put on the stick.
    fn check_sources(&self, source: &Source) -> Result<(), Setback> {
        for (number, body) in source.bodies.iter().enumerate() {
            let stat =
                none_if_missing(source.queue.stat(body_name(&source.packet, number).as_ref())).map_err(in_spool)?;
            if stat.is_none_or(|stat| stat.len != body.size) {
                return Err(Setback::Bad(CarryError::BodyMissing { path: source.path(), root: body.root }));
            }
        }
        Ok(())
    }

    /// Sees that the packet fits; if need be, unfinished bodies of others go.
    fn make_room(&mut self, source: &Source) -> Result<(), Setback> {
        let sizes = self.missing_sizes(source).map_err(on_stick)?;
        if !self.room.allows(sizes.iter().sum()) {
            return Err(Setback::NoRoom(sizes.iter().sum()));
        }
        if self.room.fits(&sizes).map_err(on_stick)? {
            return Ok(());
        }
        let own: Vec<Root> = source.bodies.iter().map(|body| body.root).collect();
        if part::clear_resting(self.stick, &own).map_err(on_stick)? && self.room.fits(&sizes).map_err(on_stick)? {
            return Ok(());
        }
        Err(Setback::NoRoom(sizes.iter().sum()))
    }

    /// The sizes of the files that are still to be written.
    fn missing_sizes(&self, source: &Source) -> durable::Result<Vec<u64>> {
        let mut sizes = vec![source.envelope.len() as u64];
        for body in &source.bodies {
            if !self.batch.has(&body.root) && !self.stick.has_body(&body.root, body.size)? {
                sizes.push(body.size.saturating_sub(part::resting_len(self.stick, &body.root)?));
            }
        }
        Ok(sizes)
    }

    /// Puts bodies, then the envelope. Whether the envelope was written; the bodies that were, in `written`.
    fn put_files(&mut self, source: &Source, written: &mut Vec<Root>) -> Result<bool, Setback> {
        for (number, body) in source.bodies.iter().enumerate() {
            if self.is_there(body)? {
                continue;
            }
            written.push(body.root);
            self.copy(source, number, body)?;
        }
        self.put_envelope(source)
    }

    /// Whether the stick has the body, read to the end unless this run knows it.
    fn is_there(&mut self, body: &BodyName) -> Result<bool, Setback> {
        if self.batch.has(&body.root) {
            return Ok(true);
        }
        let Some(file) = self.stick.open_body(&body.root).map_err(on_stick)? else { return Ok(false) };
        if self.on_stick.contains(&body.root) {
            return Ok(true);
        }
        file.uncache();
        match is_body(&file, body, self.options.work) {
            Ok(true) => {}
            Err(CopyError::Stopped) => return Err(Setback::Stopped),
            // One that cannot be read is as good as none: it is replaced.
            _ => return Ok(false),
        }
        // A name that is there need not be durable.
        file.sync().map_err(on_stick)?;
        part::forget_resting(self.stick, &body.root).map_err(on_stick)?;
        self.batch.relies_on(Place::of_body(&body.root));
        self.know(body.root);
        Ok(true)
    }

    fn know(&mut self, root: Root) {
        if self.on_stick.len() >= MOST_KNOWN {
            self.on_stick.clear();
        }
        self.on_stick.insert(root);
    }

    fn copy(&mut self, source: &Source, number: usize, body: &BodyName) -> Result<(), Setback> {
        // Room for its folder first: the name itself is made when all is durable.
        self.folders.get(self.stick, &Place::of_body(&body.root)).map_err(on_stick)?;
        let from = source.queue.open(body_name(&source.packet, number).as_ref()).map_err(in_spool)?;
        let part = open_part(&mut self.part, self.stick, self.run).map_err(on_stick)?;
        let target = part.body_file(&body.root).map_err(on_stick)?;
        let there = target.stat().map_err(on_stick)?.len.min(body.size);
        copy_body(&from, body, &target, self.options.work).map_err(|error| match error {
            CopyError::Source(error) => in_spool(error),
            CopyError::Target(error) => on_stick(error),
            CopyError::Damaged => {
                let path = source.queue.path().join(body_name(&source.packet, number));
                Setback::Bad(CarryError::BodyDamaged { path, root: body.root })
            }
            CopyError::Stopped => Setback::Stopped,
        })?;
        self.batch.wrote_body(target, part, body);
        self.wrote(body.size - there);
        Ok(())
    }

    /// `false` if the very same is on the stick already.
    fn put_envelope(&mut self, source: &Source) -> Result<bool, Setback> {
        let shard = self.folders.get(self.stick, &Place::of_packet(&source.to, &source.packet)).map_err(on_stick)?;
        match is_envelope(&shard, &source.packet) {
            Ok(true) => {
                let there = shard.open(source.packet.to_string().as_ref());
                there.and_then(|file| file.sync()).map_err(on_stick)?;
                return Ok(false);
            }
            Err(error) if error.is_wrong_kind() => return Err(on_stick(error)),
            // Another one, or one that cannot be read, is replaced.
            Ok(false) | Err(_) => {}
        }
        let part = open_part(&mut self.part, self.stick, self.run).map_err(on_stick)?;
        let file = part.write_packet(&source.packet, &source.envelope).map_err(on_stick)?;
        self.batch.wrote_packet(file, part, &source.packet);
        self.wrote(source.envelope.len() as u64);
        Ok(true)
    }

    fn wrote(&mut self, len: u64) {
        self.room.take(&[len]);
        self.report.written_len += len;
    }

    fn drop_body(&mut self, root: &Root) -> durable::Result<()> {
        match &self.part {
            Some(part) => self.batch.drop_body(part, root),
            None => Ok(()),
        }
    }

    /// Makes the batch durable on the stick, and removes its packets from the spool.
    fn commit(&mut self) -> Result<(), CarryError> {
        if self.batch.packets.is_empty() {
            return Ok(());
        }
        let part = open_part(&mut self.part, self.stick, self.run)?;
        let done = self.batch.commit(self.stick, part, &mut self.folders)?;
        done.left.iter().for_each(|pending| self.leave(pending.len));
        let mut read = HashSet::new();
        let mut sure = Vec::new();
        for pending in done.packets {
            match self.check(&pending, &mut read) {
                Ok(()) => sure.push(pending),
                Err(Setback::Bad(failure)) => self.watch.failed(failure),
                Err(Setback::Fatal(failure)) => return Err(failure),
                Err(Setback::Stopped | Setback::Gone | Setback::NoRoom(_)) => self.report.is_stopped = true,
            }
        }
        if !self.options.keep {
            self.keep_unconfirmed(&sure)?;
            self.remove_sources(&sure)?;
        }
        sure.iter().for_each(|pending| self.moved(pending));
        Ok(())
    }

    /// Makes sure, once more, that a packet on the stick may leave the spool.
    fn check(&mut self, pending: &Pending, read: &mut HashSet<Root>) -> Result<(), Setback> {
        // Looked at after the envelope was there: whoever sweeps bodies looks for envelopes after it took one aside.
        for body in &pending.bodies {
            if !self.stick.has_body(&body.root, body.size).map_err(on_stick)? {
                let path = self.stick.root().path().join(pending.to.to_string()).join(pending.packet.to_string());
                return Err(Setback::Bad(CarryError::BodyGone { path, root: body.root }));
            }
            self.know(body.root);
        }
        if !self.options.verify {
            return Ok(());
        }
        match read_back(self.stick, pending, read, self.options.work) {
            Ok(None) => Ok(()),
            Ok(Some(path)) => Err(Setback::Bad(CarryError::ReadsBack(path))),
            Err(CopyError::Source(error) | CopyError::Target(error)) => Err(on_stick(error)),
            Err(CopyError::Damaged | CopyError::Stopped) => Err(Setback::Stopped),
        }
    }

    /// Durable on return.
    fn keep_unconfirmed(&self, sure: &[Pending]) -> durable::Result<()> {
        let mut barrier = Barrier::new();
        for pending in sure.iter().filter(|pending| self.options.confirmed_by.contains(&pending.to)) {
            let (queue, count) = (&self.destinations[pending.queue as usize].queue, pending.bodies.len());
            sent::keep(self.spool, queue, &pending.to, &pending.packet, count, self.run, &mut barrier)?;
        }
        barrier.wait()
    }

    /// Envelopes first, durably, where bodies go after them: a power cut must not leave one here without its bodies.
    fn remove_sources(&self, sure: &[Pending]) -> durable::Result<()> {
        let mut names = Barrier::new();
        for pending in sure {
            let Destination { node, queue, way } = &self.destinations[pending.queue as usize];
            if let Some(way) = way {
                way::handed(self.spool, node, way, &pending.packet, self.run)?;
            }
            gone(queue.unlink(pending.packet.to_string().as_ref()))?;
            if !pending.bodies.is_empty() {
                names.dir(queue);
            }
        }
        names.wait()?;
        for pending in sure.iter().filter(|pending| !pending.bodies.is_empty()) {
            let roots: Vec<Root> = pending.bodies.iter().map(|body| body.root).collect();
            remove_packet(
                self.spool,
                &self.destinations[pending.queue as usize].queue,
                &pending.packet,
                &roots,
                self.run,
            )?;
        }
        Ok(())
    }

    fn moved(&mut self, pending: &Pending) {
        let (packet, to, len) = (pending.packet, pending.to, pending.len);
        if pending.is_new || !self.options.keep {
            self.report.packet_count += 1;
            self.watch.moved(Event::Out { packet, to, len });
        }
    }

    fn end(&mut self) -> Result<(), CarryError> {
        if let (packet_count @ 1.., len) = self.left {
            let place = self.stick.dir().path().to_owned();
            self.watch.failed(CarryError::NoRoom { place, packet_count, len });
        }
        match self.part.take() {
            Some(part) => Ok(part.finish(self.stick)?),
            None => Ok(()),
        }
    }
}

/// The nodes with a folder here that the stick goes to. A name on it that is something else is told where packets are looked for.
fn nodes_of(spool: &Spool, stick: &Stick) -> durable::Result<Vec<NodeId>> {
    let mut nodes = Vec::new();
    for node in spool.nodes()? {
        match stick.node(&node) {
            Ok(Some(_)) => nodes.push(node),
            Err(error) if !error.is_wrong_kind() => return Err(error),
            _ => {}
        }
    }
    Ok(nodes)
}

/// The run's folder on the stick: made when there is something to put into it.
fn open_part<'a>(part: &'a mut Option<Part>, stick: &Stick, run: &Run) -> durable::Result<&'a mut Part> {
    match part {
        Some(part) => Ok(part),
        none => Ok(none.insert(Part::open(stick, run)?)),
    }
}
