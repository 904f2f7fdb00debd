//! Decide: what a packet that came means here. Pure: a function of the packet and of what is known, in any order of
//! arrival. Reads and writes nothing.
//!
//! The gates stand in the order of `requirements.md`: form, `to`, dates, seal, hop signature, link; then the letter's
//! author, and what the letter may do here.

use mb_spool::class::Class;
use mb_wire::envelope::{self, Content, EnvelopeError};
use mb_wire::id::{LetterId, NodeId, PacketId};
use mb_wire::letter::{Kind, Letter, LetterError};

use crate::config::KnownNode;
use crate::keys::ExchangeKeys;

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
    /// This node's exchange keys.
    pub keys: &'a ExchangeKeys,
}

/// Knows nodes.
pub trait Nodes: Sync {
    /// A known node by its id; this node is one of them.
    fn node(&self, id: &NodeId) -> Option<&KnownNode>;
}

/// What is to be done with a packet.
pub enum Decision<'a> {
    /// Its letter, whole as far as the envelope goes, is for us and may be delivered if its bodies are here.
    Deliver(Box<Deliver<'a>>),
    /// It cannot be processed: to `bad/`.
    Condemn(Refusal),
    /// Not now: it stays where it is.
    Leave(Refusal),
}

/// A letter that may be delivered.
pub struct Deliver<'a> {
    /// The packet.
    pub packet: PacketId,
    /// The letter's id.
    pub id: LetterId,
    /// The letter.
    pub letter: Letter,
    /// Who handed it over.
    pub from: &'a KnownNode,
    /// Who wrote it.
    pub author: &'a KnownNode,
}

/// Why a packet is not processed.
#[derive(Debug, thiserror::Error)]
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
    #[error("{0} may not have packets relayed by us")]
    NoRelay(String),
    /// We do not know the author.
    #[error("written by a node that is not known here: {0}")]
    UnknownAuthor(NodeId),
    /// The author may not send us files.
    #[error("{0} may not send us files ([accept] files = false)")]
    NoFiles(String),
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
            Refusal::UnknownNeighbour(_) | Refusal::UnknownAuthor(_) => Class::UnknownName,
            Refusal::NoNeighbour(_) | Refusal::NoRelay(_) | Refusal::NoFiles(_) => Class::Refused,
            Refusal::DoubtedDate { .. }
            | Refusal::TooMuchWaiting(_)
            | Refusal::FolderFull { .. }
            | Refusal::NoRoom { .. } => Class::Later,
            _ => Class::Data,
        }
    }

    /// What helps, where something does.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Refusal::UnknownNeighbour(_) | Refusal::UnknownAuthor(_) => {
                Some("if you trust it: mb-node add its card, then mb-toss --retry")
            }
            Refusal::NoFiles(_) | Refusal::NoNeighbour(_) => Some("allow it in the node's file, then mb-toss --retry"),
            Refusal::DoubtedDate { .. } => Some("if the clock is right: mb-check --clock-ok"),
            _ => None,
        }
    }

    fn decision<'a>(self) -> Decision<'a> {
        if self.class() == Class::Later { Decision::Leave(self) } else { Decision::Condemn(self) }
    }
}

/// The longest life of anything, in days.
const MOST_DAYS: u32 = 400;
/// Clocks may be this many days wrong.
const CLOCK_SLACK_DAYS: u32 = 2;

/// What the envelope `file`, called `packet`, means here.
pub fn decide<'a>(packet: PacketId, file: &[u8], known: &Known<'a>) -> Decision<'a> {
    match examine(packet, file, known) {
        Ok(deliver) => Decision::Deliver(Box::new(deliver)),
        Err(refusal) => refusal.decision(),
    }
}

fn examine<'a>(packet: PacketId, file: &[u8], known: &Known<'a>) -> Result<Deliver<'a>, Refusal> {
    if envelope::packet_id(file) != packet {
        return Err(Refusal::Damaged);
    }
    check_dates(envelope::read_prefix(file)?.end, known)?;
    let opened = envelope::open(file, known.own, |tag| known.keys.find(tag))?;
    let prefix = opened.prefix.clone();
    let from = known.nodes.node(&opened.from).ok_or(Refusal::UnknownNeighbour(opened.from))?;
    let Content::Letter(signed) = opened.verify_hop(&from.card.identity)? else {
        return Err(Refusal::NoRelay(from.name.clone()));
    };
    if !from.link.from {
        return Err(Refusal::NoNeighbour(from.name.clone()));
    }
    let author = known.nodes.node(&signed.author()).ok_or(Refusal::UnknownAuthor(signed.author()))?;
    let (id, letter) = signed.verify(&author.card.identity, &prefix)?;
    check_dates(letter.end, known)?;
    let Kind::File(_) = &letter.kind;
    if !author.accept.files {
        return Err(Refusal::NoFiles(author.name.clone()));
    }
    Ok(Deliver { packet, id, letter, from, author })
}

/// A date that is over refuses for good, unless the clock is doubted; what is on the floor or below it was forgotten
/// here and might be a replay, whatever the clock says.
fn check_dates(end: u32, known: &Known) -> Result<(), Refusal> {
    let today = known.today;
    if end <= known.floor {
        return Err(Refusal::Ended { end, today });
    }
    let (is_over, is_far) = (end < today, end > today.saturating_add(MOST_DAYS + CLOCK_SLACK_DAYS));
    match (is_over || is_far, known.is_doubted) {
        (false, _) => Ok(()),
        (true, true) => Err(Refusal::DoubtedDate { end }),
        (true, false) if is_over => Err(Refusal::Ended { end, today }),
        (true, false) => Err(Refusal::TooFarAhead { end, today }),
    }
}
