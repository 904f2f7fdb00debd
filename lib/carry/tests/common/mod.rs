//! Three hosts and a stick in memory: north sends to south and to east, a stick is carried, south tosses.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mb_carry::copy::Work;
use mb_carry::out::{OutOptions, out};
use mb_carry::take::{TakeOptions, take};
use mb_carry::{CarryError, Event, Report, Stick, Watch};
use mb_spool::batch::Batch;
use mb_spool::bodies::{link_from_index, remove_packet};
use mb_spool::durable::memory::{Options, World};
use mb_spool::durable::{self, DirRef};
use mb_spool::layout::{Queue, Spool};
use mb_spool::names::body_name;
use mb_spool::run::{Run, dead_runs};
use mb_wire::body::{BodyKey, leaves, plain_len, root};
use mb_wire::envelope::{Address, BodyName, Content, Wrap, packet_id, wrap};
use mb_wire::id::{NodeId, PacketId, Root};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};

pub const NORTH: u8 = 1;
pub const SOUTH: u8 = 2;
pub const EAST: u8 = 3;

pub fn secrets(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

pub fn id(number: u8) -> NodeId {
    static IDS: LazyLock<[NodeId; 3]> = LazyLock::new(|| [NORTH, SOUTH, EAST].map(|number| secrets(number).id()));
    IDS[usize::from(number - NORTH)]
}

/// A packet as it should arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub to: NodeId,
    pub id: PacketId,
    pub envelope: Vec<u8>,
    pub bodies: Vec<(BodyName, Vec<u8>)>,
}

impl Packet {
    pub fn len(&self) -> u64 {
        self.envelope.len() as u64 + self.bodies.iter().map(|(name, _)| name.size).sum::<u64>()
    }
}

/// Bytes that are told apart by `number` and do not repeat from chunk to chunk.
pub fn noise(number: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u8) ^ ((i >> 8) as u8).wrapping_mul(31) ^ ((i >> 16) as u8) ^ number).collect()
}

pub fn name_of(body: &[u8]) -> BodyName {
    BodyName { root: root(body.len() as u64, &leaves(body)), size: body.len() as u64 }
}

/// A packet from north with these bodies.
pub fn packet(to: u8, number: u8, nice: u8, bodies: &[Vec<u8>]) -> Packet {
    let north = secrets(NORTH);
    let address = Address { id: id(to), exchange: ExchangeSecret::from_random([to; 32]).public() };
    let names: Vec<BodyName> = bodies.iter().map(|body| name_of(body)).collect();
    let listed = names.iter().map(|body| LetterBody {
        root: body.root,
        size: body.size,
        key: BodyKey::from_random([1; 32]),
        len: plain_len(body.size).unwrap(),
        codec: Codec::Plain,
    });
    let letter = Letter {
        to: address.id.into(),
        end: 20_000,
        kind: Kind::File(FileMeta {
            re: None,
            form: Form::Plain,
            mode: 0o644,
            path: b"report.pdf".to_vec(),
            mtime: (7, 8),
        }),
        salt: [number; 16],
        time: 1_700_000_000,
        forwarded: None,
        reply: None,
        wants: Wants::default(),
        author: north.id(),
        bodies: listed.collect(),
        inline: bodies.is_empty().then(|| vec![number; 20]),
    };
    let content = Content::Letter(letter.sign(&north));
    let wrapped = Wrap { to: &address, end: 20_000, nice, hops: 16, bodies: &names, ask: false, content: &content };
    let envelope = wrap(&north, &wrapped).unwrap();
    Packet {
        to: address.id,
        id: packet_id(&envelope),
        envelope,
        bodies: names.into_iter().zip(bodies.to_vec()).collect(),
    }
}

/// What was told in a run.
#[derive(Default)]
pub struct Heard {
    pub moved: Vec<Event>,
    pub failed: Vec<CarryError>,
}

impl Watch for Heard {
    fn moved(&mut self, event: Event) {
        self.moved.push(event);
    }

    fn failed(&mut self, failure: CarryError) {
        self.failed.push(failure);
    }
}

static NEXT_RUN: AtomicU64 = AtomicU64::new(1);
pub static GO_ON: AtomicBool = AtomicBool::new(false);

pub fn work() -> Work<'static> {
    Work { threads: 1, stop: &GO_ON, progress: &|_| {} }
}

pub fn start_run(spool: &Spool) -> durable::Result<Run> {
    loop {
        let mut random = [0; 16];
        // The first byte is counted up when a name is taken.
        random[8..].copy_from_slice(&NEXT_RUN.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        match Run::start(spool, random) {
            Err(error) if error.is_missing() => {}
            other => return other,
        }
    }
}

/// Options for a stick that goes to these nodes from now on.
pub fn out_to(numbers: &[u8]) -> OutOptions<'static> {
    // A few bytes for each run of a test.
    let nodes = Box::leak(numbers.iter().map(|number| id(*number)).collect::<Box<[NodeId]>>());
    OutOptions { nodes, keep: false, confirmed_by: &[], again: false, verify: false, max_bytes: None, work: work() }
}

pub fn take_options() -> TakeOptions<'static> {
    TakeOptions { keep: false, reserve: 0, work: work() }
}

/// Where everything lies in a world: north's spool, the stick, south's spool.
pub struct Place {
    pub north: Spool,
    pub stick: DirRef,
    pub south: Spool,
}

impl Place {
    pub fn of(world: &World) -> Place {
        Place {
            north: Spool::new(world.root(0), id(NORTH)),
            stick: world.root(1),
            south: Spool::new(world.root(2), id(SOUTH)),
        }
    }

    /// `mb-xfer --out` at north, as the program does it.
    pub fn out(&self, options: OutOptions) -> (Result<Report, CarryError>, Heard) {
        let mut heard = Heard::default();
        let done = self.out_heard(options, &mut heard);
        (done, heard)
    }

    fn out_heard(&self, options: OutOptions, heard: &mut Heard) -> Result<Report, CarryError> {
        clear(&self.north)?;
        let stick = match options.nodes {
            [] => Stick::find(&self.stick)?.expect("the stick was made"),
            _ => Stick::make(&self.stick)?,
        };
        let run = start_run(&self.north)?;
        out(&self.north, &stick, &run, options, heard)
    }

    /// `mb-xfer --in` at south.
    pub fn take(&self, options: TakeOptions) -> (Result<Report, CarryError>, Heard) {
        let mut heard = Heard::default();
        let done = self.take_to(options, &mut heard);
        (done, heard)
    }

    fn take_to(&self, options: TakeOptions, heard: &mut Heard) -> Result<Report, CarryError> {
        clear(&self.south)?;
        let Some(stick) = Stick::find(&self.stick)? else { return Ok(Report::default()) };
        let run = start_run(&self.south)?;
        take(&self.south, &stick, &run, options, heard)
    }

    /// Delivers every packet at south that is whole, and removes it, as a toss would; which were delivered.
    pub fn toss(&self, packets: &[Packet]) -> durable::Result<BTreeSet<PacketId>> {
        let mut delivered = BTreeSet::new();
        let Some(rx) = self.south.find_queue(&id(SOUTH), Queue::Rx)? else { return Ok(delivered) };
        let run = start_run(&self.south)?;
        for packet in packets.iter().filter(|packet| is_in_queue(&rx, packet)) {
            let roots: Vec<Root> = packet.bodies.iter().map(|(name, _)| name.root).collect();
            remove_packet(&self.south, &rx, &packet.id, &roots, &run)?;
            delivered.insert(packet.id);
        }
        Ok(delivered)
    }

    pub fn is_in_tx(&self, packet: &Packet) -> bool {
        let queue = self.north.find_queue(&packet.to, Queue::Tx).unwrap();
        queue.is_some_and(|queue| is_in_queue(&queue, packet))
    }

    /// Whether it is kept until its node confirms it.
    pub fn is_kept(&self, packet: &Packet) -> bool {
        let queue = self.north.find_queue(&packet.to, Queue::Sent).unwrap();
        queue.is_some_and(|queue| is_in_queue(&queue, packet))
    }

    pub fn is_in_rx(&self, packet: &Packet) -> bool {
        let queue = self.south.find_queue(&id(SOUTH), Queue::Rx).unwrap();
        queue.is_some_and(|queue| is_in_queue(&queue, packet))
    }

    pub fn is_on_stick(&self, packet: &Packet) -> bool {
        let name = packet.id.to_string();
        let Some(shard) = find(&self.stick, &["mailbag", &packet.to.to_string(), &name[..1]]) else { return false };
        has(&shard, &name, &packet.envelope)
            && packet.bodies.iter().all(|(body, content)| {
                let root = body.root.to_string();
                find(&self.stick, &["mailbag", "body", &root[..2]]).is_some_and(|dir| has(&dir, &root, content))
            })
    }
}

fn clear(spool: &Spool) -> durable::Result<()> {
    dead_runs(spool)?.into_iter().try_for_each(|dead| dead.remove())
}

fn find(dir: &DirRef, path: &[&str]) -> Option<DirRef> {
    path.iter().try_fold(dir.clone(), |dir, name| dir.open_dir(name.as_ref()).ok())
}

pub fn has(dir: &DirRef, name: &str, content: &[u8]) -> bool {
    let Ok(file) = dir.open(name.as_ref()) else { return false };
    let mut bytes = vec![0; content.len() + 1];
    let len = file.read_at(&mut bytes, 0).unwrap();
    bytes[..len] == *content
}

fn is_in_queue(queue: &DirRef, packet: &Packet) -> bool {
    let mut bodies = packet.bodies.iter().enumerate();
    has(queue, &packet.id.to_string(), &packet.envelope)
        && bodies.all(|(number, (_, content))| has(queue, &body_name(&packet.id, number), content))
}

/// What poorer file systems lack.
pub fn fat() -> Options {
    Options { links: false, symlinks: false, noreplace: false, folds_case: true, ..Options::default() }
}

/// A world in which north has sent the packets, and everything is durable.
pub fn world(seed: u64, stick: Options, packets: &[Packet]) -> World {
    let world = World::new(seed);
    world.file_system(Options::default());
    world.file_system(stick);
    world.file_system(Options::default());
    send(&Place::of(&world).north, packets);
    world.settle();
    world
}

/// Sends packets, as `mb-send` does: each body once.
pub fn send(spool: &Spool, packets: &[Packet]) {
    let run = start_run(spool).unwrap();
    let batch = Batch::new(spool, &run).unwrap();
    let mut names: BTreeMap<Root, String> = BTreeMap::new();
    for packet in packets {
        let mut made = Vec::new();
        for (body, content) in &packet.bodies {
            let name = names.entry(body.root).or_insert_with(|| {
                let (name, file) = run.write("body-", content).unwrap();
                batch.wrote_body(file, &name);
                name
            });
            made.push(name.clone());
        }
        batch.add(packet.to, &packet.envelope, run.dir(), &made).unwrap();
    }
    batch.commit(None).unwrap();
}

/// Names below a folder of the world that are files.
pub fn files(world: &World, below: impl AsRef<Path>) -> Vec<String> {
    let below = below.as_ref();
    let is_file = |node: &durable::memory::Node| matches!(node, durable::memory::Node::File(_));
    let tree = world.tree();
    let found = tree.iter().filter(|(path, node)| path.starts_with(below) && is_file(node));
    found.map(|(path, _)| path.strip_prefix(below).unwrap().display().to_string()).collect()
}

/// Whether the spool's index leads to the body.
pub fn is_indexed(spool: &Spool, root: &Root) -> bool {
    let run = start_run(spool).unwrap();
    link_from_index(spool, root, run.dir(), "probe").unwrap()
}
