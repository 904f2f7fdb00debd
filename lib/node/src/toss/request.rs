//! Requests: what somebody asks for is found, and sent back; and with them what a list sends on. One after another; each is marked as answered when its answer is durable,
//! and the inputs go last.

use mb_spool::barrier::Barrier;
use mb_spool::durable;
use mb_spool::seen::{DoneMark, Seen};
use mb_wire::id::PacketId;
use mb_wire::letter::Kind;

use super::apply::{Batch, Fate, Item};
use super::decide::{Accepted, Deliver, How, Refusal, Task};
use super::list::SentTo;
use super::payload::PayloadError;
use super::send_back::SendBackError;
use super::stage::Stage;
use super::{Event, Tell};
use crate::config::Share;
use crate::send::SendError;
use crate::share::{self, ShareError};

/// What came of a request, or of a letter to a list.
enum Outcome<'a> {
    /// This packet was sent.
    Sent(PacketId),
    /// These were sent to the subscribers of a list.
    SentOn(SentTo<'a>),
    /// It was answered before.
    Before,
    /// The user stopped it.
    Stopped,
}

impl<'a> Batch<'_, 'a> {
    /// Answers these. What cannot be answered now joins `others` as failed or refused, what is answered as done.
    pub(super) fn answer_requests(
        &self,
        asked: Vec<Item<'a>>,
        others: &mut Vec<Item<'a>>,
        stage: &Stage,
        tell: Tell,
    ) -> durable::Result<()> {
        let mark = DoneMark::make(self.run)?;
        let mut barrier = Barrier::new();
        for mut item in asked {
            let Some(accepted) = &item.accepted else { continue };
            let Task::Deliver(deliver) = &accepted.task else { continue };
            let outcome = match deliver.how {
                How::SendOn(list) => {
                    let sent = self.send_on(accepted, deliver, list, stage);
                    sent.map(|sent| sent.map_or(Outcome::Stopped, Outcome::SentOn))
                }
                _ => self.answer_request(accepted, deliver, stage),
            };
            item.fate = match outcome {
                Ok(Outcome::Stopped) => Fate::Left,
                Ok(outcome) => {
                    let day = stage.day(deliver.letter.end)?;
                    mark.settle(&day, &deliver.id, self.run)?;
                    barrier.dir(&day);
                    let packet = item.packet;
                    match outcome {
                        Outcome::Sent(became) => tell(Event::Answered { packet, to: &deliver.author.name, became }),
                        Outcome::SentOn(sent) => sent
                            .into_iter()
                            .for_each(|(node, became)| tell(Event::Relayed { packet, next: &node.name, became })),
                        Outcome::Before | Outcome::Stopped => {}
                    }
                    Fate::Done
                }
                Err(PayloadError::Refused(refusal)) => Fate::Refused(refusal),
                Err(PayloadError::Disk(error)) => Fate::Failed(error),
                Err(PayloadError::Enough) => Fate::Left,
            };
            others.push(item);
        }
        barrier.wait()
    }

    fn answer_request(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        stage: &Stage,
    ) -> Result<Outcome<'a>, PayloadError> {
        let Deliver { id, letter, author, .. } = deliver;
        let (Kind::Request(request), How::Answer(shares)) = (&letter.kind, deliver.how) else {
            return Ok(Outcome::Stopped);
        };
        let tosser = self.tosser;
        // A copy of it may have been answered after this one was looked at.
        if stage.look_up(letter.end, id)? == Seen::Done || tosser.sent_back(id)?.is_some() {
            return Ok(Outcome::Before);
        }
        let mut barrier = Barrier::new();
        self.keep_path(accepted, deliver, &mut barrier)?;
        barrier.wait()?;
        let input =
            share::find(shares, request, tosser.open).map_err(|error| not_found(error, &author.name, &request.path))?;
        let Some(author) = author.known else { return Err(Refusal::UnknownAuthor(author.id).into()) };
        match tosser.send_back(author, id, input, None, self.today.day) {
            Ok(packet) => Ok(Outcome::Sent(packet)),
            Err(SendBackError::Send(SendError::Stopped)) => Ok(Outcome::Stopped),
            Err(SendBackError::Send(SendError::Disk(error))) => Err(error.into()),
            Err(error) => Err(Refusal::NoAnswer { why: error.to_string() }.into()),
        }
    }
}

/// Before anything is opened: whether the letter was answered already.
pub(super) fn look_up(deliver: &Deliver, stage: &Stage) -> Result<Fate, PayloadError> {
    match stage.look_up(deliver.letter.end, &deliver.id)? {
        Seen::Done => Ok(Fate::Known),
        Seen::New | Seen::Begun(_) => Ok(Fate::Asked),
    }
}

/// Whether a path leads to a share at all.
pub(super) fn is_in_a_share(shares: &[Share], path: &[u8]) -> bool {
    path.is_empty() || share::locate(shares, path).is_some()
}

fn not_found(error: ShareError, author: &str, path: &[u8]) -> PayloadError {
    let (author, asked) = (author.to_owned(), shown(path));
    match error {
        ShareError::NotShared => Refusal::NotShared { author, path: asked }.into(),
        ShareError::TooLarge(_) | ShareError::TooMany(_) | ShareError::TooDeep => {
            Refusal::TooMuchAsked { author, path: asked, why: error.to_string() }.into()
        }
        ShareError::Disk(error) => error.into(),
    }
}

/// A path for messages.
pub(super) fn shown(path: &[u8]) -> String {
    let text = if path.is_empty() { "/".into() } else { String::from_utf8_lossy(path) };
    text.escape_debug().to_string()
}
