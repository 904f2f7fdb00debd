//! Send back: a file letter that answers a letter, by the author's own roads. Once for each letter: the record is part of the same
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
        let record = once::read(self.spool, &record_name(&key(re), [""].into_iter()))?;
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
        let mut run_name = [0; 16];
        (self.random)(&mut run_name).map_err(SendError::Random)?;
        let run = Run::start(self.spool, run_name)?;
        let own = self.spool.own();
        let unknown = |word: &str| HomeError::UnknownNode { word: word.into(), near: None };
        let find = |word: &str| self.nodes.named(word).ok_or_else(|| unknown(word));
        let ways = roads(own, to, find).map_err(|error| SendBackError::Way(to.name.clone(), error))?;
        let mut ways = ways.into_iter();
        let via = ways.next().unwrap_or_default();
        let recipient =
            Recipient { node: to, via, others: ways.collect(), words: String::new(), place: Place::Keep, area: None };
        let sender = Sender {
            spool: self.spool,
            secrets: self.secrets,
            itself: self.nodes.node(&own).unwrap_or(to),
            random: self.random,
            now: self.now,
            today,
            stop: self.stop,
            progress: &|_| {},
        };
        let sent = sender.send(&[input], &[recipient], &Options { name, ..self.answering(re) }, &run)?;
        Ok(sent[0])
    }

    fn answering(&self, re: &LetterId) -> Options {
        Options {
            errand: Errand::Files(Some(*re)),
            nice: None,
            ttl: None,
            name: None,
            once: Some(key(re)),
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
