//! What a power cut, a failing disk or a second program leaves of a node that is being made, on a model of the disk.

use super::create::create_in;
use super::read::{KEY, NODES};
use super::*;
use mb_spool::class::{Class, Failure};
use mb_spool::durable::memory::{Fault, LockMode, Options, World};
use mb_wire::card::ExchangeKey;
use mb_wire::key::{ExchangeSecret, Seed, key_tag};

const CONFIG_FS: usize = 0;
const SPOOL_FS: usize = 1;

/// A world with one file system for the configuration and one for the spool.
fn world(options: &Options, locks: LockMode) -> World {
    let world = World::new(1);
    world.file_system(options.clone());
    world.file_system(options.clone());
    world.locks(locks);
    world
}

/// File systems of every kind that decides how a file gets its name.
fn kinds() -> Vec<(Options, LockMode)> {
    let all = Options::default();
    let no_rename = Options { noreplace: false, ..all.clone() };
    let neither = Options { links: false, ..no_rename.clone() };
    vec![
        (all.clone(), LockMode::Work),
        (all, LockMode::Unsupported),
        (no_rename, LockMode::Work),
        (neither, LockMode::Work),
    ]
}

/// mb-init, with random bytes that are all `dice`.
fn init(world: &World, dice: u8) -> Result<Card, HomeError> {
    let uid = uid(world);
    let make_root = |path: &Path| Ok(world.root(if path.starts_with("/0") { CONFIG_FS } else { SPOOL_FS }));
    let new = NewNode {
        config: Path::new("/0"),
        spool: Some(Path::new("/1")),
        name: Some("north"),
        host: "",
        passphrase: None,
        now: 1,
    };
    create_in(&make_root, uid, &new, &|_| None, &mut |bytes| {
        bytes.fill(dice);
        Ok(())
    })
}

fn uid(world: &World) -> u32 {
    world.root(CONFIG_FS).stat_self().map_or(0, |stat| stat.owner)
}

fn names(dir: &DirRef) -> Vec<String> {
    let mut names: Vec<_> = dir.list().unwrap().map(|entry| entry.unwrap().name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// There is one whole node, and nothing beside it, where a lock says who may tidy up. Returns its card.
fn check_whole(world: &World, locks: LockMode) -> Card {
    let dump = world.dump();
    let tidy = locks == LockMode::Work;
    let home = Home::open_in(world.root(CONFIG_FS), uid(world)).unwrap_or_else(|e| panic!("{e}\n{dump}"));
    assert!(!tidy || names(&world.root(CONFIG_FS)) == ["config.toml", "node.key", "nodes"], "{dump}");
    let secrets = home.unlock(&mut || unreachable!("it is not sealed")).unwrap();
    let keys = world.root(SPOOL_FS).open_dir("self".as_ref()).unwrap().open_dir("keys".as_ref()).unwrap();
    let tag = key_tag(&home.card().keys[0].public).to_string();
    assert!(!tidy || names(&keys) == [tag.as_str()], "{dump}");
    let mut bytes = vec![0; 1000];
    let count = keys.open(tag.as_ref()).unwrap().read_at(&mut bytes, 0).unwrap();
    assert!(ExchangeSecret::from_file(&bytes[..count], &secrets).is_ok(), "{dump}");
    home.card().clone()
}

/// Runs mb-init again until there is a node: one that was promised, if one was.
fn finish(world: &World, locks: LockMode, promised: Option<Card>) {
    world.locks(locks);
    match init(world, 2) {
        Ok(card) => {
            assert_eq!(promised, None, "a node that was promised is gone\n{}", world.dump());
            assert_eq!(check_whole(world, locks), card);
        }
        Err(HomeError::Exists(_)) => {
            let card = check_whole(world, locks);
            assert!(promised.is_none_or(|promised| promised == card), "{}", world.dump());
        }
        Err(other) => panic!("{other}\n{}", world.dump()),
    }
    world.settle();
    check_whole(world, locks);
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_mb_init_leaves_what_the_next_run_finishes() {
    for (options, locks) in kinds() {
        let dry = world(&options, locks);
        init(&dry, 1).unwrap();
        let steps = dry.steps();
        assert!(steps > 10, "the model saw nothing");
        for cut in 1..=steps + 1 {
            let first = world(&options, locks);
            first.cut_at(cut);
            let promised = init(&first, 1).ok();
            assert_eq!(promised.is_some(), cut > steps, "a cut that went unnoticed");
            for seed in 0..20 {
                finish(&first.after_crash(seed), locks, promised.clone());
            }
            finish(&first.after_kill(), locks, promised);
        }
    }
}

/// Threats: 21, 22.
#[test]
fn a_step_of_mb_init_that_fails_is_told_and_the_next_run_finishes() {
    for (options, locks) in kinds() {
        let dry = world(&options, locks);
        init(&dry, 1).unwrap();
        for step in 1..=dry.steps() {
            for (fault, sticky) in [(Fault::Io, false), (Fault::Io, true), (Fault::Full, false), (Fault::Full, true)] {
                let world = world(&options, locks);
                world.fail_at(step, fault, sticky);
                let first = init(&world, 1);
                if let Err(error) = &first {
                    let class = error.class();
                    assert!([Class::Later, Class::Io].contains(&class), "{error}: {class:?}");
                }
                world.heal();
                finish(&world, locks, first.ok());
            }
        }
    }
}

/// A card of another node.
fn south() -> Card {
    let public = ExchangeSecret::from_random([9; 32]).public();
    let keys = vec![ExchangeKey { suite: 1, public, use_until: 0, gone_after: 0 }];
    Card::issue(&NodeSecrets::from_seed(&Seed::from_bytes([8; 32])), keys, "south", 1, 0).unwrap()
}

/// mb-node add.
fn add(world: &World) -> Result<Added, HomeError> {
    Home::open_in(world.root(CONFIG_FS), uid(world))?.add_node(None, south(), &[], None)
}

/// Threat: 23.
#[test]
fn a_power_cut_at_any_step_of_mb_node_add_leaves_all_or_nothing() {
    for (options, locks) in kinds() {
        let made = world(&options, locks);
        init(&made, 1).unwrap();
        made.settle();
        let dry = made.after_kill();
        dry.locks(locks);
        let before = dry.steps();
        add(&dry).unwrap();
        let steps = dry.steps() - before;
        for cut in 1..=steps + 1 {
            let first = made.after_kill();
            first.locks(locks);
            first.cut_at(cut);
            let promised = add(&first).is_ok();
            for seed in 0..20 {
                let after = first.after_crash(seed);
                after.locks(locks);
                let known = matches!(add(&after), Ok(Added::Known(_)));
                assert!(known || !promised, "a node that was promised is gone\n{}", after.dump());
                let home = Home::open_in(after.root(CONFIG_FS), uid(&after)).unwrap();
                assert_eq!(home.node("south").unwrap().card, south());
                let nodes = after.root(CONFIG_FS).open_dir(NODES.as_ref()).unwrap();
                let tidy = locks == LockMode::Work;
                assert!(!tidy || names(&nodes) == ["south.toml"], "{}", after.dump());
            }
        }
    }
}

/// Threat: 25.
/// Locks that do nothing, two runs interleaved: there is one whole node, and who did not make it does not say so.
#[test]
fn two_mb_inits_at_once_make_one_whole_node_without_locks_too() {
    for seed in 0..200 {
        let world = world(&Options::default(), LockMode::Unsupported);
        let results = std::sync::Mutex::new(Vec::new());
        let actor = |dice: u8| {
            let (world, results) = (world.clone(), &results);
            Box::new(move || {
                let result = init(&world, dice);
                results.lock().unwrap().push(result.map_err(|e| e.to_string()));
            }) as Box<dyn FnOnce() + Send + '_>
        };
        world.interleave(seed, vec![actor(1), actor(2)]);
        let made: Vec<_> = results.into_inner().unwrap().into_iter().flatten().collect();
        assert_eq!(made.len(), 1, "seed {seed}\n{}", world.dump());
        assert_eq!(check_whole(&world, LockMode::Work), made[0], "seed {seed}");
    }
}

#[test]
fn a_key_that_does_not_belong_to_its_card_is_refused() {
    let world = world(&Options::default(), LockMode::Work);
    init(&world, 1).unwrap();
    let dir = world.root(CONFIG_FS);
    dir.unlink(KEY.as_ref()).unwrap();
    let seed = Seed::from_bytes([1; 32]);
    let text = format!("card = \"{}\"\nsecret = \"{}\"\n", south().to_text(), *seed.to_text());
    dir.create(KEY.as_ref(), 0o600).unwrap().write_at(text.as_bytes(), 0).unwrap();
    dir.unlink("config.toml".as_ref()).unwrap();
    let home = Home::open_in(dir, uid(&world)).unwrap();
    let error = home.unlock(&mut || unreachable!("it is not sealed")).unwrap_err();
    assert!(error.class() == Class::Config && error.to_string().contains("not that of the card"), "{error}");
}
