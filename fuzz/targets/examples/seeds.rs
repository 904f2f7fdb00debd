//! Writes seeds for every target into a folder: `cargo run -p mb-fuzz-targets --example seeds -- fuzz/corpus`. What it
//! makes of the test vectors is what the fuzzer begins with when a format has changed; then `fuzz/run`, `fuzz/keep`.

use std::fs;
use std::path::{Path, PathBuf};

use ciborium::Value;
use data_encoding::HEXLOWER;
use mb_fuzz_targets::{FIXED_HEAD, open_area_by_hand, open_by_hand, with_hop};
use mb_wire::call::message::{Ask, Hello, Message, Offer, Part, Reason, Rest};
use mb_wire::cbor;
use mb_wire::folder::{FolderEntry, encode_entry};
use mb_wire::id::{LetterId, NodeId, PacketId};
use serde_json::Value as Json;

/// What is longer slows the fuzzer down.
const LEN_MOST: usize = 8_192;

fn main() {
    let out = PathBuf::from(std::env::args().nth(1).expect("the folder to write into"));
    let seeds = Seeds { out };
    vectors().iter().for_each(|(name, json)| seeds.vector(name, json));
    seeds.payloads();
    seeds.folders();
    seeds.texts();
    seeds.records();
    seeds.calls();
}

fn vectors() -> Vec<(String, Json)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let folders = ["good", "bad"].map(|folder| fs::read_dir(root.join(folder)).expect("the folder of vectors"));
    let paths = folders.into_iter().flatten().map(|entry| entry.expect("a name").path());
    paths.map(|path| (name(&path), serde_json::from_slice(&fs::read(path).expect("a vector")).expect("JSON"))).collect()
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

struct Seeds {
    out: PathBuf,
}

impl Seeds {
    fn put(&self, target: &str, name: &str, content: &[u8]) {
        if content.len() <= LEN_MOST {
            let dir = self.out.join(target);
            fs::create_dir_all(&dir).expect("a folder for seeds");
            fs::write(dir.join(name), content).expect("a seed");
        }
    }

    /// Handshakes altered here and there, a message of each kind, and calls that go well for a while.
    fn calls(&self) {
        (0..3).for_each(|door| self.behind("handshake", door, "some", &[7, 1, 9, 9]));
        let packet = PacketId::from_bytes([1; 32]);
        let offer = Offer { packet, nice: 128, envelope_len: 512, bodies_len: 1000 };
        let messages = [
            Message::Hello(Hello::new(true, 255, 20).eager(true)),
            Message::Offer(vec![offer, offer]),
            Message::Want(vec![packet]),
            Message::Envelope(&[1; 512]),
            Message::Ask(Ask { packet, number: 1, part: Part::From(7) }),
            Message::Leaves(&[2; 64]),
            Message::Data(&[3; 500]),
            Message::Landed(vec![packet; 3]),
            Message::Refuse(vec![(packet, Reason::Busy)]),
            Message::Withdraw(vec![packet]),
            Message::Done(Rest::Nothing),
            Message::Ping,
            Message::Lack(packet, 1),
        ];
        for message in messages {
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            let (kind, content) = (bytes[0], &bytes[4..]);
            self.put("message", &format!("kind-{kind}"), &[&[kind, 255], content].concat());
        }
        self.put("message", "called", b"\x00\xfflooked 7\nfailures 1\nnot-before 9\n");
        // Hello, offer (wanted), envelope (all is asked for), leaves, data, done.
        self.put("exchange", "taken", &[0, 0, 1, 0, 2, 0, 3, 4, 0xff, 0xff, 8, 0]);
        self.put("exchange", "resumed", &[0, 0, 1, 0, 2, 1, 3, 3, 4, 0xff, 0xff]);
        self.put("exchange", "given", &[0, 0, 9, 5, 6, 8, 0]);
        self.put("exchange", "withdrawn", &[0, 0, 1, 0, 7, 1, 1, 8, 1]);
    }

    /// The same behind the number of a door.
    fn behind(&self, target: &str, door: u8, name: &str, content: &[u8]) {
        self.put(target, &format!("{name}-{door}"), &[&[door], content].concat());
    }

    fn vector(&self, name: &str, json: &Json) {
        let text = |field: &str| json[field].as_str().map(|text| text.as_bytes().to_vec());
        let hex = |field: &str| HEXLOWER.decode(json[field].as_str()?.as_bytes()).ok();
        match (json["kind"].as_str().unwrap_or_default(), text("text"), hex("file")) {
            ("id" | "card", Some(text), _) => self.put("text", name, &text),
            ("prefix", _, Some(file)) => self.prefix(name, &file),
            ("envelope", _, Some(file)) => {
                self.put("envelope", name, &file);
                self.inner(name, &file);
            }
            ("exchangekey", _, Some(file)) => self.put("exchange_key", name, &file),
            ("statement", ..) => self.statement(name, &hex("statement").unwrap_or_default()),
            ("folder", ..) => self.folder(name, &hex("payload").unwrap_or_default()),
            ("nodekey", ..) => self.node_key(name, json),
            ("areacard" | "areasecret", ..) => self.area(name, json),
            ("settings", ..) => self.stated(name, 3, &hex("statement").unwrap_or_default()),
            ("want", ..) => self.stated(name, 4, &hex("statement").unwrap_or_default()),
            ("summary", ..) => {
                self.behind("area_card", 6, name, &[&[13, 0], &hex("other").unwrap_or_default()[..]].concat())
            }
            _ => {}
        }
        if let Some(statement) = hex("bytes").filter(|_| json["kind"] == "card") {
            self.statement(name, &statement);
            self.behind("text", 2, name, &statement);
        }
    }

    fn prefix(&self, name: &str, file: &[u8]) {
        self.put("prefix", name, file);
        self.behind("item", 0, name, &[&[0, 1], file].concat());
        if let Ok((content, ..)) = cbor::split_bytes(file, file.len()) {
            self.behind("prefix", 1, name, content);
        }
    }

    fn statement(&self, name: &str, statement: &[u8]) {
        self.put("card", name, statement);
        if let Ok(Value::Array(items)) = ciborium::from_reader(statement)
            && let Some(Value::Bytes(signed)) = items.first()
        {
            self.behind("card", 1, name, signed);
            self.put("cbor", name, signed);
            if let Ok(map) = ciborium::from_reader::<Value, _>(signed.as_slice())
                && let Some(body) = field(&map, "body").and_then(Value::as_bytes)
            {
                self.behind("card", 0, name, body);
            }
        }
    }

    /// What is sealed, behind each of the doors, and the letter in it. What is wrong with a letter alone is seed enough
    /// for the target `letter`.
    fn inner(&self, name: &str, file: &[u8]) {
        let Some(plain) = open_by_hand(file) else { return };
        let is_about_it = name.starts_with("inner") || name.starts_with("envelope");
        let put = |door, name: &str, content: &[u8]| {
            if is_about_it {
                self.behind("inner", door, name, content);
            }
        };
        if name.starts_with("inner_length") || name.starts_with("inner_padding") || name.starts_with("inner_class") {
            put(1, name, &plain);
        }
        let len = u32::from_be_bytes(plain[..4].try_into().expect("four bytes")) as usize;
        let Some(inner) = plain[4..].get(..len) else { return };
        put(0, name, inner);
        let Ok(map) = ciborium::from_reader::<Value, _>(inner) else { return };
        let Some(content) = field(&map, "content") else { return };
        let content_bytes = cbor::encode(content);
        put(16, name, &content_bytes);
        if name.starts_with("envelope") {
            put(0, &format!("{name}-signed"), &with_hop(&FIXED_HEAD, 16, &content_bytes));
        }
        if let Some(message) = field(content, "area") {
            self.message(name, message);
        }
        let signed = field(content, "letter").and_then(|letter| letter.as_array()?.first()?.as_bytes());
        if let Some(signed) = signed.filter(|_| !name.starts_with("inner") && !name.starts_with("seal")) {
            self.put("letter", name, signed);
            if name.starts_with("letter") {
                self.put("cbor", name, signed);
            }
        }
    }

    /// An area's card or secret: as text, and what the text holds.
    fn area(&self, name: &str, json: &Json) {
        let Some(text) = json["text"].as_str().or(json["secret"].as_str()) else { return };
        self.put("text", name, text.as_bytes());
        let Ok((_, content)) = bech32::decode(text) else { return };
        if json["kind"] == "areasecret" {
            return self.behind("area_card", 2, name, &content);
        }
        self.put("area_card", name, &content);
        let Ok(Value::Array(items)) = ciborium::from_reader(&content[..]) else { return };
        let Some(signed) = items.first().and_then(Value::as_bytes) else { return };
        self.behind("area_card", 1, name, signed);
        if let Ok(map) = ciborium::from_reader::<Value, _>(&signed[..])
            && let Some(body) = field(&map, "body").and_then(Value::as_bytes)
        {
            self.behind("area_card", 0, name, body);
        }
    }

    /// A statement about an area: as it is, and what it holds behind a door.
    fn stated(&self, name: &str, door: u8, statement: &[u8]) {
        self.put("area_card", name, statement);
        let Ok(Value::Array(items)) = ciborium::from_reader(statement) else { return };
        let Some(signed) = items.first().and_then(Value::as_bytes) else { return };
        let Ok(map) = ciborium::from_reader::<Value, _>(&signed[..]) else { return };
        if let Some(body) = field(&map, "body").and_then(Value::as_bytes) {
            self.behind("area_card", door, name, body);
            self.put("cbor", name, body);
        }
    }

    /// A message of an area, its head, what is sealed in it, and the letter.
    fn message(&self, name: &str, message: &Value) {
        self.put("area_message", name, &cbor::encode(message));
        let part = |at: usize| message.as_array()?.get(at)?.as_bytes();
        let (Some(head), Some(sealed)) = (part(0), part(1)) else { return };
        self.behind("area_message", 1, name, head);
        let Some(plain) = open_area_by_hand(head, sealed, [0x91; 32]) else { return };
        self.behind("area_message", 2, name, &plain);
        let len = u32::from_be_bytes(plain[..4].try_into().expect("four bytes")) as usize;
        let Some(Ok(Value::Array(pair))) = plain[4..].get(..len).map(ciborium::from_reader::<Value, _>) else { return };
        if let Some(signed) = pair.first().and_then(Value::as_bytes) {
            self.behind("area_message", 0, name, signed);
        }
    }

    fn folder(&self, name: &str, payload: &[u8]) {
        self.put("folder", name, &[&[3], payload].concat());
        self.put("unpack", name, &[&[3, 0], payload].concat());
        self.behind("item", 0, name, &[&[64, 0], payload].concat());
    }

    fn node_key(&self, name: &str, json: &Json) {
        let card = vectors().into_iter().find(|(name, _)| name == "card_plain").expect("the plain card").1;
        let card = card["text"].as_str().expect("text").to_owned();
        for field in ["secret", "sealed"] {
            if let Some(text) = json[field].as_str() {
                self.put("key_file", name, format!("card = \"{card}\"\n{field} = \"{text}\"\n").as_bytes());
                self.put("text", name, text.as_bytes());
                self.put("sealed", name, text.as_bytes());
                if let Ok((_, map)) = bech32::decode(text) {
                    self.behind(
                        if field == "sealed" { "sealed" } else { "text" },
                        if field == "sealed" { 1 } else { 3 },
                        name,
                        &map,
                    );
                }
            }
        }
    }

    fn payloads(&self) {
        let text: Vec<u8> = b"the quick brown fox ".repeat(60);
        let noise: Vec<u8> = (0..600_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (name, content) in [("text", &text), ("noise", &noise), ("one", &vec![7]), ("zeros", &vec![0; 300])] {
            for level in [1, 19] {
                let frame = zstd::bulk::compress(content, level).expect("it compresses");
                let again = [frame.clone(), frame.clone()].concat();
                for (kind, frame, len) in
                    [("whole", &frame, content.len()), ("more", &frame, 5), ("twice", &again, content.len())]
                {
                    self.put("payload", &format!("zstd-{name}-{level}-{kind}"), &one_body(1, len, frame, 0));
                }
                self.put(
                    "payload",
                    &format!("zstd-{name}-{level}-padded"),
                    &one_body(1, content.len(), &frame, 70_000),
                );
            }
            self.put("payload", &format!("plain-{name}"), &one_body(0, content.len(), content, 0));
            self.put("payload", &format!("plain-{name}-padded"), &one_body(0, content.len(), content, 140_000));
            self.put("payload", &format!("plain-{name}-damaged"), &one_body(0xf0, content.len(), content, 100));
            self.put(
                "body",
                name,
                &[&(content.len() as u64 + 16).to_le_bytes(), [3, 90, 1, 0, 0, 0].as_slice(), content].concat(),
            );
        }
        let plan = |flags: u8, range: u8, plain: u8| [flags, range, 0, 0, plain, 0, 0, 0, 0];
        let frame = zstd::bulk::compress(b"second", 3).expect("it compresses");
        let two = [[1].as_slice(), &plan(0, 5, 5), &plan(1, 6, frame.len() as u8), b"first", &frame].concat();
        self.put("payload", "two", &two);
    }

    fn folders(&self) {
        let top = FolderEntry::Folder { mode: 0o755, path: vec![], mtime: (1, 2) };
        let file = |path: &str, len| FolderEntry::File { len, mode: 0o640, path: path.into(), mtime: (-1, 0) };
        let folder = |path: &str| FolderEntry::Folder { mode: 0, path: path.into(), mtime: (0, 999_999_999) };
        let link =
            |path: &str, target: &str| FolderEntry::Link { path: path.into(), mtime: (5, 5), target: target.into() };
        let stream = |entries: &[(FolderEntry, &str)]| -> Vec<u8> {
            entries
                .iter()
                .flat_map(|(entry, content)| [encode_entry(entry), content.as_bytes().to_vec()].concat())
                .collect()
        };
        let table: [(&str, &[(FolderEntry, &str)]); 4] = [
            (
                "tree",
                &[
                    (top.clone(), ""),
                    (folder("a"), ""),
                    (file("a/b", 3), "abc"),
                    (link("a/c", "../.."), ""),
                    (file("z", 0), ""),
                ],
            ),
            ("through-link", &[(top.clone(), ""), (link("a", "/0/a"), ""), (file("a/b", 3), "abc")]),
            ("short", &[(top.clone(), ""), (file("a", 1 << 50), "abc")]),
            ("dots", &[(top, ""), (folder(".."), ""), (file("../b", 1), "x")]),
        ];
        table.iter().for_each(|(name, entries)| self.folder(name, &stream(entries)));
        table.iter().flat_map(|(_, entries)| *entries).enumerate().for_each(|(number, (entry, _))| {
            self.put("cbor", &format!("entry-{number}"), &cbor::encode(entry));
        });
    }

    fn texts(&self) {
        let node = "addresses = [\"tcp://[::1]:77\", \"pipe:ssh 'a b'\"]\n[send]\nnice = 64\nttl = 7\nkeep = \"until-durable\"\nreceipt = false\n[accept]\nfiles = false\nfolder = \"/srv/in\"\n\
                    most_bytes = \"10 GiB\"\nmode = \"0640\"\n[link]\nfrom = false\nmost_bytes = 4096\nmost_packets = 100_000\nmost_sharing = 1\n[[call]]\ncron = \"*/15 2-4 * jan mon-fri\"\nwhen = \"waiting\"\n\
                    nice = 64\ndirection = \"out\"\naddress = \"tcp://south\"\nrate = \"64K\"\ntimeout = 30\nmax_time = 600\n";
        let config = "name = \"north\"\nspool = \"/srv/spool\"\nreserve = \"64 MiB\"\n";
        let odd = [
            "",
            "x",
            "a = [[[[[[[[1]]]]]]]]",
            "[send]\nnise = 3\n",
            "\"\\u001b\" = 1",
            "[[call]]",
            "a.b.c = {d = 1979-05-27T07:32:00Z}",
            "nice = 0x_f",
        ];
        self.put("node_file", "full", node.as_bytes());
        self.put("config", "full", config.as_bytes());
        for (number, text) in odd.iter().chain(&["10 GiB", "Box1.example.org", "self"]).enumerate() {
            self.put("config", &format!("odd-{number}"), text.as_bytes());
            self.put("node_file", &format!("odd-{number}"), text.as_bytes());
        }
        let paths = [
            "reports/may.pdf",
            ".ssh/authorized_keys",
            "-rf",
            "CON",
            "com1.txt",
            "a\n\u{202e}b",
            "x/y/z. ",
            "\u{fffd}",
        ];
        for (number, path) in paths.iter().enumerate() {
            self.put("safe_path", &format!("path-{number}"), path.as_bytes());
        }
        self.put("safe_path", "long", format!("-{}. x", "a".repeat(250)).as_bytes());
    }

    fn records(&self) {
        let packet = PacketId::from_bytes([7; 32]);
        let letter = LetterId::from_bytes([8; 32]);
        let names = [
            packet.to_string(),
            format!("{packet}.12"),
            format!("{packet}.why"),
            NodeId::from_bytes([9; 32]).to_string(),
        ];
        for (number, name) in names.iter().enumerate() {
            self.put("names", &format!("name-{number}"), name.as_bytes());
        }
        let list =
            mb_spool::seen::StagedList { folder: "/srv/in".into(), staged: ".mb-x-0".into(), wanted: "file".into() };
        let bytes = list.to_bytes();
        self.put("seen", "whole", &bytes);
        self.behind("seen", 1, "summed", &bytes[..bytes.len() - 32]);
        let record = mb_spool::once::OnceRecord {
            name: letter.to_string(),
            end: 20_000,
            input: [3; 32],
            packets: vec![packet, packet],
        };
        let bytes = record.to_bytes();
        self.put("once", "whole", &bytes);
        let sum = bytes.windows(4).rposition(|part| part == b"sum ").expect("it ends in a sum");
        self.behind("once", 1, "summed", &bytes[..sum]);
        for (number, text) in
            ["20781\n", "0\n", "18446744073709551615\n", "x", "does not open: it was altered\n"].iter().enumerate()
        {
            self.put("state", &format!("text-{number}"), text.as_bytes());
        }
        self.behind("exchange_key", 1, "own", &[5; 32]);
        self.behind("exchange_key", 1, "other", &[5; 64]);
    }
}

fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    map.as_map()?.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

/// An input of the target `payload` with one body.
fn one_body(flags: u8, range: usize, plain: &[u8], zeros: u32) -> Vec<u8> {
    let (range, len) = ((range as u32).to_le_bytes(), (plain.len() as u16).to_le_bytes());
    [[0, flags].as_slice(), &range[..3], &len, &zeros.to_le_bytes()[..3], plain].concat()
}
