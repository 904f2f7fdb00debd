//! A folder in several bodies of which one is late, near its last day: the power goes while its whole files are delivered, or when the
//! rest has come. They are delivered once, and the folder once.

use std::collections::BTreeMap;

use mb_spool::land::Landing;
use mb_spool::layout::{Queue, Spool};
use mb_spool::run::Run;
use mb_wire::body::{BodyKey, leaves, root};
use mb_wire::envelope::{Address, BodyName, Content, Wrap, packet_id, wrap};
use mb_wire::folder::{FolderEntry, encode_entry};
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};

use super::{Actor, Node, Stream, TODAY, World, assert_clean, at_every_step, folder_of, put, seeds, toss, variants};

const FILE_LEN: usize = 1000;
/// Every body holds so many bytes of the folder: the second one ends in the second file.
const RANGE_LEN: usize = 900;

fn content(number: u8) -> Vec<u8> {
    vec![number; FILE_LEN]
}

/// The packet's files: an envelope and four bodies; and the names of all, the envelope first.
fn packet(north: &Actor, south: &Actor) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let mut payload = encode_entry(&FolderEntry::Folder { mode: 0o755, path: vec![], mtime: (7, 0) });
    for number in 0..3 {
        let (len, path) = (FILE_LEN as u64, format!("file{number}").into_bytes());
        payload.extend(encode_entry(&FolderEntry::File { len, mode: 0o644, path, mtime: (8, 0) }));
        payload.extend(content(number));
    }
    let (mut names, mut listed, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for (number, range) in (0..).zip(payload.chunks(RANGE_LEN)) {
        let key = BodyKey::from_random([number; 32]);
        let mut body = [range, &[0; 16]].concat();
        key.seal_chunk(0, true, &mut body).unwrap();
        let size = body.len() as u64;
        let name = BodyName { root: root(size, &leaves(&body)), size };
        listed.push(LetterBody { root: name.root, size, key, len: range.len() as u64, codec: Codec::Plain });
        names.push(name);
        bodies.push(body);
    }
    let to = Address { id: south.id(), exchange: ExchangeSecret::from_random(south.key).public() };
    let letter = Letter {
        to: to.id.into(),
        end: TODAY + 1,
        kind: Kind::File(FileMeta {
            re: None,
            form: Form::Folder,
            mode: 0o755,
            path: b"folder".to_vec(),
            mtime: (7, 0),
        }),
        salt: [1; 16],
        time: 1_700_000_000,
        wants: Wants::default(),
        author: north.id(),
        bodies: listed,
        inline: None,
        forwarded: None,
        reply: None,
    };
    let content = Content::Letter(letter.sign(&north.secrets));
    let wrapped = Wrap { to: &to, end: TODAY + 1, nice: 128, hops: 16, bodies: &names, ask: false, content: &content };
    let envelope = wrap(&north.secrets, &wrapped).unwrap();
    let id = packet_id(&envelope).to_string();
    let mut files: BTreeMap<String, Vec<u8>> =
        bodies.into_iter().enumerate().map(|(number, body)| (format!("{id}.{number}"), body)).collect();
    let names = std::iter::once(id.clone()).chain(files.keys().cloned()).collect();
    files.insert(id, envelope);
    (files, names)
}

/// The files in folders of delivery, by the name of the folder and their own.
fn files_in(world: &World, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let file = |(path, node): (std::path::PathBuf, Node)| match node {
        Node::File(content) => {
            Some((path.to_str()?.strip_prefix(folder)?.trim_start_matches('/').to_owned(), content.to_vec()))
        }
        _ => None,
    };
    world.tree().into_iter().filter_map(file).collect()
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_a_partial_delivery_delivers_once_and_heals() {
    let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
    let (files, names) = packet(&north, &south);
    assert_eq!(names.len(), 5);
    let some: BTreeMap<_, _> = [0, 1, 2, 4].map(|n: usize| (names[n].clone(), files[&names[n]].clone())).into();
    let late: BTreeMap<_, _> = [(names[3].clone(), files[&names[3]].clone())].into();
    let folder = folder_of(&north.known);
    // Where a name is reserved first, a cut may leave an empty folder under it.
    for (name, fs, locks) in variants().into_iter().filter(|(name, ..)| !matches!(*name, "fat" | "no noreplace")) {
        for (seed, is_late) in (0..seeds()).flat_map(|seed| [(seed, false), (seed, true)]) {
            at_every_step(|step| {
                let what = format!("{name}, seed {seed}, step {step}, the rest has come: {is_late}");
                let random = Stream::new(seed + 220);
                let toss = |world: &World| {
                    toss(world, &south, &north.known, &random)
                        .unwrap_or_else(|e| panic!("{what}: {e}\n{}", world.dump()))
                };
                let before = super::world(seed, fs.clone());
                before.locks(locks);
                put(&before, south.id(), &some);
                if is_late {
                    assert!(toss(&before).is_empty(), "{what}");
                    put(&before, south.id(), &late);
                }
                before.cut_at(step);
                let _ = super::toss(&before, &south, &north.known, &random);
                let after = before.after_crash(seed * 29 + step);
                after.locks(super::LockMode::Work);
                (0..2).for_each(|_| drop(toss(&after)));
                if !is_late {
                    let found = files_in(&after, &folder);
                    let is_part = |name: &&String| name.starts_with("folder.partial-") && name.ends_with("/file0");
                    assert_eq!((found.len(), found.keys().filter(is_part).count()), (1, 1), "{what}\n{}", after.dump());
                    assert!(found.values().eq([&content(0)]), "{what}");
                    put(&after, south.id(), &late);
                    (0..2).for_each(|_| drop(toss(&after)));
                }
                let mut found = files_in(&after, &folder);
                // Whoever dies when it heals leaves it.
                found.retain(|name, content| !(is_late && name.contains(".partial-") && *content == self::content(0)));
                let whole = (0..3).map(|number| (format!("folder/file{number}"), content(number))).collect();
                assert_eq!(found, whole, "{what}\n{}", after.dump());
                let waits = after.tree().keys().find(|path| path.to_string_lossy().contains("/wait/")).cloned();
                assert_eq!(waits, None, "{what}\n{}", after.dump());
                assert_clean(&after, &folder, &what);
                before.is_cut()
            });
        }
    }
}

/// Brings all of a packet, as a call does that announced it before.
fn land(world: &World, south: &Actor, files: &BTreeMap<String, Vec<u8>>, random: &Stream) {
    let spool = Spool::new(world.root(super::SPOOL), south.id());
    let run = Run::start(&spool, random.name()).unwrap();
    let mut landing = Landing::new(&spool, &run, &south.id(), Queue::Rx).unwrap();
    let envelope = files.iter().find(|(name, _)| !name.contains('.')).unwrap();
    let bodies = files.iter().filter(|(name, _)| name.contains('.')).zip(0..).map(|((_, body), number)| {
        let (name, file) = run.write("body-", body).unwrap();
        landing.wrote_body(file, &name);
        (number, root(body.len() as u64, &leaves(body)), name)
    });
    let bodies = bodies.collect();
    landing.add(envelope.0.parse().unwrap(), envelope.1, bodies).unwrap();
    landing.land().unwrap();
}

/// Threat: 25. The same of a tosser that refuses it: all that came lies in `bad/`, whatever the call acknowledged meanwhile.
#[test]
fn what_comes_whole_beside_a_tosser_that_refuses_it_is_kept() {
    let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
    let (files, names) = packet(&north, &south);
    let folder = folder_of(&north.known);
    let mut unwanted = north.known.clone();
    unwanted.accept.files = false;
    let random = Stream::new(250);
    for announced in [&[0][..], &[0, 2], &[0, 3, 4]] {
        let announced = announced.iter().map(|n| (names[*n].clone(), files[&names[*n]].clone())).collect();
        let begin = super::world(1, super::FsOptions::default());
        put(&begin, south.id(), &announced);
        let tosser = |world: &World| drop(toss(world, &south, &unwanted, &random));
        let lander = |world: &World| land(world, &south, &files, &random);
        let (tosser_calls, lander_calls) = (super::calls_of(&begin, tosser), super::calls_of(&begin, lander));
        for n in 1..=tosser_calls {
            for m in [lander_calls / 3, lander_calls / 2, lander_calls * 2 / 3, u64::MAX] {
                let what = format!("{} names: the tosser pauses after {n} calls, the other after {m}", announced.len());
                let shared = begin.after_kill();
                let acts: Vec<Box<dyn FnOnce() + Send + '_>> =
                    vec![Box::new(|| tosser(&shared)), Box::new(|| lander(&shared))];
                shared.take_turns(&[(0, n), (1, m), (0, u64::MAX), (1, u64::MAX)], acts);
                let after = shared.after_kill();
                (0..2).for_each(|_| tosser(&after));
                let bad: Vec<_> =
                    files_in(&after, "/0/bad").into_keys().filter(|name| !name.ends_with("why")).collect();
                assert_eq!(bad, names, "{what}\n{}", after.dump());
                retry(&after, &south, &names[0], &random);
                (0..2).for_each(|_| drop(toss(&after, &south, &north.known, &random)));
                let whole = (0..3).map(|number| (format!("folder/file{number}"), content(number))).collect();
                assert_eq!(files_in(&after, &folder), whole, "{what}\n{}", after.dump());
                assert_clean(&after, &folder, &what);
            }
        }
    }
}

/// Brings a packet back from `bad/`.
fn retry(world: &World, south: &Actor, packet: &str, random: &Stream) {
    let spool = Spool::new(world.root(super::SPOOL), south.id());
    let run = Run::start(&spool, random.name()).unwrap();
    mb_spool::bad::retry(&spool, &packet.parse().unwrap(), &run).unwrap();
}

/// Threat: 25. A packet that was announced comes whole while a tosser puts it aside: whoever acknowledges it then can rely on it.
#[test]
fn what_comes_whole_beside_a_tosser_that_puts_it_aside_is_delivered() {
    let (north, south) = (Actor::new("north", 1), Actor::new("south", 2));
    let (files, names) = packet(&north, &south);
    let folder = folder_of(&north.known);
    let announced: BTreeMap<_, _> = [0, 2].map(|n: usize| (names[n].clone(), files[&names[n]].clone())).into();
    let random = Stream::new(240);
    let begin = super::world(1, super::FsOptions::default());
    put(&begin, south.id(), &announced);
    let tosser = |world: &World| drop(toss(world, &south, &north.known, &random));
    let lander = |world: &World| land(world, &south, &files, &random);
    let (tosser_calls, lander_calls) = (super::calls_of(&begin, tosser), super::calls_of(&begin, lander));
    // Either pauses anywhere while the other does half, or all.
    for n in 1..=tosser_calls {
        for m in [lander_calls / 3, lander_calls / 2, lander_calls * 2 / 3, u64::MAX] {
            let what = format!("the tosser pauses after {n} calls, the other after {m}");
            let shared = begin.after_kill();
            let acts: Vec<Box<dyn FnOnce() + Send + '_>> =
                vec![Box::new(|| tosser(&shared)), Box::new(|| lander(&shared))];
            shared.take_turns(&[(0, n), (1, m), (0, u64::MAX), (1, u64::MAX)], acts);
            let after = shared.after_kill();
            (0..2).for_each(|_| tosser(&after));
            let whole = (0..3).map(|number| (format!("folder/file{number}"), content(number))).collect();
            assert_eq!(files_in(&after, &folder), whole, "{what}\n{}", after.dump());
            assert_clean(&after, &folder, &what);
        }
    }
}
