//! Calls in the model: whichever side dies, at whichever step, or has a call refused, no packet is lost, none is
//! acknowledged before it is durable, and the next call finishes the work.

mod common;

use std::cell::Cell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use common::{GO_ON, Heard, NORTH, Packet, SOUTH, files, id, noise, packet, secrets};
use mb_carry::call::pump::Link;
use mb_carry::call::{CallError, CallOptions, CallReport, greet};
use mb_spool::durable::DirRef;
use mb_spool::durable::memory::{Fault, LockMode, Options, World};
use mb_spool::layout::{Queue, Spool};
use mb_spool::names::body_name;
use mb_spool::run::dead_runs;
use mb_wire::body::CHUNK_LEN;
use mb_wire::call::handshake::{self, Callers, Opener, Sealer};
use mb_wire::id::PacketId;

/// One without a body, two that share one, one of several chunks.
static PACKETS: LazyLock<[Packet; 3]> = LazyLock::new(|| {
    let shared = noise(1, 300);
    [
        packet(SOUTH, 1, 128, &[]),
        packet(SOUTH, 2, 128, std::slice::from_ref(&shared)),
        packet(SOUTH, 3, 200, &[shared, noise(2, 6 * CHUNK_LEN + 50)]),
    ]
});

/// Two bodies, of which north has the second.
static INCOMPLETE: LazyLock<Packet> = LazyLock::new(|| packet(SOUTH, 4, 128, &[noise(3, 500), noise(4, CHUNK_LEN)]));

fn options(eager: bool) -> CallOptions<'static> {
    CallOptions {
        gives: true,
        takes: true,
        eager,
        nice: 255,
        reserve: 0,
        most_bytes: None,
        most_packets: None,
        most_sharing: 64,
        rate: None,
        timeout: Duration::from_secs(20),
        max_time: None,
        threads: 1,
        stop: &GO_ON,
        progress: &|_| {},
    }
}

/// Both hosts, each with a file system of its own, so that one can die while the other goes on.
struct Hosts {
    north: World,
    south: World,
    /// Whether north calls eagerly, and has a packet that lacks a body.
    eager: bool,
}

/// What a call was at one end.
struct Said {
    report: CallReport,
    done: Result<(), CallError>,
    heard: Heard,
}

impl Hosts {
    /// North has sent the packets, and everything is durable.
    fn new(options: Options, locks: LockMode) -> Hosts {
        Hosts::of(options, locks, false)
    }

    fn of(options: Options, locks: LockMode, eager: bool) -> Hosts {
        let north = World::new(5);
        north.file_system(options.clone());
        let spool = Spool::new(north.root(0), id(NORTH));
        common::send(&spool, &*PACKETS);
        if eager {
            let ahead = spool.queue(&id(SOUTH), Queue::Ahead).unwrap();
            let put =
                |name: &str, content: &[u8]| ahead.create(name.as_ref(), 0o600).unwrap().write_at(content, 0).unwrap();
            put(&INCOMPLETE.id.to_string(), &INCOMPLETE.envelope);
            put(&body_name(&INCOMPLETE.id, 1), &INCOMPLETE.bodies[1].1);
        }
        let south = World::new(6);
        south.file_system(options);
        for world in [&north, &south] {
            world.locks(locks);
            world.settle();
        }
        Hosts { north, south, eager }
    }

    fn after_kill(&self) -> Hosts {
        Hosts { north: self.north.after_kill(), south: self.south.after_kill(), eager: self.eager }
    }

    fn after_crash(&self, seed: u64) -> Hosts {
        Hosts { north: self.north.after_crash(seed), south: self.south.after_crash(seed), eager: self.eager }
    }

    fn spools(&self) -> (Spool, Spool) {
        (Spool::new(self.north.root(0), id(NORTH)), Spool::new(self.south.root(0), id(SOUTH)))
    }

    /// North calls south.
    fn call(&self) -> (Said, Said) {
        self.call_cut(usize::MAX)
    }

    /// North calls south, over a line that breaks when it has said so many bytes.
    fn call_cut(&self, most: usize) -> (Said, Said) {
        let (north, south) = self.spools();
        let (one, other) = UnixStream::pair().unwrap();
        let (caller, listener) = keys();
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| talk(&south, NORTH, link(other), (listener, false)));
            let calling = talk(&north, SOUTH, cut_after(most, one), (caller, self.eager));
            (calling, answering.join().unwrap())
        })
    }

    /// Each packet is whole in north's `tx/` or in south's `rx/`.
    #[track_caller]
    fn assert_nothing_lost(&self, at: &str) {
        let (north, south) = self.spools();
        let tx = north.find_queue(&id(SOUTH), Queue::Tx).unwrap();
        let rx = south.find_queue(&id(NORTH), Queue::Rx).unwrap();
        for packet in &*PACKETS {
            let is_there = [&tx, &rx].iter().any(|queue| queue.as_ref().is_some_and(|queue| is_in(queue, packet)));
            assert!(is_there, "{at}: {} is lost\n{}\n{}", packet.id, self.north.dump(), self.south.dump());
        }
    }

    /// What is visible in `rx/` is whole, unless it is announced. A power cut may take a name of it, and then it comes again.
    #[track_caller]
    fn assert_nothing_partial(&self, at: &str) {
        if self.eager {
            return;
        }
        let Some(rx) = self.spools().1.find_queue(&id(NORTH), Queue::Rx).unwrap() else { return };
        for packet in PACKETS.iter().filter(|packet| rx.stat(packet.id.to_string().as_ref()).is_ok()) {
            assert!(is_in(&rx, packet), "{at}: {} is there in part\n{}", packet.id, self.south.dump());
        }
    }

    /// What a user does after any accident: he calls again. Afterwards all is there, durable, and nothing else.
    #[track_caller]
    fn finish(&self, has_locks: bool, at: &str) {
        for world in [&self.north, &self.south] {
            world.heal();
        }
        let (calling, answering) = self.call();
        assert!(calling.done.is_ok() && answering.done.is_ok(), "{at}: {:?} {:?}", calling.done, answering.done);
        assert!(calling.heard.failed.is_empty() && answering.heard.failed.is_empty(), "{at}");
        let cut = Hosts { north: self.north.after_kill(), south: self.south.after_crash(3), eager: self.eager };
        let rx = cut.spools().1.find_queue(&id(NORTH), Queue::Rx).unwrap();
        let rx = rx.unwrap_or_else(|| panic!("{at}: no durable queue"));
        assert!(PACKETS.iter().all(|packet| is_in(&rx, packet)), "{at}: finished, and the power goes");
        if self.eager {
            let Packet { id, envelope, bodies, .. } = &*INCOMPLETE;
            let is_announced = common::has(&rx, &id.to_string(), envelope);
            assert!(is_announced && common::has(&rx, &body_name(id, 1), &bodies[1].1), "{at}: announced");
            let ahead = cut.spools().0.find_queue(&self::id(SOUTH), Queue::Ahead).unwrap().unwrap();
            assert!(common::has(&ahead, &id.to_string(), envelope), "{at}: it stays until it is whole");
        }
        if has_locks {
            let mut left = files(&self.north, "/0");
            left.extend(files(&self.south, "/0"));
            // What was announced may come again, and what has come of it rests for that.
            let stays = |name: &str| self.eager && (name.contains("/ahead/") || name.starts_with("part/"));
            left.retain(|name| !name.starts_with("body/") && !name.contains("/rx/") && !stays(name));
            assert_eq!(left, [""; 0], "{at}: left over");
        }
    }
}

fn is_in(queue: &DirRef, packet: &Packet) -> bool {
    let has = |name: &str, content: &[u8]| common::has(queue, name, content);
    let mut bodies = packet.bodies.iter().enumerate();
    has(&packet.id.to_string(), &packet.envelope)
        && bodies.all(|(number, (_, content))| has(&body_name(&packet.id, number), content))
}

type Keys = (Sealer, Opener);

fn keys() -> (Keys, Keys) {
    let (north, south) = (secrets(NORTH), secrets(SOUTH));
    let callers: Callers = [(north.call_public(), north.id())].into();
    let (calling, first) = handshake::call(&north, &south.id(), &south.call_public(), [7; 32]).unwrap();
    let answered = handshake::answer(&south, &first, &Arc::new(callers), [8; 32]).unwrap();
    (calling.finish(&answered.reply).unwrap(), (answered.sealer, answered.opener))
}

fn link(stream: UnixStream) -> Link {
    let copies = [(); 3].map(|()| stream.try_clone().unwrap());
    let [read, write, end] = copies;
    Link {
        read: Box::new(read),
        write: Box::new(write),
        end: Box::new(move || drop(end.shutdown(std::net::Shutdown::Write))),
        cut: Box::new(move |_| drop(stream.shutdown(std::net::Shutdown::Both))),
        waits_for_end: true,
    }
}

/// A link on which only so many bytes can be sent: then it breaks, both ways.
fn cut_after(most: usize, stream: UnixStream) -> Link {
    let breaks = stream.try_clone().unwrap();
    let link = link(stream);
    Link { write: Box::new(Breaks { left: most, write: link.write, stream: breaks }), ..link }
}

struct Breaks {
    left: usize,
    write: Box<dyn Write + Send>,
    stream: UnixStream,
}

impl Write for Breaks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            self.stream.shutdown(std::net::Shutdown::Both).unwrap();
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let sent = self.write.write(&bytes[..bytes.len().min(self.left)])?;
        self.left -= sent;
        Ok(sent)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.write.flush()
    }
}

/// One end of a call, as a program does it.
fn talk(spool: &Spool, peer: u8, link: Link, (keys, eager): (Keys, bool)) -> Said {
    let mut heard = Heard::default();
    let mut report = CallReport::default();
    let done = greet(spool.own(), link, keys, options(eager), options(eager).timeout).and_then(|greeted| {
        dead_runs(spool)?.into_iter().try_for_each(|dead| dead.remove())?;
        let run = common::start_run(spool)?;
        let done;
        (report, done) = greeted.exchange(spool, &run, id(peer), options(eager), &mut heard);
        done
    });
    Said { report, done, heard }
}

/// The ways in which hosts differ.
fn settings() -> Vec<(Options, LockMode)> {
    vec![
        (Options::default(), LockMode::Work),
        (Options { sync_fs: false, ..Options::default() }, LockMode::Work),
        (Options::default(), LockMode::Unsupported),
    ]
}

/// Requirement: H35, W8.
#[test]
fn a_call_moves_everything_and_leaves_nothing_behind() {
    for (options, locks) in settings() {
        let hosts = Hosts::new(options, locks);
        let (calling, answering) = hosts.call();
        calling.done.unwrap();
        answering.done.unwrap();
        assert_eq!((calling.report.out_count, answering.report.in_count), (3, 3));
        let bodies = (300 + 6 * CHUNK_LEN + 50) as u64;
        let envelopes: u64 = PACKETS.iter().map(|packet| packet.envelope.len() as u64).sum();
        assert_eq!(calling.report.out_len, bodies + envelopes, "each body once");
        hosts.assert_nothing_lost("moved");
        hosts.finish(locks == LockMode::Work, "moved");
    }
}

/// Kills one side at each of its steps, or takes its power; then calls again.
fn cut_everywhere(setting: &(Options, LockMode), eager: bool, side: impl Fn(&Hosts) -> &World) {
    let has_locks = setting.1 == LockMode::Work;
    let begin = Hosts::of(setting.0.clone(), setting.1, eager);
    for n in 1.. {
        let hosts = begin.after_kill();
        side(&hosts).cut_at(n);
        let told = hosts.call();
        if !side(&hosts).is_cut() {
            assert!(n > 8, "nothing was cut");
            return;
        }
        let at = format!("killed at step {n}");
        let killed = hosts.after_kill();
        killed.assert_nothing_lost(&at);
        killed.assert_nothing_partial(&at);
        killed.finish(has_locks, &at);
        for seed in 0..3 {
            let at = format!("power cut at step {n}, crash {seed}");
            let is_north = std::ptr::eq(side(&hosts), &raw const hosts.north);
            let found = Hosts {
                north: if is_north { hosts.north.after_crash(seed) } else { hosts.north.after_kill() },
                south: if is_north { hosts.south.after_kill() } else { hosts.south.after_crash(seed) },
                eager,
            };
            found.assert_nothing_lost(&at);
            found.finish(has_locks, &at);
        }
        drop(told);
    }
}

/// Threat: 19, 23, 24.
#[test]
fn a_giver_that_dies_at_any_step_loses_nothing() {
    settings().iter().for_each(|setting| cut_everywhere(setting, false, |hosts| &hosts.north));
    cut_everywhere(&settings()[0], true, |hosts| &hosts.north);
}

/// Threat: 19, 23, 24.
#[test]
fn a_taker_that_dies_at_any_step_has_acknowledged_nothing_that_it_loses() {
    settings().iter().for_each(|setting| cut_everywhere(setting, false, |hosts| &hosts.south));
    cut_everywhere(&settings()[0], true, |hosts| &hosts.south);
}

/// Nothing of a call that breaks is lost that was whole: envelopes, and bodies of packets that are not.
#[test]
fn a_cut_eager_call_has_announced_what_came() {
    let mut announced = [0; 2];
    for most in (0..400_000).step_by(7_919) {
        let at = format!("cut after {most} bytes");
        let hosts = Hosts::of(Options::default(), LockMode::Work, true);
        hosts.call_cut(most);
        hosts.assert_nothing_lost(&at);
        if let Some(rx) = hosts.spools().1.find_queue(&id(NORTH), Queue::Rx).unwrap() {
            let packet = &PACKETS[2];
            let is_there = |name: &str| rx.stat(name.as_ref()).is_ok();
            announced[0] += usize::from(is_there(&packet.id.to_string()));
            announced[1] += usize::from(is_there(&body_name(&packet.id, 0)));
        }
        hosts.finish(true, &at);
    }
    // The second body is most of all that is said: nearly every cut falls into it.
    assert!(announced[0] >= announced[1] && announced[1] > 30, "{announced:?}");
}

/// Threat: 21, 22.
#[test]
fn a_step_that_fails_on_either_side_loses_nothing() {
    for faults in [(Fault::Io, false), (Fault::Full, false), (Fault::Io, true), (Fault::Full, true)] {
        for is_north in [true, false] {
            let begin = Hosts::new(Options::default(), LockMode::Work);
            for n in 1.. {
                let hosts = begin.after_kill();
                let side = if is_north { &hosts.north } else { &hosts.south };
                let steps = side.steps();
                side.fail_at(n, faults.0, faults.1);
                hosts.call();
                if side.steps() - steps < n {
                    break;
                }
                let at = format!("{faults:?} at step {n}, north {is_north}");
                side.heal();
                // A disk that fails from some call on is mounted anew before it works again.
                let hosts = if faults.1 { hosts.after_crash(n) } else { hosts };
                hosts.assert_nothing_lost(&at);
                hosts.finish(true, &at);
                hosts.after_crash(n).assert_nothing_lost(&format!("{at}, finished, and the power goes"));
            }
        }
    }
}

/// Threat: 19. Requirement: W8.
#[test]
fn a_cut_line_costs_only_the_bytes_that_were_not_sent() {
    let whole =
        (300 + 6 * CHUNK_LEN + 50) as u64 + PACKETS.iter().map(|packet| packet.envelope.len() as u64).sum::<u64>();
    for most in (0..400_000).step_by(7_919) {
        let at = format!("cut after {most} bytes");
        let hosts = Hosts::new(Options::default(), LockMode::Work);
        let (_, first) = hosts.call_cut(most);
        hosts.assert_nothing_lost(&at);
        hosts.assert_nothing_partial(&at);
        let before = first.report.in_len;
        let (calling, second) = hosts.call();
        assert!(calling.done.is_ok() && second.done.is_ok(), "{at}: {:?} {:?}", calling.done, second.done);
        // Envelopes of packets that were not whole come again, and at most the chunk that was on its way.
        let all = before + second.report.in_len;
        assert!(all <= whole + CHUNK_LEN as u64 + 3 * 4096, "{at}: {all} of {whole} bytes");
        hosts.finish(true, &at);
    }
}

/// Threat: 20.
#[test]
fn what_rests_of_a_body_is_continued_where_it_is_right() {
    let body = &PACKETS[2].bodies[1];
    let (content, root) = (&body.1, body.0.root.to_string());
    let mut wrong = content[..4 * CHUNK_LEN].to_vec();
    wrong[2 * CHUNK_LEN + 9] ^= 1;
    let cases: [(&[u8], usize); 6] = [
        (&content[..CHUNK_LEN - 1], 0),
        (&content[..3 * CHUNK_LEN + 7], 3 * CHUNK_LEN),
        (&wrong, 2 * CHUNK_LEN),
        (&content[..], content.len()),
        (&[content, &[1; 70_000][..]].concat(), content.len()),
        (&[9; 100_000], 0),
    ];
    for (rests, kept) in cases {
        let hosts = Hosts::new(Options::default(), LockMode::Work);
        let part = hosts.spools().1.make(&["part", &id(NORTH).to_string()]).unwrap();
        part.create(root.as_ref(), 0o600).unwrap().write_at(rests, 0).unwrap();
        let (calling, answering) = hosts.call();
        assert!(calling.done.is_ok() && answering.done.is_ok(), "{:?} {:?}", calling.done, answering.done);
        assert_eq!(answering.report.resumed_len, kept as u64);
        let envelopes: u64 = PACKETS.iter().map(|packet| packet.envelope.len() as u64).sum();
        assert_eq!(answering.report.in_len, envelopes + 300 + (content.len() - kept) as u64);
        hosts.assert_nothing_lost("resumed");
        hosts.finish(true, "resumed");
    }
}

/// Another neighbour has brought the same body before: it is asked for all the same, or what is asked for would tell.
#[test]
fn what_another_neighbour_brought_is_not_called_here_already() {
    let hosts = Hosts::new(Options::default(), LockMode::Work);
    let (_, south) = hosts.spools();
    let elsewhere = south.make(&[&id(common::EAST).to_string(), "rx"]).unwrap();
    let body = &PACKETS[1].bodies[0];
    let name = body_name(&PacketId::from_bytes([3; 32]), 0);
    elsewhere.create(name.as_ref(), 0o600).unwrap().write_at(&body.1, 0).unwrap();
    let shard = south.index_dir(&body.0.root).unwrap();
    elsewhere.link(name.as_ref(), &*shard, body.0.root.to_string().as_ref()).unwrap();
    let (calling, answering) = hosts.call();
    assert!(calling.done.is_ok() && answering.done.is_ok());
    let envelopes: u64 = PACKETS.iter().map(|packet| packet.envelope.len() as u64).sum();
    assert_eq!(answering.report.in_len, envelopes + (300 + 6 * CHUNK_LEN + 50) as u64);
}

#[test]
fn a_body_that_the_neighbour_brought_does_not_come_again() {
    let hosts = Hosts::new(Options::default(), LockMode::Work);
    let (calling, answering) = hosts.call();
    assert!(calling.done.is_ok() && answering.done.is_ok());
    let again = packet(SOUTH, 9, 128, std::slice::from_ref(&PACKETS[1].bodies[0].1));
    common::send(&hosts.spools().0, std::slice::from_ref(&again));
    let (calling, answering) = hosts.call();
    assert!(calling.done.is_ok() && answering.done.is_ok());
    assert_eq!(answering.report.in_len, again.envelope.len() as u64, "its body was here");
    let rx = hosts.spools().1.find_queue(&id(NORTH), Queue::Rx).unwrap().unwrap();
    assert!(is_in(&rx, &again));
}

/// Requirement: W8.
#[test]
fn two_calls_at_a_time_give_each_packet_once() {
    let hosts = Hosts::new(Options::default(), LockMode::Work);
    let busy = Cell::new(0);
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| hosts.call());
        (hosts.call(), other.join().unwrap())
    });
    let mut landed = 0;
    for (calling, answering) in [one, two] {
        busy.set(busy.get() + calling.heard.failed.len());
        landed += answering.report.in_count;
    }
    assert!(landed <= 3, "each packet once");
    hosts.assert_nothing_lost("two calls");
    hosts.finish(true, "two calls");
}

/// Threat: 23.
#[test]
fn a_packet_of_which_a_power_cut_took_a_name_comes_again() {
    let hosts = Hosts::new(Options::default(), LockMode::Work);
    let packet = &PACKETS[1];
    let rx = hosts.spools().1.queue(&id(NORTH), Queue::Rx).unwrap();
    // What a cut between the names and their sync can leave: the envelope, and not its body.
    rx.create(packet.id.to_string().as_ref(), 0o600).unwrap().write_at(&packet.envelope, 0).unwrap();
    let (calling, answering) = hosts.call();
    assert!(calling.done.is_ok() && answering.done.is_ok());
    hosts.assert_nothing_lost("a name was taken");
    hosts.finish(true, "a name was taken");
}
