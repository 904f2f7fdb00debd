//! Each kind of damage, found and mended in a real folder.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use mb_wire::body::{self, BodyKey, PIECE_LEN};
use mb_wire::envelope::{Address, BodyName, Content, HOPS_MOST, Wrap, wrap};
use mb_wire::id::{LetterId, NodeId, PacketId, Root};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};

use super::{Check, Fault, Finding, Fix, Mended, Work};
use crate::barrier::Barrier;
use crate::batch::Batch;
use crate::bodies::link_or_copy;
use crate::called::{self, Called};
use crate::durable::real;
use crate::layout::{Queue, Spool};
use crate::names::body_name;
use crate::run::Run;
use crate::seen::{self, DoneMark, StagedList};

const NOW: u64 = 20_000 * 86_400;
const ALONE: Work = Work { threads: NonZeroUsize::MIN, stop: &NEVER, read: &|_| {} };
static NEVER: AtomicBool = AtomicBool::new(false);

/// A spool with packets: two for south with a shared body of two chunks and one of their own, one for east without
/// bodies, a committed batch, records of letters, state files.
struct World {
    dir: tempfile::TempDir,
    spool: Spool,
    south: NodeId,
    east: NodeId,
    packets: Vec<PacketId>,
    bare: PacketId,
    shared: Root,
}

fn node(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

fn sealed_body(number: u8, plain_len: usize) -> (Vec<u8>, LetterBody) {
    let key = BodyKey::from_random([number; 32]);
    let mut bytes = Vec::new();
    let plain = vec![number; plain_len];
    let count = plain.chunks(PIECE_LEN).count();
    for (index, piece) in plain.chunks(PIECE_LEN).enumerate() {
        let mut chunk = [piece, &[0; 16]].concat();
        key.seal_chunk(index as u64, index + 1 == count, &mut chunk).unwrap();
        bytes.extend(chunk);
    }
    let (size, root) = (bytes.len() as u64, body::root(bytes.len() as u64, &body::leaves(&bytes)));
    (bytes, LetterBody { root, size, key, len: plain_len as u64, codec: Codec::Plain })
}

fn envelope(to: NodeId, salt: u8, bodies: &[LetterBody]) -> Vec<u8> {
    let author = node(1);
    let file = FileMeta { re: None, form: Form::Plain, mode: 0o644, path: b"report".to_vec(), mtime: (0, 0) };
    let letter = Letter {
        to: to.into(),
        end: 20_090,
        kind: Kind::File(file),
        salt: [salt; 16],
        time: NOW,
        forwarded: None,
        reply: None,
        wants: Wants::default(),
        author: author.id(),
        bodies: bodies.to_vec(),
        inline: bodies.is_empty().then(|| b"small".to_vec()),
    };
    let names: Vec<_> = bodies.iter().map(|body| BodyName { root: body.root, size: body.size }).collect();
    let content = Content::Letter(letter.sign(&author));
    let to = Address { id: to, exchange: ExchangeSecret::from_random([9; 32]).public() };
    let wrapping =
        Wrap { to: &to, end: 20_090, nice: 128, hops: HOPS_MOST, bodies: &names, ask: false, content: &content };
    wrap(&author, &wrapping).unwrap()
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(real::open_root(dir.path()).unwrap(), node(1).id());
        let run = Run::start(&spool, [1; 16]).unwrap();
        let (south, east) = (node(2).id(), node(3).id());
        let batch = Batch::new(&spool, &run).unwrap();
        let (shared_bytes, shared) = sealed_body(1, PIECE_LEN + 5);
        let mut made = vec![write(&run, &batch, &shared_bytes)];
        let mut packets = Vec::new();
        for salt in [1, 2] {
            let (bytes, own) = sealed_body(10 + salt, 1000);
            made.push(write(&run, &batch, &bytes));
            let file = envelope(south, salt, &[shared.clone(), own]);
            let bodies = [made[0].clone(), made.last().unwrap().clone()];
            packets.push(batch.add(south, &file, run.dir(), &bodies).unwrap());
        }
        let bare = batch.add::<&str>(east, &envelope(east, 3, &[]), run.dir(), &[]).unwrap();
        batch.commit(None).unwrap();
        let world = World { spool, south, east, packets, bare, shared: shared.root, dir };
        world.remember(&run);
        world.arrive(&run);
        world
    }

    /// A delivered letter, one on its way, the state files, an exchange key.
    fn remember(&self, run: &Run) {
        let day = seen::day_dir(&self.spool, 20_090).unwrap();
        DoneMark::make(run).unwrap().settle(&day, &LetterId::from_bytes([1; 32]), run).unwrap();
        let list = StagedList { folder: "/in".into(), staged: ".mb-x-0".into(), wanted: "report".into() };
        fs::write(self.path("self/seen/20090").join(LetterId::from_bytes([2; 32]).to_string()), list.to_bytes())
            .unwrap();
        fs::write(self.path("self/seen/FLOOR"), "19980\n").unwrap();
        crate::day::work_on(&self.spool, NOW, run).unwrap();
        let called = Called { looked_secs: NOW, failure_count: 1, not_before_secs: NOW + 60 };
        called::write(&self.spool, &self.south, &called, run).unwrap();
        let key = ExchangeSecret::from_random([7; 32]);
        self.spool.make(&["self", "keys"]).unwrap();
        fs::write(self.path("self/keys").join(key.tag().to_string()), key.to_file(&node(1))).unwrap();
        let mut record =
            crate::once::OnceRecord { name: String::new(), end: 20_090, input: [1; 32], packets: self.packets.clone() };
        record.name = crate::once::record_name("key", ["south"].into_iter());
        self.spool.make(&["self", "once"]).unwrap();
        fs::write(self.path("self/once").join(&record.name), record.to_bytes()).unwrap();
    }

    /// A packet for us, of which one body has not come, waits.
    fn arrive(&self, run: &Run) {
        let (bytes, here) = sealed_body(21, 500);
        let (_, away) = sealed_body(22, 500);
        let file = envelope(self.spool.own(), 4, &[here.clone(), away]);
        let packet = mb_wire::envelope::packet_id(&file);
        let wait = self.spool.queue(&self.south, Queue::Wait).unwrap();
        let (name, body) = run.write("body-", &bytes).unwrap();
        body.sync().unwrap();
        link_or_copy(run.dir(), &name, &wait, &body_name(&packet, 0), run).unwrap();
        crate::bodies::index(&self.spool, run.dir(), &name, &here.root).unwrap();
        fs::write(self.path(format!("{}/wait/{packet}", self.south)), file).unwrap();
        Barrier::new().wait().unwrap();
    }

    fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    fn tx(&self, name: impl std::fmt::Display) -> PathBuf {
        self.path(format!("{}/tx/{name}", self.south))
    }

    fn check_with(&self, threads: usize, nodes: &[NodeId], fix: Option<Fix>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let check = Check {
            spool: &self.spool,
            work: Work { threads: NonZeroUsize::new(threads).unwrap(), ..ALONE },
            nodes,
            held: &super::held_inodes,
            pause: &|| {},
            fix,
        };
        check.run(&mut |finding| findings.push(finding)).unwrap();
        findings.retain(|finding| finding.fault.is_damage());
        findings
    }

    /// What is found, as `PLACE: CODE`.
    fn check(&self) -> Vec<String> {
        let told = self.told(self.check_with(1, &[], None));
        let mut parallel = self.told(self.check_with(3, &[], None));
        let mut once = told.clone();
        parallel.sort();
        once.sort();
        assert_eq!(parallel, once, "three threads find the same");
        told
    }

    fn told(&self, findings: Vec<Finding>) -> Vec<String> {
        findings.iter().map(|one| format!("{}: {}", one.place.display(), one.fault.code())).collect()
    }

    fn fix(&self) -> Vec<Finding> {
        let run = Run::start(&self.spool, [2; 16]).unwrap();
        let fix = Fix { run: Some(&run), now: NOW, open: &real::open_root };
        self.check_with(2, &[], Some(fix))
    }

    /// Damage is found as said; then it is mended, and a second check is silent.
    #[track_caller]
    fn finds_and_mends(&self, expected: &[String]) {
        assert_eq!(self.check(), expected);
        for finding in self.fix() {
            assert!(matches!(finding.mended, Mended::Done(_)), "{finding:?}");
        }
        assert_eq!(self.check(), Vec::<String>::new(), "after it was mended");
    }

    fn in_bad(&self, packet: &PacketId) -> bool {
        let bad = |name: String| self.path("bad").join(name).exists();
        bad(packet.to_string()) && bad(format!("{packet}.why")) && !self.tx(packet).exists()
    }

    fn south(&self, name: impl std::fmt::Display, code: &str) -> String {
        format!("{}/tx/{name}: {code}", self.south)
    }

    /// Both packets that share the body, and its index name.
    fn shared_found(&self) -> Vec<String> {
        let mut found: Vec<_> =
            self.packets.iter().map(|packet| self.south(format!("{packet}.0"), "content")).collect();
        found.sort();
        found.push(format!("body/{}/{}: content", &self.shared.to_string()[..2], self.shared));
        found
    }
}

fn write(run: &Run, batch: &Batch, bytes: &[u8]) -> String {
    let (name, file) = run.write("body-", bytes).unwrap();
    batch.wrote_body(file, &name);
    name
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, len: i64) {
    let mut bytes = fs::read(path).unwrap();
    bytes.resize(usize::try_from(bytes.len() as i64 + len).unwrap(), 0);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_spool_is_silent() {
    let world = World::new();
    assert_eq!(world.check(), Vec::<String>::new());
    assert!(world.fix().is_empty());
    let tmp: Vec<_> = fs::read_dir(world.path("tmp")).unwrap().collect();
    assert!(tmp.is_empty());
}

/// Every byte of the small files, every bit of one byte in each chunk.
/// Threat: 8.
#[test]
fn every_flipped_byte_of_a_packet_is_found() {
    let world = World::new();
    let path = world.path(format!("{}/tx/{}", world.east, world.bare));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        flip(&path, at);
        assert_eq!(
            world.told(world.check_with(1, &[world.east], None)),
            [format!("{}/tx/{}: content", world.east, world.bare)]
        );
        fs::write(&path, &whole).unwrap();
    }
    let body = world.tx(format!("{}.0", world.packets[0]));
    for at in [0, 1, PIECE_LEN, PIECE_LEN + 15, PIECE_LEN + 16, PIECE_LEN + 36] {
        flip(&body, at);
        assert_eq!(world.check(), world.shared_found(), "byte {at}");
        flip(&body, at);
    }
    assert_eq!(world.check(), Vec::<String>::new());
}

/// Threat: 8, 9.
#[test]
fn a_damaged_envelope_goes_to_bad_with_its_bodies() {
    for len in [0, -1, 1, 300_000] {
        let world = World::new();
        let packet = world.packets[0];
        match len {
            0 => flip(&world.tx(packet), 700),
            len => cut(&world.tx(packet), len),
        }
        world.finds_and_mends(&[world.south(packet, "content")]);
        assert!(world.in_bad(&packet) && world.path(format!("bad/{packet}.1")).exists());
        assert!(world.tx(world.packets[1]).exists(), "the other packet stays");
    }
}

/// Threat: 8, 9.
#[test]
fn a_damaged_body_takes_every_packet_that_needs_it_to_bad() {
    for at in [3, PIECE_LEN + 20] {
        let world = World::new();
        flip(&world.tx(format!("{}.0", world.packets[1])), at);
        world.finds_and_mends(&world.shared_found());
        assert!(world.packets.iter().all(|packet| world.in_bad(packet)));
        let why = fs::read_to_string(world.path(format!("bad/{}.why", world.packets[0]))).unwrap();
        let (reason, queue) = why.split_once('\n').unwrap();
        assert_eq!(reason, format!("mb-check: {}.0: its content is not what its name says", world.packets[0]));
        assert!(queue.ends_with("/tx\n"), "{queue}");
    }
}

/// Threat: 9.
#[test]
fn a_body_of_another_length_is_found_without_reading_it() {
    for len in [-1, 1, -16, 65_552] {
        let world = World::new();
        let name = format!("{}.1", world.packets[0]);
        let root = fs::canonicalize(world.tx(&name)).unwrap();
        cut(&root, len);
        let found = world.check();
        assert_eq!(found[0], world.south(&name, "size"));
        world.fix();
        assert_eq!(world.check(), Vec::<String>::new());
        assert!(world.in_bad(&world.packets[0]) && !world.in_bad(&world.packets[1]));
    }
}

/// Threat: 9.
#[test]
fn a_body_in_the_place_of_another_is_found() {
    let world = World::new();
    let [first, second] = [&world.packets[0], &world.packets[1]].map(|packet| world.tx(format!("{packet}.1")));
    fs::remove_file(&first).unwrap();
    fs::hard_link(&second, &first).unwrap();
    assert_eq!(world.check(), [world.south(format!("{}.1", world.packets[0]), "content")]);
    world.fix();
    assert_eq!(world.check(), Vec::<String>::new());
    assert!(world.in_bad(&world.packets[0]) && !world.in_bad(&world.packets[1]), "the other one is sound");
}

#[test]
fn a_missing_body_is_damage_before_a_journey_and_patience_after_it() {
    let world = World::new();
    fs::remove_file(world.tx(format!("{}.0", world.packets[0]))).unwrap();
    world.finds_and_mends(&[world.south(world.packets[0], "missing")]);
    assert!(world.in_bad(&world.packets[0]));
    let mut waiting = Vec::new();
    let check = Check { spool: &world.spool, work: ALONE, nodes: &[], held: &|| None, pause: &|| {}, fix: None };
    check.run(&mut |one| waiting.push(one.fault)).unwrap();
    assert!(matches!(waiting[..], [Fault::Waiting { number: 1, .. }]), "{waiting:?}");
}

#[test]
fn an_envelope_in_the_queue_of_another_node_is_found() {
    let world = World::new();
    fs::rename(world.path(format!("{}/tx/{}", world.east, world.bare)), world.tx(world.bare)).unwrap();
    world.finds_and_mends(&[world.south(world.bare, "to")]);
    assert!(world.in_bad(&world.bare));
}

#[test]
fn what_a_crash_leaves_is_litter() {
    let world = World::new();
    let other = PacketId::from_bytes([0; 32]);
    fs::copy(world.tx(format!("{}.1", world.packets[0])), world.tx(format!("{other}.0"))).unwrap();
    fs::copy(world.tx(format!("{}.1", world.packets[0])), world.tx(format!("{}.2", world.packets[0]))).unwrap();
    fs::create_dir_all(world.path("tmp/aaaaaaaaaaaaaaaaaaaaaaaaaa/out")).unwrap();
    fs::create_dir(world.path("bad")).unwrap();
    fs::write(world.path(format!("bad/{other}.why")), "x\n").unwrap();
    let mut expected =
        vec![world.south(format!("{other}.0"), "orphan"), world.south(format!("{}.2", world.packets[0]), "unlisted")];
    expected.sort();
    expected.insert(0, format!("bad/{other}.why: orphan"));
    expected.push("tmp/aaaaaaaaaaaaaaaaaaaaaaaaaa: stale".into());
    world.finds_and_mends(&expected);
    assert!(!world.path("tmp/aaaaaaaaaaaaaaaaaaaaaaaaaa").exists());
}

/// Threat: 25.
#[test]
fn a_run_that_is_at_work_is_left_alone() {
    let world = World::new();
    let run = Run::start(&world.spool, [3; 16]).unwrap();
    assert_eq!(world.check(), Vec::<String>::new());
    assert!(world.fix().is_empty());
    assert!(run.dir().stat_self().is_ok() && world.path("tmp").join(run.name()).exists());
}

#[test]
fn names_that_are_not_ours_are_told_and_stay() {
    let world = World::new();
    let names = [
        "stray",
        "self/stray",
        "self/seen/020090",
        "self/seen/20090/x",
        "self/keys/.mb-x",
        "body/zz9",
        "tmp/short",
        "bad",
    ];
    for name in names {
        fs::write(world.path(name), "x").unwrap();
    }
    fs::write(world.tx("note.txt"), "x").unwrap();
    fs::write(world.path(format!("{}/held", world.south)), "x").unwrap();
    let found = world.check();
    assert_eq!(found.len(), names.len() + 2, "{found:?}");
    for finding in world.fix() {
        assert!(matches!(finding.mended, Mended::Left), "{finding:?}");
    }
    assert_eq!(world.check(), found);
}

/// Nothing but a regular file is ever opened: a check of a FIFO would wait for ever.
/// Threat: 3.
#[test]
fn links_and_pipes_are_told_and_never_opened() {
    let world = World::new();
    let packet = PacketId::from_bytes([5; 32]);
    std::os::unix::fs::symlink(world.tx(world.packets[0]), world.tx(packet)).unwrap();
    let made = std::process::Command::new("mkfifo").arg(world.tx(format!("{packet}.0"))).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("/", world.path("incoming")).unwrap();
    let mut expected = vec![world.south(packet, "not-a-file"), world.south(format!("{packet}.0"), "not-a-file")];
    expected.insert(0, "incoming: not-a-folder".into());
    let found = world.check();
    assert!(expected.iter().all(|one| found.contains(one)) && found.len() == 3, "{found:?}");
}

/// Flipped, emptied, zero-filled, cut: each state file.
/// Threat: 26.
#[test]
fn a_damaged_state_file_is_found_and_mended() {
    let letter = LetterId::from_bytes([2; 32]);
    let once = crate::once::record_name("key", ["south"].into_iter());
    let files = [
        (format!("self/seen/20090/{letter}"), "seen"),
        ("self/seen/FLOOR".into(), "number"),
        ("self/day".into(), "number"),
        (format!("{}/call", node(2).id()), "call"),
        (format!("self/once/{once}"), "once"),
    ];
    for (name, code) in &files {
        for damage in 0..5 {
            let world = World::new();
            let path = world.path(name);
            let bytes = fs::read(&path).unwrap();
            let damaged = match damage {
                0 => bytes.iter().enumerate().map(|(at, byte)| if at == 2 { byte ^ 0x40 } else { *byte }).collect(),
                1 => Vec::new(),
                2 => vec![0; bytes.len()],
                3 => bytes[..bytes.len() - 1].to_vec(),
                _ => [&bytes[..], b"x"].concat(),
            };
            fs::write(&path, damaged).unwrap();
            world.finds_and_mends(&[format!("{name}: {code}")]);
        }
    }
    let world = World::new();
    fs::write(world.path("self/seen/FLOOR"), "").unwrap();
    world.fix();
    assert_eq!(
        fs::read_to_string(world.path("self/seen/FLOOR")).unwrap(),
        "19997\n",
        "never later than what is forgotten"
    );
}

/// Threat: 26.
#[test]
fn a_record_that_a_crash_emptied_is_not_a_delivered_letter() {
    let world = World::new();
    let path = world.path("self/seen/20090").join(LetterId::from_bytes([8; 32]).to_string());
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    world.finds_and_mends(&[format!("self/seen/20090/{}: seen", LetterId::from_bytes([8; 32]))]);
    assert!(!path.exists());
}

/// What only a backup can bring back is told for as long as it is damaged.
/// Threat: 26.
#[test]
fn a_damaged_exchange_key_is_told_and_stays() {
    let world = World::new();
    let name = fs::read_dir(world.path("self/keys")).unwrap().next().unwrap().unwrap().file_name();
    let place = format!("self/keys/{}: key", name.to_str().unwrap());
    cut(&world.path("self/keys").join(&name), -1);
    assert_eq!(world.check(), [place.as_str()]);
    assert!(matches!(world.fix()[..], [Finding { mended: Mended::Left, .. }]));
    let other = ExchangeSecret::from_random([8; 32]).to_file(&node(1));
    fs::write(world.path("self/keys").join(&name), other).unwrap();
    assert_eq!(world.check(), [place]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let world = World::new();
    flip(&world.tx(world.packets[0]), 600);
    let fix = Fix { run: None, now: NOW, open: &real::open_root };
    let findings = world.check_with(1, &[], Some(fix));
    assert!(matches!(findings[..], [Finding { mended: Mended::Would(_), .. }]), "{findings:?}");
    assert!(world.tx(world.packets[0]).exists() && !world.path("bad").exists());
}

#[test]
fn only_the_nodes_asked_for_are_looked_at() {
    let world = World::new();
    flip(&world.tx(world.packets[0]), 600);
    fs::write(world.path("stray"), "x").unwrap();
    assert!(world.check_with(1, &[world.east], None).is_empty());
    assert_eq!(world.check_with(1, &[world.south], None).len(), 1);
}

#[test]
fn a_body_with_many_names_is_read_once() {
    let world = World::new();
    let counted = std::sync::atomic::AtomicUsize::new(0);
    let read = std::sync::atomic::AtomicU64::new(0);
    let add = |len| {
        read.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
    };
    let hashing = super::Hashing::new(Work { read: &add, ..ALONE });
    let tx = world.spool.find_queue(&world.south, Queue::Tx).unwrap().unwrap();
    let wrong = Root::from_bytes([1; 32]);
    let mut looks = [world.shared, world.shared, wrong, wrong].into_iter();
    hashing.run(
        || looks.next(),
        |root, wanted| {
            let name = format!("{}.0", world.packets[0]);
            wanted.push(super::Wanted { dir: tx.clone(), name, root, size: None, at: root });
        },
        |root, fault| {
            assert_eq!((root, fault), (wrong, Some(Fault::Content)));
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        },
    );
    assert_eq!(read.into_inner(), 2 * (PIECE_LEN as u64 + 5 + 32), "once for each name that it should have");
    assert_eq!(counted.into_inner(), 2, "the verdict is told for each name that says something wrong");
}

/// Locks work; a publisher and a check that mends take turns at every call, in many orders: nothing goes to `bad/`,
/// nothing is missing, and the publisher never notices.
/// Threat: 25.
#[test]
fn mending_beside_a_publisher_harms_nothing() {
    use crate::durable::memory::{Options, World as Model};
    for seed in 0..300 {
        let model = Model::new(seed);
        let spool = Spool::new(model.file_system(Options::default()), node(1).id());
        let south = node(2).id();
        // What a crash left, so that there is something to mend.
        let tx = spool.queue(&south, Queue::Tx).unwrap();
        tx.create(body_name(&PacketId::from_bytes([5; 32]), 0).as_ref(), 0o600).unwrap();
        let (bytes, own) = sealed_body(1, 100);
        let file = envelope(south, 1, std::slice::from_ref(&own));
        let packet = mb_wire::envelope::packet_id(&file);
        let publish = || {
            let run = Run::start(&spool, [1; 16]).unwrap();
            let batch = Batch::new(&spool, &run).unwrap();
            let made = write(&run, &batch, &bytes);
            batch.add(south, &file, run.dir(), &[made]).unwrap();
            batch.commit(None).unwrap();
        };
        let mend = || {
            let run = Run::start(&spool, [2; 16]).unwrap();
            let fix = Fix { run: Some(&run), now: NOW, open: &real::open_root };
            // Runs in tmp/ are not this test's business: each has its lock.
            let held = || {
                let tmp = spool.find(&["tmp"]).unwrap()?;
                let stats = tmp.list().unwrap().filter_map(|entry| tmp.stat(&entry.ok()?.name).ok());
                Some(stats.map(|stat| stat.inode.1).collect())
            };
            let check = Check { spool: &spool, work: ALONE, nodes: &[], held: &held, pause: &|| {}, fix: Some(fix) };
            check.run(&mut |finding| assert!(!matches!(finding.mended, Mended::Failed(..)), "{finding:?}")).unwrap();
            // What a check does when it meets a body a moment before its envelope, often enough to meet that moment.
            for _ in 0..20 {
                crate::bodies::sweep_orphan(&tx, &packet, 0, &run).unwrap();
            }
        };
        model.interleave(seed, vec![Box::new(publish), Box::new(mend)]);
        let mut found = Vec::new();
        let check = Check { spool: &spool, work: ALONE, nodes: &[], held: &|| None, pause: &|| {}, fix: None };
        check.run(&mut |finding| found.push(finding)).unwrap();
        found.retain(|finding| finding.fault.is_damage());
        assert!(found.is_empty(), "seed {seed}: {found:?}");
        let names: Vec<_> = tx.list().unwrap().map(|entry| entry.unwrap().name).collect();
        assert!(names.len() == 2 && !crate::bodies::exists(&**spool.root(), "bad").unwrap(), "seed {seed}: {names:?}");
    }
}
