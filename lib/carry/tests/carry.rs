//! Out and in, one claim at a time, on file systems in memory.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{
    EAST, NORTH, Packet, Place, SOUTH, fat, files, id, name_of, noise, out_to, packet, send, start_run, take_options,
    world,
};
use mb_carry::copy::Work;
use mb_carry::out::{OutOptions, would_go};
use mb_carry::take::{TakeOptions, would_come};
use mb_carry::{CarryError, Event, Report, Stick};
use mb_spool::class::{Class, Failure as _};
use mb_spool::durable::memory::{Options, World};
use mb_spool::durable::{DirRef, Lock};
use mb_spool::layout::Queue;
use mb_spool::names::body_name;
use mb_spool::outbox::Outbox;
use mb_spool::sent;
use mb_wire::body::CHUNK_LEN;
use mb_wire::id::PacketId;

/// A block, as bodies are copied.
const BLOCK_LEN: usize = 16 * CHUNK_LEN;

fn out(place: &Place) -> (Report, Vec<Event>, Vec<CarryError>) {
    out_with(place, out_to(&[SOUTH, EAST]))
}

fn out_with(place: &Place, options: OutOptions) -> (Report, Vec<Event>, Vec<CarryError>) {
    let (done, heard) = place.out(options);
    (done.unwrap(), heard.moved, heard.failed)
}

fn take(place: &Place) -> (Report, Vec<Event>, Vec<CarryError>) {
    let (done, heard) = place.take(take_options());
    (done.unwrap(), heard.moved, heard.failed)
}

fn ids(events: &[Event]) -> Vec<PacketId> {
    events
        .iter()
        .map(|event| match event {
            Event::Out { packet, .. } | Event::In { packet, .. } | Event::Incomplete { packet, .. } => *packet,
        })
        .collect()
}

fn open(dir: &DirRef, path: &[&str]) -> DirRef {
    path.iter().fold(dir.clone(), |dir, name| dir.open_dir(name.as_ref()).unwrap())
}

/// Replaces what a file holds.
fn put(dir: &DirRef, name: &str, content: &[u8]) {
    let _ = dir.unlink(name.as_ref());
    dir.create(name.as_ref(), 0o644).unwrap().write_at(content, 0).unwrap();
}

fn make(dir: &DirRef, path: &[&str]) -> DirRef {
    path.iter().fold(dir.clone(), |dir, name| {
        let _ = dir.make_dir(name.as_ref(), 0o755);
        dir.open_dir(name.as_ref()).unwrap()
    })
}

fn shard_of(place: &Place, packet: &Packet) -> DirRef {
    open(&place.stick, &["mailbag", &packet.to.to_string(), &packet.id.to_string()[..1]])
}

fn body_dir(place: &Place, packet: &Packet) -> DirRef {
    open(&place.stick, &["mailbag", "body", &packet.bodies[0].0.root.to_string()[..2]])
}

#[test]
fn the_highest_priority_goes_first_and_then_the_smaller() {
    let packets = [
        packet(SOUTH, 1, 200, &[]),
        packet(SOUTH, 2, 64, &[noise(1, 5000)]),
        packet(EAST, 3, 64, &[noise(2, 100)]),
        packet(SOUTH, 4, 64, &[noise(3, 900)]),
    ];
    let place = Place::of(&world(1, fat(), &packets));
    let (report, moved, failed) = out(&place);
    assert!(failed.is_empty() && report.packet_count == 4);
    assert_eq!(ids(&moved), [2, 3, 1, 0].map(|number: usize| packets[number].id));
}

#[test]
fn a_full_stick_holds_a_useful_subset_and_the_rest_stays() {
    let packets = [
        packet(SOUTH, 1, 1, &[noise(1, 900_000)]),
        packet(SOUTH, 2, 2, &[noise(2, 2_000_000)]),
        packet(SOUTH, 3, 3, &[noise(3, 40_000)]),
    ];
    let stick = Options { capacity: Some(1_200_000), ..fat() };
    let world = world(1, stick, &packets);
    let place = Place::of(&world);
    let (report, moved, failed) = out(&place);
    assert_eq!(ids(&moved), [packets[0].id, packets[2].id]);
    assert_eq!(report.packet_count, 2);
    let [CarryError::NoRoom { packet_count: 1, len, .. }] = failed[..] else { panic!("{failed:?}") };
    assert_eq!((len, failed[0].class()), (packets[1].len(), Class::Later));
    assert!(place.is_in_tx(&packets[1]) && place.is_on_stick(&packets[0]) && place.is_on_stick(&packets[2]));
    assert_eq!(files(&world, "/1/mailbag/part"), [""; 0], "what does not fit takes no room");
    take(&place);
    assert_eq!(out(&place).2.len(), 1, "it is too big for this stick");
}

/// The room goes while a body is copied.
#[test]
fn a_stick_that_fills_up_midway_leaves_the_packet_and_takes_smaller_ones() {
    let packets = [packet(SOUTH, 1, 1, &[noise(1, 600_000), noise(2, 600_000)]), packet(SOUTH, 2, 2, &[])];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    let begin = world.steps();
    out(&Place::of(&world.after_kill()));
    drop(place);
    for n in 1..60 {
        let again = world.after_kill();
        again.fail_at(n, mb_spool::durable::memory::Fault::Full, false);
        let place = Place::of(&again);
        let (done, heard) = place.out(out_to(&[SOUTH]));
        for packet in &packets {
            assert!(place.is_in_tx(packet) || place.is_on_stick(packet), "step {n} {done:?} {:?}", heard.failed);
        }
        if done.is_ok_and(|report| report.packet_count == 1) {
            assert!(place.is_in_tx(&packets[0]) != place.is_in_tx(&packets[1]));
        }
    }
    assert_eq!(world.steps(), begin, "the worlds are apart");
}

#[test]
fn max_bytes_bounds_what_is_written() {
    let packets =
        [packet(SOUTH, 1, 1, &[noise(1, 50_000)]), packet(SOUTH, 2, 2, &[noise(2, 70_000)]), packet(SOUTH, 3, 3, &[])];
    let place = Place::of(&world(1, fat(), &packets));
    let options = OutOptions { max_bytes: Some(60_000), ..out_to(&[SOUTH]) };
    let (report, moved, failed) = out_with(&place, options);
    assert_eq!(ids(&moved), [packets[0].id, packets[2].id]);
    assert!(report.written_len <= 60_000 && failed.len() == 1);
    assert_eq!(out(&place).0.packet_count, 1);
}

/// Shows: B13, B14.
/// Whether a packet is complete shows from the list in its envelope's prefix, without any key.
#[test]
fn a_body_is_on_the_stick_once_and_leaves_with_the_last_packet_that_lists_it() {
    let body = noise(1, 100_000);
    let mut packets: Vec<Packet> =
        (0..10).map(|number| packet(SOUTH, number, 128, std::slice::from_ref(&body))).collect();
    packets.push(packet(EAST, 99, 128, std::slice::from_ref(&body)));
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    let (report, ..) = out(&place);
    assert_eq!(files(&world, "/1/mailbag/body").len(), 1);
    assert!(report.written_len < 100_000 + 11 * 1025 && report.packet_count == 11);
    take(&place);
    assert!(packets[..10].iter().all(|packet| place.is_in_rx(packet)));
    assert!(place.is_on_stick(&packets[10]), "east still needs the body");
    // East's envelope goes by another hand; nobody lists the body any more, and the next to take one off sweeps it.
    send(&place.north, &[packet(SOUTH, 50, 128, std::slice::from_ref(&body))]);
    out(&place);
    shard_of(&place, &packets[10]).unlink(packets[10].id.to_string().as_ref()).unwrap();
    take(&place);
    assert_eq!(files(&world, "/1/mailbag"), ["README.txt"]);
}

/// Threat: 5.
#[test]
fn what_a_pulled_stick_holds_of_a_body_is_continued_where_it_is_right() {
    let body = noise(7, 3 * BLOCK_LEN + 1000);
    let packets = [packet(SOUTH, 1, 128, std::slice::from_ref(&body))];
    let begin = world(1, fat(), &packets);
    out_with(&Place::of(&begin), out_to(&[EAST]));
    let mut resumed = 0;
    for n in 1.. {
        let cut = begin.after_kill();
        cut.cut_at(n);
        let (_, heard) = Place::of(&cut).out(out_to(&[SOUTH]));
        if !heard.moved.is_empty() {
            break;
        }
        for seed in 0..8 {
            let found = cut.after_crash(seed);
            let place = Place::of(&found);
            let (report, _, failed) = out_with(&place, out_to(&[SOUTH]));
            assert!(failed.is_empty() && place.is_on_stick(&packets[0]), "step {n} crash {seed}");
            resumed += u32::from(report.written_len < body.len() as u64);
            assert_eq!(files(&found, "/1/mailbag/part"), [""; 0], "step {n} crash {seed}");
        }
    }
    assert!(resumed > 10, "{resumed}");
}

/// A byte of an unfinished copy is wrong: the source decides.
#[test]
fn an_unfinished_copy_that_is_wrong_or_too_long_is_written_over() {
    let body = noise(7, 2 * BLOCK_LEN + 77);
    let packets = [packet(SOUTH, 1, 128, std::slice::from_ref(&body))];
    let root = packets[0].bodies[0].0.root.to_string();
    let mut wrong = body[..BLOCK_LEN + 500].to_vec();
    wrong[70_000] ^= 1;
    for rest in [wrong, [&body[..], b"more"].concat(), body.clone(), vec![0; 3 * BLOCK_LEN]] {
        let world = world(1, fat(), &packets);
        let place = Place::of(&world);
        put(&make(&place.stick, &["mailbag", "part"]), &root, &rest);
        out(&place);
        assert!(place.is_on_stick(&packets[0]));
        assert_eq!(files(&world, "/1/mailbag/part"), [""; 0]);
    }
}

#[test]
fn an_unfinished_copy_of_others_goes_where_there_is_no_room_for_both() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 500_000)])];
    let world = world(1, Options { capacity: Some(700_000), ..fat() }, &packets);
    let place = Place::of(&world);
    let other = name_of(&noise(9, 400_000)).root.to_string();
    put(&make(&place.stick, &["mailbag", "part"]), &other, &noise(9, 300_000));
    out(&place);
    assert!(place.is_on_stick(&packets[0]));
}

/// Threat: 8.
#[test]
fn a_wrong_file_under_a_right_name_on_the_stick_is_replaced() {
    let body = noise(1, 200_000);
    let packets =
        [packet(SOUTH, 1, 128, std::slice::from_ref(&body)), packet(SOUTH, 2, 128, std::slice::from_ref(&body))];
    for at in [0, 100_000, 199_999] {
        let place = Place::of(&world(1, fat(), &packets));
        let mut wrong = body.clone();
        wrong[at] ^= 0x80;
        let root = packets[0].bodies[0].0.root.to_string();
        put(&make(&place.stick, &["mailbag", "body", &root[..2]]), &root, &wrong);
        let (to, name) = (packets[0].to.to_string(), packets[0].id.to_string());
        put(&make(&place.stick, &["mailbag", &to, &name[..1]]), &name, &packets[0].envelope[..100]);
        let (report, _, failed) = out(&place);
        assert!(failed.is_empty() && report.packet_count == 2);
        assert!(packets.iter().all(|packet| place.is_on_stick(packet)));
    }
}

#[test]
fn what_is_on_the_stick_already_is_not_written_again() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 200_000)]), packet(SOUTH, 2, 128, &[])];
    let place = Place::of(&world(1, fat(), &packets));
    let keep = OutOptions { keep: true, ..out_to(&[SOUTH]) };
    assert_eq!(out_with(&place, keep).0.packet_count, 2);
    assert!(packets.iter().all(|packet| place.is_in_tx(packet) && place.is_on_stick(packet)));
    let (again, moved, failed) = out_with(&place, keep);
    assert_eq!((again, moved.len(), failed.len()), (Report::default(), 0, 0));
    let (report, ..) = out(&place);
    assert_eq!((report.packet_count, report.written_len), (2, 0));
}

/// Threat: 8.
#[test]
fn a_damaged_source_is_told_and_stays_and_the_others_go() {
    let packets = [
        packet(SOUTH, 1, 128, &[noise(1, 200_000)]),
        packet(SOUTH, 2, 128, &[noise(2, 300)]),
        packet(SOUTH, 3, 128, &[]),
        packet(SOUTH, 4, 128, &[]),
        packet(SOUTH, 5, 128, &[noise(5, 50)]),
        packet(SOUTH, 6, 128, &[]),
    ];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    let tx = place.north.queue(&id(SOUTH), Queue::Tx).unwrap();
    let file = |packet: &Packet, number| body_name(&packet.id, number);
    let mut wrong = noise(1, 200_000);
    wrong[150_000] ^= 1;
    put(&tx, &file(&packets[0], 0), &wrong);
    put(&tx, &file(&packets[1], 0), &noise(2, 299));
    put(&tx, &packets[2].id.to_string(), &packets[2].envelope[..1000]);
    put(&tx, &packets[3].id.to_string(), &[0; 300_000]);
    tx.unlink(file(&packets[4], 0).as_ref()).unwrap();
    let (report, moved, failed) = out(&place);
    assert_eq!((report.packet_count, ids(&moved)), (1, vec![packets[5].id]));
    assert_eq!(failed.iter().map(|error| error.class()).collect::<Vec<_>>(), [Class::Data; 5]);
    let text = failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for packet in &packets[..5] {
        assert!(text.contains(&packet.id.to_string()), "{text}");
    }
    assert_eq!(files(&world, "/1/mailbag").len(), 2, "README and the good one");
    assert_eq!(files(&world, "/0").iter().filter(|name| name.contains("/tx/")).count(), 7, "left where they are");
}

/// A packet that lies in the queue of another node would be refused there.
#[test]
fn a_packet_in_the_wrong_queue_is_not_carried() {
    let packets = [packet(SOUTH, 1, 128, &[])];
    let place = Place::of(&world(1, fat(), &packets));
    let (from, to) =
        (place.north.queue(&id(SOUTH), Queue::Tx).unwrap(), place.north.queue(&id(EAST), Queue::Tx).unwrap());
    let name = packets[0].id.to_string();
    from.rename(name.as_ref(), &*to, name.as_ref()).unwrap();
    let (_, moved, failed) = out(&place);
    assert!(moved.is_empty() && matches!(failed[..], [CarryError::OtherNode { .. }]), "{failed:?}");
}

/// A node speaks for what was handed to it, and for nothing else; what ended is kept no longer.
#[test]
fn what_is_kept_goes_when_its_node_confirms_it_or_when_it_ends() {
    let shared = noise(1, 900);
    let packets = [
        packet(SOUTH, 1, 1, std::slice::from_ref(&shared)),
        packet(SOUTH, 2, 1, &[]),
        packet(EAST, 3, 1, std::slice::from_ref(&shared)),
    ];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    let confirmed_by = [id(SOUTH), id(EAST)];
    out_with(&place, OutOptions { confirmed_by: &confirmed_by, ..out_to(&[SOUTH, EAST]) });
    let kept = || packets.each_ref().map(|packet| place.is_kept(packet));
    assert_eq!(kept(), [true; 3]);
    let run = start_run(&place.north).unwrap();
    let confirm = |by, packet: &Packet| sent::confirm(&place.north, &id(by), &[packet.id], &run).unwrap();
    packets[..2].iter().for_each(|packet| confirm(EAST, packet));
    assert_eq!(kept(), [true; 3], "east says nothing for south");
    confirm(SOUTH, &packets[0]);
    assert_eq!(kept(), [false, true, true], "the body that both list stays");
    sent::forget_before(&place.north, 20_000, &run).unwrap();
    assert_eq!(kept(), [false, true, true], "their last day is not over");
    sent::forget_before(&place.north, 20_001, &run).unwrap();
    assert_eq!(kept(), [false; 3]);
    drop(run);
    assert!(files(&world, "/0").iter().all(|name| name.starts_with("body/") && name.len() < 20), "its body goes too");
}

/// An answer that nobody comes for goes after its last day; what people send stays.
#[test]
fn answers_are_given_up_after_their_last_day() {
    let (letter, answer) = (packet(SOUTH, 1, 1, &[]), packet(SOUTH, 2, 1, &[]));
    let world = world(1, fat(), std::slice::from_ref(&letter));
    let place = Place::of(&world);
    let run = start_run(&place.north).unwrap();
    let mut outbox = Outbox::new(&place.north, &run);
    outbox.add_unkept(answer.to, &answer.envelope).unwrap();
    outbox.publish().unwrap();
    let waits = || [&letter, &answer].map(|packet| place.is_in_tx(packet));
    sent::forget_before(&place.north, 20_000, &run).unwrap();
    assert_eq!(waits(), [true, true]);
    sent::forget_before(&place.north, 20_001, &run).unwrap();
    assert_eq!(waits(), [true, false]);
}

#[test]
fn a_stick_takes_only_what_is_for_nodes_that_it_goes_to() {
    let packets = [packet(SOUTH, 1, 128, &[]), packet(EAST, 2, 128, &[])];
    let place = Place::of(&world(1, fat(), &packets));
    assert_eq!(ids(&out_with(&place, out_to(&[SOUTH])).1), [packets[0].id]);
    assert_eq!(ids(&out_with(&place, out_to(&[])).1), []);
    assert_eq!(ids(&out_with(&place, out_to(&[EAST])).1), [packets[1].id]);
    let refused = place.out(out_to(&[NORTH])).0.unwrap_err();
    assert_eq!(refused.class(), Class::Usage);
}

/// Threat: 25.
#[test]
fn a_packet_that_another_run_is_at_is_left_to_it() {
    let packets = [packet(SOUTH, 1, 128, &[]), packet(SOUTH, 2, 128, &[])];
    let place = Place::of(&world(1, fat(), &packets));
    let tx = place.north.queue(&id(SOUTH), Queue::Tx).unwrap();
    let Lock::Held(guard) = tx.open(packets[0].id.to_string().as_ref()).unwrap().try_lock().unwrap() else {
        panic!("nobody has it")
    };
    let (_, moved, failed) = out(&place);
    assert!(failed.is_empty() && ids(&moved) == [packets[1].id]);
    drop(guard);
    assert_eq!(ids(&out(&place).1), [packets[0].id]);
}

/// Somebody spoils the body as soon as it has its name.
#[test]
fn verify_finds_a_stick_that_holds_something_else_than_was_written() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 3000)])];
    let mut found = 0;
    for seed in 0..40 {
        let world = world(seed, fat(), &packets);
        let place = Place::of(&world);
        let spoil = || {
            for _ in 0..400 {
                let Ok(Some(stick)) = Stick::find(&place.stick) else { continue };
                if let Ok(Some(_)) = stick.open_body(&packets[0].bodies[0].0.root) {
                    let root = packets[0].bodies[0].0.root.to_string();
                    let file = body_dir(&place, &packets[0]).open_rw(root.as_ref()).unwrap();
                    return file.write_at(b"spoilt", 100).unwrap();
                }
            }
        };
        let failed = std::sync::Mutex::new(Vec::new());
        let verified = || {
            let options = OutOptions { verify: true, ..out_to(&[SOUTH]) };
            *failed.lock().unwrap() = place.out(options).1.failed;
        };
        world.interleave(seed, vec![Box::new(verified), Box::new(spoil)]);
        if let [CarryError::ReadsBack(path)] = &failed.lock().unwrap()[..] {
            assert!(place.is_in_tx(&packets[0]), "the source stays");
            assert!(path.to_string_lossy().contains("body"));
            found += 1;
        }
    }
    assert!(found > 5, "{found} of 40");
}

#[test]
fn a_run_that_is_stopped_leaves_what_the_next_one_continues() {
    let body = noise(1, 2 * BLOCK_LEN);
    let packets = [packet(SOUTH, 1, 1, &[]), packet(SOUTH, 2, 2, std::slice::from_ref(&body))];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    let stop = AtomicBool::new(false);
    let progress = |_| stop.store(true, Ordering::Relaxed);
    let work = Work { threads: 1, stop: &stop, progress: &progress };
    let (report, moved, failed) = out_with(&place, OutOptions { work, ..out_to(&[SOUTH]) });
    assert!(report.is_stopped && failed.is_empty() && ids(&moved) == [packets[0].id], "{report:?} {failed:?}");
    assert_eq!(files(&world, "/1/mailbag/part"), [packets[1].bodies[0].0.root.to_string()]);
    let (report, ..) = out(&place);
    assert!(report.packet_count == 1 && report.written_len < body.len() as u64);
    let (stopped, _) =
        place.take(TakeOptions { work: Work { stop: &AtomicBool::new(true), ..work }, ..take_options() });
    assert!(stopped.unwrap().is_stopped && place.is_on_stick(&packets[1]));
}

/// Shows: B10, H84, H85.
/// Threat: 5, 8.
#[test]
fn what_is_wrong_on_the_stick_is_told_and_left_there_and_the_rest_is_taken() {
    let packets: Vec<Packet> = (0..8).map(|n| packet(SOUTH, n, 128, &[noise(n, 3000), noise(100, 50)])).collect();
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    out(&place);
    let shard = |number: usize| shard_of(&place, &packets[number]);
    let name = |number: usize| packets[number].id.to_string();
    let mut flipped = packets[0].envelope.clone();
    flipped[500] ^= 1;
    put(&shard(0), &name(0), &flipped);
    put(&shard(1), &name(1), &packets[1].envelope[..700]);
    put(&shard(2), &name(2), &[0; 262_145]);
    let foreign = packet(EAST, 50, 128, &[]);
    let foreign_name = foreign.id.to_string();
    put(
        &make(&place.stick, &["mailbag", &id(SOUTH).to_string(), &foreign_name[..1]]),
        &foreign_name,
        &foreign.envelope,
    );
    let garbage = vec![7; 512];
    let garbage_name = mb_wire::envelope::packet_id(&garbage).to_string();
    put(&make(&place.stick, &["mailbag", &id(SOUTH).to_string(), &garbage_name[..1]]), &garbage_name, &garbage);
    let mut body = packets[3].bodies[0].1.clone();
    body[0] ^= 1;
    put(&body_dir(&place, &packets[3]), &packets[3].bodies[0].0.root.to_string(), &body);
    put(&body_dir(&place, &packets[4]), &packets[4].bodies[0].0.root.to_string(), &body[..2999]);
    body_dir(&place, &packets[5]).unlink(packets[5].bodies[0].0.root.to_string().as_ref()).unwrap();
    let (report, moved, failed) = take(&place);
    assert_eq!(failed.len(), 7, "{failed:?}");
    assert!(failed.iter().all(|error| error.class() == Class::Data));
    assert_eq!(report.packet_count, 5);
    let incomplete = |event: &&Event| matches!(event, Event::Incomplete { missing_count: 1, .. });
    assert_eq!(moved.iter().filter(incomplete).count(), 3);
    assert!(packets[6..].iter().all(|packet| place.is_in_rx(packet) && !place.is_on_stick(packet)));
    let tree = world.tree();
    for (number, packet) in packets.iter().enumerate() {
        let path = format!("/1/mailbag/{}/{}/{}", packet.to, &packet.id.to_string()[..1], packet.id);
        assert_eq!(tree.contains_key(std::path::Path::new(&path)), number < 6, "{number}");
    }
    let shared = packets[0].bodies[1].0.root.to_string();
    assert!(files(&world, "/1").iter().any(|name| name.ends_with(&shared)), "those that stay list it");
}

/// Shows: B14.
#[test]
fn a_packet_whose_bodies_come_by_another_stick_is_complete_then() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 3000), noise(2, 4000)])];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    out(&place);
    let second = packets[0].bodies[1].0.root.to_string();
    let shard = open(&place.stick, &["mailbag", "body", &second[..2]]);
    shard.rename(second.as_ref(), &*shard, "elsewhere".as_ref()).unwrap();
    let (_, moved, failed) = take(&place);
    assert!(failed.is_empty() && matches!(moved[..], [Event::Incomplete { missing_count: 1, .. }]), "{moved:?}");
    assert!(!place.is_in_rx(&packets[0]) && files(&world, "/2").len() == 3, "envelope, a body, its name in the index");
    shard.rename("elsewhere".as_ref(), &*shard, second.as_ref()).unwrap();
    let (_, moved, _) = take(&place);
    assert!(matches!(moved[..], [Event::In { .. }]) && place.is_in_rx(&packets[0]));
    assert_eq!(files(&world, "/1/mailbag"), ["README.txt"]);
}

/// Shows: B29.
/// An envelope that comes later still gets its body.
#[test]
fn a_body_that_the_spool_has_is_not_read_from_the_stick() {
    let body = noise(1, 100_000);
    let packets =
        [packet(SOUTH, 1, 128, std::slice::from_ref(&body)), packet(SOUTH, 2, 128, std::slice::from_ref(&body))];
    let place = Place::of(&world(1, fat(), &packets[..1]));
    out(&place);
    take(&place);
    send(&place.north, &packets[1..]);
    out(&place);
    body_dir(&place, &packets[1]).unlink(packets[1].bodies[0].0.root.to_string().as_ref()).unwrap();
    let (report, moved, failed) = take(&place);
    assert!(failed.is_empty() && matches!(moved[..], [Event::In { .. }]), "{moved:?}");
    assert!(report.written_len < 2000 && place.is_in_rx(&packets[1]));
}

#[test]
fn a_spool_without_room_leaves_the_packet_on_the_stick_and_takes_smaller_ones() {
    let packets = [packet(SOUTH, 1, 1, &[noise(1, 900_000)]), packet(SOUTH, 2, 2, &[noise(2, 3000)])];
    let world = World::new(1);
    for capacity in [None, None, Some(500_000)] {
        world.file_system(Options { capacity, ..Options::default() });
    }
    let place = Place::of(&world);
    send(&place.north, &packets);
    out(&place);
    let (report, _, failed) = take(&place);
    assert!(matches!(failed[..], [CarryError::NoRoom { packet_count: 1, .. }]), "{failed:?}");
    assert!(report.packet_count == 1 && place.is_in_rx(&packets[1]) && place.is_on_stick(&packets[0]));
    assert_eq!(files(&world, "/2/tmp"), [""; 0]);
    let (done, heard) = place.take(TakeOptions { reserve: 499_000, ..take_options() });
    assert!(done.unwrap().packet_count == 0 && heard.failed.len() == 1, "the reserve stays free");
}

#[test]
fn a_stick_that_keeps_its_packets_is_not_touched() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 3000)]), packet(SOUTH, 2, 128, &[])];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    out(&place);
    let before: Vec<_> = world.tree().into_iter().filter(|(path, _)| path.starts_with("/1")).collect();
    for _ in 0..2 {
        let (done, _) = place.take(TakeOptions { keep: true, ..take_options() });
        assert_eq!(done.unwrap().packet_count, 2);
        let after: Vec<_> = world.tree().into_iter().filter(|(path, _)| path.starts_with("/1")).collect();
        assert!(before == after);
    }
    assert!(packets.iter().all(|packet| place.is_in_rx(packet)));
}

/// Threat: 33.
#[test]
fn what_is_not_ours_on_the_stick_is_ignored_and_never_removed() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 300)])];
    let world = world(1, Options::default(), &packets);
    let place = Place::of(&world);
    let south = id(SOUTH).to_string();
    let strange = [
        &["photos"][..],
        &["mailbag", ".Trash-1000"],
        &["mailbag", &south, "x"],
        &["mailbag", &south, "xy"],
        &["mailbag", "body", "zz"],
        &["mailbag", "body", "!!"],
        &["mailbag", "part", "LOST.DIR"],
    ];
    for path in strange {
        put(&make(&place.stick, path), "IMG_0001.JPG", b"a picture");
        put(&make(&place.stick, path), &packets[0].id.to_string().to_uppercase(), b"shouted");
    }
    let others: Vec<String> = files(&world, "/1");
    out(&place);
    let (_, moved, failed) = take(&place);
    assert!(failed.is_empty() && ids(&moved) == [packets[0].id], "{failed:?}");
    let left: Vec<String> = files(&world, "/1").into_iter().filter(|name| !name.ends_with("README.txt")).collect();
    assert_eq!(left, others);
}

/// Threat: 3.
#[test]
fn a_link_where_something_of_ours_should_be_is_told_and_never_followed() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 300)]), packet(SOUTH, 2, 128, &[])];
    let begin = world(1, Options::default(), &packets);
    out(&Place::of(&begin));
    let (south, name, root) =
        (id(SOUTH).to_string(), packets[0].id.to_string(), packets[0].bodies[0].0.root.to_string());
    for path in [
        &["mailbag", &south, &name[..1], &name][..],
        &["mailbag", &south, &name[..1]],
        &["mailbag", "body", &root[..2], &root],
    ] {
        let world = begin.after_kill();
        let place = Place::of(&world);
        let (last, above) = path.split_last().unwrap();
        let dir = open(&place.stick, above);
        dir.rename(last.as_ref(), &*place.stick, "moved".as_ref()).unwrap();
        dir.symlink("../../../../moved".as_ref(), last.as_ref()).unwrap();
        let (_, moved, failed) = take(&place);
        assert!(matches!(failed[..], [CarryError::Disk(_)]) && failed[0].class() == Class::Refused, "{failed:?}");
        assert!(ids(&moved).contains(&packets[1].id) && !place.is_in_rx(&packets[0]), "{path:?}");
        assert!(dir.read_link(last.as_ref()).is_ok(), "it is left there");
    }
}

#[test]
fn a_dry_run_tells_the_same_and_writes_nothing() {
    let packets = [packet(SOUTH, 1, 1, &[noise(1, 3000)]), packet(SOUTH, 2, 2, &[]), packet(EAST, 3, 3, &[])];
    let world = world(1, fat(), &packets);
    let place = Place::of(&world);
    let steps = world.steps();
    let mut heard = common::Heard::default();
    let options = out_to(&[SOUTH]);
    assert_eq!(would_go(&place.north, &place.stick, options, &mut heard).unwrap().packet_count, 2);
    assert_eq!(world.steps(), steps, "not even a lock");
    assert_eq!(heard.moved, out_with(&place, options).1);
    let steps = world.steps();
    let mut heard = common::Heard::default();
    let stick = Stick::find(&place.stick).unwrap().unwrap();
    assert_eq!(would_come(&place.south, &stick, &mut heard).unwrap().packet_count, 2);
    assert_eq!(world.steps(), steps);
    assert_eq!(ids(&heard.moved).len(), 2);
}

/// What another thread changes while it is read is not taken.
///
/// Threat: 5.
#[test]
fn a_file_that_changes_while_it_is_copied_is_taken_right_or_not_at_all() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 3 * BLOCK_LEN)])];
    let begin = world(1, fat(), &packets);
    out(&Place::of(&begin));
    for seed in 0..60 {
        let world = begin.after_kill();
        let place = Place::of(&world);
        let root = packets[0].bodies[0].0.root.to_string();
        let file = body_dir(&place, &packets[0]).open_rw(root.as_ref()).unwrap();
        let change = || {
            for at in 0..6 {
                match (seed + at) % 3 {
                    0 => file.write_at(b"other", at * 500_000).unwrap(),
                    1 => file.set_len(at * 600_000).unwrap(),
                    _ => file.write_at(b"longer", 3 * BLOCK_LEN as u64).unwrap(),
                }
            }
        };
        let taken = || drop(place.take(take_options()));
        world.interleave(seed, vec![Box::new(taken), Box::new(change)]);
        let rx = place.south.find_queue(&id(SOUTH), Queue::Rx).unwrap();
        let has_body = rx.is_some_and(|rx| rx.stat(body_name(&packets[0].id, 0).as_ref()).is_ok());
        assert_eq!(has_body, place.is_in_rx(&packets[0]), "seed {seed}: a body that is there is right");
    }
}

#[test]
fn many_threads_carry_the_same_as_one() {
    let packets = [packet(SOUTH, 1, 128, &[noise(1, 5 * BLOCK_LEN + 33), noise(2, 17)]), packet(SOUTH, 2, 128, &[])];
    let place = Place::of(&world(1, fat(), &packets));
    let read = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let progress = |len| {
        read.fetch_add(len, Ordering::Relaxed);
    };
    let work = Work { threads: 4, progress: &progress, ..common::work() };
    let (report, ..) = out_with(&place, OutOptions { work, ..out_to(&[SOUTH]) });
    assert!(report.packet_count == 2 && packets.iter().all(|packet| place.is_on_stick(packet)));
    let (done, heard) = place.take(TakeOptions { work, ..take_options() });
    assert!(done.unwrap().packet_count == 2 && heard.failed.is_empty());
    assert!(packets.iter().all(|packet| place.is_in_rx(packet)));
    assert_eq!(read.load(Ordering::Relaxed), 2 * (5 * BLOCK_LEN as u64 + 50));
}
