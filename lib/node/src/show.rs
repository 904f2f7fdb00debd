//! A packet, layer by layer, as far as our keys reach.
//!
//! What is shown are names, dates and sizes: no key, share or commitment, nothing that opens anything. A layer that cannot
//! be opened here is no error, it says why; one that should open and does not is damage.

use mb_spool::class::{Class, Failure};
use mb_spool::date::{day_text, time_text};
use mb_wire::area::{AreaError, AreaMessage};
use mb_wire::envelope::{self, BodyName, Content, EnvelopeError, Prefix};
use mb_wire::folder::{FolderDecoder, FolderEntry, FolderEvent};
use mb_wire::id::NodeId;
use mb_wire::letter::{
    Codec, ExecMeta, FileMeta, Form, Frame, Kind, Letter, LetterBody, Reader as LetterReader, RequestMeta,
};
use mb_wire::report::{Receipt, Report, Signed};
use mb_wire::route::{RouteError, Step, Veils};
use mb_wire::statement::Statement;
use mb_wire::trace::{Path, PathStep, Trace};
use serde::Serialize;

use crate::home::AreaSecrets;
use crate::keys::ExchangeKeys;
use crate::rules::Rules;
use crate::toss::Nodes;
use crate::toss::decide::{Refusal, read_key};
use crate::toss::payload::{Bodies, PayloadError};

/// What a packet says.
#[derive(Debug, Serialize)]
pub struct View {
    /// Its id: the hash of its envelope.
    pub packet: String,
    /// Length of the envelope.
    pub bytes: u64,
    /// Which cryptography.
    pub suite: u8,
    /// The node that it is sealed to.
    pub to: NodeView,
    /// Which exchange key of that node.
    pub key: String,
    /// Priority.
    pub nice: u8,
    /// Last day.
    pub end: String,
    /// The bodies that it lists.
    pub bodies: Vec<BodyView>,
    /// What is sealed in it.
    pub opened: Option<OpenedView>,
    /// Why it goes no further.
    pub stops: Option<String>,
}

/// A node: our name for it, if it has one.
#[derive(Debug, Serialize)]
pub struct NodeView {
    /// Our name for it.
    pub name: Option<String>,
    /// Its id.
    pub id: String,
}

/// A body as the envelope lists it.
#[derive(Debug, Serialize)]
pub struct BodyView {
    /// Its name.
    pub root: String,
    /// Its size.
    pub size: u64,
}

/// The sealed part of an envelope.
#[derive(Debug, Serialize)]
pub struct OpenedView {
    /// Who handed it over; only a claim where that node is not known.
    pub from: NodeView,
    /// How many more times it may be wrapped.
    pub hops: u8,
    /// Whether it asks for a confirmation.
    pub ask: bool,
    /// Packets of ours that it says are settled.
    pub confirms: Vec<String>,
    /// What it says of packets of ours.
    pub reports: Vec<ReportView>,
    /// The area of which it is a message.
    pub area: Option<AreaView>,
    /// The kind of the statement that it brings.
    pub statement: Option<String>,
    /// Our slot, where it came by a route.
    pub route: Option<RouteView>,
    /// The letter inside.
    pub letter: Option<LetterView>,
}

/// A message of an area.
#[derive(Debug, Serialize)]
pub struct AreaView {
    /// Our name for the area, if it has one.
    pub name: Option<String>,
    /// Its id.
    pub id: String,
    /// The message's name, the same on each node.
    pub message: String,
    /// Last day of the message.
    pub end: String,
    /// The message that it answers, if we can read that.
    pub re: Option<String>,
}

/// Our slot of a route: what is for other hops is sealed to them.
#[derive(Debug, Serialize)]
pub struct RouteView {
    /// The next hop; none where the route ends here.
    pub next: Option<NodeView>,
    /// Priority with which it goes on.
    pub nice: Option<u8>,
    /// How many seconds it is held before.
    pub hold: Option<u32>,
    /// Last day on which it goes on.
    pub end: String,
    /// Whether its bodies change at each hop.
    pub onion: bool,
    /// By which nodes it came, if it is traced and the trace holds.
    pub path: Vec<StepView>,
    /// What is wrong with its trace.
    pub broken: Option<String>,
}

/// A node on a packet's path.
#[derive(Debug, Serialize)]
pub struct StepView {
    /// The node.
    pub node: NodeView,
    /// To whom it handed the packet.
    pub next: NodeView,
    /// When it had it, as it says.
    pub time: String,
}

impl StepView {
    /// The steps of a path.
    pub fn all(path: &Path, names: &dyn Nodes) -> Vec<StepView> {
        let view = |step: &PathStep| StepView {
            node: NodeView::new(&step.node, names),
            next: NodeView::new(&step.next, names),
            time: time_text(step.time.cast_signed()),
        };
        path.steps.iter().map(view).collect()
    }

    /// The same for people: node, next node, time.
    pub fn text(&self) -> String {
        let name = |node: &NodeView| node.name.clone().unwrap_or_else(|| node.id.clone());
        format!("{} {} {}", name(&self.node), name(&self.next), self.time)
    }
}

/// A letter. What only its verified content says is in `content`.
#[derive(Debug, Serialize)]
pub struct LetterView {
    /// Its id.
    pub id: String,
    /// Who wrote it; only a claim where that node is not known.
    pub author: NodeView,
    /// Of what a list has sent on, and is verified: who wrote it. The author is the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<NodeView>,
    /// What it says, if it could be verified.
    pub content: Option<ContentView>,
}

/// What a verified letter says.
#[derive(Debug, Serialize)]
pub struct ContentView {
    /// What it is: `file`, `exec` or `request`.
    pub kind: &'static str,
    /// When it was written, as its author claims.
    pub time: String,
    /// Last day.
    pub end: String,
    /// What is peculiar to its kind.
    #[serde(flatten)]
    pub what: WhatView,
    /// Length of the payload.
    pub bytes: u64,
    /// Where it lies: in the letter itself if there are none.
    pub bodies: Vec<RangeView>,
}

/// What is peculiar to a kind of letter. Bytes that are no UTF-8 are replaced.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum WhatView {
    /// A file or folder.
    File {
        /// Where it is to go.
        path: String,
        /// `plain` or `folder`.
        form: &'static str,
        /// Permission bits, octal.
        mode: String,
        /// When the file was changed last.
        mtime: String,
        /// The letter that it answers.
        re: Option<String>,
    },
    /// A command.
    Exec {
        /// What it is known by here.
        handle: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A request.
    Request {
        /// Of what.
        path: String,
        /// Whether names are asked for.
        list: bool,
    },
}

/// A body as the letter lists it.
#[derive(Debug, Serialize)]
pub struct RangeView {
    /// Its name.
    pub root: String,
    /// Its size.
    pub size: u64,
    /// Length of its range of the payload.
    pub bytes: u64,
    /// How it is packed: `none` or `zstd`.
    pub codec: &'static str,
}

/// Our own keys, and the nodes that we know.
pub struct Reader<'a> {
    /// This node.
    pub own: NodeId,
    /// The known nodes.
    pub nodes: &'a dyn Nodes,
    /// This node's exchange keys.
    pub keys: &'a ExchangeKeys,
    /// The secrets of areas.
    pub area_secrets: &'a AreaSecrets,
    /// The rules of moderated areas.
    pub rules: &'a Rules,
}

/// A packet that cannot be shown, because it is damaged or forged.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ShowError(#[from] pub EnvelopeError);

impl Failure for ShowError {
    fn class(&self) -> Class {
        Class::Data
    }
}

/// The clear part of the envelope `file`, and whether it is sealed to `own`: then a [`Reader`] gets further.
pub fn clear(file: &[u8], names: &dyn Nodes, own: Option<NodeId>) -> Result<(View, bool), ShowError> {
    let prefix = envelope::read_prefix(file)?;
    let is_ours = own == Some(prefix.to);
    let mut view = View::new(file, &prefix, names);
    if !is_ours {
        view.stops = Some("it is sealed to another node".into());
    }
    Ok((view, is_ours))
}

/// A letter that was verified, and what lies on its bodies.
pub struct Readable {
    /// The letter.
    pub letter: Letter,
    /// In an onion: what is taken off each body before it is opened.
    pub veils: Option<Veils>,
}

/// Everything that `reader` can see of the envelope `file`, and the letter itself if it could be verified.
pub fn opened(file: &[u8], reader: &Reader) -> Result<(View, Option<Readable>), ShowError> {
    let (mut view, _) = clear(file, reader.nodes, Some(reader.own))?;
    let opened = match envelope::open(file, reader.own, |tag| reader.keys.find(tag)) {
        Ok(opened) => opened,
        Err(error @ (EnvelopeError::NoKey(_) | EnvelopeError::To(_))) => {
            view.stops = Some(error.to_string());
            return Ok((view, None));
        }
        Err(error) => return Err(error.into()),
    };
    let letter = view.fill(opened, reader)?;
    Ok((view, letter))
}

impl View {
    fn new(file: &[u8], prefix: &Prefix, names: &dyn Nodes) -> View {
        View {
            packet: envelope::packet_id(file).to_string(),
            bytes: file.len() as u64,
            suite: prefix.suite,
            to: NodeView::new(&prefix.to, names),
            key: prefix.tag.to_string(),
            nice: prefix.nice,
            end: day_text(prefix.end),
            bodies: prefix.bodies.iter().map(BodyView::new).collect(),
            opened: None,
            stops: None,
        }
    }

    /// Verifies hop and letter as far as the signers are known, and notes what they say.
    fn fill(&mut self, opened: envelope::Opened, reader: &Reader) -> Result<Option<Readable>, EnvelopeError> {
        let (from, prefix) = (opened.from, opened.prefix.clone());
        let view = OpenedView {
            from: NodeView::new(&from, reader.nodes),
            hops: opened.hops,
            ask: opened.ask,
            confirms: Vec::new(),
            reports: Vec::new(),
            area: None,
            statement: None,
            route: None,
            letter: None,
        };
        let view = self.opened.insert(view);
        let Some(neighbour) = reader.nodes.node(&from) else {
            self.stops = Some("the node that handed it over is not known here".into());
            return Ok(None);
        };
        let (signed, frame, veils) = match opened.verify_hop(&neighbour.card.identity)? {
            Content::Letter(signed) => (signed, Frame::from(&prefix), None),
            Content::Area(message) => {
                view.area = Some(AreaView::new(&message, reader.nodes)?);
                let Some(key) = read_key(reader.area_secrets, reader.rules, &message.head) else {
                    self.stops = Some("only readers of the area can open the letter".into());
                    return Ok(None);
                };
                let (signed, frame) = message.open(key)?;
                (signed, frame, None)
            }
            Content::Confirm(packets) => {
                view.confirms = packets.iter().map(ToString::to_string).collect();
                return Ok(None);
            }
            Content::Statement(statement) => {
                let kind = Statement::parse(&statement).map(|statement| statement.kind.word());
                view.statement = Some(kind.unwrap_or("none that holds").into());
                return Ok(None);
            }
            Content::Reports(reports) => {
                view.reports = reports.iter().map(|report| ReportView::new(report, reader.nodes)).collect();
                return Ok(None);
            }
            Content::Routed(routed) => {
                let Some(key) = reader.keys.find(routed.key()) else {
                    self.stops = Some(RouteError::NoKey(routed.key()).to_string());
                    return Ok(None);
                };
                let step = routed.open(reader.own, key, &prefix)?;
                view.route = Some(RouteView::new(&step, reader.nodes));
                match step {
                    Step::Here(here) => (here.letter, here.frame, here.veils),
                    Step::Returned(..) => {
                        self.stops = Some("it holds no letter: a reply, if this node waits for one".into());
                        return Ok(None);
                    }
                    Step::Onward(_) => {
                        self.stops = Some("the rest is for other nodes".into());
                        return Ok(None);
                    }
                }
            }
        };
        let author = NodeView::new(&signed.author(), reader.nodes);
        let letter =
            view.letter.insert(LetterView { id: signed.id().to_string(), author, writer: None, content: None });
        // A letter to an area brings what verifies it.
        let known = reader.nodes.node(&signed.author()).map(|author| author.card.identity);
        let Some(identity) = signed.card()?.map(|card| card.identity).or(known) else {
            self.stops = Some("the node that wrote the letter is not known here".into());
            return Ok(None);
        };
        let (_, verified) = signed.verify(&identity, frame)?;
        letter.writer = verified.forwarded.as_ref().map(|_| NodeView::new(&verified.writer(), reader.nodes));
        letter.content = Some(ContentView::new(&verified));
        if let (Some(area), LetterReader::Area(posted)) = (&mut view.area, &verified.to) {
            area.re = posted.re.map(|message| message.to_string());
        }
        Ok(Some(Readable { letter: verified, veils }))
    }

    /// The same for people, one line each: a word for what it is, and its value.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Lines(Vec::new());
        lines.put("packet", &self.packet);
        lines.put("bytes", self.bytes);
        lines.put("suite", self.suite);
        lines.put("to", self.to.text());
        lines.put("key", &self.key);
        lines.put("nice", self.nice);
        lines.put("end", &self.end);
        for (number, body) in self.bodies.iter().enumerate() {
            lines.put(&format!("body {number}"), format!("{} {} bytes", body.root, body.size));
        }
        if let Some(opened) = &self.opened {
            opened.put(&mut lines);
        }
        if let Some(why) = &self.stops {
            lines.put("stops", why);
        }
        lines.0
    }
}

struct Lines(Vec<(String, String)>);

impl Lines {
    fn put(&mut self, word: &str, value: impl ToString) {
        self.0.push((word.to_owned(), value.to_string()));
    }
}

/// A receipt inside.
#[derive(Debug, Serialize)]
pub struct ReportView {
    /// The packet that it is about, as we handed it over.
    pub packet: String,
    /// Who signed it; nobody, where it is not signed as it should.
    pub by: Option<NodeView>,
    /// How far the packet has come.
    pub stage: Option<String>,
    /// Why it is refused.
    pub why: Option<String>,
    /// When.
    pub time: Option<String>,
}

impl ReportView {
    fn new(report: &Report, nodes: &dyn Nodes) -> ReportView {
        let packet = report.packet.to_string();
        let Ok(Signed { by, receipt: Receipt { stage, why, time, .. }, .. }) = Signed::parse(&report.statement) else {
            return ReportView { packet, by: None, stage: None, why: None, time: None };
        };
        ReportView {
            packet,
            by: Some(NodeView::new(&by, nodes)),
            stage: Some(stage.word().into()),
            why: (!why.is_empty()).then_some(why),
            time: Some(time_text(time.cast_signed())),
        }
    }
}

impl OpenedView {
    fn put(&self, lines: &mut Lines) {
        lines.put("from", self.from.text());
        lines.put("hops", self.hops);
        if self.ask {
            lines.put("asks for", "a confirmation");
        }
        self.confirms.iter().for_each(|packet| lines.put("confirms", packet));
        for ReportView { packet, by, stage, why, time } in &self.reports {
            let by = by.as_ref().map(NodeView::text).unwrap_or_else(|| "nobody".into());
            let [stage, why, time] = [stage, why, time].map(|text| text.as_deref().unwrap_or_default());
            lines.put("receipt", format!("{packet} {stage} {by} {time} {why}").trim_end());
        }
        self.statement.iter().for_each(|kind| lines.put("statement", kind));
        if let Some(area) = &self.area {
            area.put(lines);
        }
        if let Some(route) = &self.route {
            route.put(lines);
        }
        let Some(letter) = &self.letter else { return };
        lines.put("letter", &letter.id);
        lines.put("author", letter.author.text());
        if let Some(writer) = &letter.writer {
            lines.put("by", format!("{}, sent on by {}", writer.text(), letter.author.text()));
        }
        let Some(content) = &letter.content else { return };
        lines.put("kind", content.kind);
        lines.put("written", &content.time);
        lines.put("letter ends", &content.end);
        content.what.put(lines);
        lines.put("payload", format!("{} bytes", content.bytes));
        for (number, body) in content.bodies.iter().enumerate() {
            lines.put(&format!("range {number}"), format!("{} bytes in {}, {}", body.bytes, body.root, body.codec));
        }
    }
}

impl AreaView {
    fn new(message: &AreaMessage, names: &dyn Nodes) -> Result<AreaView, AreaError> {
        let (head, hash) = (&message.head, message.verify_post()?);
        Ok(AreaView {
            name: names.area(&head.area).map(|area| area.name.clone()),
            id: head.area.to_string(),
            message: hash.to_string(),
            end: day_text(head.end),
            re: None,
        })
    }

    fn put(&self, lines: &mut Lines) {
        lines.put("area", self.name.as_ref().map_or_else(|| self.id.clone(), |name| format!("{name} {}", self.id)));
        lines.put("message", &self.message);
        lines.put("message ends", &self.end);
        self.re.iter().for_each(|message| lines.put("answers", message));
    }
}

impl RouteView {
    fn new(step: &Step, names: &dyn Nodes) -> RouteView {
        let none = Trace::default();
        let (next, end, is_onion, trace) = match step {
            Step::Onward(onward) => (Some(&**onward), onward.end, onward.veils.is_some(), onward.routed.trace()),
            Step::Here(here) => (None, here.frame.end, here.veils.is_some(), &here.trace),
            Step::Returned(returned, _) => (None, returned.end, true, &none),
        };
        let path = if trace.is_empty() { None } else { Some(trace.verify()) };
        let (path, broken) = match path {
            Some(Ok(path)) => (StepView::all(&path, names), None),
            Some(Err(error)) => (Vec::new(), Some(error.to_string())),
            None => (Vec::new(), None),
        };
        RouteView {
            next: next.map(|onward| NodeView::new(&onward.next, names)),
            nice: next.map(|onward| onward.nice),
            hold: next.map(|onward| onward.hold),
            end: day_text(end),
            onion: is_onion,
            path,
            broken,
        }
    }

    fn put(&self, lines: &mut Lines) {
        lines.put("next", self.next.as_ref().map_or("its route ends here".into(), NodeView::text));
        if let Some(nice) = self.nice {
            lines.put("next nice", nice);
        }
        if let Some(hold) = self.hold {
            lines.put("held", format!("{hold} seconds"));
        }
        lines.put("route ends", &self.end);
        lines.put("onion", if self.onion { "yes" } else { "no" });
        self.path.iter().for_each(|step| lines.put("path", step.text()));
        self.broken.iter().for_each(|why| lines.put("path", why));
    }
}

impl NodeView {
    fn new(id: &NodeId, names: &dyn Nodes) -> NodeView {
        NodeView { name: names.node(id).map(|node| node.name.clone()), id: id.to_string() }
    }

    fn text(&self) -> String {
        self.name.as_ref().map_or_else(|| self.id.clone(), |name| format!("{name} {}", self.id))
    }
}

impl BodyView {
    fn new(body: &BodyName) -> BodyView {
        BodyView { root: body.root.to_string(), size: body.size }
    }
}

impl ContentView {
    /// That of a verified letter.
    pub fn new(letter: &Letter) -> ContentView {
        ContentView {
            kind: letter.kind.word(),
            time: time_text(i64::try_from(letter.time).unwrap_or(i64::MAX)),
            end: day_text(letter.end),
            what: WhatView::new(&letter.kind),
            bytes: letter.payload_len(),
            bodies: letter.bodies.iter().map(RangeView::new).collect(),
        }
    }
}

impl WhatView {
    fn new(kind: &Kind) -> WhatView {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind {
            Kind::File(FileMeta { form, mode, path, mtime, re }) => WhatView::File {
                path: text(path),
                form: match form {
                    Form::Plain => "plain",
                    Form::Folder => "folder",
                },
                mode: format!("{mode:04o}"),
                mtime: time_text(mtime.0),
                re: re.map(|letter| letter.to_string()),
            },
            Kind::Exec(ExecMeta { args, handle }) => {
                WhatView::Exec { handle: handle.clone(), args: args.iter().map(|argument| text(&argument.0)).collect() }
            }
            Kind::Request(RequestMeta { list, path }) => WhatView::Request { path: text(path), list: *list },
        }
    }

    fn put(&self, lines: &mut Lines) {
        match self {
            WhatView::File { path, form, mode, mtime, re } => {
                lines.put("path", path);
                lines.put("form", form);
                lines.put("mode", mode);
                lines.put("mtime", mtime);
                re.iter().for_each(|letter| lines.put("answers", letter));
            }
            WhatView::Exec { handle, args } => {
                lines.put("handle", handle);
                args.iter().for_each(|argument| lines.put("argument", argument));
            }
            WhatView::Request { path, list: false } => lines.put("asks for", path),
            WhatView::Request { path, list: true } => lines.put("lists", format!("{path}/")),
        }
    }
}

impl RangeView {
    fn new(body: &LetterBody) -> RangeView {
        let codec = match body.codec {
            Codec::Plain => "none",
            Codec::Zstd => "zstd",
        };
        RangeView { root: body.root.to_string(), size: body.size, bytes: body.len, codec }
    }
}

/// A piece of a payload.
pub enum Piece<'a> {
    /// Content of a plain file, in order.
    Content(&'a [u8]),
    /// The path of an entry in a folder: `/` at its end if that is a folder, ` -> ` and the target if it is a link.
    Entry(Vec<u8>),
}

/// Hands on the payload of a plain file, or of a command, or what a folder consists of, after all of it has been verified. Bodies are
/// read twice: nothing is handed on that a later byte could still refute.
pub fn payload(bodies: &Bodies, take: &mut dyn FnMut(Piece)) -> Result<(), PayloadError> {
    match bodies.letter.kind.as_file().map_or(Form::Plain, |file| file.form) {
        Form::Plain => {
            bodies.read(&mut |_| Ok(()))?;
            bodies.read(&mut |bytes| {
                take(Piece::Content(bytes));
                Ok(())
            })
        }
        Form::Folder => {
            names(bodies, &mut |_| {})?;
            names(bodies, &mut |entry| take(Piece::Entry(line(entry))))
        }
    }
}

/// Goes through a folder payload.
fn names(bodies: &Bodies, tell: &mut dyn FnMut(&FolderEntry)) -> Result<(), PayloadError> {
    let refuse = |error: mb_wire::folder::FolderError| PayloadError::from(Refusal::Folder(error.to_string()));
    let mut decoder = FolderDecoder::new();
    bodies.read(&mut |mut bytes| {
        while let Some(event) = decoder.next(&mut bytes).map_err(refuse)? {
            if let FolderEvent::Entry(entry) = &event {
                tell(entry);
            }
        }
        Ok(())
    })?;
    decoder.finish().map_err(refuse)
}

/// The path of an entry and what it is.
fn line(entry: &FolderEntry) -> Vec<u8> {
    let mut line = entry.path().to_vec();
    match entry {
        FolderEntry::File { .. } => {}
        FolderEntry::Folder { .. } => line.push(b'/'),
        FolderEntry::Link { target, .. } => {
            line.extend_from_slice(b" -> ");
            line.extend_from_slice(target);
        }
    }
    line
}
