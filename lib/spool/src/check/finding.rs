//! What a check can find, in words for people and in codes for scripts.

use std::path::{Path, PathBuf};

use mb_wire::envelope::EnvelopeError;
use mb_wire::id::{NodeId, Root};
use mb_wire::key::KeyError;

use crate::class::Class;
use crate::durable;

/// One thing that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// Where, below the folder that was checked.
    pub place: PathBuf,
    /// What is wrong.
    pub fault: Fault,
    /// What became of it.
    pub mended: Mended,
}

/// What is wrong with something. Prints as the end of a sentence that its path begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An envelope or body whose hash is not its name.
    #[error("its content is not what its name says")]
    Content,
    /// An envelope whose name is right and whose clear part breaks a rule.
    #[error("is no packet: {0}")]
    Prefix(EnvelopeError),
    /// An envelope in the queue of another node.
    #[error("lies in the wrong place: it is for {0}")]
    To(NodeId),
    /// A file in another folder than the one that its name belongs to.
    #[error("lies in the wrong folder: it belongs to {0}")]
    Shard(String),
    /// A body of another size than its envelope lists.
    #[error("has {found} bytes; its envelope lists {listed}")]
    Size {
        /// What the envelope says.
        listed: u64,
        /// Its length.
        found: u64,
    },
    /// A message of an area that is kept, and is none, or another than its name says.
    #[error("is no message of an area with this name")]
    Message,
    /// An envelope, or a kept message, without one of its bodies.
    #[error("its body {number} is missing: {root}")]
    Missing {
        /// Number of the body, from 0.
        number: usize,
        /// Name of the body.
        root: Root,
    },
    /// The same where packets wait for their bodies: no damage.
    #[error("waits for its body {number}: {root}")]
    Waiting {
        /// Number of the body, from 0.
        number: usize,
        /// Name of the body.
        root: Root,
    },
    /// A body with a number that its envelope does not have.
    #[error("its envelope lists no such body")]
    Unlisted,
    /// A body or reason whose envelope is not there.
    #[error("its envelope is not there")]
    Orphan,
    /// A body that nobody holds any more, or that no envelope on the stick lists: no damage.
    #[error("nobody needs it any more")]
    Spare,
    /// An unfinished copy on a stick: no damage.
    #[error("is an unfinished copy")]
    Part,
    /// The system does not let us read it now.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The disk cannot read it any more.
    #[error("cannot be read: {0}")]
    Lost(String),
    /// A link, folder, FIFO or device in the place of a file.
    #[error("is no regular file")]
    NotAFile,
    /// Something else in the place of a folder.
    #[error("is no folder")]
    NotAFolder,
    /// A name that the layout does not have.
    #[error("nothing of ours has this name")]
    Unknown,
    /// A folder of a run that has ended.
    #[error("was left by a run that ended")]
    Stale,
    /// A folder of a run of which cannot be told whether it has ended: no damage.
    #[error("belongs to a run; whether it has ended cannot be told here")]
    Running,
    /// A record of a letter that is neither a delivered one's nor a list with its hash.
    #[error("is a damaged record of a letter: it counts as not there")]
    Seen,
    /// A state file without its number.
    #[error("holds no number: it counts as not there")]
    Number,
    /// A damaged `--once` record.
    #[error("is a damaged record of mb-send --once: it counts as not there")]
    Once,
    /// A damaged record of the calls to a node.
    #[error("is a damaged record of calls: it counts as not there")]
    Call,
    /// An exchange key that is no key, or another than its name says.
    #[error("is no key file of this name: {0}")]
    Key(String),
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Fault {
        Fault::Key(error.to_string())
    }
}

impl Fault {
    /// What the system said about something that should be readable.
    pub fn of_error(error: &durable::Error) -> Fault {
        match error.class() {
            _ if error.is_wrong_kind() => Fault::NotAFile,
            Class::Io => Fault::Lost(error.cause.to_string()),
            _ => Fault::Unreadable(error.cause.to_string()),
        }
    }

    /// A word that stays the same, for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Content => "content",
            Fault::Prefix(_) => "prefix",
            Fault::To(_) => "to",
            Fault::Shard(_) => "shard",
            Fault::Size { .. } => "size",
            Fault::Message => "message",
            Fault::Missing { .. } => "missing",
            Fault::Waiting { .. } => "waiting",
            Fault::Unlisted => "unlisted",
            Fault::Orphan => "orphan",
            Fault::Spare => "spare",
            Fault::Part => "part",
            Fault::Unreadable(_) | Fault::Lost(_) => "unreadable",
            Fault::NotAFile => "not-a-file",
            Fault::NotAFolder => "not-a-folder",
            Fault::Unknown => "unknown",
            Fault::Stale => "stale",
            Fault::Running => "running",
            Fault::Seen => "seen",
            Fault::Number => "number",
            Fault::Once => "once",
            Fault::Call => "call",
            Fault::Key(_) => "key",
        }
    }

    /// Whether something is wrong. What is not is only worth a note.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Fault::Waiting { .. } | Fault::Spare | Fault::Part | Fault::Running)
    }
}

/// What was done about a finding.
#[derive(Debug)]
pub enum Mended {
    /// Nothing was asked for.
    NotAsked,
    /// Nothing is ever done about it: it is left for whoever can tell what it is.
    Left,
    /// This would be done.
    Would(Mend),
    /// This was done.
    Done(Mend),
    /// This was tried.
    Failed(Mend, durable::Error),
}

/// What can be done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// The packet goes to `bad/` with its reason.
    Condemn,
    /// The name goes.
    Remove,
    /// A sound value takes its place.
    Rewrite,
    /// It gets a name that is not ours, beside where it lies.
    SetAside,
}

impl Mend {
    /// In words, as something done.
    pub fn as_str(self) -> &'static str {
        match self {
            Mend::Condemn => "moved to bad/",
            Mend::Remove => "removed",
            Mend::Rewrite => "written anew",
            Mend::SetAside => "renamed to NAME.bad",
        }
    }
}

impl Finding {
    /// A finding about which nothing was done.
    pub fn new(place: impl AsRef<Path>, fault: Fault) -> Finding {
        Finding { place: place.as_ref().to_owned(), fault, mended: Mended::NotAsked }
    }
}
