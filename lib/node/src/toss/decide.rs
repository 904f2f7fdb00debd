//! Decide: what a packet that came means here. Pure: a function of the packet and of what is known, in any order of
//! arrival. Reads and writes nothing.
//!
//! The gates stand in the order of `requirements.md`: form, `to`, dates, seal, hop signature, link; then, of a letter, its
//! author and what it may do here; of a packet under way, its slot and between whom we relay.

use std::collections::BTreeMap;
use std::sync::Arc;

use mb_spool::areas::Message;
use mb_spool::class::Class;
use mb_spool::date::time_text;
use mb_wire::area::{AreaError, AreaMessage, Head, Mode};
use mb_wire::card::CardError;
use mb_wire::envelope::{self, Address, BodyName, Content, EnvelopeError, HOPS_MOST, Prefix, Wrap};
use mb_wire::hash::Digest;
use mb_wire::id::{AreaId, LetterId, Mark, MsgHash, NodeId, PacketId, SlotTag};
use mb_wire::key::{ExchangeSecret, NodeSecrets};
use mb_wire::letter::{ExecMeta, Form, Frame, Kind, Letter, LetterError};
use mb_wire::list::Forwarded;
use mb_wire::reply::{ReplyError, ReplyRoute, Returned};
use mb_wire::report::{Report, ReportError};
use mb_wire::route::{Here, Onward, RouteError, Routed, Step, Veils};
use mb_wire::statement::{Statement, StatementError};
use mb_wire::trace::{Trace, TraceError};

use super::request::{is_in_a_share, shown};
use crate::config::{Accept, Handler, Keep, KnownArea, KnownNode, List, Share};
use crate::home::AreaSecrets;
use crate::keys::ExchangeKeys;
use crate::rules::{Rules, Verdict};
use crate::way::ONION_DAYS;

/// What is known of the world: the same for every packet of a run.
pub struct Known<'a> {
    /// This node.
    pub own: NodeId,
    /// The day to work with.
    pub today: u32,
    /// Whether the clock is doubted: what only the date would refuse stays.
    pub is_doubted: bool,
    /// Whatever ends on this day or before is refused.
    pub floor: u32,
    /// The known nodes.
    pub nodes: &'a dyn Nodes,
    /// If this node is a list: whose.
    pub list: Option<&'a List>,
    /// This node's exchange keys.
    pub keys: &'a ExchangeKeys,
    /// The secrets of areas.
    pub area_secrets: &'a AreaSecrets,
    /// The rules of moderated areas.
    pub rules: Arc<Rules>,
    /// Seconds since 1970.
    pub now: u64,
}

/// Knows nodes, and areas.
pub trait Nodes: Sync {
    /// A known node by its id; this node is one of them.
    fn node(&self, id: &NodeId) -> Option<&KnownNode>;
    /// A known node by the name that we have for it, or its id.
    fn named(&self, name: &str) -> Option<&KnownNode>;
    /// A known area by its id.
    fn area(&self, id: &AreaId) -> Option<&KnownArea>;
    /// All known areas.
    fn areas(&self) -> Vec<&KnownArea>;
}

/// What is to be done with a packet.
pub enum Decision<'a> {
    /// It is whole as far as the envelope goes, and may be processed if its bodies are here.
    Take(Box<Accepted<'a>>),
    /// It cannot be processed: to `bad/`; and who is to hear of it.
    Condemn(Refusal, Option<Word<'a>>),
    /// Not now: it stays where it is.
    Leave(Refusal),
}

/// Where word of a packet goes: its author wants it.
pub struct Word<'a> {
    /// The neighbour that handed it over.
    pub to: &'a KnownNode,
    /// What we remember the packet by.
    pub mark: Mark,
    /// Of an onion: by which way back.
    pub reply: Option<Box<ReplyRoute>>,
}

/// A packet that may be processed.
pub struct Accepted<'a> {
    /// The packet.
    pub packet: PacketId,
    /// Who handed it over.
    pub from: &'a KnownNode,
    /// Whether it is to be confirmed once it is settled.
    pub ask: bool,
    /// Its priority.
    pub nice: u8,
    /// Where word of it goes, if anywhere.
    pub word: Option<Word<'a>>,
    /// The bodies that come with it.
    pub bodies: Vec<BodyName>,
    /// What is to be done.
    pub task: Task<'a>,
}

/// What is to be done with a packet.
pub enum Task<'a> {
    /// It carries a letter for us.
    Deliver(Box<Deliver<'a>>),
    /// It is a message of an area.
    Post(Post<'a>),
    /// It is a message of an area that we are through with, or says so.
    Copy,
    /// It is under way to somebody else.
    Relay(Relay<'a>),
    /// It says that these packets of ours are settled over there.
    Confirm(Vec<PacketId>),
    /// It says something of packets that we handed over.
    Report(Vec<Report>),
    /// It brings a statement, whose signature holds.
    Statement(Box<Statement>, Vec<u8>),
    /// An onion without a letter: an answer to one of ours, if one with that tag is waited for; else it is refused.
    Reply(Returned, RouteError),
}

impl<'a> Task<'a> {
    /// The letter that may be delivered here, if there is one.
    pub fn letter(&self) -> Option<&Deliver<'a>> {
        match self {
            Task::Deliver(deliver) => Some(deliver),
            Task::Post(Post { reading: Reading::Deliver(deliver), .. }) => Some(deliver),
            _ => None,
        }
    }

    /// The area to whose readers it is.
    pub fn area(&self) -> Option<&'a KnownArea> {
        match self {
            Task::Post(post) => Some(post.area),
            _ => None,
        }
    }
}

/// A message of an area that may go on to its subscribers.
pub struct Post<'a> {
    /// Its name, the same on each node.
    pub hash: MsgHash,
    /// The area.
    pub area: &'a KnownArea,
    /// The message.
    pub message: Box<AreaMessage>,
    /// Who wrote it, as far as we can read that.
    pub author: Option<NodeId>,
    /// What becomes of it here.
    pub reading: Reading<'a>,
}

/// What becomes of an area's message at this node.
pub enum Reading<'a> {
    /// Nothing: it goes on. We cannot read it, or have written it.
    No,
    /// Its letter is delivered.
    Deliver(Box<Deliver<'a>>),
    /// It goes on, but is not for us.
    Refuse(Refusal),
    /// It was written under settings that have not come: it waits for them.
    Unknown,
}

/// Who wrote a letter.
#[derive(Clone)]
pub struct Author<'a> {
    /// The node.
    pub id: NodeId,
    /// Our name for it, or its id.
    pub name: String,
    /// The node, if it is known.
    pub known: Option<&'a KnownNode>,
}

impl<'a> Author<'a> {
    fn new(id: NodeId, known: Option<&'a KnownNode>) -> Author<'a> {
        Author { id, name: known.map_or_else(|| id.to_string(), |node| node.name.clone()), known }
    }
}

/// Where the files of a letter go, and on which terms.
#[derive(Clone, Copy)]
pub struct Inbox<'a> {
    /// The name of the folder for them where `accept` names none: that of the author, or of the area.
    pub name: &'a str,
    /// The terms.
    pub accept: &'a Accept,
}

/// A letter that may be delivered.
pub struct Deliver<'a> {
    /// The letter's id.
    pub id: LetterId,
    /// The letter.
    pub letter: Letter,
    /// Who wrote it.
    pub author: Author<'a>,
    /// Where its files go.
    pub inbox: Inbox<'a>,
    /// What becomes of it.
    pub how: How<'a>,
    /// In an onion: what is taken off each body before it is opened.
    pub veils: Option<Veils>,
    /// Of one that came by relays in the open: the trace of its path, which holds and leads here, or is empty if its author wants
    /// none.
    pub trace: Option<Trace>,
    /// At a list: the letter as its author signed it.
    pub forwarded: Option<Box<Forwarded>>,
}

impl Deliver<'_> {
    /// Whether the letter is a folder, of which some files can be whole though others are not.
    pub fn is_folder(&self) -> bool {
        self.letter.kind.as_file().is_some_and(|file| file.form == Form::Folder)
    }
}

/// What becomes of a letter.
#[derive(Clone, Copy)]
pub enum How<'a> {
    /// It is put into the folder for it.
    Place,
    /// It is kept, to be read: of an area without a folder.
    Keep,
    /// It is the standard input of this command.
    Run(&'a Handler),
    /// Something in one of these is sent back.
    Answer(&'a [Share]),
    /// It goes on to the subscribers of this list, which we are.
    SendOn(&'a List),
}

/// A packet that may go on.
pub struct Relay<'a> {
    /// The tag of our slot: what comes with it again is a copy.
    pub tag: SlotTag,
    /// Last day of the slot.
    pub end: u32,
    /// The next hop.
    pub next: &'a KnownNode,
    /// How many seconds it stays before.
    pub hold: u32,
    /// In an onion: what is put on each body before it leaves.
    pub veils: Option<Veils>,
    /// The `list_hash` of the bodies that leave.
    leaving: Digest,
    /// The next hop's exchange key.
    to: Address,
    /// Last day of the envelope.
    envelope_end: u32,
    nice: u8,
    hops: u8,
    routed: Box<Routed>,
}

impl Relay<'_> {
    /// Whether it says by whom it came.
    pub fn is_traced(&self) -> bool {
        !self.routed.trace().is_empty()
    }

    /// The envelope in which it goes on, with the bodies that leave. The same each time. `came` is when it came, in seconds since
    /// 1970: said in its trace, if it has one. Refuses other bodies than the author had in mind, and a trace that does not hold.
    pub fn wrap(&self, secrets: &NodeSecrets, bodies: &[BodyName], came: u64) -> Result<Vec<u8>, Refusal> {
        if envelope::list_hash(bodies.iter().copied()) != self.leaving {
            return Err(RouteError::Bodies.into());
        }
        let Relay { to, envelope_end: end, nice, hops, routed, next, .. } = self;
        let ask = next.send.keep == Keep::UntilConfirmed;
        let trace = match routed.trace() {
            trace if trace.is_empty() => Trace::default(),
            trace => trace.extend(secrets, next.id(), came).map_err(RouteError::from)?,
        };
        let content = &Content::Routed(Box::new(Routed::clone(routed).with_trace(trace)));
        Ok(envelope::wrap(secrets, &Wrap { to, end: *end, nice: *nice, hops: *hops, bodies, ask, content })?)
    }
}

/// Why a packet is not processed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Its hash is not its name, or it is no envelope by length.
    #[error("damaged: its content is not what its name says")]
    Damaged,
    /// It does not open, or what is inside does not hold.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Its letter does not hold.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// Its last day is over.
    #[error("its last day was {end}, today is day {today}")]
    Ended {
        /// The last day.
        end: u32,
        /// Today.
        today: u32,
    },
    /// It would live longer than anything may.
    #[error("its last day {end} is more than 400 days ahead of today, day {today}")]
    TooFarAhead {
        /// The last day.
        end: u32,
        /// Today.
        today: u32,
    },
    /// Only the date speaks against it, and the clock is not believed.
    #[error("its last day is {end}, and the clock is doubted")]
    DoubtedDate {
        /// The last day.
        end: u32,
    },
    /// Nobody we know handed it over.
    #[error("handed over by a node that is not known here: {0}")]
    UnknownNeighbour(NodeId),
    /// The neighbour may not hand us anything.
    #[error("{0} may not hand packets to us ([link] from = false)")]
    NoNeighbour(String),
    /// We do not relay for the neighbour.
    #[error("nothing of {0} is relayed ([relay] from = false)")]
    NoRelayFrom(String),
    /// We do not relay to the next hop.
    #[error("nothing is relayed to {0} ([relay] to = false)")]
    NoRelayTo(String),
    /// We do not know the next hop.
    #[error("to be relayed to a node that is not known here: {0}")]
    UnknownNext(NodeId),
    /// The next hop is where it came from, or ourselves.
    #[error("its route leads back to {0}")]
    Back(String),
    /// It has been wrapped as often as anything may be.
    #[error("it has gone as far as a packet may")]
    NoHops,
    /// An onion that says how far it has come.
    #[error("an onion with {0} hops left instead of {HOPS_MOST}")]
    OnionHops(u8),
    /// The route does not hold.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// An onion that is nothing to us.
    #[error("neither a letter to this node nor a reply that it waits for: {0}")]
    NoReply(RouteError),
    /// A reply that does not open.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// A reply that holds something else than a receipt.
    #[error("reply holds no receipt: {0}")]
    NoReceipt(#[from] ReportError),
    /// A reply whose receipt is not by the recipient, or not about the letter.
    #[error("reply holds a receipt that is not the recipient's of this packet")]
    OtherReceipt,
    /// The next hop's card has no key to seal to.
    #[error("to be relayed to {node}: {cause}")]
    Card {
        /// The next hop.
        node: String,
        /// What is wrong with its card.
        cause: CardError,
    },
    /// As much of the neighbour is on its way as may be.
    #[error("{0} has as much here as it may ([link])")]
    TooMuchUnderWay(String),
    /// Too many receivers complain of what the neighbour hands over.
    #[error("nothing of {0} is relayed for now: too many complain of it ([relay] most_complaints)")]
    Suspended(String),
    /// We do not know the author.
    #[error("written by a node that is not known here: {0}")]
    UnknownAuthor(NodeId),
    /// We do not know the area.
    #[error("a message of an area that is not known here: {0}")]
    UnknownArea(AreaId),
    /// The area's message breaks a rule.
    #[error("area {area}: {cause}")]
    Area {
        /// Our name for the area.
        area: String,
        /// Which rule.
        cause: AreaError,
    },
    /// The area's rules do not let it pass.
    #[error("area {area}: {what}")]
    Rules {
        /// Our name for the area.
        area: String,
        /// Which rule.
        what: &'static str,
    },
    /// Only its owner may write in the area.
    #[error("area {area}: written by {author}, and only its owner may")]
    NotOwner {
        /// Our name for the area.
        area: String,
        /// Our name for the author, or its id.
        author: String,
    },
    /// We do not know the author of an area's message.
    #[error("area {area}: written by a node that is not known here: {author}")]
    UnknownWriter {
        /// Our name for the area.
        area: String,
        /// The author.
        author: NodeId,
    },
    /// A subscriber of the area is not known.
    #[error("area {area}: its subscriber {name} is not known here")]
    UnknownSubscriber {
        /// Our name for the area.
        area: String,
        /// The name of the subscriber.
        name: String,
    },
    /// What a neighbour states does not hold.
    #[error(transparent)]
    BadStatement(#[from] StatementError),
    /// What a neighbour states of an area does not hold.
    #[error(transparent)]
    BadArea(AreaError),
    /// A statement that only its issuer may hand over.
    #[error("{0} hands over a statement that is not its own")]
    NotTheirs(String),
    /// A statement that would count before all that its issuer says until a day that is still to come.
    #[error("{from} hands over a statement of day {day}, and today is day {today}")]
    NotYet {
        /// Our name for the neighbour.
        from: String,
        /// The day.
        day: u32,
        /// Today.
        today: u32,
    },
    /// A neighbour asks for messages that it does not get here.
    #[error("{from} asks for the messages of an area that it does not get here: {area}")]
    NotServed {
        /// Our name for the neighbour.
        from: String,
        /// The area.
        area: AreaId,
    },
    /// A statement of a kind that is not for us.
    #[error("{from} hands over a statement that this node does not take: {kind}")]
    Statement {
        /// Our name for the neighbour.
        from: String,
        /// Which kind.
        kind: &'static str,
    },
    /// The author may not send us files.
    #[error("{0} may not send us files ([accept] files = false)")]
    NoFiles(String),
    /// The author may not have this run.
    #[error("{author} asks for {handle}: {what}")]
    Handler {
        /// Whether it was written to an area, whose file decides then, and not that of the author.
        of_area: bool,
        /// Our name for the author.
        author: String,
        /// What it asks for.
        handle: String,
        /// Why not.
        what: &'static str,
    },
    /// A command began and has no end, and is not to be run twice.
    #[error("{handle}: began {} and has no end: nobody knows whether it has run", time_text(began.cast_signed()))]
    Unfinished {
        /// The handle.
        handle: String,
        /// When it began, in seconds since 1970.
        began: u64,
    },
    /// A command that will not do its work.
    #[error("{handle}: {what}")]
    Command {
        /// The handle.
        handle: String,
        /// What came of it.
        what: String,
    },
    /// The author may not ask for files.
    #[error("nothing is shared with {0} ([[share]])")]
    NoRequests(String),
    /// What is asked for is not there, or not for the author: nobody hears which.
    #[error("nothing of that name is shared with {author} ([[share]]): {path}")]
    NotShared {
        /// Our name for the author.
        author: String,
        /// What it asks for.
        path: String,
    },
    /// More is asked for than is sent.
    #[error("{why}: {path}, for {author}")]
    TooMuchAsked {
        /// Our name for the author.
        author: String,
        /// What it asks for.
        path: String,
        /// Which limit it goes beyond.
        why: String,
    },
    /// What a letter asks for could not be sent, and perhaps can be later.
    #[error("no answer could be sent: {why}")]
    NoAnswer {
        /// Why not.
        why: String,
    },
    /// The author may not write to the list.
    #[error("{0} may not write to this list ([list] from)")]
    NotToList(String),
    /// A list cannot send it on.
    #[error("a list cannot send it on: {0}")]
    NotSentOn(String),
    /// The same, but perhaps it can later.
    #[error("could not be sent on: {0}")]
    NotSentOnNow(String),
    /// A subscriber of the list is not known.
    #[error("its list ([list] in config.toml) names {0}, which is not known here")]
    UnknownListed(String),
    /// Bodies are missing, and no more of this neighbour may wait.
    #[error("bodies are missing, and {0} has as much waiting as it may ([link])")]
    TooMuchWaiting(String),
    /// A body is not what the letter says.
    #[error("body {number}: {what}")]
    Body {
        /// Its number.
        number: usize,
        /// What is wrong.
        what: String,
    },
    /// The payload is not the folder that it should be.
    #[error("folder: {0}")]
    Folder(String),
    /// The folder of delivery holds as much as it may.
    #[error("{folder}: holds as much as it may ([accept] most_bytes = {most})")]
    FolderFull {
        /// The folder.
        folder: String,
        /// The limit.
        most: u64,
    },
    /// The disk is too full to deliver it.
    #[error("{folder}: not enough room: {free} bytes are free, {needed} are needed")]
    NoRoom {
        /// The folder.
        folder: String,
        /// Bytes free.
        free: u64,
        /// Bytes needed, reserve included.
        needed: u64,
    },
}

impl Refusal {
    /// What it means to whoever ran the program.
    pub fn class(&self) -> Class {
        match self {
            Refusal::UnknownNeighbour(_) | Refusal::UnknownAuthor(_) | Refusal::UnknownNext(_) => Class::UnknownName,
            Refusal::UnknownArea(_) | Refusal::UnknownWriter { .. } => Class::UnknownName,
            Refusal::Rules { .. } | Refusal::NotServed { .. } | Refusal::NotOwner { .. } => Class::Refused,
            Refusal::NoNeighbour(_) | Refusal::NoRelayFrom(_) | Refusal::NoRelayTo(_) | Refusal::NoFiles(_) => {
                Class::Refused
            }
            Refusal::Handler { .. } | Refusal::NoRequests(_) | Refusal::NotToList(_) => Class::Refused,
            Refusal::NotShared { .. } | Refusal::TooMuchAsked { .. } => Class::Refused,
            Refusal::DoubtedDate { .. }
            | Refusal::TooMuchWaiting(_)
            | Refusal::TooMuchUnderWay(_)
            | Refusal::Suspended(_)
            | Refusal::Card { .. }
            | Refusal::FolderFull { .. }
            | Refusal::NoAnswer { .. }
            | Refusal::UnknownSubscriber { .. }
            | Refusal::NotSentOnNow(_)
            | Refusal::UnknownListed(_)
            | Refusal::NoRoom { .. } => Class::Later,
            _ => Class::Data,
        }
    }

    /// What helps, where something does.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Refusal::UnknownNeighbour(_) | Refusal::UnknownAuthor(_) | Refusal::UnknownNext(_) => {
                Some("if you trust it: mb-node add its card, then mb-toss --retry")
            }
            Refusal::UnknownArea(_) => Some("mb-area join takes its card; then mb-toss --retry"),
            Refusal::UnknownWriter { .. } => {
                Some("mb-node add its card, or allow_unknown = true in the area's file; then mb-toss --retry")
            }
            Refusal::UnknownListed(_) => Some("mb-node add it, or take it out of the list"),
            Refusal::NotToList(_) => Some("if it may: change [list] from, then mb-toss --retry"),
            Refusal::UnknownSubscriber { .. } => Some("mb-node add it, or mb-area unsubscribe it"),
            Refusal::Handler { of_area: true, .. } => Some("allow it in the area's file, then mb-toss --retry"),
            Refusal::Handler { .. } | Refusal::NoRequests(_) => {
                Some("allow it in the node's file, then mb-toss --retry")
            }
            Refusal::NoFiles(_) | Refusal::NoNeighbour(_) | Refusal::NoRelayFrom(_) | Refusal::NoRelayTo(_) => {
                Some("allow it in the node's file, then mb-toss --retry")
            }
            Refusal::NotShared { .. } | Refusal::TooMuchAsked { .. } => {
                Some("if it is to have it: change [[share]] in its node's file, then mb-toss --retry")
            }
            Refusal::NotServed { .. } => {
                Some("if it is to have them: mb-area subscribe, or requests in the area's file; then mb-toss --retry")
            }
            Refusal::Card { .. } => Some("put the newest card of that node into its file"),
            Refusal::DoubtedDate { .. } => Some("if the clock is right: mb-check --clock-ok"),
            _ => None,
        }
    }

    fn decision<'a>(self, word: Option<Word<'a>>) -> Decision<'a> {
        if self.class() == Class::Later { Decision::Leave(self) } else { Decision::Condemn(self, word) }
    }
}

/// The longest life of anything, in days.
const MOST_DAYS: u32 = 400;
/// Clocks may be this many days wrong.
pub(super) const CLOCK_SLACK_DAYS: u32 = 2;

/// What the envelope `file`, called `packet`, means here.
pub fn decide<'a>(packet: PacketId, file: &[u8], known: &Known<'a>) -> Decision<'a> {
    arrive(packet, file, known).map_or_else(|decision| *decision, |arrived| arrived.decide(known))
}

/// An envelope that is for us, from a neighbour who has signed it. Nothing is known yet of what is in it.
pub struct Arrived<'a> {
    packet: PacketId,
    from: &'a KnownNode,
    prefix: Prefix,
    hops: u8,
    ask: bool,
    content: Content,
}

/// The first half of [`decide`]: opens the envelope. An error is what becomes of it, if it is refused already.
pub fn arrive<'a>(packet: PacketId, file: &[u8], known: &Known<'a>) -> Result<Arrived<'a>, Box<Decision<'a>>> {
    let refuse = |refusal: Refusal, word| Err(Box::new(refusal.decision(word)));
    if envelope::packet_id(file) != packet {
        return refuse(Refusal::Damaged, None);
    }
    let prefix = envelope::read_prefix(file).map_err(Refusal::from);
    match prefix.and_then(|prefix| check_dates(prefix.end, known)) {
        Ok(()) => open(packet, file, known).or_else(|refusal| refuse(refusal, None)),
        Err(ended @ Refusal::Ended { .. }) => {
            let mut word = None;
            if let Ok(arrived) = open(packet, file, known) {
                // Only to learn who is to hear of it.
                let _ = arrived.look_inside(known, &mut word);
            }
            refuse(ended, word)
        }
        Err(other) => refuse(other, None),
    }
}

fn open<'a>(packet: PacketId, file: &[u8], known: &Known<'a>) -> Result<Arrived<'a>, Refusal> {
    let opened = envelope::open(file, known.own, |tag| known.keys.find(tag))?;
    let prefix = opened.prefix.clone();
    let from = known.nodes.node(&opened.from).ok_or(Refusal::UnknownNeighbour(opened.from))?;
    let (hops, ask) = (opened.hops, opened.ask);
    let content = opened.verify_hop(&from.card.identity)?;
    if !from.link.from {
        return Err(Refusal::NoNeighbour(from.name.clone()));
    }
    Ok(Arrived { packet, from, prefix, hops, ask, content })
}

impl<'a> Arrived<'a> {
    /// By what it is marked, if it says that it is a message of an area.
    pub fn message(&self) -> Option<Message> {
        match &self.content {
            Content::Area(message) => {
                let Head { area, end, .. } = message.head;
                Some(Message { area, end, hash: message.hash() })
            }
            _ => None,
        }
    }

    /// It is a copy of what is done already.
    pub fn copy(self) -> Accepted<'a> {
        let Arrived { packet, from, prefix, ask, .. } = self;
        Accepted { packet, from, ask, nice: prefix.nice, word: None, bodies: prefix.bodies, task: Task::Copy }
    }

    /// The second half of [`decide`].
    pub fn decide(self, known: &Known<'a>) -> Decision<'a> {
        let mut word = None;
        match self.look_inside(known, &mut word) {
            Ok(accepted) => Decision::Take(Box::new(Accepted { word, ..accepted })),
            Err(refusal) => refusal.decision(word),
        }
    }

    /// `word` is known as soon as slot or letter are read, and they may still be refused.
    fn look_inside(self, known: &Known<'a>, word: &mut Option<Word<'a>>) -> Result<Accepted<'a>, Refusal> {
        let Arrived { packet, from, prefix, hops, ask, content } = self;
        let task = match content {
            Content::Letter(signed) => {
                let here = Here { letter: signed, frame: Frame::from(&prefix), trace: Trace::default(), veils: None };
                Task::Deliver(Box::new(deliver(here, known, from, word)?))
            }
            Content::Area(message) => Task::Post(post(message, known)?),
            Content::Confirm(packets) => Task::Confirm(packets),
            Content::Statement(bytes) => Task::Statement(Box::new(Statement::parse(&bytes)?), bytes),
            Content::Reports(reports) => Task::Report(reports),
            Content::Routed(routed) => {
                let key = known.keys.find(routed.key()).ok_or(RouteError::NoKey(routed.key()))?;
                match routed.open(known.own, key, &prefix)? {
                    Step::Here(here) => Task::Deliver(Box::new(deliver(*here, known, from, word)?)),
                    Step::Returned(returned, error) => {
                        check_dates(returned.end, known)?;
                        Task::Reply(returned, error)
                    }
                    Step::Onward(onward) => {
                        *word = onward.receipt.then(|| Word { to: from, mark: onward.tag.into(), reply: None });
                        Task::Relay(relay(*onward, from, hops, known)?)
                    }
                }
            }
        };
        Ok(Accepted { packet, from, ask, nice: prefix.nice, word: None, bodies: prefix.bodies, task })
    }
}

fn deliver<'a>(
    here: Here,
    known: &Known<'a>,
    from: &'a KnownNode,
    word: &mut Option<Word<'a>>,
) -> Result<Deliver<'a>, Refusal> {
    let Here { letter: signed, frame, trace, veils } = here;
    let author = known.nodes.node(&signed.author()).ok_or(Refusal::UnknownAuthor(signed.author()))?;
    let forwarded = known.list.map(|_| Box::new(Forwarded::new(&author.card, signed.clone())));
    let (id, mut letter) = signed.verify(&author.card.identity, frame)?;
    // An onion leaves no way back but the one that lies in its letter; what went by one that does not end would stay for ever.
    let reply = letter.reply.take().filter(|reply| veils.is_some() && !is_too_far(reply.end, known.today));
    let is_wanted = letter.wants.receipt && veils.is_some() == reply.is_some();
    *word = is_wanted.then(|| Word { to: from, mark: id.into(), reply });
    check_dates(letter.end, known)?;
    if letter.wants.trace {
        let path = trace.verify().map_err(RouteError::from)?;
        if path.letter != id || !path.leads(&letter.author, &from.id(), &known.own) {
            return Err(RouteError::from(TraceError::Other).into());
        }
    }
    let how = match known.list {
        Some(list) if is_for_all(&letter) => how_listed(list, author, veils.is_some())?,
        _ => how(&letter.kind, author)?,
    };
    let (inbox, author) =
        (Inbox { name: &author.name, accept: &author.accept }, Author::new(author.id(), Some(author)));
    let is_relayed = from.id() != letter.author && veils.is_none();
    let trace = match letter.wants.trace {
        true => Some(trace),
        false => is_relayed.then(Trace::default),
    };
    Ok(Deliver { id, letter, author, inbox, how, veils, trace, forwarded })
}

/// What is checked of an area's message before anything is marked, stored or passed on: that whoever signed it may write there, and, if
/// we can read it, its letter.
fn post<'a>(message: Box<AreaMessage>, known: &Known<'a>) -> Result<Post<'a>, Refusal> {
    let head = &message.head;
    let area = known.nodes.area(&head.area).ok_or(Refusal::UnknownArea(head.area))?;
    let wrong = |cause: AreaError| Refusal::Area { area: area.name.clone(), cause };
    check_dates(head.end, known)?;
    let verdict = match &area.card.keys {
        Some(_) if head.under.is_some() => Verdict::Bad("it names settings, and the area has none"),
        Some(keys) if head.post == keys.post => Verdict::Good,
        Some(_) => Verdict::Bad("it is signed with a post key that is not the area's"),
        None => known.rules.verdict(head, known.now, known.today),
    };
    if let Verdict::Bad(what) = verdict {
        return Err(Refusal::Rules { area: area.name.clone(), what });
    }
    let hash = message.verify_post().map_err(wrong)?;
    if verdict == Verdict::Unknown {
        return Ok(Post { hash, area, message, author: None, reading: Reading::Unknown });
    }
    let Some(key) = read_key(known.area_secrets, &known.rules, head) else {
        return Ok(Post { hash, area, message, author: None, reading: Reading::No });
    };
    let (signed, frame) = message.open(key).map_err(wrong)?;
    let (id, letter) = signed.verify_posted(frame).map_err(|cause| wrong(cause.into()))?;
    let author = Author::new(letter.author, known.nodes.node(&letter.author));
    if area.card.mode == Mode::Log && author.id != area.card.owner_id() {
        return Err(Refusal::NotOwner { area: area.name.clone(), author: author.name });
    }
    let (is_ours, writer) = (author.id == known.own, author.id);
    let reading = match how_posted(&letter.kind, area, &author) {
        // One's own post goes on, and is not delivered to oneself; that it can be read here as by others, it may be kept.
        Ok(How::Place | How::Run(_)) if is_ours => Reading::No,
        Ok(how) => {
            let inbox = Inbox { name: &area.name, accept: &area.accept };
            let deliver = Deliver { id, letter, author, inbox, how, veils: None, trace: None, forwarded: None };
            Reading::Deliver(Box::new(deliver))
        }
        Err(_) if is_ours => Reading::No,
        Err(refusal) => Reading::Refuse(refusal),
    };
    Ok(Post { hash, area, message, author: Some(writer), reading })
}

/// What opens the letter behind this head, if we may read it.
pub fn read_key<'a>(secrets: &'a AreaSecrets, rules: &'a Rules, head: &Head) -> Option<&'a ExchangeSecret> {
    match head.under {
        None => secrets.read(&head.area),
        Some(under) => rules.read_key(&head.area, under.epoch),
    }
}

/// What becomes of a letter to an area.
fn how_posted<'a>(kind: &Kind, area: &'a KnownArea, author: &Author) -> Result<How<'a>, Refusal> {
    if author.known.is_none() && !area.allow_unknown {
        return Err(Refusal::UnknownWriter { area: area.name.clone(), author: author.id });
    }
    match kind {
        Kind::File(_) if area.accept.folder.is_none() => Ok(How::Keep),
        // The form of letters to areas has no requests.
        Kind::File(_) | Kind::Request(_) => Ok(How::Place),
        Kind::Exec(exec) => match handler(exec, &area.exec, true, &author.name)? {
            Handler { reply: true, .. } if author.known.is_none() => Err(Refusal::Handler {
                of_area: true,
                author: author.name.clone(),
                handle: exec.handle.clone(),
                what: "its author is not known, so nothing can be sent back to him",
            }),
            handler => Ok(How::Run(handler)),
        },
    }
}

/// What becomes of the author's letter, if he may send one of this kind.
fn how<'a>(kind: &Kind, author: &'a KnownNode) -> Result<How<'a>, Refusal> {
    match kind {
        Kind::File(_) if author.accept.files => Ok(How::Place),
        Kind::File(_) => Err(Refusal::NoFiles(author.name.clone())),
        Kind::Exec(exec) => Ok(How::Run(handler(exec, &author.exec, false, &author.name)?)),
        Kind::Request(_) if author.shares.is_empty() => Err(Refusal::NoRequests(author.name.clone())),
        Kind::Request(request) if is_in_a_share(&author.shares, &request.path) => Ok(How::Answer(&author.shares)),
        Kind::Request(request) => Err(Refusal::NotShared { author: author.name.clone(), path: shown(&request.path) }),
    }
}

/// Whether a letter to a list is one to its subscribers: a file, and neither what another list has sent on, which could go round, nor the
/// answer to a letter of our own.
fn is_for_all(letter: &Letter) -> bool {
    letter.forwarded.is_none() && letter.kind.as_file().is_some_and(|file| file.re.is_none())
}

/// What becomes of a file that is written to a list.
fn how_listed<'a>(list: &'a List, author: &KnownNode, is_onion: bool) -> Result<How<'a>, Refusal> {
    match () {
        () if !list.from.has(&author.name) => Err(Refusal::NotToList(author.name.clone())),
        () if !author.accept.files => Err(Refusal::NoFiles(author.name.clone())),
        // Its bodies have other names outside of it, and it may bring a way back that is for one answer.
        () if is_onion => Err(Refusal::NotSentOn("it came as an onion".into())),
        () => Ok(How::SendOn(list)),
    }
}

/// The command that a letter of `author` asks for, of those of its file or of the area's.
fn handler<'a>(
    exec: &ExecMeta,
    handlers: &'a BTreeMap<String, Handler>,
    of_area: bool,
    author: &str,
) -> Result<&'a Handler, Refusal> {
    let (author, handle) = (author.to_owned(), exec.handle.clone());
    let refusal = |what| Refusal::Handler { of_area, author, handle, what };
    match handlers.get(&exec.handle) {
        None => Err(refusal("no such handle ([exec.HANDLE])")),
        Some(handler) if !exec.args.is_empty() && !handler.arguments => {
            Err(refusal("no arguments may be added ([exec.HANDLE] arguments = false)"))
        }
        Some(handler) => Ok(handler),
    }
}

/// Whether, and in which envelope, a packet of `from` goes on.
fn relay<'a>(onward: Onward, from: &KnownNode, hops: u8, known: &Known<'a>) -> Result<Relay<'a>, Refusal> {
    let Onward { tag, next, end, nice, receipt: _, hold, routed, leaving, veils } = onward;
    check_dates(end, known)?;
    if !from.relay.from {
        return Err(Refusal::NoRelayFrom(from.name.clone()));
    }
    let next = known.nodes.node(&next).ok_or(Refusal::UnknownNext(next))?;
    if next.id() == known.own || next.id() == from.id() {
        return Err(Refusal::Back(next.name.clone()));
    }
    if !next.relay.to {
        return Err(Refusal::NoRelayTo(next.name.clone()));
    }
    let hops = match &veils {
        Some(_) if hops == HOPS_MOST => hops,
        Some(_) => return Err(Refusal::OnionHops(hops)),
        None => hops.checked_sub(1).filter(|hops| *hops > 0).ok_or(Refusal::NoHops)?,
    };
    let key = next.card.exchange_key(known.today).map_err(|cause| {
        let node = next.name.clone();
        Refusal::Card { node, cause }
    })?;
    let envelope_end = match (&veils, key.gone_after) {
        (Some(_), gone_after) => onion_end(end, gone_after),
        (None, 0) => end,
        (None, gone_after) => end.min(gone_after),
    };
    let to = Address { id: next.id(), exchange: key.public };
    Ok(Relay { tag, end, next, hold, veils, leaving, to, envelope_end, nice, hops, routed: Box::new(routed) })
}

/// The last day of an onion's envelope, sealed to a key that is gone after a day, or never, if that is 0. Its days are few.
pub(super) fn onion_end(end: u32, gone_after: u32) -> u32 {
    if gone_after == 0 || gone_after >= end { end } else { gone_after - gone_after % ONION_DAYS }
}

/// A date that is over refuses for good, unless the clock is doubted; what is on the floor or below it was forgotten
/// here and might be a replay, whatever the clock says.
fn check_dates(end: u32, known: &Known) -> Result<(), Refusal> {
    let today = known.today;
    if end <= known.floor {
        return Err(Refusal::Ended { end, today });
    }
    let (is_over, is_far) = (end < today, is_too_far(end, today));
    match (is_over || is_far, known.is_doubted) {
        (false, _) => Ok(()),
        (true, true) => Err(Refusal::DoubtedDate { end }),
        (true, false) if is_over => Err(Refusal::Ended { end, today }),
        (true, false) => Err(Refusal::TooFarAhead { end, today }),
    }
}

/// Whether a last day is further ahead than any may be.
pub(super) fn is_too_far(end: u32, today: u32) -> bool {
    end > today.saturating_add(MOST_DAYS + CLOCK_SLACK_DAYS)
}
