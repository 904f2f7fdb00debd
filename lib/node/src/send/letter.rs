//! Letters and envelopes: one of each for every recipient of an input.

use mb_spool::asked::{ANSWER_DAYS, Asked};
use mb_spool::roads::{Road, Roads};
use mb_spool::way::{AFTER_DAYS, Hop, Origin, Record};
use mb_wire::area::{self, PostTerms};
use mb_wire::envelope::{Address, BodyName, Content, EnvelopeError, HOPS_MOST, Wrap, list_hash, wrap};
use mb_wire::hash::Digest;
use mb_wire::id::{LetterId, Mark, NodeId, SlotTag};
use mb_wire::key::NodeSecrets;
use mb_wire::letter::{FileMeta, Kind, Letter, LetterBody, Wants};
use mb_wire::list::Forwarded;
use mb_wire::reply::{Awaited, ReplyRoute};
use mb_wire::route::{Route, RouteError, Terms};
use mb_wire::trace::Trace;
use zeroize::Zeroizing;

use super::pack::{Packed, PackedBody};
use super::source::Source;
use super::{Errand, MOST_SHARING, MOST_TTL, Onion, Options, Posting, Recipient, SendError, Sender};
use crate::config::{Keep, KnownNode};
use crate::way::ONION_DAYS;

/// What goes into the batch for one recipient.
pub struct Addressed {
    /// Who is handed it: the first relay, or the recipient.
    pub to: NodeId,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The names, in the run's folder, of the bodies that it lists.
    pub bodies: Vec<String>,
    /// Who may say something of it, where word of it is wanted.
    pub way: Option<Record>,
    /// What opens what the recipient of an onion answers.
    pub back: Option<Back>,
    /// By which other roads it could go.
    pub roads: Option<Roads>,
    /// Of a request: until which day an answer to it may come, and what is done with that.
    pub asked: Option<(u32, LetterId, Asked)>,
}

/// What letters are made of, whomever they are for.
pub(super) enum Matter<'a> {
    /// An input.
    Input(&'a Source),
    /// What its author has written to a list, and the proof of that.
    SentOn(&'a Letter, &'a Forwarded),
}

/// The way back of one onion.
#[derive(Clone)]
pub struct Back {
    /// Its last day.
    pub day: u32,
    /// By which tag the answer is known.
    pub tag: SlotTag,
    /// What opens it.
    pub keys: Awaited,
    /// What lies in the letter.
    route: ReplyRoute,
}

/// How one packet goes to one recipient.
pub struct Way<'a> {
    to: &'a Recipient<'a>,
    /// The relays, nearest first, and then the recipient.
    hops: Vec<Address>,
    /// Whether the first of them is asked for a confirmation.
    ask: bool,
    end: u32,
    nice: u8,
    /// Random, for the route.
    salt: Zeroizing<[u8; 32]>,
    /// Whether bodies change at each hop.
    is_onion: bool,
    /// Whether word of it is wanted.
    receipt: bool,
    /// Whether a trace is wanted.
    trace: bool,
    /// How many seconds each relay holds it.
    holds: Vec<u32>,
    /// In an onion of which word is wanted: by which way.
    back: Option<Back>,
    /// Other ways for the same letter.
    others: Vec<Way<'a>>,
}

impl Way<'_> {
    /// Makes it end on that day, if it does not before.
    pub(super) fn end_by(&mut self, end: u32) {
        self.end = self.end.min(end);
        self.others.iter_mut().for_each(|other| other.end_by(end));
    }

    /// The route, where relays are between. The same each time.
    fn route<'s>(&self, secrets: &'s NodeSecrets) -> Result<Option<Route<'s>>, RouteError> {
        match self.hops.len() {
            // A trace lies in a route, be it one of a single hop.
            1 if !self.trace => Ok(None),
            _ => Route::new(secrets, self.hops.clone(), *self.salt).map(Some),
        }
    }
}

impl Sender<'_> {
    /// One way for each recipient, in order, for one input.
    pub(super) fn ways<'a>(&self, to: &'a [Recipient<'a>], options: &Options) -> Result<Vec<Way<'a>>, SendError> {
        to.iter().map(|recipient| self.way(recipient, options)).collect()
    }

    fn way<'a>(&self, to: &'a Recipient<'a>, options: &Options) -> Result<Way<'a>, SendError> {
        let mut way = self.way_by(to, &to.via, options)?;
        // A new onion would need the content again.
        if !way.is_onion {
            let ids = |via: &[&KnownNode]| via.iter().map(|node| node.id()).collect::<Vec<_>>();
            let mut taken = vec![ids(&to.via)];
            for via in &to.others {
                // The same way again leads no further.
                if taken.contains(&ids(via)) {
                    continue;
                }
                taken.push(ids(via));
                match self.way_by(to, via, options) {
                    // It may get a newer card until it is needed, but not this packet.
                    Err(SendError::Card { .. }) => {}
                    other => way.others.push(other?),
                }
            }
            way.others.iter_mut().for_each(|other| other.end = other.end.min(way.end));
        }
        Ok(way)
    }

    fn way_by<'a>(&self, to: &'a Recipient<'a>, via: &[&KnownNode], options: &Options) -> Result<Way<'a>, SendError> {
        let (hops, mut latest) = self.hops(to.node, via)?;
        let (mut end, mut nice) = (self.end(to, options), options.nice.unwrap_or(to.node.send.nice));
        let mut holds = Vec::new();
        let onion = options.onion.as_ref().filter(|_| hops.len() > 1);
        // To ourselves there is no way back.
        let is_ours = to.node.id() == self.spool.own();
        let receipt = (options.receipt || to.node.send.receipt) && !is_ours;
        let mut back = None;
        if let Some(onion) = onion {
            // The same nodes backwards, so that the answer goes to whom its writer has the onion from; and the same days, as
            // nothing shall tell it from a letter.
            let homeward: Vec<&KnownNode> = via.iter().rev().copied().collect();
            let homeward = if receipt { Some(self.hops(self.itself, &homeward)?) } else { None };
            latest = homeward.iter().fold(latest, |latest, (_, their)| latest.min(*their));
            (end, nice) = (coarse_end(end, latest), coarse_nice(nice));
            if end < self.today {
                return Err(SendError::EndsSoon(to.node.name.clone()));
            }
            holds = self.holds(via.len(), onion)?;
            back = match homeward {
                Some((hops, _)) => Some(self.back(to, hops, end, nice, &self.holds(via.len(), onion)?)?),
                None => None,
            };
        }
        let salt = Zeroizing::new(self.random_bytes()?);
        let trace = options.trace && !is_ours;
        let ask = via.first().unwrap_or(&to.node).send.keep == Keep::UntilConfirmed;
        let (end, is_onion) = (end.min(latest), onion.is_some());
        Ok(Way { to, hops, ask, end, nice, salt, is_onion, receipt, trace, holds, back, others: Vec::new() })
    }

    /// The way back by these hops, with a salt of its own.
    fn back(&self, to: &Recipient, hops: Vec<Address>, day: u32, nice: u8, holds: &[u32]) -> Result<Back, SendError> {
        let route = Route::new(self.secrets, hops, self.random_bytes()?);
        let route = route.map_err(|cause| SendError::Route(to.node.name.clone(), cause))?;
        let (route, keys, tag) = route.reply(day, nice, holds);
        Ok(Back { day, tag, keys, route })
    }

    /// Whom to seal to, the recipient last, and how long a packet by them may live: never longer than a key of theirs.
    fn hops(&self, to: &KnownNode, via: &[&KnownNode]) -> Result<(Vec<Address>, u32), SendError> {
        let mut latest = self.today.saturating_add(MOST_TTL);
        let mut hops = Vec::with_capacity(via.len() + 1);
        for node in via.iter().copied().chain([to]) {
            let key = node.card.exchange_key(self.today).map_err(|cause| {
                let node = node.name.clone();
                SendError::Card { node, cause }
            })?;
            if key.gone_after != 0 {
                latest = latest.min(key.gone_after);
            }
            hops.push(Address { id: node.id(), exchange: key.public });
        }
        Ok((hops, latest))
    }

    /// How long each of so many relays holds an onion.
    fn holds(&self, count: usize, onion: &Onion) -> Result<Vec<u32>, SendError> {
        (0..count).map(|_| self.hold(onion.delay)).collect()
    }

    /// A random time, in seconds, of at most `most`.
    fn hold(&self, most: u32) -> Result<u32, SendError> {
        let dice = u64::from_be_bytes(self.random_bytes()?);
        Ok((dice % (u64::from(most) + 1)) as u32)
    }

    /// What each copy of an input's bodies is veiled for, if it is.
    pub(super) fn copies<'s>(&'s self, ways: &[Way], options: &Options) -> Result<Vec<Option<Route<'s>>>, SendError> {
        if options.onion.is_none() {
            let count = if options.private { ways.len() } else { ways.len().div_ceil(MOST_SHARING) };
            return Ok((0..count).map(|_| None).collect());
        }
        let route =
            |way: &Way| way.route(self.secrets).map_err(|cause| SendError::Route(way.to.node.name.clone(), cause));
        ways.iter().map(route).collect()
    }

    /// One envelope for each recipient, in order.
    pub(super) fn letters(
        &self,
        matter: &Matter,
        ways: &[Way],
        options: &Options,
        packed: &Packed,
    ) -> Result<Vec<Addressed>, SendError> {
        let is_shared = options.onion.is_none() && !options.private;
        let seal = |(number, way): (usize, &Way)| {
            let bodies = match packed {
                Packed::Inline(_) => &[][..],
                Packed::Bodies(copies) if is_shared => &copies[number / MOST_SHARING][..],
                Packed::Bodies(copies) => &copies[number][..],
            };
            self.letter(matter, way, options, packed, bodies)
        };
        ways.iter().enumerate().map(seal).collect()
    }

    fn letter(
        &self,
        matter: &Matter,
        way: &Way,
        options: &Options,
        packed: &Packed,
        bodies: &[PackedBody],
    ) -> Result<Addressed, SendError> {
        let letter = Letter {
            to: way.to.node.id().into(),
            end: way.end,
            forwarded: match matter {
                Matter::Input(_) => None,
                Matter::SentOn(_, forwarded) => Some(Box::new(Forwarded::clone(forwarded))),
            },
            kind: match (matter, &options.errand) {
                (Matter::SentOn(letter, _), _) => letter.kind.clone(),
                (Matter::Input(source), Errand::Files(re)) => {
                    Kind::File(FileMeta { re: *re, ..self.meta(source, way.to)? })
                }
                (_, Errand::Exec(exec)) => Kind::Exec(exec.clone()),
                (_, Errand::Request(request, _)) => Kind::Request(request.clone()),
            },
            salt: self.random_bytes()?,
            time: self.now,
            reply: way.back.as_ref().map(|back| Box::new(back.route.clone())),
            wants: Wants { receipt: way.receipt, trace: way.trace },
            author: self.secrets.id(),
            bodies: bodies.iter().map(|body| body.entry.clone()).collect(),
            inline: match packed {
                Packed::Inline(payload) => Some(payload.clone()),
                Packed::Bodies(_) => None,
            },
        };
        let path = || match matter {
            Matter::Input(source) => source.path.clone(),
            Matter::SentOn(..) => "letter to a list".into(),
        };
        let large = |cause| SendError::Large { path: path(), cause };
        let (envelope, record) = self.wrap(&letter, way, bodies).map_err(large)?;
        let road = |other: &Way| {
            let (envelope, record) = self.wrap(&letter, other, bodies)?;
            Ok(Road::new(other.hops[0].id, envelope, record.as_ref()))
        };
        let roads: Vec<Road> = way.others.iter().map(road).collect::<Result<_, _>>().map_err(large)?;
        let roads = (!roads.is_empty()).then_some(Roads { roads, days: way.to.node.send.deadline });
        let bodies = bodies.iter().map(|body| body.name.clone()).collect();
        let asked = match &options.errand {
            Errand::Request(_, Some(name)) => {
                let asked = Asked { to: way.to.node.id(), name: name.clone() };
                Some((letter.end.saturating_add(ANSWER_DAYS), letter.sign(self.secrets).id(), asked))
            }
            _ => None,
        };
        Ok(Addressed { to: way.hops[0].id, envelope, bodies, way: record, back: way.back.clone(), roads, asked })
    }

    /// The envelope for the first hop, and who may say something of it.
    fn wrap(
        &self,
        letter: &Letter,
        way: &Way,
        packed: &[PackedBody],
    ) -> Result<(Vec<u8>, Option<Record>), EnvelopeError> {
        if let Some(posting) = &way.to.area {
            return self.wrap_message(letter, way, posting, packed).map(|envelope| (envelope, None));
        }
        let signed = letter.sign(self.secrets);
        let mut marks = vec![Mark::from(signed.id())];
        // As they come to the hop of that number, and at last as the letter lists them.
        let listed = |hop| packed.iter().map(move |body| body.links.get(hop).copied().unwrap_or(name_of(&body.entry)));
        let content = match way.route(self.secrets)? {
            None => Content::Letter(signed),
            Some(route) => {
                let lists: Vec<Digest> = (0..=way.hops.len()).map(|hop| list_hash(listed(hop))).collect();
                let Way { end, nice, is_onion, ref holds, .. } = *way;
                let receipt = way.receipt && !is_onion;
                let terms = Terms { end, nice, lists: &lists, is_onion, receipt, holds };
                let (routed, tags) = route.seal(&signed, &terms)?;
                marks.splice(..0, tags[..way.hops.len() - 1].iter().map(|tag| Mark::from(*tag)));
                let first = way.hops[0].id;
                let begun = way.trace.then(|| Trace::begin(self.secrets, signed.id(), first, self.now));
                Content::Routed(Box::new(routed.with_trace(begun.unwrap_or_default())))
            }
        };
        let bodies: Vec<BodyName> = listed(0).collect();
        let Way { ref hops, ask, end, nice, .. } = *way;
        let to = &hops[0];
        let envelope =
            wrap(self.secrets, &Wrap { to, end, nice, hops: HOPS_MOST, bodies: &bodies, ask, content: &content })?;
        let said = hops.iter().zip(marks).map(|(hop, mark)| Hop { node: hop.id, mark });
        // Of an onion only the recipient has something to say.
        let hops = said.skip(if way.is_onion { hops.len() - 1 } else { 0 }).collect();
        let record = Record { end: letter.end.saturating_add(AFTER_DAYS), origin: Origin::Ours { hops, went: None } };
        Ok((envelope, way.receipt.then_some(record)))
    }

    /// The envelope for ourselves with the message that carries the letter.
    fn wrap_message(
        &self,
        letter: &Letter,
        way: &Way,
        posting: &Posting,
        packed: &[PackedBody],
    ) -> Result<Vec<u8>, EnvelopeError> {
        let (card, salt) = (&self.itself.card, *way.salt);
        let Posting { area, post, ref read, under, re, .. } = *posting;
        let terms = PostTerms { area: area.id(), post, read, under, card, re, salt };
        let (message, _) = area::post(self.secrets, letter, &terms)?;
        let bodies: Vec<BodyName> = packed.iter().map(|body| name_of(&body.entry)).collect();
        let Way { ref hops, end, nice, .. } = *way;
        let (to, content) = (&hops[0], &Content::Area(Box::new(message)));
        wrap(self.secrets, &Wrap { to, end, nice, hops: HOPS_MOST, bodies: &bodies, ask: false, content })
    }

    fn meta(&self, source: &Source, to: &Recipient) -> Result<FileMeta, SendError> {
        let path = to.place.path_of(&source.name);
        if source.name.is_empty() && !matches!(to.place, super::Place::As(_)) {
            return Err(SendError::NoName(source.path.display().to_string()));
        }
        mb_wire::path::check(&path).map_err(|cause| SendError::Path { path: path.clone(), cause })?;
        let mtime = if source.mtime == (0, 0) { (self.now.cast_signed(), 0) } else { source.mtime };
        Ok(FileMeta { re: None, form: source.form, mode: source.mode, path, mtime })
    }

    pub(super) fn random_bytes<const N: usize>(&self) -> Result<[u8; N], SendError> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes).map_err(SendError::Random)?;
        Ok(bytes)
    }
}

/// One of few days, not after `latest`.
fn coarse_end(end: u32, latest: u32) -> u32 {
    let up = end.next_multiple_of(ONION_DAYS);
    if up <= latest { up } else { latest - latest % ONION_DAYS }
}

/// One of three.
fn coarse_nice(nice: u8) -> u8 {
    match nice {
        0..=96 => 64,
        97..=160 => 128,
        161..=255 => 192,
    }
}

fn name_of(body: &LetterBody) -> BodyName {
    BodyName { root: body.root, size: body.size }
}
