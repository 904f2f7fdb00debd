//! The seal: to a public key, from anybody (format.md, section 4). A key agreement, a key schedule that binds all that
//! both sides must agree on, a commitment compared before anything is decrypted, and one box.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead;
use crate::card::SUITE;
use crate::hash::{Digest, Label, hash, keyed, lp};
use crate::id::NodeId;
use crate::key::ExchangeSecret;
use crate::size;

/// Length of what is sealed besides the content: its length, and the tag. No sealed part is shorter.
pub(crate) const SEALED_LEAST: usize = 4 + aead::TAG_LEN;

/// What is sealed: a ciphertext of one context cannot stand in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The sealed part of an envelope.
    Envelope,
    /// The keys of a hop.
    Route,
    /// A letter that comes by a route.
    Letter,
    /// A letter to an area.
    Area,
    /// What opens the letters of an epoch of a moderated area.
    Epoch,
}

impl Context {
    fn as_str(self) -> &'static str {
        match self {
            Context::Envelope => "envelope",
            Context::Route => "route",
            Context::Letter => "letter",
            Context::Area => "area",
            Context::Epoch => "epoch",
        }
    }
}

/// Why something cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// A public key or share of small order: the shared secret would be known to all.
    #[error("the key agreement would be no secret: the other side's key is of low order")]
    LowOrder,
    /// Not sealed to this key in this context, or the share was altered.
    #[error("commitment does not match: it was sealed to another key, or altered")]
    Commitment,
    /// The box does not open.
    #[error("does not open: it was altered")]
    Altered,
    /// The length of what is sealed does not fit into it.
    #[error("claims that more is sealed in it than fits")]
    InnerLength,
    /// It is not of the size class that it should be.
    #[error("is filled up to {found} bytes instead of {expected}")]
    Class {
        /// The class of what it holds.
        expected: u64,
        /// Its length.
        found: usize,
    },
    /// Padding that is not zero.
    #[error("is filled up with something else than zeros")]
    Padding,
}

/// A recipient: the node and the exchange key (public) to seal to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The node.
    pub id: NodeId,
    /// Its exchange key, X25519.
    pub exchange: [u8; 32],
}

/// What both sides of a key agreement come to: the source of the key that seals once, or of a hop's keys.
pub(crate) struct Agreement {
    pub(crate) share: [u8; 32],
    pub(crate) commit: Digest,
    /// `x` of format.md.
    extracted: Zeroizing<Digest>,
}

impl Agreement {
    /// The writer's side, to the exchange key of whoever has the id. `coins` depend on all that is sealed, or are random, so that
    /// no key comes twice for different content.
    pub(crate) fn new(
        coins: &[u8; 32],
        context: Context,
        id: &[u8; 32],
        exchange: &[u8; 32],
    ) -> Result<Agreement, SealError> {
        let secret = ExchangeSecret::from_random(*coins);
        let shared = secret.agree(exchange).ok_or(SealError::LowOrder)?;
        Ok(Agreement::schedule(context, secret.public(), id, exchange, &shared))
    }

    /// The reader's side: compares the commitment.
    pub(crate) fn find(
        secret: &ExchangeSecret,
        context: Context,
        id: &[u8; 32],
        share: [u8; 32],
        commit: &Digest,
    ) -> Result<Agreement, SealError> {
        let shared = secret.agree(&share).ok_or(SealError::LowOrder)?;
        let agreement = Agreement::schedule(context, share, id, &secret.public(), &shared);
        // No need for constant time: the commitment is public, and whoever sends may know it.
        if agreement.commit == *commit { Ok(agreement) } else { Err(SealError::Commitment) }
    }

    fn schedule(context: Context, share: [u8; 32], id: &[u8; 32], exchange: &[u8; 32], shared: &[u8; 32]) -> Agreement {
        let parts: [&[u8]; 6] = [&[SUITE], context.as_str().as_bytes(), &share, exchange, id, shared];
        let lens = parts.map(lp);
        let prefixed: Vec<&[u8]> = lens.iter().zip(parts).flat_map(|(len, part)| [len.as_slice(), part]).collect();
        let extracted = Zeroizing::new(hash(Label::Seal, &prefixed));
        Agreement { share, commit: keyed(&extracted, Label::Commit, &[]), extracted }
    }

    /// A key of its own for each label and parts.
    pub(crate) fn derive(&self, label: Label, parts: &[&[u8]]) -> Zeroizing<Digest> {
        Zeroizing::new(keyed(&self.extracted, label, parts))
    }

    /// `head`, which is authenticated, and `inner`, sealed and filled up so that the whole is of a size class, of `least` bytes
    /// at the least. Spent by it: a key seals once.
    pub(crate) fn seal(self, head: &[u8], inner: &[u8], least: usize) -> Vec<u8> {
        let mut file = vec![0; filled_len(head.len(), inner.len(), least) as usize];
        let (clear, sealed) = file.split_at_mut(head.len());
        clear.copy_from_slice(head);
        let (len, rest) = sealed.split_at_mut(4);
        len.copy_from_slice(&(inner.len() as u32).to_be_bytes());
        rest[..inner.len()].copy_from_slice(inner);
        aead::seal(&self.derive(Label::Key, &[]), &aead::ONCE, clear, sealed);
        file
    }

    /// What is sealed behind the first `head_len` bytes of `file`, which has `least` bytes at the least.
    pub(crate) fn open(self, file: &[u8], head_len: usize, least: usize) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, sealed) = file.split_at(head_len);
        let mut buf = Zeroizing::new(sealed.to_vec());
        let key = self.derive(Label::Key, &[]);
        let opened = aead::open(&key, &aead::ONCE, head, &mut buf).map_err(|_| SealError::Altered)?;
        let (len, rest) = opened.split_first_chunk::<4>().ok_or(SealError::InnerLength)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (inner, padding) = rest.split_at_checked(len).ok_or(SealError::InnerLength)?;
        let expected = filled_len(head_len, len, least);
        if expected != file.len() as u64 {
            return Err(SealError::Class { expected, found: file.len() });
        }
        if padding.iter().any(|&byte| byte != 0) {
            return Err(SealError::Padding);
        }
        Ok(Zeroizing::new(inner.to_vec()))
    }
}

/// How long a file is with a head and what is sealed behind it, filled up.
fn filled_len(head_len: usize, inner_len: usize, least: usize) -> u64 {
    size::class((head_len + inner_len + SEALED_LEAST).max(least) as u64)
}
