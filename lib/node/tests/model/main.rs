//! Send and toss on a file system that forgets what was not synced: cut after every step, with two actors, with locks
//! that do nothing, with a user who takes files away. Whatever happens, a letter is delivered exactly once.
//!
//! `MB_MODEL_SEEDS` says how many seeds each scenario runs with.

/// Messages of areas.
mod area;
/// Neighbours that ask for areas.
mod subscribe;
/// The same of packets that go on.
mod relay;
/// Letters for commands.
mod command;
/// Folders of which not all has come.
mod partial;
/// Many of them together.
mod network;
/// Letters that ask for something.
mod request;
/// Lists.
mod list;

use mb_node::config::KnownArea;
use mb_node::home::AreaSecrets;
use mb_wire::id::AreaId;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mb_node::config::{KnownNode, List};
use mb_node::exec::{Runner, System};
use mb_node::keys::ExchangeKeys;
use mb_node::send::{Compress, Errand, Input, Onion, Options, Place, Recipient, SendError, Sender, Sent};
use mb_node::toss::{Event, Nodes, Scope, Tosser};
use mb_spool::durable::memory::{Fault, LockMode, Node, Options as FsOptions, World, is_cut};
use mb_spool::durable::{self, DirRef};
use mb_spool::layout::{Queue, Spool};
use mb_spool::run::Run;
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::id::NodeId;
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};

/// A day in 2026, and its noon.
const TODAY: u32 = 20_780;
const NOON: u64 = TODAY as u64 * 86_400 + 43_200;

fn seeds() -> u64 {
    std::env::var("MB_MODEL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// A node that exists only in memory.
struct Actor {
    secrets: NodeSecrets,
    key: [u8; 32],
    known: KnownNode,
}

impl Actor {
    fn new(name: &str, number: u8) -> Actor {
        Actor::from([number; 32], name)
    }

    /// One of many.
    fn of(name: String, number: u32) -> Actor {
        let mut seed = [0xaa; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        Actor::from(seed, &name)
    }

    fn from(seed: [u8; 32], name: &str) -> Actor {
        let secrets = NodeSecrets::from_seed(&Seed::from_bytes(seed));
        let key = seed.map(|byte| byte ^ 0x55);
        let public = ExchangeSecret::from_random(key).public();
        let keys = vec![ExchangeKey { suite: 1, public, use_until: 0, gone_after: 0 }];
        let card = Card::issue(&secrets, keys, name, 1, 0).expect("a sound card");
        Actor { secrets, key, known: KnownNode::new(name, card) }
    }

    fn id(&self) -> NodeId {
        self.known.id()
    }

    fn keys(&self) -> ExchangeKeys {
        ExchangeKeys::from_iter([ExchangeSecret::from_random(self.key)])
    }
}

/// The areas that a node knows, and what it may do in them.
#[derive(Default)]
struct Areas {
    known: Vec<KnownArea>,
    secrets: AreaSecrets,
}

struct Acquaintances<'a>(Vec<&'a KnownNode>, &'a Areas);

impl Nodes for Acquaintances<'_> {
    fn node(&self, id: &NodeId) -> Option<&KnownNode> {
        self.0.iter().copied().find(|node| node.id() == *id)
    }

    fn named(&self, name: &str) -> Option<&KnownNode> {
        self.0.iter().copied().find(|node| node.name == name)
    }

    fn area(&self, id: &AreaId) -> Option<&KnownArea> {
        self.1.known.iter().find(|area| area.id() == *id)
    }

    fn areas(&self) -> Vec<&KnownArea> {
        self.1.known.iter().collect()
    }
}

/// Random bytes that never repeat, the same in every run of a test.
struct Stream(AtomicU64);

impl Stream {
    fn new(seed: u64) -> Stream {
        Stream(AtomicU64::new(seed << 32))
    }

    fn fill(&self, into: &mut [u8]) -> io::Result<()> {
        for chunk in into.chunks_mut(32) {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            let digest = mb_wire::hash::hash(mb_wire::hash::Label::Input, &[&number.to_be_bytes()]);
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
        Ok(())
    }

    fn name(&self) -> [u8; 16] {
        let mut name = [0; 16];
        self.fill(&mut name).expect("it never fails");
        name
    }
}

const SPOOL: usize = 0;
const OUTSIDE: usize = 1;

/// A world with a spool, and a folder of delivery on another file system.
fn world(seed: u64, options: FsOptions) -> World {
    let world = World::new(seed);
    // A spool needs links, or renames that replace nothing; a folder of delivery needs neither.
    let is_fit = options.links || options.noreplace;
    world.file_system(if is_fit { options.clone() } else { FsOptions::default() });
    world.file_system(options);
    world
}

fn open_folder(world: &World) -> impl Fn(&Path) -> durable::Result<DirRef> + Sync + use<> {
    let world = world.clone();
    move |path: &Path| {
        let mut dir = world.root(if path.starts_with("/1") { OUTSIDE } else { SPOOL });
        for part in path.iter().skip(2) {
            dir = dir.open_dir(part)?;
        }
        Ok(dir)
    }
}

/// One run of a tosser at `south`.
fn toss(world: &World, south: &Actor, north: &KnownNode, random: &Stream) -> durable::Result<Vec<PathBuf>> {
    toss_knowing(world, south, &[north], random)
}

/// One run of a tosser at `south`, who knows these.
fn toss_knowing(world: &World, south: &Actor, known: &[&KnownNode], random: &Stream) -> durable::Result<Vec<PathBuf>> {
    toss_running(world, south, known, random, (&System, &Areas::default()))
}

/// The same, with this to run commands, and these areas.
fn toss_running(
    world: &World,
    south: &Actor,
    known: &[&KnownNode],
    random: &Stream,
    (runner, areas): (&dyn Runner, &Areas),
) -> durable::Result<Vec<PathBuf>> {
    toss_as(world, south, known, random, (runner, areas, None))
}

/// The same; with these, south may be a list.
fn toss_as(
    world: &World,
    south: &Actor,
    known: &[&KnownNode],
    random: &Stream,
    with: (&dyn Runner, &Areas, Option<&List>),
) -> durable::Result<Vec<PathBuf>> {
    toss_at(NOON, world, south, known, random, with)
}

/// The same, at that time.
fn toss_at(
    now: u64,
    world: &World,
    south: &Actor,
    known: &[&KnownNode],
    random: &Stream,
    (runner, areas, list): (&dyn Runner, &Areas, Option<&List>),
) -> durable::Result<Vec<PathBuf>> {
    let spool = Spool::new(world.root(SPOOL), south.id());
    let (keys, stop) = (south.keys(), AtomicBool::new(false));
    let nodes = Acquaintances([&[&south.known], known].concat(), areas);
    let open = open_folder(world);
    let tosser = Tosser {
        spool: &spool,
        spool_path: Path::new("/0"),
        nodes: &nodes,
        secrets: &south.secrets,
        list,
        keys: &keys,
        area_secrets: &areas.secrets,
        open: &open,
        now,
        reserve: 0,
        threads: 1,
        batch: 512,
        runner,
        stop: &stop,
        random: &|into| random.fill(into),
    };
    let mut delivered = Vec::new();
    tosser.toss(&Scope::default(), random.name(), &mut |event| match event {
        Event::Delivered(one) => delivered.push(one.path.clone()),
        // What fails for one packet is mended by the next run; that it was, the scenarios assert.
        Event::Failed(_)
        | Event::Held { .. }
        | Event::Relayed { .. }
        | Event::Answered { .. }
        | Event::Receipt { .. }
        | Event::Complaint { .. }
        | Event::Rerouted { .. }
        | Event::Waits { .. }
        | Event::Ran { .. }
        | Event::Tried { .. }
        | Event::Partial { .. }
        | Event::Dropped(_)
        | Event::Doubt(_) => {}
    })?;
    Ok(delivered)
}

fn options() -> Options {
    Options {
        nice: None,
        ttl: None,
        errand: Errand::Files(None),
        name: None,
        once: None,
        private: false,
        pad: false,
        compress: Compress::Never,
        receipt: false,
        trace: false,
        onion: None,
        reserve: 0,
        threads: 1,
    }
}

fn send(
    world: &World,
    north: &Actor,
    to: &[Recipient],
    inputs: &[Input],
    options: &Options,
    random: &Stream,
) -> Result<Sent, SendError> {
    let spool = Spool::new(world.root(SPOOL), north.id());
    let run = Run::start(&spool, random.name())?;
    let stop = AtomicBool::new(false);
    let sender = Sender {
        spool: &spool,
        secrets: &north.secrets,
        itself: &north.known,
        random: &|into| random.fill(into),
        now: NOON,
        today: TODAY,
        stop: &stop,
        progress: &|_| {},
    };
    sender.send(inputs, to, options, &run)
}

fn to(node: &KnownNode) -> Recipient<'_> {
    by(node, vec![])
}

fn by<'a>(node: &'a KnownNode, via: Vec<&'a KnownNode>) -> Recipient<'a> {
    Recipient { node, via, others: Vec::new(), words: node.name.clone(), place: Place::Keep, area: None }
}

/// Real files to be sent: reading them is outside of the model.
struct Inputs {
    _dir: tempfile::TempDir,
    list: Vec<Input>,
}

impl Inputs {
    /// A small file, one with a body, and a folder.
    fn new() -> Inputs {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("small"), "small").unwrap();
        std::fs::write(at("large"), vec![7; 40_000]).unwrap();
        std::fs::create_dir_all(at("folder/sub")).unwrap();
        std::fs::write(at("folder/sub/file"), "inside").unwrap();
        let list = ["small", "large", "folder"].map(|name| Input::Path(at(name))).to_vec();
        Inputs { _dir: dir, list }
    }
}

/// The packets of three letters for south, as files of a queue.
fn packets(north: &Actor, south: &KnownNode, inputs: &Inputs) -> BTreeMap<String, Vec<u8>> {
    packets_by(north, &[to(south)], &options(), inputs)
}

/// The same for these recipients, who have one first hop.
fn packets_by(north: &Actor, to: &[Recipient], options: &Options, inputs: &Inputs) -> BTreeMap<String, Vec<u8>> {
    let world = world(1, FsOptions::default());
    send(&world, north, to, &inputs.list, options, &Stream::new(1)).expect("nothing is in the way");
    queued(&world, &to[0].via.first().unwrap_or(&to[0].node).id())
}

/// The files in the queue of what is to be handed to `node`.
fn queued(world: &World, node: &NodeId) -> BTreeMap<String, Vec<u8>> {
    let prefix = format!("/0/{node}/tx/");
    let queued = |(path, node): (PathBuf, Node)| match node {
        Node::File(content) => Some((path.to_str()?.strip_prefix(&prefix)?.to_owned(), content.to_vec())),
        _ => None,
    };
    world.tree().into_iter().filter_map(queued).collect()
}

fn put(world: &World, owner: NodeId, files: &BTreeMap<String, Vec<u8>>) {
    let spool = Spool::new(world.root(SPOOL), owner);
    let rx = spool.queue(&owner, Queue::Rx).expect("nothing is in the way");
    for (name, content) in files {
        let file = rx.create(name.as_ref(), 0o600).expect("nothing is in the way");
        file.write_at(content, 0).expect("nothing is in the way");
    }
    world.settle();
}

/// Where north's letters go.
fn folder_of(known: &KnownNode) -> String {
    match &known.accept.folder {
        Some(path) => path.display().to_string(),
        None => format!("/0/incoming/{}", known.name),
    }
}

/// What lies in the folder of delivery: the names that were wanted, and those that they got.
///
/// Where no rename refuses to replace, a name is reserved first, and a cut may leave a reservation that says nothing: an
/// empty folder, or, where there are no symbolic links either, a file with less than its text. Then the next number counts.
fn delivered(world: &World, folder: &str) -> BTreeMap<String, String> {
    let tree = world.tree();
    let below = |path: &PathBuf| path.to_str()?.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
    let is_dud = |name: &str| match &tree[Path::new(&format!("{folder}/{name}"))] {
        Node::File(content) => content.iter().all(|byte| *byte == 0) || content.starts_with(b"mail"),
        Node::Dir => !tree.contains_key(Path::new(&format!("{folder}/{name}/sub"))),
        Node::Symlink(_) => false,
    };
    let tops: Vec<String> = tree.keys().filter_map(below).filter(|name| !name.contains('/')).collect();
    let mut delivered: BTreeMap<String, String> = tops.iter().map(|name| (name.clone(), name.clone())).collect();
    for name in &tops {
        let next = format!("{name}.1");
        if tops.contains(&next) && is_dud(name) {
            delivered.remove(&next);
            delivered.insert(name.clone(), next);
        }
    }
    delivered
}

fn delivered_names(world: &World, folder: &str) -> Vec<String> {
    delivered(world, folder).into_keys().collect()
}

/// Everything that a run leaves behind when it must leave nothing.
fn assert_clean(world: &World, folder: &str, what: &str) {
    for (path, node) in world.tree() {
        let text = path.display().to_string();
        // An index folder may be called `rx` too.
        if text.starts_with("/0/body/") {
            continue;
        }
        let is_litter = (text.contains("/tmp/") || text.contains("/rx/") || text.contains("/self/out/"))
            || text.contains("/bad/")
            || (text.starts_with(folder) && text.contains("/.mb-"));
        assert!(!is_litter, "{what}: left over: {text} {node:?}\n{}", world.dump());
    }
}

fn assert_whole(world: &World, folder: &str, what: &str) {
    let (tree, names) = (world.tree(), delivered(world, folder));
    let content = |name: &str, below: &str| match tree.get(Path::new(&format!("{folder}/{}{below}", names[name]))) {
        Some(Node::File(content)) => content.to_vec(),
        other => panic!("{what}: {name} is {other:?}\n{}", world.dump()),
    };
    assert_eq!(content("small", ""), b"small", "{what}");
    assert_eq!(content("large", ""), vec![7; 40_000], "{what}");
    assert_eq!(content("folder", "/sub/file"), b"inside", "{what}");
}

/// The variants that every scenario runs in.
fn variants() -> Vec<(&'static str, FsOptions, LockMode)> {
    let plain = FsOptions::default;
    vec![
        ("plain", plain(), LockMode::Work),
        ("no locks", plain(), LockMode::Unsupported),
        ("no noreplace", FsOptions { noreplace: false, ..plain() }, LockMode::Work),
        (
            "fat",
            FsOptions { links: false, symlinks: false, noreplace: false, folds_case: true, ..plain() },
            LockMode::Work,
        ),
        ("no links", FsOptions { links: false, symlinks: true, ..plain() }, LockMode::Work),
        ("no syncfs", FsOptions { sync_fs: false, ..plain() }, LockMode::Work),
    ]
}

/// Runs `work` with a cut at its first step, its second, and so on, until it runs to its end.
fn at_every_step(mut work: impl FnMut(u64) -> bool) -> u64 {
    let mut step = 1;
    while work(step) {
        step += 1;
        assert!(step < 20_000, "it never ends");
    }
    step
}

/// Threat: 23.
/// A power cut after every step of a toss, then perhaps another: every letter is delivered once, and nothing is left over.
#[test]
fn a_power_cut_at_any_step_of_a_toss_delivers_exactly_once() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    for outside in [false, true] {
        let mut known = KnownNode::new("north", north.known.card.clone());
        known.accept.folder = outside.then(|| "/1".into());
        for (name, fs, locks) in variants() {
            for seed in 0..seeds() {
                let steps = at_every_step(|step| {
                    let what = format!("{name}, outside {outside}, seed {seed}, step {step}");
                    cut_toss(&what, &south, &known, &files, seed, (fs.clone(), locks), step)
                });
                assert!(steps > 40, "{name}: a toss of three letters takes more than {steps} steps");
            }
        }
    }
}

fn cut_toss(
    what: &str,
    south: &Actor,
    known: &KnownNode,
    files: &BTreeMap<String, Vec<u8>>,
    seed: u64,
    (fs, locks): (FsOptions, LockMode),
    step: u64,
) -> bool {
    let random = Stream::new(seed + 10);
    let folder = folder_of(known);
    let before = world(seed, fs);
    before.locks(locks);
    put(&before, south.id(), files);
    before.cut_at(step);
    let _ = toss(&before, south, known, &random);
    if !before.is_cut() {
        return false;
    }
    // A second cut while the first is being mended; then the power stays on.
    let middle = before.after_crash(seed * 7919 + step);
    middle.locks(locks);
    middle.cut_at(1 + (seed * 31 + step) % 60);
    let _ = toss(&middle, south, known, &random);
    let after = if middle.is_cut() { middle.after_crash(seed + step) } else { middle.after_kill() };
    after.locks(LockMode::Work);
    for _ in 0..2 {
        toss(&after, south, known, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
    }
    assert_eq!(delivered_names(&after, &folder), ["folder", "large", "small"], "{what}\n{}", after.dump());
    assert_whole(&after, &folder, what);
    assert_clean(&after, &folder, what);
    true
}

/// The same with a user who takes away whatever has been delivered between the cut and the next run.
#[test]
fn what_the_user_took_away_after_a_power_cut_does_not_come_again() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let folder = folder_of(&north.known);
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 20);
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, south.id(), &files);
                before.cut_at(step);
                let _ = toss(&before, &south, &north.known, &random);
                if !before.is_cut() {
                    return false;
                }
                let after = before.after_crash(seed + step * 3);
                after.locks(LockMode::Work);
                let mut taken = take_away(&after, &folder);
                for _ in 0..2 {
                    toss(&after, &south, &north.known, &random).unwrap_or_else(|e| panic!("{what}: {e}"));
                    taken.extend(take_away(&after, &folder));
                }
                taken.sort();
                assert_eq!(taken, ["folder", "large", "small"], "{what}\n{}", after.dump());
                assert_clean(&after, &folder, &what);
                true
            });
        }
    }
}

/// Takes every delivered file and folder, as a user does: what has a final name and is no reservation.
fn take_away(world: &World, folder: &str) -> Vec<String> {
    let root = world.root(SPOOL);
    let Ok(dir) = root.open_dir("incoming".as_ref()).and_then(|dir| dir.open_dir("north".as_ref())) else {
        return vec![];
    };
    let mut taken = Vec::new();
    for (name, actual) in delivered(world, folder).into_iter().filter(|(name, _)| !name.starts_with(".mb-")) {
        let is_whole = match &world.tree()[Path::new(&format!("{folder}/{actual}"))] {
            Node::File(content) => !content.starts_with(b"mailbag:"),
            Node::Dir => world.tree().contains_key(Path::new(&format!("{folder}/{actual}/sub"))),
            Node::Symlink(_) => false,
        };
        if is_whole {
            mb_spool::deliver::drop_staged(&dir, actual.as_ref()).expect("nothing is in the way");
            taken.push(name);
        }
    }
    world.settle();
    taken
}

/// Threat: 25.
/// Two tossers at the same time, in every order that the seeds give, locks or not; one of them is killed somewhere.
#[test]
fn two_tossers_at_once_deliver_exactly_once_whoever_dies() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let folder = folder_of(&north.known);
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() * 40 {
            let what = format!("{name}, seed {seed}");
            let random = Stream::new(seed + 30);
            let shared = world(seed, fs.clone());
            shared.locks(locks);
            put(&shared, south.id(), &files);
            shared.only_actor_dies_at(0, 1 + seed % 97);
            let tosser = || {
                // Two may get into each other's way; what counts is the end.
                let _ = toss(&shared, &south, &north.known, &random);
            };
            shared.interleave(seed, vec![Box::new(tosser), Box::new(tosser)]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            for _ in 0..2 {
                toss(&after, &south, &north.known, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
            }
            assert_eq!(delivered_names(&after, &folder), ["folder", "large", "small"], "{what}\n{}", after.dump());
            assert_whole(&after, &folder, &what);
            assert_clean(&after, &folder, &what);
        }
    }
}

/// Threat: 21, 22.
/// Every step fails once, and from there on; then there is room again.
#[test]
fn a_full_disk_or_a_failed_sync_at_any_step_of_a_toss_loses_nothing() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let folder = folder_of(&north.known);
    for (fault, sticky) in [(Fault::Io, false), (Fault::Full, false), (Fault::Full, true), (Fault::Io, true)] {
        for power_goes in [false, true] {
            let mut step = 0;
            loop {
                step += 1;
                let what = format!("{fault:?}, sticky {sticky}, power goes {power_goes}, step {step}");
                let random = Stream::new(step + 40);
                let before = world(step, FsOptions::default());
                put(&before, south.id(), &files);
                let start = before.steps();
                before.fail_at(step, fault, sticky);
                let _ = toss(&before, &south, &north.known, &random);
                if before.steps() - start < step {
                    break;
                }
                before.heal();
                let after = if power_goes { before.after_crash(step) } else { before.after_kill() };
                for _ in 0..2 {
                    toss(&after, &south, &north.known, &random).unwrap_or_else(|e| panic!("{what}: {e}"));
                }
                assert_eq!(delivered_names(&after, &folder), ["folder", "large", "small"], "{what}\n{}", after.dump());
                assert_whole(&after, &folder, &what);
                assert_clean(&after, &folder, &what);
            }
        }
    }
}

/// The packets in the tx of both recipients; each must be whole.
fn sent_packets(world: &World, recipients: [&KnownNode; 2]) -> Vec<String> {
    let tree = world.tree();
    let mut envelopes = Vec::new();
    for node in recipients {
        let prefix = format!("/0/{}/tx/", node.id());
        for (path, entry) in &tree {
            let Some(name) = path.to_str().and_then(|path| path.strip_prefix(&prefix)) else { continue };
            let Node::File(content) = entry else { panic!("{path:?} is {entry:?}") };
            let Ok(packet) = name.parse() else { continue };
            assert_eq!(mb_wire::envelope::packet_id(content), packet, "a torn envelope");
            let listed = mb_wire::envelope::read_prefix(content).expect("a sound envelope").bodies;
            for (number, body) in listed.iter().enumerate() {
                let body_path = PathBuf::from(format!("{prefix}{name}.{number}"));
                match tree.get(&body_path) {
                    Some(Node::File(content)) => {
                        let leaves = mb_wire::body::leaves(content);
                        assert_eq!(mb_wire::body::root(content.len() as u64, &leaves), body.root, "a torn body");
                    }
                    other => panic!("{body_path:?} is {other:?}\n{}", world.dump()),
                }
            }
            envelopes.push(name.to_owned());
        }
    }
    envelopes
}

/// Whoever runs next finishes what was committed: here a toss with nothing else to do.
fn run_next(world: &World, north: &Actor, random: &Stream) {
    let somebody = Actor::new("somebody", 9);
    toss(world, north, &somebody.known, random).unwrap_or_else(|e| panic!("{e}\n{}", world.dump()));
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_a_send_leaves_all_or_nothing() {
    let (north, south, east) = (Actor::new("north", 1), Actor::new("south", 2), Actor::new("east", 3));
    let inputs = Inputs::new();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 50);
                let before = world(seed, fs.clone());
                before.locks(locks);
                before.cut_at(step);
                let recipients = [to(&south.known), to(&east.known)];
                let sent = send(&before, &north, &recipients, &inputs.list, &options(), &random);
                let finished = !before.is_cut();
                let after = before.after_crash(seed * 13 + step);
                after.locks(LockMode::Work);
                run_next(&after, &north, &random);
                run_next(&after, &north, &random);
                let there = sent_packets(&after, [&south.known, &east.known]).len();
                match sent {
                    Ok(_) => assert_eq!(there, 6, "{what}: it said that all is sent\n{}", after.dump()),
                    Err(_) => assert!(there == 0 || there == 6, "{what}: {there} of 6\n{}", after.dump()),
                }
                assert_clean(&after, "/none", &what);
                !finished
            });
        }
    }
}

/// A step fails, somebody runs, the power goes: what was there before it went is there.
///
/// Threat: 23.
#[test]
fn a_failed_step_of_a_send_leaves_all_or_nothing_for_good() {
    let (north, south, east) = (Actor::new("north", 1), Actor::new("south", 2), Actor::new("east", 3));
    let inputs = Inputs::new();
    // Not for a disk that fails from there on: then nothing can be taken back either.
    for (fault, sticky) in [(Fault::Io, false), (Fault::Full, false), (Fault::Full, true)] {
        for seed in 0..3 {
            at_every_step(|step| {
                let what = format!("{fault:?}, sticky {sticky}, seed {seed}, step {step}");
                let random = Stream::new(seed + 55);
                let before = world(seed, FsOptions::default());
                let start = before.steps();
                before.fail_at(step, fault, sticky);
                let sent =
                    send(&before, &north, &[to(&south.known), to(&east.known)], &inputs.list, &options(), &random);
                let failed = before.steps() - start >= step;
                before.heal();
                let next = before.after_kill();
                run_next(&next, &north, &random);
                let there = sent_packets(&next, [&south.known, &east.known]);
                assert!(matches!((&sent, there.len()), (Ok(_), 6) | (Err(_), 0 | 6)), "{what}\n{}", next.dump());
                let after = next.after_crash(seed);
                run_next(&after, &north, &random);
                assert_eq!(sent_packets(&after, [&south.known, &east.known]), there, "{what}\n{}", after.dump());
                failed
            });
        }
    }
}

/// Threat: 23.
#[test]
fn a_send_under_one_key_is_sent_once_whatever_was_cut_or_ran_beside_it() {
    let (north, south, east) = (Actor::new("north", 1), Actor::new("south", 2), Actor::new("east", 3));
    let inputs = Inputs::new();
    let once = || Options { once: Some("key".into()), ..options() };
    let recipients = || [to(&south.known), to(&east.known)];
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 60);
                let before = world(seed, fs.clone());
                before.locks(locks);
                before.cut_at(step);
                let _ = send(&before, &north, &recipients(), &inputs.list, &once(), &random);
                let finished = !before.is_cut();
                let after = before.after_crash(seed * 17 + step);
                let sent = send(&after, &north, &recipients(), &inputs.list, &once(), &random);
                let ids = sent.unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
                let mut there = sent_packets(&after, [&south.known, &east.known]);
                there.sort();
                let mut said: Vec<String> = ids.iter().map(ToString::to_string).collect();
                said.sort();
                assert_eq!(there, said, "{what}\n{}", after.dump());
                !finished
            });
        }
        for seed in 0..seeds() * 20 {
            let random = Stream::new(seed + 70);
            let shared = world(seed, fs.clone());
            shared.locks(locks);
            let sender = || {
                let sent = send(&shared, &north, &recipients(), &inputs.list, &once(), &random);
                assert!(sent.is_ok(), "{name}, seed {seed}: {:?}", sent.err());
            };
            shared.interleave(seed, vec![Box::new(sender), Box::new(sender)]);
            let there = sent_packets(&shared, [&south.known, &east.known]).len();
            assert_eq!(there, 6, "{name}, two senders, seed {seed}\n{}", shared.dump());
        }
    }
}

/// Packets in any order, twice, in several runs, with bodies that come late: the same end.
#[test]
fn the_order_in_which_packets_come_does_not_matter() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let folder = folder_of(&north.known);
    let names: Vec<&String> = files.keys().collect();
    for seed in 0..seeds() * 100 {
        let random = Stream::new(seed + 80);
        let world = world(seed, FsOptions::default());
        let spool = Spool::new(world.root(SPOOL), south.id());
        let rx = spool.queue(&south.id(), Queue::Rx).unwrap();
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: usize| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice >> 33) as usize % sides
        };
        let mut come = std::collections::BTreeSet::new();
        let mut missing: Vec<usize> = (0..names.len()).chain(0..names.len()).collect();
        while !missing.is_empty() {
            let name = names[missing.swap_remove(roll(missing.len()))];
            // A body that comes before its envelope is litter in a queue; a stick brings envelopes with their bodies.
            let is_early = name.split_once('.').is_some_and(|(packet, _)| !come.contains(packet));
            if is_early {
                missing.push(names.iter().position(|known| *known == name).expect("it is one of them"));
                continue;
            }
            come.insert(name.clone());
            // The same file may lie there already.
            if let Ok(file) = rx.create(name.as_ref(), 0o600) {
                file.write_at(&files[name], 0).unwrap();
            }
            if roll(3) == 0 {
                toss(&world, &south, &north.known, &random).unwrap();
            }
        }
        for _ in 0..2 {
            toss(&world, &south, &north.known, &random).unwrap();
        }
        assert_eq!(delivered_names(&world, &folder), ["folder", "large", "small"], "seed {seed}\n{}", world.dump());
        assert_whole(&world, &folder, "any order");
        let tree = world.tree();
        let waits = tree.keys().find(|path| path.to_string_lossy().contains("/wait/"));
        assert_eq!(waits, None, "seed {seed}\n{}", world.dump());
        assert_clean(&world, &folder, "any order");
    }
}

/// A cut is seen as one: the harness above would find nothing if its worlds never stopped.
#[test]
fn a_cut_world_stops() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let before = world(1, FsOptions::default());
    put(&before, south.id(), &files);
    before.cut_at(5);
    let error = toss(&before, &south, &north.known, &Stream::new(1)).expect_err("the power is gone");
    assert!(is_cut(&error));
    assert!(files.len() == 4, "three envelopes and a body");
}

/// Threat: 23. Threat: 24.
/// A toss is killed, the next one does all the rest and says so, and then the power goes: what the killed one did and had
/// not come to sync is as durable as everything else.
#[test]
fn what_a_killed_toss_did_not_sync_the_next_one_does() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let folder = folder_of(&north.known);
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, killed at step {step}");
                let random = Stream::new(seed + 90);
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, south.id(), &files);
                before.cut_at(step);
                let _ = toss(&before, &south, &north.known, &random);
                let was_killed = before.is_cut();
                let next = before.after_kill();
                next.locks(LockMode::Work);
                toss(&next, &south, &north.known, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", next.dump()));
                // What fell by chance differs from step to step.
                let after = next.after_crash(if seed < 2 { seed } else { seed * 31 + step });
                toss(&after, &south, &north.known, &random).unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
                assert_settled(&after, &what);
                assert_eq!(delivered_names(&after, &folder), ["folder", "large", "small"], "{what}\n{}", after.dump());
                assert_whole(&after, &folder, &what);
                assert_clean(&after, &folder, &what);
                was_killed
            });
        }
    }
}

/// Every letter is marked as delivered: its packet is gone, so nobody would come back to a list.
fn assert_settled(world: &World, what: &str) {
    for (path, node) in &world.tree() {
        let is_record = path.to_string_lossy().contains("/self/seen/") && path.iter().count() == 6;
        let is_list = matches!(node, Node::File(content) if !content.is_empty());
        assert!(!is_record || !is_list, "{what}: {} was never settled\n{}", path.display(), world.dump());
    }
}

/// Threat: 23. Threat: 24.
/// The same of a send under one key.
#[test]
fn what_a_killed_send_did_not_sync_the_next_one_does() {
    let (north, south, east) = (Actor::new("north", 1), Actor::new("south", 2), Actor::new("east", 3));
    let inputs = Inputs::new();
    let once = || Options { once: Some("key".into()), ..options() };
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, killed at step {step}");
                let random = Stream::new(seed + 100);
                let recipients = [to(&south.known), to(&east.known)];
                let before = world(seed, fs.clone());
                before.locks(locks);
                before.cut_at(step);
                let _ = send(&before, &north, &recipients, &inputs.list, &once(), &random);
                let was_killed = before.is_cut();
                let next = before.after_kill();
                next.locks(LockMode::Work);
                let sent = send(&next, &north, &recipients, &inputs.list, &once(), &random);
                sent.unwrap_or_else(|e| panic!("{what}: {e}\n{}", next.dump()));
                let after = next.after_crash(seed);
                run_next(&after, &north, &random);
                assert_eq!(sent_packets(&after, [&south.known, &east.known]).len(), 6, "{what}\n{}", after.dump());
                let again = send(&after, &north, &recipients, &inputs.list, &once(), &random);
                again.unwrap_or_else(|e| panic!("{what}: {e}\n{}", after.dump()));
                assert_eq!(
                    sent_packets(&after, [&south.known, &east.known]).len(),
                    6,
                    "{what}: again\n{}",
                    after.dump()
                );
                was_killed
            });
        }
    }
}

/// Threat: 23.
/// The short way of a single small packet.
#[test]
fn a_power_cut_at_any_step_of_a_lone_send_leaves_it_there_or_not() {
    let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
    let inputs = Inputs::new();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 110);
                let before = world(seed, fs.clone());
                before.locks(locks);
                before.cut_at(step);
                let sent = send(&before, &north, &[to(&south.known)], &inputs.list[..1], &options(), &random);
                let after = before.after_crash(seed * 19 + step);
                after.locks(LockMode::Work);
                run_next(&after, &north, &random);
                let there = sent_packets(&after, [&south.known, &north.known]).len();
                assert!(there == 1 || sent.is_err(), "{what}: it said that it is sent\n{}", after.dump());
                assert_clean(&after, "/none", &what);
                before.is_cut()
            });
        }
    }
}

/// The one body among the files of a queue, and the packet that lists it.
fn body_of(files: &BTreeMap<String, Vec<u8>>) -> (String, String) {
    let body = files.keys().find(|name| name.contains('.')).expect("one letter has a body").clone();
    let packet = body.split('.').next().expect("a name").to_owned();
    (packet, body)
}

fn only(files: &BTreeMap<String, Vec<u8>>, names: &[&String]) -> BTreeMap<String, Vec<u8>> {
    names.iter().map(|name| ((*name).clone(), files[*name].clone())).collect()
}

/// Threat: 23.
/// The envelope comes first, its body later; the power goes while it is put aside, or when the body has come.
#[test]
fn a_power_cut_at_any_step_of_waiting_delivers_exactly_once() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let (packet, body) = body_of(&files);
    let folder = folder_of(&north.known);
    for (name, fs, locks) in variants() {
        for (seed, late) in (0..seeds()).flat_map(|seed| [(seed, false), (seed, true)]) {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}, the body has come: {late}");
                let random = Stream::new(seed + 120);
                let toss = |world: &World| {
                    toss(world, &south, &north.known, &random)
                        .unwrap_or_else(|e| panic!("{what}: {e}\n{}", world.dump()))
                };
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, south.id(), &only(&files, &[&packet]));
                if late {
                    toss(&before);
                    put(&before, south.id(), &only(&files, &[&body]));
                }
                before.cut_at(step);
                let _ = self::toss(&before, &south, &north.known, &random);
                let after = before.after_crash(seed * 23 + step);
                after.locks(LockMode::Work);
                (0..2).for_each(|_| drop(toss(&after)));
                if !late {
                    put(&after, south.id(), &only(&files, &[&body]));
                    (0..2).for_each(|_| drop(toss(&after)));
                }
                assert_eq!(delivered_names(&after, &folder), ["large"], "{what}\n{}", after.dump());
                let waits = after.tree().keys().find(|path| path.to_string_lossy().contains("/wait/")).cloned();
                assert_eq!(waits, None, "{what}\n{}", after.dump());
                assert_clean(&after, &folder, &what);
                before.is_cut()
            });
        }
    }
}

/// Threat: 15. Threat: 23.
/// A damaged copy comes first: it goes to `bad/` whole, whenever the power goes, and does not silence the good copy.
#[test]
fn a_damaged_copy_goes_to_bad_and_the_good_one_is_delivered() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let (packet, body) = body_of(&files);
    let folder = folder_of(&north.known);
    let good = only(&files, &[&packet, &body]);
    let mut damaged = good.clone();
    damaged.get_mut(&body).expect("it is there")[1000] ^= 1;
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}");
                let random = Stream::new(seed + 130);
                let before = world(seed, fs.clone());
                before.locks(locks);
                put(&before, south.id(), &damaged);
                before.cut_at(step);
                let _ = toss(&before, &south, &north.known, &random);
                let after = before.after_crash(seed * 29 + step);
                after.locks(LockMode::Work);
                let again = || {
                    (0..2).for_each(|_| match toss(&after, &south, &north.known, &random) {
                        Ok(_) => {}
                        Err(e) => panic!("{what}: {e}\n{}", after.dump()),
                    });
                };
                again();
                for (name, content) in &damaged {
                    let there = after.tree().get(&Path::new("/0/bad").join(name)).cloned();
                    let is_whole = matches!(&there, Some(Node::File(found)) if found[..] == content[..]);
                    assert!(is_whole, "{what}: bad/{name} is {there:?}\n{}", after.dump());
                }
                let bad = after.root(SPOOL).open_dir("bad".as_ref()).expect("it is there");
                mb_spool::bad::remove(&bad, &packet.parse().expect("a packet id")).expect("nothing is in the way");
                assert_clean(&after, &folder, &what);
                put(&after, south.id(), &good);
                again();
                assert_eq!(delivered_names(&after, &folder), ["large"], "{what}\n{}", after.dump());
                assert_clean(&after, &folder, &what);
                before.is_cut()
            });
        }
    }
}

/// Threat: 25.
/// One tosser pauses anywhere, for as long as another does all its work.
#[test]
fn a_tosser_that_pauses_anywhere_beside_another_delivers_exactly_once() {
    let (north, south, inputs) = (Actor::new("north", 1), Actor::new("south", 2), Inputs::new());
    let files = packets(&north, &south.known, &inputs);
    let folder = folder_of(&north.known);
    for (name, fs, locks) in variants() {
        let random = Stream::new(140);
        let begin = world(1, fs.clone());
        begin.locks(locks);
        put(&begin, south.id(), &files);
        let tosser = |world: &World| drop(toss(world, &south, &north.known, &random));
        for n in 1..=calls_of(&begin, tosser) {
            let what = format!("{name}, the first pauses after {n} calls");
            let shared = begin.after_kill();
            shared.locks(locks);
            shared
                .take_turns(&[(0, n), (1, u64::MAX)], vec![Box::new(|| tosser(&shared)), Box::new(|| tosser(&shared))]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            (0..2).for_each(|_| tosser(&after));
            assert_eq!(delivered_names(&after, &folder), ["folder", "large", "small"], "{what}\n{}", after.dump());
            assert_whole(&after, &folder, &what);
            assert_clean(&after, &folder, &what);
        }
    }
}

/// Calls that `act` makes by itself, on a copy of the world.
fn calls_of(world: &World, act: impl Fn(&World)) -> u64 {
    let world = world.after_kill();
    let before = world.calls();
    act(&world);
    world.calls() - before
}

/// Threat: 25.
/// The same of two senders under one key: one batch is sent, and both name it.
#[test]
fn a_sender_that_pauses_anywhere_beside_another_sends_once() {
    let (north, south, east) = (Actor::new("north", 1), Actor::new("south", 2), Actor::new("east", 3));
    let inputs = Inputs::new();
    let once = Options { once: Some("key".into()), ..options() };
    for (name, fs, locks) in variants() {
        let random = Stream::new(150);
        let begin = world(1, fs.clone());
        begin.locks(locks);
        let recipients = [to(&south.known), to(&east.known)];
        let sender = |world: &World| send(world, &north, &recipients, &inputs.list, &once, &random);
        for n in 1..=calls_of(&begin, |world| drop(sender(world))) {
            let what = format!("{name}, the first pauses after {n} calls");
            let shared = begin.after_kill();
            shared.locks(locks);
            let first = std::sync::Mutex::new(None);
            let second = std::sync::Mutex::new(None);
            shared.take_turns(
                &[(0, n), (1, u64::MAX)],
                vec![
                    Box::new(|| *first.lock().unwrap() = Some(sender(&shared))),
                    Box::new(|| *second.lock().unwrap() = Some(sender(&shared))),
                ],
            );
            let [first, second] = [first, second].map(|sent| {
                let sent = sent.into_inner().unwrap().expect("both have run");
                sent.unwrap_or_else(|e| panic!("{what}: {e}\n{}", shared.dump()))
            });
            assert_eq!(first, second, "{what}\n{}", shared.dump());
            let mut there = sent_packets(&shared, [&south.known, &east.known]);
            there.sort();
            let mut said: Vec<String> = first.iter().map(ToString::to_string).collect();
            said.sort();
            assert_eq!(there, said, "{what}\n{}", shared.dump());
        }
    }
}
