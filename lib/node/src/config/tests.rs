//! What each key takes, and what a mistake in one looks like.

use super::*;
use mb_spool::class::{Class, Failure};
use mb_wire::area::{AreaCard, AreaKeys, Mode as AreaMode};
use mb_wire::card::{Card, ExchangeKey};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};

fn card() -> Card {
    let key = ExchangeSecret::from_random([2; 32]).public();
    let keys = vec![ExchangeKey { suite: 1, public: key, use_until: 0, gone_after: 0 }];
    Card::issue(&NodeSecrets::from_seed(&Seed::from_bytes([1; 32])), keys, "south", 1, 0).unwrap()
}

fn node(rest: &str) -> Result<KnownNode, ConfigError> {
    KnownNode::parse(Path::new("n/south.toml"), "south", &format!("card = \"{}\"\n{rest}", card().to_text()))
}

/// What the error says about `rest`, after the card's line.
fn complaint(rest: &str) -> String {
    let error = node(rest).expect_err(rest);
    assert_eq!(error.class(), Class::Config);
    error.to_string()
}

#[test]
fn an_empty_config_has_all_defaults() {
    let config = Config::parse(Path::new("config.toml"), "").unwrap();
    assert_eq!(config, Config { name: None, spool: None, reserve: 16 << 20, list: None });
}

#[test]
fn a_full_config_is_understood() {
    let text = "name = \"north\"\nspool = \"/srv/spool\"\nreserve = \"64 MiB\"\n";
    let config = Config::parse(Path::new("config.toml"), text).unwrap();
    let list = None;
    assert_eq!(
        config,
        Config { name: Some("north".into()), spool: Some("/srv/spool".into()), reserve: 64 << 20, list }
    );
}

#[test]
fn a_list_names_its_subscribers_and_who_may_write_to_it() {
    let list = |text: &str| Config::parse(Path::new("config.toml"), &format!("[list]\n{text}\n"));
    let of = |text: &str| list(text).unwrap().list.unwrap();
    let open = List { subscribers: vec!["east".into(), "south".into()], from: Askers::Anybody };
    assert_eq!(of("subscribers = [\"south\", \"east\", \"south\"]"), open);
    assert_eq!(of("subscribers = []\nfrom = [\"north\"]").from, Askers::These(vec!["north".into()]));
    assert_eq!(of("subscribers = []\nfrom = false").from, Askers::Nobody);
    for (text, said) in [
        ("", "config.toml:1:1: missing field `subscribers`"),
        ("subscribers = [\"a b\"]", "config.toml:2:15: list.subscribers: "),
        ("subscribers = []\nfrom = \"north\"", "config.toml:3:8: list.from: "),
        ("subscriber = []", "config.toml:2:1: list.subscriber: unknown key; did you mean \"subscribers\"?"),
    ] {
        let error = list(text).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn a_card_alone_has_all_defaults() {
    let node = node("").unwrap();
    assert_eq!((node.name.as_str(), node.id()), ("south", card().id()));
    assert_eq!(node.send, Sending { nice: 128, ttl: 90, keep: Keep::UntilDurable, deadline: 3, receipt: false });
    let accept = Accept { files: true, folder: None, most_bytes: None, mode: Mode::Keep, partial_after: 15 };
    assert_eq!(node.accept, accept);
    assert_eq!(node.link, Link { from: true, most_bytes: None, most_packets: None, most_sharing: 64 });
    assert_eq!((node.addresses, node.calls), (vec![], vec![]));
}

#[test]
fn every_key_that_is_built_is_understood() {
    let text = r#"
        [send]
        nice = 64
        ttl = 7
        keep = "until-durable"
        receipt = false
        [accept]
        files = false
        folder = "/srv/in"
        most_bytes = "10 GiB"
        mode = "0640"
        partial_after = 90
        [link]
        from = false
        most_bytes = 4096
        most_packets = 100_000
        most_sharing = 1
        [[call]]
        cron = "*/15 * * * *"
        [[call]]
        cron = "0 2 * * *"
        when = "waiting"
        nice = 64
        direction = "out"
        address = "tcp://[::1]:77"
        rate = "64 KiB"
        timeout = 30
        max_time = 86_400
    "#;
    let text = &format!("addresses = [\"tcp://south\", \"pipe:ssh south mb-listen --stdio\"]\n{text}");
    let node = node(text).unwrap();
    assert_eq!((node.send.nice, node.send.ttl), (64, 7));
    let accept = Accept {
        files: false,
        folder: Some("/srv/in".into()),
        most_bytes: Some(10 << 30),
        mode: Mode::Fixed(0o640),
        partial_after: 90,
    };
    assert_eq!(node.accept, accept);
    let link = Link { from: false, most_bytes: Some(4096), most_packets: Some(100_000), most_sharing: 1 };
    assert_eq!(node.link, link);
    let addresses: Vec<String> = node.addresses.iter().map(Address::to_string).collect();
    assert_eq!(addresses, ["tcp://south:5404", "pipe:ssh south mb-listen --stdio"]);
    let plain = CallRule {
        cron: Some(Cron::parse("*/15 * * * *").unwrap()),
        when: None,
        nice: None,
        direction: Direction::Both,
        address: None,
        rate: None,
        timeout: None,
        max_time: None,
    };
    let full = CallRule {
        cron: Some(Cron::parse("0 2 * * *").unwrap()),
        when: Some(When::Waiting),
        nice: Some(64),
        direction: Direction::Out,
        address: Some(Address::Tcp { host: "::1".into(), port: 77 }),
        rate: Some(64 << 10),
        timeout: Some(30),
        max_time: Some(86_400),
    };
    assert_eq!(node.calls, [plain, full]);
}

#[test]
fn a_call_rule_says_when_and_every_mistake_in_one_is_found_at_its_place() {
    let rule = |line: &str| format!("[[call]]\nwhen = \"waiting\"\n[[call]]\nwhen = \"waiting\"\n{line}");
    let table = [
        ("[[call]]".into(), "2:1: call: neither `cron` nor `when` is there"),
        ("[[call]]\nnice = 1".into(), "2:1: call: neither `cron` nor `when` is there"),
        ("call = [{ when = \"waiting\" }, { nice = 1 }]".into(), "2:31: call: neither"),
        ("[[call]]\nwhen = \"waiting\"\n[[call]]\nnice = 1".into(), "4:1: call: neither"),
        ("call = [1]".into(), "2:9: call: invalid type"),
        ("call = 1".into(), "2:8: call: invalid type"),
        ("[call]\nwhen = \"waiting\"".into(), "2:1: invalid type"),
        (rule("crn = 1"), "6:1: call.crn: unknown key; did you mean \"cron\"?"),
        ("call = [{ wen = 1 }]".into(), "2:11: call.wen: unknown key; did you mean \"when\"?"),
        ("[[call]]\nwhen = \"idle\"".into(), "3:8: call.when: unknown variant `idle`"),
        ("[[call]]\ncron = \"0 * * * * *\"".into(), "3:8: call.cron: \"0 * * * * *\": 6 fields"),
        ("[[call]]\ncron = \"61 * * * *\"".into(), "3:8: call.cron: \"61 * * * *\": Component error"),
        ("[[call]]\ncron = 1".into(), "3:8: call.cron: invalid type"),
        (rule("nice = 0"), "6:8: call.nice: 0 is not from 1 to 255"),
        (rule("direction = \"up\""), "6:13: call.direction: unknown variant `up`"),
        (rule("address = \"south\""), "6:11: call.address: \"south\" is neither"),
        (rule("rate = 0"), "6:8: call.rate: a rate is at least 1 byte"),
        (rule("rate = \"fast\""), "6:8: call.rate: not a size"),
        (rule("timeout = 3601"), "6:11: call.timeout: 3601 is not from 1 to 3600"),
        (rule("max_time = 86401"), "6:12: call.max_time: 86401 is not from 1 to 86400"),
        ("addresses = \"tcp://south\"".into(), "2:13: addresses: invalid type"),
        ("addresses = [\"tcp://south\", \"south\"]".into(), "2:13: addresses: \"south\" is neither"),
    ];
    for (text, said) in table {
        let said = format!("n/south.toml:{said}");
        assert!(complaint(&text).starts_with(&said), "{text}\n{}\n{said}", complaint(&text));
    }
}

#[test]
fn a_mistyped_key_is_found_with_its_place_and_what_was_meant() {
    assert_eq!(complaint("[send]\n  nise = 3\n"), "n/south.toml:3:3: send.nise: unknown key; did you mean \"nice\"?");
    assert_eq!(complaint("[acept]\n"), "n/south.toml:2:2: acept: unknown key; did you mean \"accept\"?");
    assert_eq!(complaint("colour = 1\n"), "n/south.toml:2:1: colour: unknown key");
    let error = Config::parse(Path::new("config.toml"), "resrve = 1").unwrap_err();
    assert_eq!(error.to_string(), "config.toml:1:1: resrve: unknown key; did you mean \"reserve\"?");
}

#[test]
fn more_roads_than_envelopes_are_made_for_are_refused() {
    let roads = |count: usize| format!("roads = [{}]", vec![r#"["b"]"#; count].join(", "));
    node(&roads(8)).unwrap();
    assert!(complaint(&roads(9)).ends_with("9 roads; at most 8 are allowed"), "{}", complaint(&roads(9)));
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let table = [("[accept]\ngroup = \"x\"", "n/south.toml:3:1: accept.group: not built yet")];
    for (text, said) in table {
        assert_eq!(complaint(text), said, "{text}");
    }
    let error = Config::parse(Path::new("c"), "strangers = \"/x\"").unwrap_err();
    assert_eq!(error.to_string(), "c:1:1: strangers: not built yet");
}

#[test]
fn a_value_beyond_its_limit_is_refused_at_its_place() {
    let table = [
        ("[send]\nnice = 0", "3:8: send.nice: 0 is not from 1 to 255"),
        ("[send]\nnice = 256", "3:8: send.nice: 256 is not from 1 to 255"),
        ("[send]\nnice = -1", "3:8: send.nice: -1 is not from 1 to 255"),
        ("[send]\nttl = 401", "3:7: send.ttl: 401 is not from 1 to 400"),
        ("[link]\nmost_sharing = 65", "3:16: link.most_sharing: 65 is not from 1 to 64"),
        ("[accept]\nfolder = \"in\"", "3:10: accept.folder: not an absolute path"),
        ("[accept]\nmode = \"4755\"", "3:8: accept.mode: \"4755\": set-user-id bits are never set"),
        ("[accept]\nmode = \"rw\"", "3:8: accept.mode: \"rw\" is neither"),
        ("[accept]\nmost_bytes = \"1 QB\"", "3:14: accept.most_bytes: not a size such as"),
        ("[accept]\nmost_bytes = -1", "3:14: accept.most_bytes: not a size such as"),
        ("[accept]\nfiles = 1", "3:9: accept.files: invalid type: integer `1`, expected a boolean"),
        ("accept = 1", "2:10: accept: invalid type"),
        ("[send]\nnice = 1\nnice = 2", "4:1: duplicate key"),
        ("roads = []", "2:9: roads: no way at all; [[]] is directly"),
        ("roads = [\"hub\"]", "2:10: roads: invalid type: string \"hub\", expected a sequence"),
        ("roads = [[\"a/b\"]]", "2:9: roads: "),
        (r#"roads = [["a", "b", "c", "d", "e", "f", "g", "h"]]"#, "2:9: roads: 8 relays; at most 7 are allowed"),
        ("[relay]\nfrom = 1", "3:8: relay.from: invalid type: integer `1`, expected a boolean"),
        ("[[share]]", "2:1: share: neither `folder` nor `name` is there"),
        ("[[share]]\nname = \"a\"", "2:1: share: missing field `folder`"),
        ("[[share]]\nfolder = \"srv\"", "3:10: share.folder: not an absolute path"),
        ("[[share]]\nfolder = \"/srv\"\nname = \"a/b\"", "4:8: share.name: \"a/b\" is not one part of a path"),
        ("[[share]]\nfolder = \"/srv\"\nname = \"..\"", "4:8: share.name: \"..\" is not one part of a path"),
        ("[[share]]\nfolder = \"/srv\"\nmatch = [\"a[\"]", "4:9: share.match: \"a[\": unclosed"),
        ("[[share]]\nfolder = \"/srv\"\nmatch = \"*.pdf\"", "4:9: share.match: invalid type"),
        ("[[share]]\nfolder = \"/srv\"\nmost_files = 0", "4:14: share.most_files: 0 is not from 1 to 1000000"),
        ("[[share]]\nfolder = \"/a\"\n[[share]]\nfolder = \"/b\"", "2:1: share: two without a name"),
        ("[[share]]\nfolder = \"/a\"\nmatsch = []", "4:1: share.matsch: unknown key; did you mean \"match\"?"),
        ("[send", "2:6: "),
    ];
    for (text, said) in table {
        let said = format!("n/south.toml:{said}");
        assert!(complaint(text).starts_with(&said), "{text}\n{}\n{said}", complaint(text));
    }
}

#[test]
fn a_node_file_without_a_card_or_with_a_damaged_one_is_refused() {
    let parse = |text: &str| KnownNode::parse(Path::new("f"), "south", text).unwrap_err().to_string();
    assert!(parse("").contains("missing field `card`"), "{}", parse(""));
    let damaged = card().to_text().replace("mbcard1", "mbcard1q");
    assert!(parse(&format!("card = \"{damaged}\"")).starts_with("f:1:8: card: checksum"), "{damaged}");
}

/// Threat: 30.
#[test]
fn an_error_in_a_key_file_never_quotes_the_secret() {
    let card = card().to_text();
    let marker = "mbsecret1marker";
    for line in [
        format!("secret = {marker}"),
        format!("secret = \"{marker}"),
        format!("secret = [\"{marker}\"]"),
        format!("secret = {{ {marker} = 1 }}"),
        format!("secret = \"{marker}\"\nsealed = \"{marker}\""),
        format!("secret = \"{marker}\"\nsealed = 1"),
        format!("secret = \"{marker}\"\nsecret = \"{marker}\""),
    ] {
        let Err(error) = KeyFile::parse(Path::new("node.key"), &format!("card = \"{card}\"\n{line}\n")) else {
            panic!("{line}");
        };
        assert!(!error.to_string().contains("marker"), "{error}");
    }
}

/// Every key of the list is one that serde takes: a key that only the list knew would be refused as unknown.
#[test]
fn the_list_of_keys_and_the_types_agree() {
    let text = "addresses=[]\nroads=[[]]\n[relay]\nfrom=true\nto=true\nmost_complaints=1\n[send]\nnice=1\nttl=1\nkeep=\"until-durable\"\ndeadline=1\nreceipt=false\n[accept]\nfiles=true\nfolder=\"/\"\nmost_bytes=1\n\
                mode=\"keep\"\npartial_after=1\n[link]\nfrom=true\nmost_bytes=1\nmost_packets=1\nmost_sharing=1\n[[call]]\ncron=\"* * * * *\"\nwhen=\"waiting\"\nnice=1\n\
                direction=\"in\"\naddress=\"tcp://south\"\nrate=1\ntimeout=1\nmax_time=1\n[exec.a]\ncommand=[\"/a\"]\narguments=true\nseconds=1\noutput=1\nfolder=\"/\"\nuid=1\ngid=1\nreply=true\nonce=true\n\
                [[share]]\nfolder=\"/\"\nname=\"n\"\nmatch=[]\nexcept=[]\nmost_bytes=1\nmost_files=1\n\
                [exec.a.retry]\nfirst=1\nfactor=1\nmost=1\ntimes=1\n[exec.a.limits]\nmemory=1\nfile=1\ncpu=1\nprocesses=1\nopen_files=1\n";
    node(text).unwrap();
    assert_all_keys_but_the_card(known::KEYS, text);
    let text = "subscribers=[]\nrequests=true\nallow_unknown=true\nfolder=\"/\"\nmost_bytes=1\nmode=\"keep\"\nkeep=\"9d\"\n\
                [exec.a]\ncommand=[\"/a\"]\narguments=true\nseconds=1\noutput=1\nfolder=\"/\"\nuid=1\ngid=1\nreply=true\nonce=true\n\
                [exec.a.retry]\nfirst=1\nfactor=1\nmost=1\ntimes=1\n[exec.a.limits]\nmemory=1\nfile=1\ncpu=1\nprocesses=1\nopen_files=1\n";
    area(text).unwrap();
    assert_all_keys_but_the_card(area::KEYS, text);
}

fn assert_all_keys_but_the_card(keys: Keys, text: &str) {
    fn inner(keys: Keys) -> usize {
        let one = |key: &Key| match key {
            Key::Table(keys) | Key::Tables(keys) | Key::Named(keys) => inner(keys),
            Key::NotBuilt => 0,
            Key::Value => 1,
        };
        keys.iter().map(|(_, key)| one(key)).sum()
    }
    let lines = text.lines().filter(|line| line.contains('=')).count();
    assert_eq!(inner(keys), lines + 1, "a key of the list is missing here");
}

fn area(rest: &str) -> Result<KnownArea, ConfigError> {
    let keys = AreaKeys { post: [1; 32], read: [2; 32] };
    let owner = NodeSecrets::from_seed(&Seed::from_bytes([1; 32]));
    let card = AreaCard::new(&owner, "news", AreaMode::Open, Some(keys), [3; 16], 0).unwrap();
    KnownArea::parse(Path::new("a/news.toml"), "news", &format!("card = \"{}\"\n{rest}", card.to_text()))
}

/// Shows: H14.
#[test]
fn nobody_asks_for_an_area_unless_its_file_says_who() {
    let requests = |rest| area(rest).unwrap().requests;
    let table = [
        ("", Askers::Nobody),
        ("requests = false", Askers::Nobody),
        ("requests = true", Askers::Anybody),
        ("requests = []", Askers::These(vec![])),
        ("requests = [\"b\", \"a\", \"b\"]", Askers::These(vec!["a".into(), "b".into()])),
    ];
    for (text, askers) in table {
        assert_eq!(requests(text), askers, "{text}");
    }
    assert!(!requests("").has("a") && requests("requests = true").has("a"));
    assert!(requests("requests = [\"a\"]").has("a") && !requests("requests = [\"a\"]").has("b"));
    let wrong = [
        ("requests = 1", "2:12: requests: invalid type: integer `1`, expected true, false or a list of nodes"),
        ("requests = \"a\"", "2:12: requests: invalid type: string \"a\", expected true, false or a list of nodes"),
        ("requests = [1]", "2:13: requests: invalid type: integer `1`, expected a string"),
        ("requests = [\"a/b\"]", "2:12: requests: not 1 to 32 of"),
        ("request = true", "2:1: request: unknown key; did you mean \"requests\"?"),
    ];
    for (text, said) in wrong {
        let error = area(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("a/news.toml:{said}")), "{text}\n{error}\n{said}");
    }
}
