//! What is kept of an area, for people to read: opened and verified anew each time, in the order of threads.

use std::collections::BTreeMap;

use mb_spool::areas::{self, Kept};
use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_wire::area::{AreaError, Head};
use mb_wire::id::{AreaId, MsgHash};
use mb_wire::key::ExchangeSecret;
use mb_wire::letter::{Letter, Reader};

use crate::show::Piece;
use crate::toss::decide::Refusal;
use crate::toss::payload::{Bodies, PayloadError};

/// A message that is kept, and was verified.
pub struct KeptPost {
    /// Its name.
    pub hash: MsgHash,
    /// The message that it answers.
    pub re: Option<MsgHash>,
    /// How many messages that are here it answers, one the other.
    pub depth: usize,
    /// Its letter.
    pub letter: Letter,
    kept: Kept,
}

/// A message that is kept, and cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// It is damaged, or was never whole.
    #[error("{0}: damaged: its content is not what its name says")]
    Damaged(MsgHash),
    /// A body that it lists is not there.
    #[error("{0}: damaged: a body of it is missing")]
    NoBody(MsgHash),
    /// It is of an epoch whose letters we cannot open.
    #[error("{0}: of an epoch that this node cannot read")]
    NoKey(MsgHash),
    /// It does not hold.
    #[error("{0}: {1}")]
    Area(MsgHash, #[source] AreaError),
    /// Its payload does not hold.
    #[error("{0}: {1}")]
    Payload(MsgHash, #[source] Box<Refusal>),
}

impl Failure for PostError {
    fn class(&self) -> Class {
        match self {
            PostError::Disk(error) => error.class(),
            PostError::NoKey(_) => Class::Refused,
            PostError::Damaged(_) | PostError::NoBody(_) | PostError::Area(..) | PostError::Payload(..) => Class::Data,
        }
    }
}

/// What opens the letter behind a head, if we may read it.
pub type ReadKey<'a> = &'a dyn Fn(&Head) -> Option<&'a ExchangeSecret>;

/// What is kept of `area`, as far as `read` opens it: each message behind the one that it answers, by the time that their authors claim. What
/// cannot be read is handed to `tell`.
pub fn kept_posts(
    spool: &Spool,
    area: &AreaId,
    read: ReadKey,
    tell: &mut dyn FnMut(PostError),
) -> durable::Result<Vec<KeptPost>> {
    let mut posts = Vec::new();
    for kept in areas::kept(spool, area)? {
        match open(kept, read) {
            Ok(post) => posts.push(post),
            Err(error) => tell(error),
        }
    }
    Ok(in_threads(posts))
}

fn open(kept: Kept, read: ReadKey) -> Result<KeptPost, PostError> {
    let hash = kept.hash;
    let wrong = |cause: AreaError| PostError::Area(hash, cause);
    let message = kept.read()?.ok_or(PostError::Damaged(hash))?;
    message.verify_post().map_err(wrong)?;
    let key = read(&message.head).ok_or(PostError::NoKey(hash))?;
    let (signed, frame) = message.open(key).map_err(wrong)?;
    let (_, letter) = signed.verify_posted(frame).map_err(|cause| wrong(cause.into()))?;
    let re = match &letter.to {
        Reader::Area(posted) => posted.re,
        Reader::Node(_) => None,
    };
    Ok(KeptPost { hash, re, depth: 0, letter, kept })
}

fn in_threads(mut posts: Vec<KeptPost>) -> Vec<KeptPost> {
    posts.sort_by_key(|post| (post.letter.time, post.hash));
    let places: BTreeMap<MsgHash, usize> = posts.iter().enumerate().map(|(place, post)| (post.hash, place)).collect();
    let (mut first, mut answers) = (Vec::new(), vec![Vec::new(); posts.len()]);
    for (place, post) in posts.iter().enumerate() {
        match post.re.and_then(|re| places.get(&re)) {
            Some(asked) => answers[*asked].push(place),
            None => first.push(place),
        }
    }
    // A message names another by a hash that covers what that one names: no circle.
    let mut order = Vec::with_capacity(posts.len());
    let mut rest: Vec<(usize, usize)> = first.into_iter().rev().map(|place| (place, 0)).collect();
    while let Some((place, depth)) = rest.pop() {
        order.push((place, depth));
        rest.extend(answers[place].iter().rev().map(|answer| (*answer, depth + 1)));
    }
    let mut posts: Vec<Option<KeptPost>> = posts.into_iter().map(Some).collect();
    let taken = order.into_iter().filter_map(|(place, depth)| Some(KeptPost { depth, ..posts[place].take()? }));
    taken.collect()
}

impl KeptPost {
    /// Hands on what it brings, after all of that has been verified.
    pub fn payload(&self, threads: usize, take: &mut dyn FnMut(Piece)) -> Result<(), PostError> {
        let files = self.kept.open_bodies(self.letter.bodies.len())?.ok_or(PostError::NoBody(self.hash))?;
        let bodies = Bodies { letter: &self.letter, files, veils: None, threads };
        crate::show::payload(&bodies, take).map_err(|error| match error {
            PayloadError::Disk(error) => error.into(),
            PayloadError::Refused(refusal) => PostError::Payload(self.hash, Box::new(refusal)),
            PayloadError::Enough => PostError::Damaged(self.hash),
        })
    }
}
