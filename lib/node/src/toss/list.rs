//! List: what is written to a node that is a list goes on to its subscribers, in letters of the list's own.
//!
//! Sent in one durable step with the record that it was; then the letter is marked, then the input goes. Bodies are linked, never opened: that
//! they are what their names say is checked before, since no other copy is looked at after.

use std::collections::BTreeSet;

use mb_spool::barrier::Barrier;
use mb_spool::names::body_name;
use mb_spool::relayed;
use mb_spool::seen::Seen;
use mb_wire::id::{LetterId, NodeId, PacketId};

use super::apply::{Batch, Fate};
use super::decide::{Accepted, Deliver, Refusal};
use super::payload::PayloadError;
use super::post::verify_bodies;
use super::request;
use super::send_back::SendBackError;
use super::stage::Stage;
use crate::config::{KnownNode, List};
use crate::send::{Errand, Recipient, SendError, SentOn};

/// The key under which a letter is sent on once. Like that of an answer, it is never that of a user.
fn key(letter: &LetterId) -> String {
    format!("on {letter}")
}

/// Subscribers, and the packets that went to them.
pub(super) type SentTo<'a> = Vec<(&'a KnownNode, PacketId)>;

impl<'a> Batch<'_, 'a> {
    /// Whether a letter to the list may go on.
    pub(super) fn ready_to_send_on(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        stage: &Stage,
        threads: usize,
    ) -> Result<Fate, PayloadError> {
        let fate = request::look_up(deliver, stage)?;
        if matches!(fate, Fate::Known) {
            return Ok(fate);
        }
        let files = match self.open_bodies(accepted)? {
            Ok(files) => files,
            Err(missing) => return Ok(Fate::Waits(missing)),
        };
        verify_bodies(accepted, &files, threads)?;
        match self.admits(accepted)? {
            true => Ok(fate),
            false => Err(Refusal::TooMuchUnderWay(accepted.from.name.clone()).into()),
        }
    }

    /// Sends it on, unless that was done. Durable on return. `None`: the user stopped it.
    pub(super) fn send_on(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        list: &List,
        stage: &Stage,
    ) -> Result<Option<SentTo<'a>>, PayloadError> {
        let (tosser, Deliver { id, letter, .. }) = (self.tosser, deliver);
        let (Some(forwarded), Some(author)) = (&deliver.forwarded, deliver.author.known) else {
            return Ok(None);
        };
        // A copy of it may have gone on after this one was looked at.
        let record = tosser.record_of(&key(id));
        if stage.look_up(letter.end, id)? == Seen::Done || tosser.is_recorded(&record)? {
            return Ok(Some(Vec::new()));
        }
        let nodes = self.listed(list, &author.id())?;
        let mut barrier = Barrier::new();
        self.keep_path(accepted, deliver, &mut barrier)?;
        barrier.wait()?;
        let to: Vec<Recipient> =
            nodes.iter().map(|node| tosser.recipient(node)).collect::<Result<_, _>>().map_err(failed)?;
        let names: Vec<String> = (0..accepted.bodies.len()).map(|number| body_name(&accepted.packet, number)).collect();
        let on = SentOn { id: *id, letter, forwarded, dir: &self.source.dir, bodies: &names };
        // In a run of its own, as an answer.
        let run = tosser.fresh_run().map_err(failed)?;
        let sender = tosser.sender(author, self.today.day);
        let packets = match sender.send_on(&on, &to, &tosser.options(Errand::Files(None), None), record, &run) {
            Ok(packets) => packets,
            Err(SendError::Stopped) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let link = accepted.from.link;
        if link.most_bytes.is_some() || link.most_packets.is_some() {
            for (to, packet) in to.iter().zip(&packets) {
                let first = to.via.first().unwrap_or(&to.node).id();
                relayed::note(tosser.spool, &accepted.from.id(), &first, packet, self.run)?;
            }
        }
        Ok(Some(nodes.into_iter().zip(packets).collect()))
    }

    /// The subscribers, each once: not the list itself, nor the author.
    fn listed(&self, list: &List, author: &NodeId) -> Result<Vec<&'a KnownNode>, Refusal> {
        let mut known = BTreeSet::from([self.tosser.spool.own(), *author]);
        let mut listed = Vec::new();
        for name in &list.subscribers {
            let node = self.tosser.nodes.named(name).ok_or_else(|| Refusal::UnknownListed(name.clone()))?;
            if known.insert(node.id()) {
                listed.push(node);
            }
        }
        Ok(listed)
    }
}

fn failed(error: SendBackError) -> PayloadError {
    match error {
        SendBackError::Send(SendError::Disk(error)) => error.into(),
        SendBackError::Send(SendError::Large { cause, .. }) => Refusal::NotSentOn(cause.to_string()).into(),
        error => Refusal::NotSentOnNow(error.to_string()).into(),
    }
}
