//! Reply: what the recipient of an onion of ours answers, by the way back that lay in its letter. Its receipt is kept like one that
//! came from hop to hop; then the tag of our slot is marked in `self/seen/`, so that a copy is dropped; then what was kept to open
//! it goes, and then the input. Who dies in between does the rest again.

use mb_spool::barrier::Barrier;
use mb_spool::durable::{self, DirRef};
use mb_spool::replies::{self, Expected};
use mb_spool::seen::{self, DoneMark, Seen};
use mb_spool::way::{self, Hop, Origin, Record};
use mb_wire::id::SlotTag;
use mb_wire::reply::Returned;
use mb_wire::report::{Report, Signed};
use mb_wire::route::RouteError;

use super::apply::{Batch, Fate};
use super::decide::Refusal;
use super::payload::PayloadError;
use super::stage::Stage;
use crate::receipts::hop_of;

/// What was answered, by the recipient, of a packet of ours.
pub(super) struct Answered {
    /// Last day of our slot.
    pub day: u32,
    /// Its tag.
    pub tag: SlotTag,
    /// Where the packet's way is known.
    pub way: DirRef,
    /// Who may say something of it.
    pub hops: Vec<Hop>,
    /// What is said.
    pub report: Report,
}

impl Batch<'_, '_> {
    /// What an onion without a letter says, if it is one that we wait for; `error` is why it holds no letter.
    pub(super) fn take_reply(
        &self,
        returned: &Returned,
        error: &RouteError,
        stage: &Stage,
    ) -> Result<Fate, PayloadError> {
        let (spool, Returned { tag, end: day, .. }) = (self.tosser.spool, returned);
        if stage.look_up(*day, tag)? != Seen::New {
            // Of whoever marked it and came no further.
            replies::end(spool, *day, tag)?;
            return Ok(Fate::Known);
        }
        let Some(Expected { keys, next, packet }) = replies::find(spool, *day, tag)? else {
            return Err(Refusal::NoReply(error.clone()).into());
        };
        let statement = keys.open(returned).map_err(Refusal::from)?;
        let signed = Signed::parse(&statement).map_err(Refusal::from)?;
        let record = match way::open(spool, &next)? {
            Some(way) => way::read(&way, &packet)?.map(|record| (way, record)),
            None => None,
        };
        // Whoever removed the packet's way wants to hear no more of it.
        let Some((way, Record { origin: Origin::Ours { hops, .. }, .. })) = record else { return Ok(Fate::Done) };
        if hop_of(&hops, &signed).is_none() {
            return Err(Refusal::OtherReceipt.into());
        }
        let report = Report { packet, statement };
        Ok(Fate::Answered(Box::new(Answered { day: *day, tag: *tag, way, hops, report })))
    }

    /// These have been kept: no copy counts, and nothing opens one any more.
    pub(super) fn end_replies(&self, ended: &[(u32, SlotTag)]) -> durable::Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let spool = self.tosser.spool;
        let (mark, mut barrier) = (DoneMark::make(self.run)?, Barrier::new());
        for (day, tag) in ended {
            let dir = seen::day_dir(spool, *day)?;
            mark.settle(&dir, tag, self.run)?;
            barrier.dir(&dir);
        }
        barrier.wait()?;
        ended.iter().try_for_each(|(day, tag)| replies::end(spool, *day, tag))
    }
}
