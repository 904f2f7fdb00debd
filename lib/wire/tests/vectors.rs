//! The files of `tests/vectors/`: each gives the verdict that it has inside, and the generator still makes the same.
//!
//! The library's readers are called here as a receiving node calls them; `docs/format.md` and the folder's README.md
//! say what is right.

#[path = "../examples/vectors.rs"]
mod generator;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ciborium::Value as Cbor;
use generator::build::hex;
use mb_wire::area::{
    AreaCard, AreaMessage, AreaSecret, Draft, Mode, PostSecret, PostTerms, Settings, Subscribe, Summary, Under, Want,
    post,
};
use mb_wire::body::{BodyKey, CHUNK_LEN, chunk_count, leaves, plain_len, root};
use mb_wire::card::Card;
use mb_wire::cbor;
use mb_wire::envelope::{BodyName, Content, Prefix, Wrap, list_hash, open, packet_id, read_prefix, wrap};
use mb_wire::folder::{FolderDecoder, FolderEntry, FolderEvent};
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{AreaId, KeyTag, LetterId, MsgHash, NodeId, PacketId, Root};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed, key_tag};
use mb_wire::letter::{
    Argument, Codec, ExecMeta, FileMeta, Form, Kind, Letter, LetterBody, Posted, Reader, RequestMeta, Wants,
};
use mb_wire::report::{Complaint, Report, Signed};
use mb_wire::route::{Here, Onward, Route, RouteError, Routed, Step, Terms, Veils};
use mb_wire::seal::Address;
use mb_wire::sealed::open_sealed_seed;
use mb_wire::size::{class, padme};
use mb_wire::statement::Statement;
use mb_wire::trace::{PathStep, Trace};
use serde_json::{Value as Json, json};

/// What came out of a reading, as the fields that a good vector has.
type Reading = Result<Json, String>;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

/// All files, by path below the folder.
fn files() -> BTreeMap<String, String> {
    let list = |folder: &str| {
        let entries = std::fs::read_dir(dir().join(folder)).expect("the folder of vectors");
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.into_iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    let paths = [list("good"), list("bad")].concat();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(dir().join(path)).unwrap())).collect()
}

#[test]
fn the_generator_makes_the_files() {
    let files = files();
    let mut names = BTreeSet::new();
    for vector in generator::all() {
        let path = vector.path();
        assert!(names.insert(path.clone()), "{path} twice");
        assert!(
            files.get(&path) == Some(&vector.text()),
            "{path} is another now: run the example `vectors`, look at it"
        );
    }
    let left: Vec<_> = files.keys().filter(|path| !names.contains(*path)).collect();
    assert!(left.is_empty(), "nobody makes {left:?}");
}

#[test]
fn every_vector_gets_its_verdict() {
    let files = files();
    assert!(files.len() >= 150, "{} files", files.len());
    let wrong: Vec<_> = files.iter().filter_map(|(path, text)| judge(path, text).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

fn judge(path: &str, text: &str) -> Result<(), String> {
    let vector: Json = serde_json::from_str(text).unwrap();
    let verdict = text_of(&vector, "verdict");
    assert!(path.starts_with(verdict) && !text_of(&vector, "what").is_empty() && vector["reason"] != "", "{path}");
    match (verdict, read(&vector)) {
        ("good", Ok(reading)) => compare(path, &vector, &reading),
        ("bad", Err(error)) if error.contains(text_of(&vector, "reason")) => Ok(()),
        (_, reading) => Err(format!("{path}: {reading:?}")),
    }
}

fn compare(path: &str, vector: &Json, reading: &Json) -> Result<(), String> {
    for (key, value) in reading.as_object().unwrap() {
        if vector[key] != *value {
            return Err(format!("{path}: {key} is {value}, not {}", vector[key]));
        }
    }
    Ok(())
}

fn read(vector: &Json) -> Reading {
    match text_of(vector, "kind") {
        "hash" => hashes(vector),
        "size" => sizes(vector),
        "tree" => trees(vector),
        "id" => id(vector),
        "card" => card(vector),
        "statement" => statement(vector),
        "receipt" => receipt(vector),
        "complaint" => complaint(vector),
        "trace" => trace(vector),
        "prefix" => prefix_only(vector),
        "envelope" => envelope(vector),
        "route" => route(vector),
        "reply" => reply(vector),
        "body" => body(vector),
        "folder" => folder(vector),
        "nodekey" => node_key(vector),
        "exchangekey" => exchange_key(vector),
        "areacard" => area_card(vector),
        "areasecret" => area_secret(vector),
        "settings" => settings(vector),
        "want" => want(vector),
        "subscribe" => subscribe(vector),
        "summary" => summary(vector),
        other => panic!("kind {other}"),
    }
}

fn text_of<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("{key} is text"))
}

fn number(json: &Json, key: &str) -> u64 {
    json[key].as_u64().unwrap_or_else(|| panic!("{key} is a number"))
}

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn bytes(json: &Json, key: &str) -> Vec<u8> {
    unhex(text_of(json, key))
}

fn fixed<const N: usize>(json: &Json, key: &str) -> [u8; N] {
    bytes(json, key).try_into().unwrap()
}

fn words<E: ToString>(error: E) -> String {
    error.to_string()
}

fn hashes(vector: &Json) -> Reading {
    let digest = |entry: &Json| {
        let labels = [
            Label::Node,
            Label::Packet,
            Label::Letter,
            Label::Prefix,
            Label::Hop,
            Label::Seal,
            Label::Key,
            Label::Commit,
            Label::Coins,
            Label::Tag,
            Label::Leaf,
            Label::Join,
            Label::Root,
            Label::Mac,
            Label::Block,
            Label::Pay,
            Label::Veil,
            Label::Slot,
            Label::Load,
            Label::List,
            Label::Step,
            Label::Area,
            Label::Head,
            Label::Msg,
            Label::Post,
            Label::Have,
            Label::Stmt,
            Label::Ident,
            Label::Call,
            Label::Coin,
            Label::Store,
            Label::Once,
            Label::Input,
            Label::Seen,
            Label::Way,
        ];
        let label = labels.into_iter().find(|label| label.as_str() == text_of(entry, "label")).unwrap();
        let mut out = entry.clone();
        out["digest"] = json!(hex(match &entry["key"] {
            Json::Null => hash(label, &[&bytes(entry, "input")]),
            _ => keyed(&fixed(entry, "key"), label, &[&bytes(entry, "input")]),
        }));
        out
    };
    Ok(json!({"hashes": vector["hashes"].as_array().unwrap().iter().map(digest).collect::<Vec<_>>()}))
}

fn sizes(vector: &Json) -> Reading {
    let table = |key: &str, size: fn(u64) -> u64| -> Vec<[u64; 2]> {
        let lens = vector[key].as_array().unwrap().iter().map(|pair| pair[0].as_u64().unwrap());
        lens.map(|len| [len, size(len)]).collect()
    };
    Ok(json!({"padme": table("padme", padme), "class": table("class", class)}))
}

fn trees(vector: &Json) -> Reading {
    let root = |entry: &Json| {
        let leaves = entry["leaves"].as_array().unwrap().iter();
        let leaves: Vec<[u8; 32]> = leaves.map(|leaf| unhex(leaf.as_str().unwrap()).try_into().unwrap()).collect();
        let mut out = entry.clone();
        out["root"] = json!(root(number(entry, "size"), &leaves).to_string());
        out
    };
    Ok(json!({"trees": vector["trees"].as_array().unwrap().iter().map(root).collect::<Vec<_>>()}))
}

fn id(vector: &Json) -> Reading {
    let text = text_of(vector, "text");
    let bytes = match text_of(vector, "type") {
        "node" => text.parse::<NodeId>().map_err(words)?.as_bytes().to_vec(),
        "packet" => text.parse::<PacketId>().map_err(words)?.as_bytes().to_vec(),
        "letter" => text.parse::<LetterId>().map_err(words)?.as_bytes().to_vec(),
        "root" => text.parse::<Root>().map_err(words)?.as_bytes().to_vec(),
        "area" => text.parse::<AreaId>().map_err(words)?.as_bytes().to_vec(),
        "message" => text.parse::<MsgHash>().map_err(words)?.as_bytes().to_vec(),
        "tag" => text.parse::<KeyTag>().map_err(words)?.as_bytes().to_vec(),
        other => panic!("type {other}"),
    };
    Ok(json!({"bytes": hex(bytes)}))
}

fn card(vector: &Json) -> Reading {
    let text = text_of(vector, "text");
    let card = Card::parse(text).map_err(words)?;
    assert_eq!(card.to_text(), text.to_lowercase());
    if !vector["seed"].is_null() {
        let node = NodeSecrets::from_seed(&Seed::from_bytes(fixed(vector, "seed")));
        let again = Card::issue(&node, card.keys.clone(), &card.name, card.version, card.created).map_err(words)?;
        assert_eq!(again, card);
    }
    let key = |key: &mb_wire::card::ExchangeKey| {
        json!({
            "suite": key.suite, "public": hex(key.public), "tag": key_tag(&key.public).to_string(),
            "use_until": key.use_until, "gone_after": key.gone_after,
        })
    };
    let pick = |pick: &Json| {
        let key = card.exchange_key(number(pick, "today") as u32);
        json!({"today": pick["today"], "public": key.ok().map(|key| hex(key.public))})
    };
    Ok(json!({
        "bytes": hex(card.as_bytes()), "id": card.id().to_string(), "identity": hex(card.identity),
        "call": hex(card.call), "name": card.name, "version": card.version, "created": card.created,
        "keys": card.keys.iter().map(key).collect::<Vec<_>>(),
        "picks": vector["picks"].as_array().into_iter().flatten().map(pick).collect::<Vec<_>>(),
    }))
}

fn statement(vector: &Json) -> Reading {
    let statement = Statement::parse(&bytes(vector, "statement")).map_err(words)?;
    Ok(json!({
        "statement_kind": format!("{:?}", statement.kind).to_lowercase(), "issuer": hex(statement.issuer), "created": statement.created,
        "version": statement.version, "body": hex(statement.body),
    }))
}

fn receipt(vector: &Json) -> Reading {
    let statement = bytes(vector, "statement");
    let Signed { by, receipt, version } = Signed::parse(&statement).map_err(words)?;
    if !vector["seed"].is_null() {
        assert_eq!(receipt.sign(&node_of(vector, "seed")), statement);
    }
    let mut reading = json!({
        "issuer": by.to_string(), "about": hex(receipt.about.as_bytes()), "stage": receipt.stage.word(),
        "time": receipt.time, "version": version,
    });
    if vector["why"] != Json::Null || !receipt.why.is_empty() {
        reading["why"] = json!(receipt.why);
    }
    Ok(reading)
}

fn complaint(vector: &Json) -> Reading {
    let statement = bytes(vector, "statement");
    let (by, complaint) = Complaint::parse(&statement).map_err(words)?;
    let Statement { created, version, .. } = Statement::parse(&statement).map_err(words)?;
    if !vector["seed"].is_null() {
        assert_eq!(complaint.sign(&node_of(vector, "seed"), created), statement);
    }
    Ok(json!({
        "issuer": by.to_string(), "about": complaint.about.to_string(), "complaint_reason": complaint.reason.word(),
        "time": created, "version": version,
    }))
}

fn trace(vector: &Json) -> Reading {
    let trace = trace_of(&vector["trace"]);
    let mb_wire::trace::Path { letter, steps } = trace.verify().map_err(words)?;
    if let Json::Array(seeds) = &vector["seeds"] {
        let node =
            |seed: &Json| NodeSecrets::from_seed(&Seed::from_bytes(unhex(seed.as_str().unwrap()).try_into().unwrap()));
        let again = seeds.iter().zip(&steps).fold(Trace::default(), |trace, (seed, step)| match trace.is_empty() {
            true => Trace::begin(&node(seed), letter, step.next, step.time),
            false => trace.extend(&node(seed), step.next, step.time).unwrap(),
        });
        assert_eq!(again, trace);
    }
    let step =
        |step: &PathStep| json!({"node": step.node.to_string(), "next": step.next.to_string(), "time": step.time});
    Ok(json!({"letter": letter.to_string(), "steps": steps.iter().map(step).collect::<Vec<_>>()}))
}

fn trace_of(steps: &Json) -> Trace {
    cbor::decode(&cbor::encode(&steps_of(steps))).unwrap()
}

fn steps_of(steps: &Json) -> Cbor {
    Cbor::Array(steps.as_array().unwrap().iter().map(|step| Cbor::Bytes(unhex(step.as_str().unwrap()))).collect())
}

fn prefix_only(vector: &Json) -> Reading {
    let file = bytes(vector, "file");
    let prefix = read_prefix(&file).map_err(words)?;
    Ok(json!({"packet": packet_id(&file).to_string(), "prefix": prefix_json(&prefix)}))
}

fn prefix_json(prefix: &Prefix) -> Json {
    let bodies = prefix.bodies.iter().map(|body| json!({"root": body.root.to_string(), "size": body.size}));
    json!({
        "to": prefix.to.to_string(), "end": prefix.end, "tag": prefix.tag.to_string(), "nice": prefix.nice,
        "suite": prefix.suite, "share": hex(prefix.share), "commit": hex(prefix.commit),
        "bodies": bodies.collect::<Vec<_>>(),
    })
}

fn envelope(vector: &Json) -> Reading {
    let file = bytes(vector, "file");
    let key = ExchangeSecret::from_random(fixed(vector, "exchange"));
    let to: NodeId = text_of(vector, "to").parse().unwrap();
    let opened = open(&file, to, |tag| (tag == key.tag()).then_some(&key)).map_err(words)?;
    let (prefix, from, hops, ask) = (opened.prefix.clone(), opened.from, opened.hops, opened.ask);
    let content = opened.verify_hop(&fixed(vector, "sender")).map_err(words)?;
    if !vector["sender_seed"].is_null() {
        made_anew(vector, &file, &prefix, &content);
    }
    let mut reading = json!({
        "packet": packet_id(&file).to_string(), "prefix": prefix_json(&prefix), "from": from.to_string(), "hops": hops,
    });
    if ask {
        reading["ask"] = json!(true);
    }
    match content {
        Content::Letter(letter) => {
            let (id, letter) = letter.verify(&fixed(vector, "author"), &prefix).map_err(words)?;
            reading["letter"] = letter_json(id, &letter);
        }
        Content::Area(message) => area(vector, &message, &mut reading)?,
        Content::Routed(routed) => reading["routed"] = routed_json(&routed),
        Content::Confirm(packets) => {
            reading["confirm"] = packets.iter().map(|packet| json!(packet.to_string())).collect()
        }
        Content::Statement(statement) => reading["statement"] = json!(hex(&statement)),
        Content::Reports(reports) => {
            let report = |report: &Report| json!([report.packet.to_string(), hex(&report.statement)]);
            reading["reports"] = reports.iter().map(report).collect();
        }
    }
    Ok(reading)
}

/// A message of the area whose card is at hand: what a relay judges, and, where there is a read key, what a reader does.
fn area(vector: &Json, message: &AreaMessage, reading: &mut Json) -> Result<(), String> {
    let card = AreaCard::parse(text_of(vector, "area_card")).map_err(words)?;
    if message.head.area != card.id() {
        return Err("a message of another area".into());
    }
    match card.keys {
        Some(_) if message.head.under.is_some() => return Err("it names settings, and the area has none".into()),
        Some(keys) if message.head.post != keys.post => return Err("it names another post key than the card's".into()),
        Some(_) => {}
        None => ruled(&settings_of(vector)?, message)?,
    }
    let hash = message.verify_post().map_err(words)?;
    reading["area"] = json!({"hash": hash.to_string(), "head": head_json(message)});
    if vector["area_read"].is_null() {
        return Ok(());
    }
    let (signed, frame) = message.open(&ExchangeSecret::from_random(fixed(vector, "area_read"))).map_err(words)?;
    let (id, letter) = signed.verify_posted(frame).map_err(words)?;
    if card.mode == Mode::Log && letter.author != card.owner_id() {
        return Err("only its owner may write".into());
    }
    reading["letter"] = letter_json(id, &letter);
    Ok(())
}

/// The settings that count, as the reader of an area's message has them.
fn settings_of(vector: &Json) -> Result<Settings, String> {
    let settings = Settings::from_bytes(&bytes(vector, "area_settings")).map_err(words)?;
    let card = AreaCard::parse(text_of(vector, "area_card")).map_err(words)?;
    let is_the_owners = settings.area == card.id() && settings.owner == card.owner;
    if is_the_owners { Ok(settings) } else { Err("settings that are not its owner's".into()) }
}

/// What the only settings that there are say of a message; of days, the node knows.
fn ruled(settings: &Settings, message: &AreaMessage) -> Result<(), String> {
    let under = message.head.under.ok_or("it names no settings")?;
    let len: u64 = message.head.bodies.iter().map(|body| body.size).sum();
    match () {
        () if under.version > settings.under.version => Err("it names settings that have not come".into()),
        () if settings.most.is_some_and(|most| len > most) => Err("it is larger than a message may be".into()),
        () if under.epoch != settings.under.epoch || !settings.posts.contains(&message.head.post) => {
            Err("a post key that may not write, or of another epoch".into())
        }
        () => Ok(()),
    }
}

fn head_json(message: &AreaMessage) -> Json {
    let items: Vec<Cbor> = cbor::decode(&message.to_bytes()).unwrap();
    let Cbor::Map(map) = cbor::decode(items[0].as_bytes().unwrap()).unwrap() else { panic!("a map") };
    let part = |key: &str| map.iter().find(|(other, _)| other.as_text() == Some(key)).unwrap().1.as_bytes().unwrap();
    let bodies = message.head.bodies.iter().map(|body| json!({"root": body.root.to_string(), "size": body.size}));
    let mut shown = json!({
        "end": message.head.end, "area": message.head.area.to_string(), "post": hex(message.head.post), "suite": 1,
        "share": hex(part("share")), "commit": hex(part("commit")), "bodies": bodies.collect::<Vec<_>>(),
    });
    if let Some(Under { version, epoch }) = message.head.under {
        (shown["version"], shown["epoch"]) = (json!(version), json!(epoch));
    }
    shown
}

/// The same message, made by its author from what the vector says in plain fields.
fn message_of(vector: &Json) -> AreaMessage {
    let (letter, author) = (letter_of(&vector["letter"]), node_of(vector, "author_seed"));
    let Reader::Area(posted) = &letter.to else { panic!("a letter to an area") };
    let area = AreaCard::parse(text_of(vector, "area_card")).unwrap();
    let read = match area.keys {
        Some(keys) => keys.read,
        None => settings_of(vector).unwrap().read,
    };
    let head = &vector["area"]["head"];
    let under = head["epoch"].as_u64().map(|epoch| Under { version: number(head, "version"), epoch });
    let terms = PostTerms {
        area: posted.area,
        post: &PostSecret::from_random(fixed(vector, "area_post")),
        read: &read,
        under,
        card: &Card::from_bytes(&posted.card).unwrap(),
        re: posted.re,
        salt: fixed(vector, "area_salt"),
    };
    post(&author, &letter, &terms).unwrap().0
}

fn node_of(vector: &Json, key: &str) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes(fixed(vector, key)))
}

/// A writer of the library makes the same file from what the vector says in plain fields.
fn made_anew(vector: &Json, file: &[u8], prefix: &Prefix, content: &Content) {
    let exchange = ExchangeSecret::from_random(fixed(vector, "exchange")).public();
    let address = Address { id: prefix.to, exchange };
    let again = content_of(vector);
    assert_eq!(again, *content);
    let wrapped = Wrap {
        to: &address,
        end: prefix.end,
        nice: prefix.nice,
        hops: number(vector, "hops") as u8,
        bodies: &prefix.bodies,
        ask: vector["ask"] == true,
        content: &again,
    };
    assert_eq!(wrap(&node_of(vector, "sender_seed"), &wrapped).unwrap(), file);
    assert_eq!(ExchangeSecret::from_random(fixed(vector, "coins")).public(), prefix.share);
}

fn content_of(vector: &Json) -> Content {
    let packet = |id: &Json| -> PacketId { id.as_str().unwrap().parse().unwrap() };
    if vector["area"].is_object() {
        return Content::Area(Box::new(message_of(vector)));
    }
    if vector["statement"].is_string() {
        return Content::Statement(bytes(vector, "statement"));
    }
    match (&vector["routed"], &vector["confirm"], &vector["reports"]) {
        (Json::Object(_), ..) => Content::Routed(Box::new(routed_of(&vector["routed"]))),
        (_, Json::Array(packets), _) => Content::Confirm(packets.iter().map(packet).collect()),
        (.., Json::Array(reports)) => {
            let report =
                |report: &Json| Report { packet: packet(&report[0]), statement: unhex(report[1].as_str().unwrap()) };
            Content::Reports(reports.iter().map(report).collect())
        }
        _ => Content::Letter(letter_of(&vector["letter"]).sign(&node_of(vector, "author_seed"))),
    }
}

/// The fields of what is under way, in their order; that of the trace may be missing.
const ROUTED: [&str; 7] = ["key", "tag", "block", "share", "trace", "commit", "payload"];

fn routed_of(json: &Json) -> Routed {
    let field = |key: &str| match key {
        "key" => Cbor::Bytes(text_of(json, key).parse::<KeyTag>().unwrap().as_bytes().to_vec()),
        "trace" => steps_of(&json[key]),
        _ => Cbor::Bytes(bytes(json, key)),
    };
    let there = ROUTED.iter().filter(|key| !json[**key].is_null());
    let map = there.map(|key| (Cbor::Text(key.to_string()), field(key)));
    cbor::decode(&cbor::encode(&Cbor::Map(map.collect()))).unwrap()
}

fn routed_json(routed: &Routed) -> Json {
    let Cbor::Map(map) = cbor::decode(&cbor::encode(routed)).unwrap() else { panic!("a map") };
    let field = |(key, value): (Cbor, Cbor)| {
        let key = key.into_text().unwrap();
        let shown = match (key.as_str(), value) {
            ("key", Cbor::Bytes(tag)) => json!(KeyTag::from_bytes(tag.try_into().unwrap()).to_string()),
            (_, Cbor::Array(steps)) => steps.into_iter().map(|step| hex(step.into_bytes().unwrap())).collect(),
            (_, value) => json!(hex(value.into_bytes().unwrap())),
        };
        (key, shown)
    };
    map.into_iter().map(field).collect::<serde_json::Map<_, _>>().into()
}

/// What one hop is given, and what goes on to the next.
struct UnderWay {
    routed: Routed,
    /// In an onion: its bodies.
    files: Option<Vec<Vec<u8>>>,
}

/// Each hop in turn: the first is given what the vector says, each other what the one before it made.
fn route(vector: &Json) -> Reading {
    let hops = vector["hops"].as_array().unwrap();
    let given = &hops[0];
    let files = given["files"].as_array().map(|files| files.iter().map(|file| unhex(file.as_str().unwrap())).collect());
    let mut under_way = UnderWay { routed: routed_of(&given["routed"]), files };
    let (mut reading, mut read) = (json!({}), vec![]);
    for hop in hops {
        let mut shown = hop.clone();
        shown["routed"] = routed_json(&under_way.routed);
        if let Some(files) = &under_way.files {
            shown["files"] = files.iter().map(hex).collect();
        }
        let (slot, next) = route_hop(vector, hop, under_way, &mut reading)?;
        slot.as_object().unwrap().iter().for_each(|(key, value)| shown["slot"][key] = value.clone());
        read.push(shown);
        match next {
            Some(next) => under_way = next,
            None => break,
        }
    }
    reading["hops"] = json!(read);
    if !vector["author_seed"].is_null() {
        route_made_anew(vector);
    }
    Ok(reading)
}

/// One hop: what its slot says, and what goes on. At the last one the letter joins the reading.
fn route_hop(
    vector: &Json,
    hop: &Json,
    under_way: UnderWay,
    reading: &mut Json,
) -> Result<(Json, Option<UnderWay>), String> {
    let (own, secret) = (text_of(hop, "to").parse().unwrap(), ExchangeSecret::from_random(fixed(hop, "exchange")));
    let UnderWay { routed, mut files } = under_way;
    let prefix = prefix_around(hop, own, &secret, &routed)?;
    if routed.key() != secret.tag() {
        return Err(words(RouteError::NoKey(routed.key())));
    }
    let given = routed.trace().clone();
    match routed.open(own, &secret, &prefix).map_err(words)? {
        Step::Returned(_, error) => Err(words(error)),
        Step::Onward(onward) => {
            let Onward { next, end, nice, receipt, hold, leaving, veils, routed, .. } = *onward;
            let slot = json!({
                "next": next.to_string(), "end": end, "nice": nice, "hold": hold, "leaving": hex(leaving),
                "onion": veils.is_some(), "receipt": receipt,
            });
            unveil(files.as_mut(), veils.as_ref(), &leaving)?;
            Ok((slot, Some(UnderWay { routed, files })))
        }
        Step::Here(here) => {
            let Here { letter, frame, trace, veils } = *here;
            assert_eq!(trace, given, "it comes out as it went in");
            let slot = json!({"end": frame.end, "leaving": hex(frame.list), "onion": veils.is_some()});
            let list = frame.list;
            let (id, letter) = letter.verify(&fixed(vector, "author"), frame).map_err(words)?;
            unveil(files.as_mut(), veils.as_ref(), &list)?;
            reading["letter"] = letter_json(id, &letter);
            if let Some(files) = files {
                reading["plain"] = letter.bodies.iter().zip(files).map(|(body, file)| open_file(body, file)).collect();
            }
            Ok((slot, None))
        }
    }
}

/// The author's side of a way back: he makes it, knows his slot again, and opens what is in it.
fn reply(vector: &Json) -> Reading {
    let (hops, author) = (vector["hops"].as_array().unwrap(), node_of(vector, "author_seed"));
    let mut routed = routed_of(&hops[0]["routed"]);
    let (mut read, mut holds, mut terms) = (vec![], vec![], (0, 0));
    let mut returned = None;
    for hop in hops {
        let (own, secret) = (text_of(hop, "to").parse().unwrap(), ExchangeSecret::from_random(fixed(hop, "exchange")));
        let prefix = prefix_around(hop, own, &secret, &routed)?;
        let mut shown = hop.clone();
        shown["routed"] = routed_json(&routed);
        read.push(shown);
        match routed.clone().open(own, &secret, &prefix).map_err(words)? {
            Step::Onward(onward) => {
                holds.push(onward.hold);
                terms = (onward.end, onward.nice);
                routed = onward.routed;
            }
            Step::Returned(found, _) => {
                terms.0 = found.end;
                returned = Some(found);
            }
            Step::Here(_) => panic!("no letter"),
        }
    }
    if let Some(slot) = hops[0].get("slot") {
        terms.1 = number(slot, "nice") as u8;
    }
    let route = Route::new(&author, hops.iter().map(address_of).collect(), fixed(vector, "salt")).unwrap();
    let (way, awaited, tag) = route.reply(terms.0, terms.1, &holds);
    let returned = returned.expect("the last hop's");
    assert_eq!(returned.tag, tag);
    let statement = awaited.open(&returned).map_err(words)?;
    assert_eq!(routed_json(&way.answer(&statement).unwrap()), hops[0]["routed"]);
    for hop in hops {
        assert_eq!(ExchangeSecret::from_random(fixed(hop, "coins")).public(), fixed(&hop["routed"], "share"));
    }
    let way: Cbor = ciborium::from_reader(&cbor::encode(&way)[..]).unwrap();
    let seal = way.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some("seal")).unwrap().1.as_bytes();
    Ok(json!({"hops": read, "statement": hex(statement), "seal": hex(seal.unwrap())}))
}

fn address_of(hop: &Json) -> Address {
    Address {
        id: text_of(hop, "to").parse().unwrap(),
        exchange: ExchangeSecret::from_random(fixed(hop, "exchange")).public(),
    }
}

/// The prefix of an envelope that somebody hands to the reader.
fn prefix_around(hop: &Json, own: NodeId, secret: &ExchangeSecret, routed: &Routed) -> Result<Prefix, String> {
    let body = |body: &Json| BodyName { root: text_of(body, "root").parse().unwrap(), size: number(body, "size") };
    let bodies: Vec<_> = hop["bodies"].as_array().unwrap().iter().map(body).collect();
    let (to, end) = (Address { id: own, exchange: secret.public() }, number(hop, "end") as u32);
    let content = Content::Routed(Box::new(routed.clone()));
    let wrapped = Wrap { to: &to, end, nice: 1, hops: 16, bodies: &bodies, ask: false, content: &content };
    let neighbour = NodeSecrets::from_seed(&Seed::from_bytes([9; 32]));
    let file = wrap(&neighbour, &wrapped).map_err(words)?;
    read_prefix(&file).map_err(words)
}

/// Bodies behind a hop of an onion, which must be those that its slot says.
fn unveil(files: Option<&mut Vec<Vec<u8>>>, veils: Option<&Veils>, leaving: &[u8; 32]) -> Result<(), String> {
    let (Some(files), Some(veils)) = (files, veils) else { return Ok(()) };
    files.iter_mut().enumerate().for_each(|(number, file)| veils.of(number).apply(0, file));
    let name = |file: &Vec<u8>| BodyName { root: root(file.len() as u64, &leaves(file)), size: file.len() as u64 };
    if list_hash(files.iter().map(name)) == *leaving { Ok(()) } else { Err(words(RouteError::Bodies)) }
}

fn open_file(body: &LetterBody, mut file: Vec<u8>) -> Json {
    json!(hex(body.key.open_chunk(0, true, &mut file).unwrap()))
}

/// The author's side of the library makes the same, where all slots say the same.
fn route_made_anew(vector: &Json) {
    let (hops, author) = (vector["hops"].as_array().unwrap(), node_of(vector, "author_seed"));
    let route = Route::new(&author, hops.iter().map(address_of).collect(), fixed(vector, "salt")).unwrap();
    let slots: Vec<&Json> = hops.iter().map(|hop| &hop["slot"]).collect();
    let (last, relays) = slots.split_last().unwrap();
    let mut lists: Vec<[u8; 32]> = slots.iter().map(|slot| fixed(slot, "arriving")).collect();
    lists.push(fixed(last, "leaving"));
    let holds: Vec<u32> = relays.iter().map(|slot| number(slot, "hold") as u32).collect();
    let (end, nice) = (number(last, "end") as u32, number(last, "nice") as u8);
    let (is_onion, receipt) = (last["onion"] == true, last["receipt"] == true);
    let terms = Terms { end, nice, lists: &lists, is_onion, receipt, holds: &holds };
    let (made, _) = route.seal(&letter_of(&vector["letter"]).sign(&author), &terms).unwrap();
    if relays.iter().all(|slot| slot["end"] == last["end"] && slot["nice"] == last["nice"]) {
        let trace = routed_of(&hops[0]["routed"]).trace().clone();
        assert_eq!(routed_json(&made.with_trace(trace)), hops[0]["routed"]);
    }
    for hop in hops {
        assert_eq!(ExchangeSecret::from_random(fixed(hop, "coins")).public(), fixed(&hop["routed"], "share"));
    }
}

fn letter_json(id: LetterId, letter: &Letter) -> Json {
    let body = |body: &LetterBody| {
        let (root, key, codec) = (body.root.to_string(), hex(body.key.as_bytes()), u8::from(body.codec));
        json!({"root": root, "size": body.size, "key": key, "length": body.len, "codec": codec})
    };
    let mut out = json!({
        "id": id.to_string(), "to": letter.to.bound().to_string(), "end": letter.end, "time": letter.time,
        "author": letter.author.to_string(), "salt": hex(letter.salt),
        "kind": kind_json(&letter.kind),
        "bodies": letter.bodies.iter().map(body).collect::<Vec<_>>(),
    });
    if let Some(payload) = &letter.inline {
        out["inline"] = json!(hex(payload));
    }
    if letter.wants != Wants::default() {
        out["wants"] = json!(u8::from(letter.wants));
    }
    if let Some(fwd) = &letter.forwarded {
        out["fwd"] = json!(hex(cbor::encode(fwd)));
    }
    if let Some(way) = &letter.reply {
        out["reply"] = json!(hex(cbor::encode(way)));
    }
    if let Reader::Area(posted) = &letter.to {
        out["post"] = json!({"card": hex(&posted.card), "head": hex(posted.head)});
        posted.re.iter().for_each(|re| out["post"]["re"] = json!(re.to_string()));
    }
    out
}

fn kind_json(kind: &Kind) -> Json {
    match kind {
        Kind::File(file) => {
            let mut shown = json!({
                "form": format!("{:?}", file.form).to_lowercase(), "mode": file.mode, "path": hex(&file.path),
                "mtime": [file.mtime.0, file.mtime.1],
            });
            if let Some(re) = file.re {
                shown["re"] = json!(re.to_string());
            }
            json!({"file": shown})
        }
        Kind::Exec(exec) => {
            let args: Vec<String> = exec.args.iter().map(|argument| hex(&argument.0)).collect();
            json!({"exec": {"args": args, "handle": exec.handle}})
        }
        Kind::Request(request) => json!({"request": {"list": request.list, "path": hex(&request.path)}}),
    }
}

fn kind_of(json: &Json) -> Kind {
    let (word, value) = json.as_object().unwrap().iter().next().unwrap();
    match word.as_str() {
        "file" => Kind::File(FileMeta {
            re: value["re"].as_str().map(|re| re.parse().unwrap()),
            form: if text_of(value, "form") == "plain" { Form::Plain } else { Form::Folder },
            mode: number(value, "mode") as u32,
            path: bytes(value, "path"),
            mtime: (value["mtime"][0].as_i64().unwrap(), value["mtime"][1].as_u64().unwrap() as u32),
        }),
        "exec" => {
            let args = value["args"].as_array().unwrap().iter();
            let args = args.map(|argument| Argument(unhex(argument.as_str().unwrap()))).collect();
            Kind::Exec(ExecMeta { args, handle: text_of(value, "handle").into() })
        }
        _ => Kind::Request(RequestMeta { list: value["list"].as_bool().unwrap(), path: bytes(value, "path") }),
    }
}

fn reader_of(json: &Json) -> Reader {
    let (to, post) = (text_of(json, "to"), &json["post"]);
    if post.is_null() {
        return to.parse::<NodeId>().unwrap().into();
    }
    let (card, head) = (bytes(post, "card"), fixed(post, "head"));
    let re = post["re"].as_str().map(|re| re.parse().unwrap());
    Reader::Area(Box::new(Posted { area: to.parse().unwrap(), re, card, head }))
}

fn letter_of(json: &Json) -> Letter {
    let body = |body: &Json| LetterBody {
        root: text_of(body, "root").parse().unwrap(),
        size: number(body, "size"),
        key: BodyKey::from_random(fixed(body, "key")),
        len: number(body, "length"),
        codec: Codec::try_from(number(body, "codec") as u8).unwrap(),
    };
    Letter {
        to: reader_of(json),
        end: number(json, "end") as u32,
        kind: kind_of(&json["kind"]),
        salt: fixed(json, "salt"),
        time: number(json, "time"),
        forwarded: json["fwd"].as_str().map(|fwd| cbor::decode(&unhex(fwd)).unwrap()),
        reply: json["reply"].as_str().map(|way| cbor::decode(&unhex(way)).unwrap()),
        wants: json["wants"].as_u64().map_or(Wants::default(), |wants| (wants as u8).try_into().unwrap()),
        author: text_of(json, "author").parse().unwrap(),
        bodies: json["bodies"].as_array().unwrap().iter().map(body).collect(),
        inline: json["inline"].as_str().map(unhex),
    }
}

fn body(vector: &Json) -> Reading {
    let file = body_file(vector);
    let size = number(vector, "size");
    let count = chunk_count(size).map_err(words)?;
    if file.len() as u64 != size {
        return Err("the file has another length".into());
    }
    if root(size, &leaves(&file)).to_string() != text_of(vector, "root") {
        return Err("the file has another root".into());
    }
    let (key, mut plain) = (BodyKey::from_random(fixed(vector, "key")), Vec::new());
    for (index, chunk) in (0..).zip(file.chunks(CHUNK_LEN)) {
        plain.extend_from_slice(key.open_chunk(index, index + 1 == count, &mut chunk.to_vec()).map_err(words)?);
    }
    let mut reading = json!({"plain_len": plain_len(size).unwrap()});
    match &vector["chunks"] {
        Json::Null => reading["plain"] = json!(hex(&plain)),
        _ => assert_eq!(plain, pattern(0, plain.len())),
    }
    Ok(reading)
}

fn pattern(start: usize, len: usize) -> Vec<u8> {
    (start..start + len).map(|j| (j * 7 + j / 251) as u8).collect()
}

/// The file as the vector gives it, or as it describes it: sealed here by the bare cipher, since the library seals no
/// chunk that does not fit.
fn body_file(vector: &Json) -> Vec<u8> {
    let Json::Array(chunks) = &vector["chunks"] else { return bytes(vector, "body") };
    let seal = |chunk: &Json| {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&number(chunk, "index").to_be_bytes());
        nonce[11] = u8::from(chunk["last"].as_bool().unwrap());
        let plain = pattern(number(chunk, "start") as usize, number(chunk, "len") as usize);
        let mut sealed = generator::build::aead_seal(&fixed(vector, "key"), nonce, &[], &plain);
        chunk["flip"].as_u64().into_iter().for_each(|at| sealed[at as usize] ^= 1);
        sealed
    };
    let mut file: Vec<u8> = chunks.iter().flat_map(seal).collect();
    file.truncate(file.len() - vector["cut"].as_u64().unwrap_or(0) as usize);
    file
}

fn folder(vector: &Json) -> Reading {
    let payload = bytes(vector, "payload");
    let (mut decoder, mut entries, mut input) = (FolderDecoder::new(), Vec::<Json>::new(), payload.as_slice());
    while let Some(event) = decoder.next(&mut input).map_err(words)? {
        match event {
            FolderEvent::Entry(entry) => entries.push(entry_json(&entry)),
            FolderEvent::Content(content) => entries.last_mut().unwrap()["content"] = json!(hex(content)),
        }
    }
    decoder.finish().map_err(words)?;
    Ok(json!({"entries": entries}))
}

fn entry_json(entry: &FolderEntry) -> Json {
    match entry {
        FolderEntry::File { mode, path, mtime, .. } => {
            json!({"type": "file", "path": hex(path), "mode": mode, "mtime": [mtime.0, mtime.1], "content": ""})
        }
        FolderEntry::Link { path, mtime, target } => {
            json!({"type": "link", "path": hex(path), "mtime": [mtime.0, mtime.1], "target": hex(target)})
        }
        FolderEntry::Folder { mode, path, mtime } => {
            json!({"type": "folder", "path": hex(path), "mode": mode, "mtime": [mtime.0, mtime.1]})
        }
    }
}

fn node_key(vector: &Json) -> Reading {
    let seed = match vector["secret"].as_str() {
        Some(text) => Seed::from_text(text),
        None => open_sealed_seed(text_of(vector, "sealed"), text_of(vector, "passphrase").as_bytes()),
    };
    let node = NodeSecrets::from_seed(&seed.map_err(words)?);
    let mut reading = json!({
        "id": node.id().to_string(), "identity": hex(node.identity_key()), "call_public": hex(node.call_public()),
        "call_secret": hex(*node.call_secret()),
    });
    let seed: [u8; 32] = fixed(vector, "seed");
    for (key, label) in [("identity_seed", Label::Ident), ("coin_secret", Label::Coin), ("store_secret", Label::Store)]
    {
        reading[key] = json!(hex(keyed(&seed, label, &[])));
    }
    Ok(reading)
}

fn exchange_key(vector: &Json) -> Reading {
    let node = NodeSecrets::from_seed(&Seed::from_bytes(fixed(vector, "seed")));
    let secret = ExchangeSecret::from_file(&bytes(vector, "file"), &node).map_err(words)?;
    assert_eq!(secret.to_file(&node), bytes(vector, "file"));
    assert_eq!(ExchangeSecret::from_random(fixed(vector, "private")).public(), secret.public());
    Ok(json!({"public": hex(secret.public()), "tag": secret.tag().to_string()}))
}

fn area_card(vector: &Json) -> Reading {
    let text = text_of(vector, "text");
    let card = AreaCard::parse(text).map_err(words)?;
    assert_eq!(card.to_text(), text.to_lowercase());
    let salt = fixed(vector, "salt");
    let again = AreaCard::new(&node_of(vector, "seed"), &card.name, card.mode, card.keys, salt, card.created);
    assert_eq!(again, Ok(card.clone()));
    let mut reading = json!({
        "bytes": hex(card.as_bytes()), "id": card.id().to_string(), "owner": card.owner_id().to_string(),
        "mode": card.mode.word(), "name": card.name, "created": card.created,
    });
    assert_eq!(vector["post"].is_null(), card.keys.is_none());
    if let Some(keys) = card.keys {
        (reading["post"], reading["read"]) = (json!(hex(keys.post)), json!(hex(keys.read)));
    }
    Ok(reading)
}

fn area_secret(vector: &Json) -> Reading {
    let text = text_of(vector, "secret");
    let secret = AreaSecret::from_text(text).map_err(words)?;
    assert_eq!(*secret.to_text(), text.to_lowercase());
    let half = |key: &str| (!vector[key].is_null()).then(|| fixed(vector, key));
    let (post, read) = (half("post").map(PostSecret::from_random), half("read").map(ExchangeSecret::from_random));
    assert_eq!(secret.post.as_ref().map(PostSecret::public), post.as_ref().map(PostSecret::public));
    assert_eq!(secret.read.as_ref().map(ExchangeSecret::public), read.as_ref().map(ExchangeSecret::public));
    let again = AreaSecret { card: secret.card.clone(), post, read };
    assert_eq!(again.to_text(), secret.to_text());
    Ok(json!({"card": hex(secret.card.as_bytes()), "id": secret.card.id().to_string()}))
}

fn settings(vector: &Json) -> Reading {
    let settings = Settings::from_bytes(&bytes(vector, "statement")).map_err(words)?;
    if !vector["seed"].is_null() {
        assert_eq!(settings_made_anew(vector, &settings), settings);
    }
    let opens = |given: &Json| {
        let key = ExchangeSecret::from_random(fixed(given, "exchange"));
        let node = text_of(given, "node").parse().unwrap();
        let read = settings.read_key(node, |tag| (tag == key.tag()).then_some(&key));
        // A private half does not come out of the library: it is the one that is known if its public half is.
        let known = given["read"].as_str().map(|read| unhex(read).try_into().unwrap());
        assert_eq!(read.map(|read| read.public()), known.map(|known| ExchangeSecret::from_random(known).public()));
        given.clone()
    };
    let mut reading = json!({
        "issuer": NodeId::of(&settings.owner).to_string(), "created": settings.created, "area": settings.area.to_string(),
        "version": settings.under.version, "epoch": settings.under.epoch, "read": hex(settings.read),
        "nodes": settings.nodes.iter().map(NodeId::to_string).collect::<Vec<_>>(),
        "posts": settings.posts.iter().map(hex).collect::<Vec<_>>(),
        "readers": readers_json(&settings),
    });
    for (key, value) in [("days", settings.days.map(u64::from)), ("most", settings.most)] {
        assert_eq!(vector[key].as_u64(), value);
    }
    if let Json::Array(given) = &vector["opens"] {
        reading["opens"] = given.iter().map(opens).collect();
    }
    if !vector["other"].is_null() {
        let other = Settings::from_bytes(&bytes(vector, "other")).unwrap();
        reading["counts"] = json!(settings.counts_after(&other));
    }
    Ok(reading)
}

fn readers_json(settings: &Settings) -> Json {
    let Statement { body, .. } = Statement::parse(settings.as_bytes()).unwrap();
    let Cbor::Map(map) = cbor::decode(&body).unwrap() else { panic!("a map") };
    let readers = map.iter().find(|(key, _)| key.as_text() == Some("readers")).unwrap().1.as_array().unwrap().clone();
    let named: Vec<_> = settings.readers().collect();
    let reader = |(entry, node): (Cbor, NodeId)| {
        let items = entry.into_array().unwrap();
        let part = |number: usize| items[number].as_bytes().unwrap().clone();
        assert_eq!(part(0), node.as_bytes());
        let tag = KeyTag::from_bytes(part(1).try_into().unwrap());
        json!({
            "node": node.to_string(), "tag": tag.to_string(), "share": hex(part(2)), "commit": hex(part(3)),
            "sealed": hex(part(4)),
        })
    };
    readers.into_iter().zip(named).map(reader).collect()
}

/// The same settings, made by their owner from what the vector says in plain fields.
fn settings_made_anew(vector: &Json, settings: &Settings) -> Settings {
    let exchanges = vector["exchanges"].as_array().unwrap().iter();
    let exchanges = exchanges.map(|key| unhex(key.as_str().unwrap()).try_into().unwrap());
    let draft = Draft {
        posts: settings.posts.clone(),
        readers: settings.readers().zip(exchanges).map(|(id, exchange)| Address { id, exchange }).collect(),
        nodes: settings.nodes.clone(),
        most: vector["most"].as_u64(),
        days: vector["days"].as_u64().map(|days| days as u32),
    };
    let (owner, read) = (node_of(vector, "seed"), ExchangeSecret::from_random(fixed(vector, "read_secret")));
    let (area, under) = (text_of(vector, "area").parse().unwrap(), settings.under);
    Settings::issue(&owner, area, &draft, (under, &read), number(vector, "created"), fixed(vector, "salt")).unwrap()
}

fn want(vector: &Json) -> Reading {
    let statement = bytes(vector, "statement");
    let parsed = Statement::parse(&statement).map_err(words)?;
    let (by, want) = Want::read(&parsed).map_err(words)?;
    if !vector["seed"].is_null() {
        assert_eq!(want.sign(&node_of(vector, "seed"), parsed.created), statement);
    }
    let have = want.have.map(|have| cbor::split_bytes(&cbor::encode(&have), usize::MAX).unwrap().0.to_vec());
    assert_eq!(vector["have"].as_str().map(unhex), have);
    Ok(json!({
        "issuer": by.to_string(), "time": parsed.created, "area": want.area.to_string(), "version": want.version,
    }))
}

fn subscribe(vector: &Json) -> Reading {
    let statement = bytes(vector, "statement");
    let parsed = Statement::parse(&statement).map_err(words)?;
    let (by, subscribe) = Subscribe::read(&parsed).map_err(words)?;
    if !vector["seed"].is_null() {
        assert_eq!(subscribe.sign(&node_of(vector, "seed"), parsed.version), statement);
    }
    Ok(json!({
        "issuer": by.to_string(), "time": parsed.created, "version": parsed.version,
        "area": subscribe.area.to_string(), "until": subscribe.until,
    }))
}

fn summary(vector: &Json) -> Reading {
    let messages: Vec<MsgHash> =
        vector["messages"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().parse().unwrap()).collect();
    let other: Summary = cbor::decode(&cbor::bytes_item(&bytes(vector, "other"))).map_err(words)?;
    let own = cbor::encode(&Summary::of(&messages));
    let mut lacks = other.lacks(&messages);
    lacks.sort();
    let lacks: Vec<String> = lacks.iter().map(MsgHash::to_string).collect();
    Ok(json!({"summary": hex(cbor::split_bytes(&own, usize::MAX).unwrap().0), "lacks": lacks}))
}
