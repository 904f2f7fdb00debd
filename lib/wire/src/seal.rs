//! The seal: to a public key, from anybody (format.md, section 4). A key agreement, a key schedule that binds all that
//! both sides must agree on, a commitment compared before anything is decrypted, and one box.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::aead;
use crate::card::SUITE;
use crate::hash::{Digest, Label, hash, keyed, lp};
use crate::id::NodeId;
use crate::key::ExchangeSecret;

/// What is sealed: a ciphertext of one context cannot stand in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The sealed part of an envelope.
    Envelope,
}

impl Context {
    fn as_str(self) -> &'static str {
        match self {
            Context::Envelope => "envelope",
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
}

/// A recipient: the node and the exchange key (public) to seal to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The node.
    pub id: NodeId,
    /// Its exchange key, X25519.
    pub exchange: [u8; 32],
}

/// The result of the key schedule: opens or seals one box.
pub(crate) struct Sealing {
    pub(crate) share: [u8; 32],
    pub(crate) commit: Digest,
    key: Zeroizing<Digest>,
}

impl Sealing {
    /// The writer's side. `coins` depend on all that is sealed, so that no key comes twice for different content.
    pub(crate) fn new(coins: &[u8; 32], context: Context, to: &Address) -> Result<Sealing, SealError> {
        let secret = ExchangeSecret::from_random(*coins);
        let shared = secret.agree(&to.exchange).ok_or(SealError::LowOrder)?;
        Ok(Sealing::schedule(context, secret.public(), to, &shared))
    }

    /// The reader's side: compares the commitment.
    pub(crate) fn find(
        secret: &ExchangeSecret,
        context: Context,
        to: NodeId,
        share: [u8; 32],
        commit: &Digest,
    ) -> Result<Sealing, SealError> {
        let shared = secret.agree(&share).ok_or(SealError::LowOrder)?;
        let address = Address { id: to, exchange: secret.public() };
        let sealing = Sealing::schedule(context, share, &address, &shared);
        // No need for constant time: the commitment is public, and whoever sends may know it.
        if sealing.commit == *commit { Ok(sealing) } else { Err(SealError::Commitment) }
    }

    fn schedule(context: Context, share: [u8; 32], to: &Address, shared: &[u8; 32]) -> Sealing {
        let parts: [&[u8]; 6] = [&[SUITE], context.as_str().as_bytes(), &share, &to.exchange, to.id.as_bytes(), shared];
        let lens = parts.map(lp);
        let prefixed: Vec<&[u8]> = lens.iter().zip(parts).flat_map(|(len, part)| [len.as_slice(), part]).collect();
        let extracted = Zeroizing::new(hash(Label::Seal, &prefixed));
        Sealing {
            share,
            commit: keyed(&extracted, Label::Commit, &[]),
            key: Zeroizing::new(keyed(&extracted, Label::Key, &[])),
        }
    }

    /// Seals `buf` in place: plaintext, then 16 bytes for the tag. Spent by it: a key seals once.
    pub(crate) fn seal(self, associated: &[u8], buf: &mut [u8]) {
        aead::seal(&self.key, &aead::ONCE, associated, buf);
    }

    /// Opens `buf` in place.
    pub(crate) fn open(self, associated: &[u8], buf: &mut [u8]) -> Result<(), SealError> {
        aead::open(&self.key, &aead::ONCE, associated, buf).map(|_| ()).map_err(|_| SealError::Altered)
    }
}
