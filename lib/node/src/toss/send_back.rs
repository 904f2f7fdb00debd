//! Send back: a file letter that answers a letter, by the author's own roads; and what sends letters while tossing. Once for each letter: the record is part of the same
//! durable step as the answer.

use mb_spool::durable;
use mb_spool::once::{self, record_name};
use mb_spool::run::Run;
use mb_wire::id::{LetterId, PacketId};

use super::Tosser;
use crate::config::KnownNode;
use crate::home::HomeError;
use crate::send::{Compress, Errand, Input, Options, Place, Recipient, SendError, Sender};
use crate::way::{WayError, roads};

/// Why an answer was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendBackError {
    /// It could not be made.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No road leads to who shall have it.
    #[error("{0}: roads: {1}")]
    Way(String, #[source] WayError),
}

impl From<durable::Error> for SendBackError {
    fn from(error: durable::Error) -> SendBackError {
        SendError::from(error).into()
    }
}

/// The key under which the answer to a letter is sent once. No recipient that is typed has no words, so it is never that of
/// a user.
fn key(re: &LetterId) -> String {
    format!("re {re}")
}

impl Tosser<'_> {
    /// The packet that answers letter `re`, if it was sent.
    pub(super) fn sent_back(&self, re: &LetterId) -> durable::Result<Option<PacketId>> {
        let record = once::read(self.spool, &self.record_of(&key(re)))?;
        Ok(record.and_then(|record| record.packets.first().copied()))
    }

    /// Sends `input` to `to` as the answer to its letter `re`, by its own name or another, unless that was answered before. Durable on return. In a run
    /// of its own: whatever fails, nothing of it is left to whoever works on.
    pub(super) fn send_back(
        &self,
        to: &KnownNode,
        re: &LetterId,
        input: Input,
        name: Option<Vec<u8>>,
        today: u32,
    ) -> Result<PacketId, SendBackError> {
        if let Some(packet) = self.sent_back(re)? {
            return Ok(packet);
        }
        let (run, recipient) = (self.fresh_run()?, self.recipient(to)?);
        let options = Options { name, ..self.options(Errand::Files(Some(*re)), Some(key(re))) };
        let sent = self.sender(to, today).send(&[input], &[recipient], &options, &run)?;
        Ok(sent[0])
    }

    /// The name of the record of what was sent under a key of ours.
    pub(super) fn record_of(&self, key: &str) -> String {
        record_name(key, [""].into_iter())
    }

    /// Whether something was sent with this record.
    pub(super) fn is_recorded(&self, record: &str) -> durable::Result<bool> {
        Ok(once::read(self.spool, record)?.is_some())
    }

    /// One more run.
    pub(super) fn fresh_run(&self) -> Result<Run, SendBackError> {
        let mut run_name = [0; 16];
        (self.random)(&mut run_name).map_err(SendError::Random)?;
        Ok(Run::start(self.spool, run_name)?)
    }

    /// A node, by its own roads.
    pub(super) fn recipient<'n>(&'n self, to: &'n KnownNode) -> Result<Recipient<'n>, SendBackError> {
        let own = self.spool.own();
        let unknown = |word: &str| HomeError::UnknownNode { word: word.into(), near: None };
        let find = |word: &str| self.nodes.named(word).ok_or_else(|| unknown(word));
        let ways = roads(own, to, find).map_err(|error| SendBackError::Way(to.name.clone(), error))?;
        let mut ways = ways.into_iter();
        let via = ways.next().unwrap_or_default();
        Ok(Recipient { node: to, via, others: ways.collect(), words: String::new(), place: Place::Keep, area: None })
    }

    /// What sends, to `to` or to others.
    pub(super) fn sender<'n>(&'n self, to: &'n KnownNode, today: u32) -> Sender<'n> {
        Sender {
            spool: self.spool,
            secrets: self.secrets,
            itself: self.nodes.node(&self.spool.own()).unwrap_or(to),
            random: self.random,
            now: self.now,
            today,
            stop: self.stop,
            progress: &|_| {},
        }
    }

    /// How to send, with nothing but defaults.
    pub(super) fn options(&self, errand: Errand, once: Option<String>) -> Options {
        Options {
            errand,
            nice: None,
            ttl: None,
            name: None,
            once,
            private: false,
            pad: false,
            receipt: false,
            trace: false,
            onion: None,
            compress: Compress::Auto,
            reserve: self.reserve,
            threads: self.threads,
        }
    }
}
