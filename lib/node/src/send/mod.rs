//! Send: files, folders and streams become packets, all of one call or none.
//!
//! One pass over the input, constant memory, all cores: inputs are opened one after another, small ones are sealed in
//! parallel, a large one is cut, sealed and hashed by all threads. For several recipients the body is made once.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use mb_spool::barrier::Barrier;
use mb_spool::batch::{Batch, publish_all, send_lone};
use mb_spool::blocks::for_each_block;
use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::once::{self, OnceRecord, record_name};
use mb_spool::replies::{self, Expected};
use mb_spool::run::Run;
use mb_spool::{asked, roads, way};
use mb_wire::area::{PostSecret, Under};
use mb_wire::card::CardError;
use mb_wire::cbor;
use mb_wire::envelope::{EnvelopeError, packet_id};
use mb_wire::hash::{Digest, Label, hash};
use mb_wire::id::{LetterId, MsgHash, PacketId};
use mb_wire::key::NodeSecrets;
use mb_wire::letter::{ExecMeta, RequestMeta};
use mb_wire::path::PathError;
use mb_wire::route::RouteError;

use crate::config::{KnownArea, KnownNode};
use letter::{Back, Matter};

/// Where the parts of a payload go: inline or into bodies.
mod pack;
/// Letters and envelopes of one input.
mod letter;
/// Opening what is to be sent.
mod source;
/// What a list sends on.
mod on;
/// A folder as a stream.
mod folder;
/// What is open already.
mod opened;

pub use on::SentOn;
pub use opened::{Chosen, Opened, What};
pub use pack::Compress;
pub use source::Input;

/// Random bytes, from the system.
pub type Random<'a> = &'a (dyn Fn(&mut [u8]) -> io::Result<()> + Sync);

/// What a body may be shared by at a receiver, at the most (`[link] most_sharing`): over it, a new one is made.
const MOST_SHARING: usize = 64;
/// Days that anything may live.
const MOST_TTL: u32 = 400;

/// One `-t NODE[:PATH]`.
#[derive(Clone)]
pub struct Recipient<'a> {
    /// The node.
    pub node: &'a KnownNode,
    /// The relays on the way to it, nearest first.
    pub via: Vec<&'a KnownNode>,
    /// Those of other roads to it, should nobody come for a packet on the first one.
    pub others: Vec<Vec<&'a KnownNode>>,
    /// The words as they were typed: part of what `--once` remembers.
    pub words: String,
    /// What the path says.
    pub place: Place,
    /// The area whose message this becomes: sent to ourselves, it goes on from there to the area's subscribers.
    pub area: Option<Posting<'a>>,
}

/// What a message of an area is made with.
#[derive(Clone, Copy)]
pub struct Posting<'a> {
    /// The area.
    pub area: &'a KnownArea,
    /// What it is signed with.
    pub post: &'a PostSecret,
    /// What its letter is sealed to.
    pub read: [u8; 32],
    /// In a moderated area: the settings that these are of.
    pub under: Option<Under>,
    /// Days that a message of the area may live; it lives no longer, unless somebody says so.
    pub days: Option<u32>,
    /// The message that it answers.
    pub re: Option<MsgHash>,
}

/// What the PATH of `NODE:PATH` says about the name at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nothing: the name is kept.
    Keep,
    /// `PATH/`: the name is kept, in that folder.
    Into(Vec<u8>),
    /// `PATH`: the whole path.
    As(Vec<u8>),
}

impl Place {
    /// Reads the PATH of `NODE:PATH`.
    pub fn parse(path: &[u8]) -> Result<Place, PathError> {
        if path.is_empty() {
            return Ok(Place::Keep);
        }
        let (path, is_folder) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, true),
            None => (path, false),
        };
        mb_wire::path::check(path)?;
        Ok(if is_folder { Place::Into(path.to_vec()) } else { Place::As(path.to_vec()) })
    }

    /// The path at the other end of something that is called `name` here.
    pub(crate) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        match self {
            Place::Keep => name.to_vec(),
            Place::Into(folder) => [folder, &b"/"[..], name].concat(),
            Place::As(path) => path.clone(),
        }
    }
}

/// How to send.
pub struct Options {
    /// Priority; otherwise each recipient's own.
    pub nice: Option<u8>,
    /// Days; otherwise each recipient's own.
    pub ttl: Option<u16>,
    /// What the inputs are.
    pub errand: Errand,
    /// Name at the other end, of the only input.
    pub name: Option<Vec<u8>>,
    /// Send this once.
    pub once: Option<String>,
    /// A body for each recipient.
    pub private: bool,
    /// Fill bodies up to a Padmé size.
    pub pad: bool,
    /// Whether to compress.
    pub compress: Compress,
    /// Word of it is wanted, also where the recipient's file does not say so.
    pub receipt: bool,
    /// Each node on the way signs that it had it; not in an onion.
    pub trace: bool,
    /// What goes by relays goes as an onion.
    pub onion: Option<Onion>,
    /// Bytes to leave free on the disk.
    pub reserve: u64,
    /// Threads to work with.
    pub threads: usize,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Files and folders; if they answer a letter, this one.
    Files(Option<LetterId>),
    /// The standard input of a command over there.
    Exec(ExecMeta),
    /// Nothing: a file over there is asked for. Its name here, if it is to get another: a path, or a folder that ends with `/`.
    Request(RequestMeta, Option<Vec<u8>>),
}

impl Errand {
    /// What makes it differ from others of the same input, for `--once`.
    fn digest_of(&self, digests: &[Digest]) -> Digest {
        match self {
            Errand::Files(_) => input_digest(digests),
            Errand::Exec(exec) => input_digest(&[digests, &[hash(Label::Input, &[&cbor::encode(exec)])]].concat()),
            Errand::Request(request, name) => {
                let name = name.as_deref().unwrap_or_default();
                input_digest(&[digests, &[hash(Label::Input, &[&cbor::encode(request), name])]].concat())
            }
        }
    }
}

/// How onions are made.
pub struct Onion {
    /// How many seconds each relay holds one, at the most; how many is left to chance.
    pub delay: u32,
}

/// What sending needs besides what is sent.
pub struct Sender<'a> {
    /// Where packets go.
    pub spool: &'a Spool,
    /// Who signs.
    pub secrets: &'a NodeSecrets,
    /// The same node as others know it: where replies to onions go.
    pub itself: &'a KnownNode,
    /// Where randomness comes from.
    pub random: Random<'a>,
    /// Seconds since 1970.
    pub now: u64,
    /// The day to work with.
    pub today: u32,
    /// Set when the user wants to stop.
    pub stop: &'a AtomicBool,
    /// Told of bytes read.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The spool could not be written.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// An input could not be read.
    #[error("{}: {attempt}: {cause}", shown(path))]
    Input {
        /// The input.
        path: PathBuf,
        /// What was tried.
        attempt: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// An input is something that cannot be sent.
    #[error("{}: {what}", shown(path))]
    Unfit {
        /// The input.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An input has no name that could be used at the other end.
    #[error("{0}: no name for it at the other end")]
    NoName(String),
    /// The path at the other end cannot be.
    #[error("{}: {cause}", String::from_utf8_lossy(path).escape_debug())]
    Path {
        /// The path.
        path: Vec<u8>,
        /// What is wrong with it.
        cause: PathError,
    },
    /// The card of a recipient, or of a relay, has no key to seal to.
    #[error("{node}: {cause}")]
    Card {
        /// The node.
        node: String,
        /// What is wrong with the card.
        cause: CardError,
    },
    /// A key on the way ends before an onion may.
    #[error("{0}: a key on the way to it ends too soon for an onion")]
    EndsSoon(String),
    /// A route cannot be made.
    #[error("{0}: {1}")]
    Route(String, #[source] RouteError),
    /// The input has too many ranges, or its letter does not fit.
    #[error("{}: {cause}", shown(path))]
    Large {
        /// The input.
        path: PathBuf,
        /// What does not fit.
        cause: EnvelopeError,
    },
    /// Another input was sent under this `--once` key.
    #[error("--once {0}: other input was sent under this key")]
    OtherInput(String),
    /// There is not enough room.
    #[error("{spool}: not enough room: {free} bytes are free, of which {reserve} are kept back")]
    NoRoom {
        /// The spool.
        spool: String,
        /// Bytes free.
        free: u64,
        /// Bytes kept back.
        reserve: u64,
    },
    /// The system gave no randomness.
    #[error("random bytes: {0}")]
    Random(#[source] io::Error),
    /// The user stopped it.
    #[error("stopped")]
    Stopped,
}

fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

impl Failure for SendError {
    fn class(&self) -> Class {
        match self {
            SendError::Disk(error) => error.class(),
            SendError::Input { cause, .. } if Class::of_io(cause, false).is_temporary() => Class::Later,
            SendError::Input { .. } => Class::NoInput,
            SendError::Unfit { .. } | SendError::Large { .. } | SendError::OtherInput(_) => Class::Data,
            SendError::NoName(_) | SendError::Path { .. } => Class::Usage,
            SendError::Card { .. } | SendError::EndsSoon(_) | SendError::Route(..) => Class::Data,
            SendError::NoRoom { .. } | SendError::Stopped => Class::Later,
            SendError::Random(_) => Class::Io,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            SendError::NoName(_) => Some("give it one: --name NAME, or -t NODE:PATH".into()),
            SendError::Card { .. } | SendError::EndsSoon(_) => {
                Some("ask the node for its newest card, and add it with mb-node add".into())
            }
            SendError::OtherInput(_) => Some("use another key; this one lives until its packets' last day".into()),
            SendError::Unfit { .. } => Some("nothing was sent; leave it out, or pack it with tar".into()),
            _ => None,
        }
    }
}

/// What was sent: for each input, in order, the packet of each recipient, in order.
pub type Sent = Vec<PacketId>;

impl Sender<'_> {
    /// Sends every input to every recipient. On an error, a crash or a stop nothing was sent; after `Ok` everything is
    /// durable.
    pub fn send(&self, inputs: &[Input], to: &[Recipient], options: &Options, run: &Run) -> Result<Sent, SendError> {
        publish_all(self.spool, run)?;
        let record = options.once.as_ref().map(|key| record_name(key, to.iter().map(|to| &*to.words)));
        if let (Some(key), Some(name)) = (&options.once, &record)
            && let Some(sent) = self.sent_before(key, name, inputs, options)?
        {
            return Ok(sent);
        }
        if inputs.len() * to.len() == 1
            && record.is_none()
            && let Some(packet) = self.send_small(&inputs[0], &to[0], options, run)?
        {
            return Ok(vec![packet]);
        }
        self.send_batch(inputs, to, options, record, run)
    }

    /// What an earlier run sent under the same key, if it was the same input.
    fn sent_before(
        &self,
        key: &str,
        name: &str,
        inputs: &[Input],
        options: &Options,
    ) -> Result<Option<Sent>, SendError> {
        let Some(record) = once::read(self.spool, name)? else { return Ok(None) };
        if record.end < self.today {
            once::forget(self.spool, name)?;
            return Ok(None);
        }
        let mut digests = Vec::new();
        for input in inputs {
            let mut source = source::open(input, options, true)?;
            source.read_through(self.stop)?;
            digests.push(source.digest());
        }
        if options.errand.digest_of(&digests) != record.input {
            return Err(SendError::OtherInput(key.into()));
        }
        Ok(Some(record.packets))
    }

    /// The only packet of a call, if it has no body: two syncs and one rename.
    fn send_small(
        &self,
        input: &Input,
        to: &Recipient,
        options: &Options,
        run: &Run,
    ) -> Result<Option<PacketId>, SendError> {
        if !input.is_surely_small() {
            return Ok(None);
        }
        let mut source = source::open(input, options, false)?;
        let Some(payload) = source.read_small()? else { return Ok(None) };
        let ways = self.ways(std::slice::from_ref(to), options)?;
        let letters = self.letters(&Matter::Input(&source), &ways, options, &pack::Packed::Inline(payload))?;
        self.check_room(0, options)?;
        let mut barrier = Barrier::new();
        self.note_way(&letters[0], packet_id(&letters[0].envelope), run, &mut barrier)?;
        barrier.wait()?;
        Ok(Some(send_lone(self.spool, run, &letters[0].to, &letters[0].envelope)?))
    }

    fn send_batch(
        &self,
        inputs: &[Input],
        to: &[Recipient],
        options: &Options,
        record: Option<String>,
        run: &Run,
    ) -> Result<Sent, SendError> {
        let batch = Batch::new(self.spool, run)?;
        // In the order of the inputs, whichever is done first.
        let packets: Mutex<Sent> = Mutex::new(vec![PacketId::from_bytes([0; 32]); inputs.len() * to.len()]);
        let digests = Mutex::new(vec![Digest::default(); if record.is_some() { inputs.len() } else { 0 }]);
        let noted = Mutex::new(Barrier::new());
        let packer = pack::Packer { sender: self, options, run, batch: &batch };
        let mut rest = inputs.iter().enumerate();
        let read = |_: &mut Vec<u8>| {
            let Some((number, input)) = rest.next() else { return Ok(None) };
            self.check_stop()?;
            let mut source = source::open(input, options, record.is_some())?;
            let ways = self.ways(to, options)?;
            let packed = packer.pack(&mut source, &self.copies(&ways, options)?)?;
            Ok(Some((number, source, ways, packed)))
        };
        let work = |(number, mut source, ways, packed): Job, _: &mut Vec<u8>| {
            let letters = self.letters(&Matter::Input(&source), &ways, options, &packed)?;
            for (place, letter) in (number * to.len()..).zip(letters) {
                let packet = batch.add(letter.to, &letter.envelope, run.dir(), &letter.bodies)?;
                self.note_way(&letter, packet, run, &mut lock(&noted))?;
                lock(&packets)[place] = packet;
            }
            if record.is_some() {
                lock(&digests)[number] = source.digest();
            }
            Ok::<(), SendError>(())
        };
        for_each_block(options.threads, read, work)?;
        noted.into_inner().unwrap_or_else(PoisonError::into_inner).wait()?;
        let packets = packets.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = record else {
            batch.commit(None)?;
            return Ok(packets);
        };
        let digests = digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        let end = to.iter().map(|to| self.end(to, options)).max().unwrap_or(self.today);
        let record = OnceRecord { name, end, input: options.errand.digest_of(&digests), packets };
        let first = batch.commit(Some(&record))?;
        Ok(first.map_or(record.packets, |first| first.packets))
    }

    /// Writes down who may say something of a packet, what opens that, what is done with an answer, and by which other roads it could go, before it is sent.
    /// Without the packet, these go in their time.
    fn note_way(
        &self,
        letter: &letter::Addressed,
        packet: PacketId,
        run: &Run,
        barrier: &mut Barrier,
    ) -> durable::Result<()> {
        if let Some(record) = &letter.way {
            way::note(self.spool, &letter.to, &packet, record, run, Some(barrier))?;
        }
        if let Some(Back { day, tag, keys, .. }) = &letter.back {
            let expected = Expected { keys: keys.clone(), next: letter.to, packet };
            replies::keep(self.spool, *day, tag, &expected, run, barrier)?;
        }
        if let Some((day, id, asked)) = &letter.asked {
            asked::keep(self.spool, *day, id, asked, run, barrier)?;
        }
        match &letter.roads {
            Some(roads) => roads::note(self.spool, &letter.to, &packet, roads, run, barrier),
            None => Ok(()),
        }
    }

    /// The last day of a packet for `to`.
    fn end(&self, to: &Recipient, options: &Options) -> u32 {
        let most = to.area.and_then(|posting| posting.days).unwrap_or(u32::MAX);
        let ttl = options.ttl.map_or_else(|| u32::from(to.node.send.ttl).min(most), u32::from);
        self.today.saturating_add(ttl)
    }

    fn check_stop(&self) -> Result<(), SendError> {
        if self.stop.load(Ordering::Relaxed) { Err(SendError::Stopped) } else { Ok(()) }
    }

    /// Refuses to go on when `coming` more bytes would leave less than the reserve.
    fn check_room(&self, coming: u64, options: &Options) -> Result<(), SendError> {
        let (free, reserve) = (self.spool.root().free_space()?, options.reserve);
        if free < reserve.saturating_add(coming) {
            let spool = self.spool.root().path().display().to_string();
            return Err(SendError::NoRoom { spool, free, reserve });
        }
        Ok(())
    }
}

/// An input, by its number, whose bodies are packed: its envelopes are still to be made.
type Job<'a> = (usize, source::Source, Vec<letter::Way<'a>>, pack::Packed);

fn input_digest(digests: &[Digest]) -> Digest {
    let parts: Vec<&[u8]> = digests.iter().map(|digest| &digest[..]).collect();
    mb_wire::hash::hash(mb_wire::hash::Label::Input, &parts)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of files in a list, separated by newlines or NULs.
pub fn split_list(list: &[u8], nul: bool) -> Vec<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let separator = if nul { 0 } else { b'\n' };
    let names = list.split(|byte| *byte == separator).filter(|name| !name.is_empty());
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_folder_when_it_ends_with_a_slash() {
        assert_eq!(Place::parse(b""), Ok(Place::Keep));
        assert_eq!(Place::parse(b"reports/"), Ok(Place::Into(b"reports".to_vec())));
        assert_eq!(Place::parse(b"reports/may.pdf"), Ok(Place::As(b"reports/may.pdf".to_vec())));
        for wrong in [&b"/"[..], b"/etc/passwd", b"a//b", b"../x", b"a/./b", b"a\0b"] {
            assert!(Place::parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(Place::Into(b"reports".to_vec()).path_of(b"may.pdf"), b"reports/may.pdf");
    }

    #[test]
    fn a_list_has_a_name_on_each_line_or_between_nuls() {
        assert_eq!(split_list(b"a\nb c\n\n", false), ["a", "b c"]);
        assert_eq!(split_list(b"a\nb\0c\0", true), ["a\nb", "c"]);
    }
}
