//! An envelope by hand: every step of format.md, sections 3, 4 and 6, one after another, and at each of them a place
//! where a vector can do it wrong. What is under way comes from `road.rs`.

use ciborium::Value;
use mb_wire::body::BodyKey;
use mb_wire::hash::{Label, hash, keyed};
use mb_wire::id::{LetterId, NodeId, PacketId, Root};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed, key_tag};
use mb_wire::letter::{
    Argument, Codec, ExecMeta, FileMeta, Form, Kind, Letter, LetterBody, Reader, RequestMeta, Wants,
};
use mb_wire::size::class;
use serde_json::{Value as Json, json};

use super::build::{Map, aead_seal, bytes, cbor, hex, int, list, map, set, text};
use super::post::Message;
use super::road::Routed;

/// What can be changed, in the order in which it comes up. All that follows is made from the changed one.
pub enum Stage<'a> {
    LetterMap(&'a mut Map),
    LetterBytes(&'a mut Vec<u8>),
    LetterSig(&'a mut [u8; 64]),
    /// The map of one entry.
    Content(&'a mut Value),
    /// The prefix without share and commit.
    Core(&'a mut Map),
    Share(&'a mut [u8; 32]),
    /// The six parts that the key schedule extracts over: suite, context, share, R, I, z.
    Schedule(&'a mut [Vec<u8>; 6]),
    Commit(&'a mut Vec<u8>),
    PrefixBytes(&'a mut Vec<u8>),
    Item1(&'a mut Vec<u8>),
    Stamp(&'a mut Vec<u8>),
    /// The five parts that the hop signature covers.
    Hop(&'a mut [Vec<u8>; 5]),
    HopSig(&'a mut [u8; 64]),
    Inner(&'a mut Map),
    InnerBytes(&'a mut Vec<u8>),
    /// n, inner and zeros, before they are sealed.
    Plain(&'a mut Vec<u8>),
    Nonce(&'a mut [u8; 12]),
    Associated(&'a mut Vec<u8>),
    File(&'a mut Vec<u8>),
}

/// Who sends what to whom.
#[derive(Clone)]
pub struct Draft {
    pub letter: Letter,
    pub author: u8,
    pub sender: u8,
    /// Identity key to read the hop signature with, where it is not the sender's.
    pub sender_key: Option<[u8; 32]>,
    pub end: u32,
    pub nice: u8,
    pub hops: u8,
    pub ask: bool,
    pub carried: Carried,
}

/// What is sealed. The prefix lists the bodies of [`Draft::letter`] in any case.
#[derive(Clone)]
pub enum Carried {
    /// [`Draft::letter`].
    Letter,
    Routed(Box<Routed>),
    Confirm(Vec<PacketId>),
    /// A packet and what is said of it, each.
    Reports(Vec<(PacketId, Vec<u8>)>),
    /// A message of an area, whose letter is [`Draft::letter`] but for `to`.
    Area(Box<Message>),
    /// For the reader.
    Statement(Vec<u8>),
}

/// The seeds of the nodes are of one byte, 32 times.
pub const ALICE: u8 = 0xa1;
pub const BOB: u8 = 0xb0;
pub const CAROL: u8 = 0xca;
pub const BOB_EXCHANGE: u8 = 0xbe;

pub fn node(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

pub fn exchange() -> ExchangeSecret {
    ExchangeSecret::from_random([BOB_EXCHANGE; 32])
}

/// A body that a letter lists: made up, since nobody looks into it here.
pub fn listed(number: u8, plain_len: u64) -> LetterBody {
    LetterBody {
        root: Root::from_bytes(hash(Label::Root, &[&[number]])),
        size: mb_wire::body::body_len(plain_len),
        key: BodyKey::from_random([number; 32]),
        len: plain_len,
        codec: Codec::Plain,
    }
}

impl Draft {
    /// A small file from alice to bob, in the letter itself.
    pub fn new() -> Draft {
        let file = FileMeta {
            re: None,
            form: Form::Plain,
            mode: 0o644,
            path: b"hello.txt".to_vec(),
            mtime: (1_700_000_000, 5),
        };
        let letter = Letter {
            to: node(BOB).id().into(),
            end: 20_090,
            kind: Kind::File(file),
            salt: [0x5a; 16],
            time: 1_700_000_001,
            forwarded: None,
            reply: None,
            wants: Wants::default(),
            author: node(ALICE).id(),
            bodies: vec![],
            inline: Some(b"hello, bob\n".to_vec()),
        };
        let (author, sender, carried) = (ALICE, ALICE, Carried::Letter);
        Draft { letter, author, sender, sender_key: None, end: 20_090, nice: 96, hops: 16, ask: false, carried }
    }

    /// The same with bodies instead of an inline payload.
    pub fn with_bodies(bodies: Vec<LetterBody>) -> Draft {
        let mut draft = Draft::new();
        (draft.letter.inline, draft.letter.bodies) = (None, bodies);
        draft
    }

    pub fn file(&mut self) -> &mut FileMeta {
        let Kind::File(file) = &mut self.letter.kind else { panic!("the draft is of a file") };
        file
    }

    /// Another kind of letter, with this payload.
    pub fn of(kind: Kind, payload: &[u8]) -> Draft {
        let mut draft = Draft::new();
        (draft.letter.kind, draft.letter.inline) = (kind, Some(payload.to_vec()));
        draft
    }

    /// The envelope as it should be.
    pub fn make(&self) -> Made {
        self.make_with(&|_| {})
    }

    /// The envelope with one thing done wrong.
    pub fn make_with(&self, edit: &dyn Fn(Stage)) -> Made {
        let (content, letter_id) = self.content(edit);
        let clear = self.clear(&content, edit);
        let plain = self.plain(&content, &clear, edit);
        let mut nonce = [0; 12];
        edit(Stage::Nonce(&mut nonce));
        let mut associated = clear.head.clone();
        edit(Stage::Associated(&mut associated));
        let mut file = [clear.head.clone(), aead_seal(&clear.key, nonce, &associated, &plain)].concat();
        edit(Stage::File(&mut file));
        Made { draft: self.clone(), file, letter_id, coins: clear.coins, share: clear.share, commit: clear.commit }
    }

    fn letter_map(&self) -> Map {
        let Letter { to, end, forwarded, kind, salt, time, reply, wants, author, bodies, inline } = &self.letter;
        let bodies = bodies.iter().map(|b| {
            list([bytes(b.root.as_bytes()), int(b.size), bytes(b.key.as_bytes()), int(b.len), int(u8::from(b.codec))])
        });
        let mut letter = map([
            ("v", int(1)),
            ("to", bytes(whom(to))),
            ("end", int(*end)),
            ("kind", Value::Map(map([(kind.word(), Value::Map(kind_map(kind)))]))),
            ("salt", bytes(salt)),
            ("time", int(*time)),
            ("author", bytes(author.as_bytes())),
            ("bodies", list(bodies)),
        ]);
        inline.iter().for_each(|payload| set(&mut letter, "inline", bytes(payload)));
        forwarded.iter().for_each(|fwd| set(&mut letter, "fwd", ciborium::Value::serialized(fwd).expect("it encodes")));
        reply.iter().for_each(|way| set(&mut letter, "reply", ciborium::Value::serialized(way).expect("it encodes")));
        if *wants != Wants::default() {
            set(&mut letter, "wants", int(u8::from(*wants)));
        }
        if let Reader::Area(posted) = to {
            let mut post = map([("card", bytes(&posted.card)), ("head", bytes(posted.head))]);
            posted.re.iter().for_each(|re| set(&mut post, "re", bytes(re.as_bytes())));
            set(&mut letter, "post", Value::Map(post));
        }
        letter
    }

    fn content(&self, edit: &dyn Fn(Stage)) -> (Value, LetterId) {
        let (letter, id) = self.signed_letter(edit);
        let mut content = match &self.carried {
            Carried::Letter => Value::Map(map([("letter", letter)])),
            Carried::Routed(routed) => Value::Map(map([("routed", Value::Map(routed.map()))])),
            Carried::Confirm(packets) => {
                Value::Map(map([("confirm", list(packets.iter().map(|packet| bytes(packet.as_bytes()))))]))
            }
            Carried::Reports(reports) => {
                let report = |(packet, said): &(PacketId, Vec<u8>)| list([bytes(packet.as_bytes()), bytes(said)]);
                Value::Map(map([("reports", list(reports.iter().map(report)))]))
            }
            Carried::Area(message) => Value::Map(map([("area", message.value.clone())])),
            Carried::Statement(statement) => Value::Map(map([("statement", bytes(statement))])),
        };
        edit(Stage::Content(&mut content));
        (content, id)
    }

    /// `[signed, signature]`, and the letter's id.
    pub fn signed_letter(&self, edit: &dyn Fn(Stage)) -> (Value, LetterId) {
        let mut letter = self.letter_map();
        edit(Stage::LetterMap(&mut letter));
        let mut signed = cbor(&Value::Map(letter));
        edit(Stage::LetterBytes(&mut signed));
        let mut sig = node(self.author).sign(Label::Letter, &[&signed]);
        edit(Stage::LetterSig(&mut sig));
        let id = LetterId::from_bytes(hash(Label::Letter, &[&signed]));
        (list([bytes(signed), bytes(sig)]), id)
    }

    fn core(&self) -> Map {
        let bodies = self.letter.bodies.iter().map(|b| list([bytes(b.root.as_bytes()), int(b.size)]));
        map([
            ("v", int(1)),
            ("to", bytes(node(BOB).id().as_bytes())),
            ("end", int(self.end)),
            ("tag", bytes(key_tag(&exchange().public()).as_bytes())),
            ("nice", int(self.nice)),
            ("suite", int(1)),
            ("bodies", list(bodies)),
        ])
    }

    fn clear(&self, content: &Value, edit: &dyn Fn(Stage)) -> Clear {
        let mut prefix = self.core();
        edit(Stage::Core(&mut prefix));
        let coins = self.coins(&cbor(&Value::Map(prefix.clone())), &cbor(content));
        let secret = x25519_dalek::StaticSecret::from(coins);
        let mut share = x25519_dalek::PublicKey::from(&secret).to_bytes();
        edit(Stage::Share(&mut share));
        let z = secret.diffie_hellman(&exchange().public().into()).to_bytes();
        let mut parts = schedule_parts("envelope", &share, &exchange().public(), node(BOB).id().as_bytes(), &z);
        edit(Stage::Schedule(&mut parts));
        let x = extract(&parts);
        let (key, mut commit) = (keyed(&x, Label::Key, &[]), keyed(&x, Label::Commit, &[]).to_vec());
        edit(Stage::Commit(&mut commit));
        set(&mut prefix, "share", bytes(share));
        set(&mut prefix, "commit", bytes(&commit));
        let mut prefix = cbor(&Value::Map(prefix));
        edit(Stage::PrefixBytes(&mut prefix));
        let mut head = cbor(&bytes(&prefix));
        edit(Stage::Item1(&mut head));
        let mut stamp = vec![0xf6];
        edit(Stage::Stamp(&mut stamp));
        head.extend(stamp);
        Clear { coins, share, commit, key, prefix, head }
    }

    fn coins(&self, core: &[u8], content: &[u8]) -> [u8; 32] {
        let coin_secret = keyed(&[self.sender; 32], Label::Coin, &[]);
        let (r, from) = (exchange().public(), node(self.sender).id());
        let lens = [core.len() as u64, 32].map(u64::to_be_bytes);
        let parts: [&[u8]; 7] = [&lens[0], core, &lens[1], &r, from.as_bytes(), &[self.terms()], content];
        keyed(&coin_secret, Label::Coins, &parts)
    }

    /// `hops` and `ask` in one byte.
    fn terms(&self) -> u8 {
        self.hops | if self.ask { 128 } else { 0 }
    }

    fn plain(&self, content: &Value, clear: &Clear, edit: &dyn Fn(Stage)) -> Vec<u8> {
        let sender = node(self.sender);
        let mut hop = [
            hash(Label::Prefix, &[&clear.prefix]).to_vec(),
            sender.id().as_bytes().to_vec(),
            node(BOB).id().as_bytes().to_vec(),
            vec![self.terms()],
            hash(Label::Hop, &[&cbor(content)]).to_vec(),
        ];
        edit(Stage::Hop(&mut hop));
        let mut sig = sender.sign(Label::Hop, &[&hop.concat()]);
        edit(Stage::HopSig(&mut sig));
        let mut inner = map([
            ("sig", bytes(sig)),
            ("from", bytes(sender.id().as_bytes())),
            ("hops", int(self.hops)),
            ("content", content.clone()),
        ]);
        if self.ask {
            set(&mut inner, "ask", Value::Bool(true));
        }
        edit(Stage::Inner(&mut inner));
        let mut inner = cbor(&Value::Map(inner));
        edit(Stage::InnerBytes(&mut inner));
        let len = class((clear.head.len() + inner.len() + 20) as u64) as usize;
        let mut plain = [&(inner.len() as u32).to_be_bytes(), inner.as_slice()].concat();
        plain.resize(len - clear.head.len() - 16, 0);
        edit(Stage::Plain(&mut plain));
        plain
    }
}

struct Clear {
    coins: [u8; 32],
    share: [u8; 32],
    commit: Vec<u8>,
    key: [u8; 32],
    prefix: Vec<u8>,
    head: Vec<u8>,
}

/// The six parts that the key schedule extracts over.
pub fn schedule_parts(context: &str, share: &[u8; 32], r: &[u8; 32], id: &[u8; 32], z: &[u8; 32]) -> [Vec<u8>; 6] {
    [vec![1], context.into(), share.to_vec(), r.to_vec(), id.to_vec(), z.to_vec()]
}

/// x of format.md, section 4.
pub fn extract(parts: &[Vec<u8>; 6]) -> [u8; 32] {
    let prefixed: Vec<u8> =
        parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_slice()].concat()).collect();
    hash(Label::Seal, &[&prefixed])
}

/// What came out.
pub struct Made {
    draft: Draft,
    pub file: Vec<u8>,
    letter_id: LetterId,
    coins: [u8; 32],
    share: [u8; 32],
    commit: Vec<u8>,
}

impl Made {
    /// What a reader is given.
    pub fn input(&self) -> Json {
        let sender = self.draft.sender_key.unwrap_or(node(self.draft.sender).identity_key());
        let mut input = json!({
            "file": hex(&self.file),
            "to": node(BOB).id().to_string(),
            "exchange": hex([BOB_EXCHANGE; 32]),
            "sender": hex(sender),
        });
        match &self.draft.carried {
            Carried::Letter => input["author"] = json!(hex(node(self.draft.author).identity_key())),
            Carried::Area(message) => add(&mut input, message.input()),
            _ => {}
        }
        input
    }

    /// That, what comes out, and what a writer needs to make it anew.
    pub fn all(&self) -> Json {
        let mut all = self.input();
        all["packet"] = json!(mb_wire::envelope::packet_id(&self.file).to_string());
        all["prefix"] = self.prefix();
        all["from"] = json!(node(self.draft.sender).id().to_string());
        all["hops"] = json!(self.draft.hops);
        if self.draft.ask {
            all["ask"] = json!(true);
        }
        match &self.draft.carried {
            Carried::Letter => {
                all["letter"] = letter(self.letter_id, &self.draft.letter);
                all["author_seed"] = json!(hex([self.draft.author; 32]));
            }
            Carried::Routed(routed) => all["routed"] = routed.json(),
            Carried::Confirm(packets) => {
                all["confirm"] = packets.iter().map(|packet| json!(packet.to_string())).collect();
            }
            Carried::Reports(reports) => {
                all["reports"] = reports.iter().map(|(packet, said)| json!([packet.to_string(), hex(said)])).collect();
            }
            Carried::Area(message) => add(&mut all, message.all(self.draft.author)),
            Carried::Statement(statement) => all["statement"] = json!(hex(statement)),
        }
        all["coins"] = json!(hex(self.coins));
        all["sender_seed"] = json!(hex([self.draft.sender; 32]));
        all
    }

    /// What stands in clear.
    pub fn prefix(&self) -> Json {
        let bodies = self.draft.letter.bodies.iter();
        json!({
            "to": node(BOB).id().to_string(),
            "end": self.draft.end,
            "tag": exchange().tag().to_string(),
            "nice": self.draft.nice,
            "suite": 1,
            "share": hex(self.share),
            "commit": hex(&self.commit),
            "bodies": bodies.map(|b| json!({"root": b.root.to_string(), "size": b.size})).collect::<Vec<_>>(),
        })
    }
}

/// Puts more fields into an object.
fn add(fields: &mut Json, more: Json) {
    let more = more.as_object().into_iter().flatten();
    more.for_each(|(key, value)| fields[key] = value.clone());
}

fn form(file: &FileMeta) -> &'static str {
    if file.form == Form::Plain { "plain" } else { "folder" }
}

/// What stands behind the kind's word.
fn kind_map(kind: &Kind) -> Map {
    match kind {
        Kind::File(file) => {
            let mut file_map = map([
                ("form", text(form(file))),
                ("mode", int(file.mode)),
                ("path", bytes(&file.path)),
                ("mtime", list([int(file.mtime.0), int(file.mtime.1)])),
            ]);
            file.re.iter().for_each(|re| set(&mut file_map, "re", bytes(re.as_bytes())));
            file_map
        }
        Kind::Exec(exec) => {
            map([("args", list(exec.args.iter().map(|argument| bytes(&argument.0)))), ("handle", text(&exec.handle))])
        }
        Kind::Request(request) => map([("list", Value::Bool(request.list)), ("path", bytes(&request.path))]),
    }
}

fn kind_json(kind: &Kind) -> Json {
    match kind {
        Kind::File(file) => {
            let mut shown = json!({
                "form": form(file), "mode": file.mode, "path": hex(&file.path), "mtime": [file.mtime.0, file.mtime.1],
            });
            if let Some(re) = &file.re {
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

/// A letter for a command.
pub fn exec(handle: &str, args: &[&[u8]]) -> Kind {
    let args = args.iter().map(|argument| Argument(argument.to_vec())).collect();
    Kind::Exec(ExecMeta { args, handle: handle.into() })
}

/// A letter that asks for a file, or a list.
pub fn request(list: bool, path: &[u8]) -> Kind {
    Kind::Request(RequestMeta { list, path: path.to_vec() })
}

/// A letter as a vector shows it.
pub fn letter(id: LetterId, letter: &Letter) -> Json {
    let bodies = letter.bodies.iter().map(|b| {
        json!({
            "root": b.root.to_string(), "size": b.size, "key": hex(b.key.as_bytes()), "length": b.len,
            "codec": u8::from(b.codec),
        })
    });
    let mut out = json!({
        "id": id.to_string(),
        "to": letter.to.bound().to_string(),
        "end": letter.end,
        "time": letter.time,
        "author": letter.author.to_string(),
        "salt": hex(letter.salt),
        "kind": kind_json(&letter.kind),
        "bodies": bodies.collect::<Vec<_>>(),
    });
    if let Some(payload) = &letter.inline {
        out["inline"] = json!(hex(payload));
    }
    if letter.wants != Wants::default() {
        out["wants"] = json!(u8::from(letter.wants));
    }
    if let Some(fwd) = &letter.forwarded {
        out["fwd"] = json!(hex(mb_wire::cbor::encode(fwd)));
    }
    if let Some(way) = &letter.reply {
        out["reply"] = json!(hex(mb_wire::cbor::encode(way)));
    }
    if let Reader::Area(posted) = &letter.to {
        out["post"] = json!({"card": hex(&posted.card), "head": hex(posted.head)});
        posted.re.iter().for_each(|re| out["post"]["re"] = json!(re.to_string()));
    }
    out
}

/// A node's id, for who only has its number.
pub fn id(number: u8) -> NodeId {
    node(number).id()
}

/// The 32 bytes that say whom a letter is for.
fn whom(to: &Reader) -> [u8; 32] {
    match to {
        Reader::Node(node) => *node.as_bytes(),
        Reader::Area(posted) => *posted.area.as_bytes(),
    }
}
