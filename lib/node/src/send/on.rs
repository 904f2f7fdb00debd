//! On: what was written to a list goes on to its subscribers, with its bodies as they are.

use mb_spool::barrier::Barrier;
use mb_spool::batch::{Batch, publish_all};
use mb_spool::durable::DirRef;
use mb_spool::once::{self, OnceRecord};
use mb_spool::run::Run;
use mb_wire::id::LetterId;
use mb_wire::letter::Letter;
use mb_wire::list::Forwarded;

use super::letter::Matter;
use super::pack::{Packed, PackedBody};
use super::{MOST_SHARING, Options, Recipient, SendError, Sender, Sent};

/// A letter to a list.
pub struct SentOn<'a> {
    /// Its id.
    pub id: LetterId,
    /// The letter.
    pub letter: &'a Letter,
    /// The same as its author signed it.
    pub forwarded: &'a Forwarded,
    /// Where its bodies lie.
    pub dir: &'a DirRef,
    /// By which names.
    pub bodies: &'a [String],
}

impl Sender<'_> {
    /// Sends the letter on to each of `to`, all in one durable step that `record` is part of: under that name once, whoever is asked for.
    /// The bodies are linked. Nothing of it lives longer than the letter.
    pub fn send_on(
        &self,
        on: &SentOn,
        to: &[Recipient],
        options: &Options,
        record: String,
        run: &Run,
    ) -> Result<Sent, SendError> {
        publish_all(self.spool, run)?;
        if let Some(sent) = once::read(self.spool, &record)? {
            return Ok(sent.packets);
        }
        self.check_room(0, options)?;
        let mut ways = self.ways(to, options)?;
        ways.iter_mut().for_each(|way| way.end_by(on.letter.end));
        let packed = match &on.letter.inline {
            Some(payload) => Packed::Inline(payload.clone()),
            // There are no other copies, for however many.
            None => Packed::Bodies(vec![on.bodies(); ways.len().div_ceil(MOST_SHARING)]),
        };
        let letters = self.letters(&Matter::SentOn(on.letter, on.forwarded), &ways, options, &packed)?;
        let (batch, mut noted) = (Batch::new(self.spool, run)?, Barrier::new());
        let mut packets = Vec::with_capacity(letters.len());
        for letter in letters {
            let packet = batch.add(letter.to, &letter.envelope, on.dir, &letter.bodies)?;
            self.note_way(&letter, packet, run, &mut noted)?;
            packets.push(packet);
        }
        noted.wait()?;
        let record = OnceRecord { name: record, end: on.letter.end, input: *on.id.as_bytes(), packets };
        let first = batch.commit(Some(&record))?;
        Ok(first.map_or(record.packets, |first| first.packets))
    }
}

impl SentOn<'_> {
    fn bodies(&self) -> Vec<PackedBody> {
        let named = self.letter.bodies.iter().zip(self.bodies);
        named.map(|(entry, name)| PackedBody { name: name.clone(), entry: entry.clone(), links: Vec::new() }).collect()
    }
}
