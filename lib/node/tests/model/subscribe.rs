//! A neighbour asks for an area: wherever the power goes, that is noted or the statement still there; and of two the newer counts.

use super::area::relayed;
use super::*;

use mb_node::config::Askers;
use mb_node::tell::tell;
use mb_spool::subscribed::{self, Subscribed};
use mb_wire::area::Subscribe;
use mb_wire::envelope::Content;

/// The hub, which may be asked for an area, and south, which asks twice: for it, and then no more.
struct Asked {
    south: Actor,
    hub: Actor,
    areas: Areas,
    /// The statements, as files of a queue; the newer one last.
    statements: [BTreeMap<String, Vec<u8>>; 2],
}

const VERSIONS: [u64; 2] = [NOON * 1000, NOON * 1000 + 1];

impl Asked {
    fn new() -> Asked {
        let (north, south, hub) = (Actor::new("north", 1), Actor::new("south", 2), Actor::new("hub", 4));
        let mut areas = relayed(&north);
        areas.known[0].requests = Askers::Anybody;
        let area = areas.known[0].id();
        let statement = |version: u64, until| {
            let world = world(1, FsOptions::default());
            let spool = Spool::new(world.root(SPOOL), south.id());
            let run = Run::start(&spool, [1; 16]).expect("nothing is in the way");
            let content = Content::Statement(Subscribe { area, until }.sign(&south.secrets, version));
            tell(&spool, &south.secrets, &[&hub.known], TODAY, &content, &run).expect("nothing is in the way");
            queued(&world, &hub.id())
        };
        let statements = [statement(VERSIONS[0], TODAY + 90), statement(VERSIONS[1], 0)];
        Asked { south, hub, areas, statements }
    }

    fn toss(&self, world: &World, random: &Stream) -> durable::Result<()> {
        toss_running(world, &self.hub, &[&self.south.known], random, (&System, &self.areas)).map(drop)
    }

    fn noted(&self, world: &World) -> Option<Subscribed> {
        let spool = Spool::new(world.root(SPOOL), self.hub.id());
        subscribed::find(&spool, &self.south.id(), &self.areas.known[0].id()).expect("nothing is in the way")
    }

    fn is_there(&self, world: &World, statement: &BTreeMap<String, Vec<u8>>) -> bool {
        statement.keys().all(|name| world.tree().contains_key(Path::new(&format!("/0/self/rx/{name}"))))
    }
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_taking_a_subscription_leaves_it_noted_or_the_statement() {
    let asked = Asked::new();
    let [subscribe, end] = &asked.statements;
    for (name, fs, locks) in variants() {
        for (statement, version) in [(subscribe, VERSIONS[0]), (end, VERSIONS[1])] {
            let steps = at_every_step(|step| {
                let what = format!("{name}, version {version}, step {step}");
                let random = Stream::new(step + 900);
                let before = world(step, fs.clone());
                before.locks(locks);
                // What was asked before is noted already.
                if version == VERSIONS[1] {
                    put(&before, asked.hub.id(), subscribe);
                    asked.toss(&before, &random).expect("nothing is in the way");
                }
                put(&before, asked.hub.id(), statement);
                before.cut_at(step);
                let _ = asked.toss(&before, &random);
                if !before.is_cut() {
                    return false;
                }
                let after = before.after_crash(step);
                after.locks(LockMode::Work);
                let is_noted = asked.noted(&after).is_some_and(|noted| noted.version == version);
                assert!(is_noted || asked.is_there(&after, statement), "{what}\n{}", after.dump());
                (0..2).for_each(|_| asked.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}")));
                assert_eq!(asked.noted(&after).map(|noted| noted.version), Some(version), "{what}\n{}", after.dump());
                assert_clean(&after, "/1", &what);
                true
            });
            assert!(steps > 5, "{name}: it takes more than {steps} steps");
        }
    }
}

/// Threat: 25.
#[test]
fn two_tossers_at_once_note_the_newer_of_two_statements_whoever_dies() {
    let asked = Asked::new();
    for (name, fs, locks) in variants() {
        for seed in 0..seeds() * 20 {
            let what = format!("{name}, seed {seed}");
            let random = Stream::new(seed + 1000);
            let shared = world(seed, fs.clone());
            shared.locks(locks);
            asked.statements.iter().for_each(|statement| put(&shared, asked.hub.id(), statement));
            shared.only_actor_dies_at(0, 1 + seed % 61);
            let tosser = || drop(asked.toss(&shared, &random));
            shared.interleave(seed, vec![Box::new(tosser), Box::new(tosser)]);
            let after = shared.after_kill();
            after.locks(LockMode::Work);
            (0..2).for_each(|_| asked.toss(&after, &random).unwrap_or_else(|e| panic!("{what}: {e}")));
            let newest = Subscribed { version: VERSIONS[1], until: 0 };
            assert_eq!(asked.noted(&after), Some(newest), "{what}\n{}", after.dump());
            assert_clean(&after, "/1", &what);
        }
    }
}
