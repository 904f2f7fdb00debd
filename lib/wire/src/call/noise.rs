//! The primitives of suite 1 for `snow`: X25519, ChaCha20-Poly1305, BLAKE2b with 64 bytes, and the one-time key from
//! bytes that the caller of this crate has drawn.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use blake2::{Blake2b512, Digest};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::aead::TAG_LEN;
use crate::id::NodeId;

/// Who may call: call keys (X25519) and whose they are.
pub type Callers = HashMap<[u8; 32], NodeId>;

/// Refuses a key agreement with a caller who is not known, so that a stranger costs one and not two.
#[derive(Clone)]
pub(super) struct Gate {
    callers: Arc<Callers>,
    has_refused: Arc<AtomicBool>,
}

impl Gate {
    pub(super) fn new(callers: Arc<Callers>) -> Gate {
        Gate { callers, has_refused: Arc::default() }
    }

    /// Whether somebody who is not known proved to know our key.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused.load(Ordering::Relaxed)
    }

    fn admits(&self, key: &[u8; 32]) -> bool {
        let is_known = self.callers.contains_key(key);
        self.has_refused.fetch_or(!is_known, Ordering::Relaxed);
        is_known
    }
}

/// What one handshake is given.
pub(super) struct Primitives {
    /// 32 random bytes that become the one-time key.
    pub(super) coins: Zeroizing<[u8; 32]>,
    /// The listener's gate.
    pub(super) gate: Option<Gate>,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.coins.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        let dh =
            X25519 { secret: None, public: [0; 32], gate: self.gate.clone(), is_lasting: false, agreed: false.into() };
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(dh) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2b).then(|| Box::new(Blake2b(Blake2b512::new())) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::new(ChaChaPoly(None)) as Box<dyn Cipher>)
    }
}

/// Gives its bytes once: a handshake draws one key.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let coins = self.0.take().filter(|coins| coins.len() == into.len()).ok_or(Error::Rng)?;
        into.copy_from_slice(&*coins);
        Ok(())
    }
}

struct X25519 {
    secret: Option<StaticSecret>,
    public: [u8; 32],
    gate: Option<Gate>,
    /// Whether it is our call key, not a one-time key.
    is_lasting: bool,
    /// Whether it has agreed with the other side's one-time key; next comes the lasting one.
    agreed: AtomicBool,
}

impl X25519 {
    fn keep(&mut self, secret: StaticSecret) {
        self.public = PublicKey::from(&secret).to_bytes();
        self.secret = Some(secret);
    }

    /// Whether the key agreement may be made at all.
    fn may_agree(&self, with: &[u8; 32]) -> bool {
        match &self.gate {
            Some(gate) if self.is_lasting && self.agreed.swap(true, Ordering::Relaxed) => gate.admits(with),
            _ => true,
        }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        // `snow` checks the length before.
        let secret: [u8; 32] = secret.try_into().unwrap_or_default();
        self.keep(StaticSecret::from(secret));
        self.is_lasting = true;
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut *secret)?;
        self.keep(StaticSecret::from(*secret));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_ref().map_or(&[0; 32], |secret| secret.as_bytes())
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public: [u8; 32] = public.get(..32).and_then(|key| key.try_into().ok()).ok_or(Error::Dh)?;
        let secret = self.secret.as_ref().ok_or(Error::Dh)?;
        if !self.may_agree(&public) {
            return Err(Error::Dh);
        }
        #[cfg(test)]
        AGREEMENTS.set(AGREEMENTS.get() + 1);
        let shared = secret.diffie_hellman(&PublicKey::from(public));
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out.get_mut(..32).ok_or(Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
thread_local! {
    static AGREEMENTS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Key agreements that this thread has made.
#[cfg(test)]
pub(super) fn agreement_count() -> u32 {
    AGREEMENTS.get()
}

struct ChaChaPoly(Option<ChaCha20Poly1305>);

impl ChaChaPoly {
    fn cipher(&self) -> &ChaCha20Poly1305 {
        self.0.as_ref().expect("snow sets the key before it uses a cipher")
    }
}

/// The Noise specification, section 12: four zeros, then the number, little-endian.
fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(ChaCha20Poly1305::new(key.into()));
    }

    fn encrypt(&self, number: u64, associated: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let (text, rest) = out.split_at_mut(plain.len());
        let both = InOutBuf::new(plain, text).expect("they are of one length");
        let tag = self.cipher().encrypt_inout_detached(&nonce(number).into(), associated, both);
        rest[..TAG_LEN].copy_from_slice(&tag.expect("a frame is far below the cipher's limit of 256 GiB"));
        plain.len() + TAG_LEN
    }

    fn decrypt(&self, number: u64, associated: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let (text, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        let both = InOutBuf::new(text, out).map_err(|_| Error::Decrypt)?;
        let opened = self.cipher().decrypt_inout_detached(&nonce(number).into(), associated, both, tag.into());
        opened.map(|()| text.len()).map_err(|_| Error::Decrypt)
    }
}

struct Blake2b(Blake2b512);

impl Hash for Blake2b {
    fn name(&self) -> &'static str {
        "BLAKE2b"
    }

    fn block_len(&self) -> usize {
        128
    }

    fn hash_len(&self) -> usize {
        64
    }

    fn reset(&mut self) {
        self.0 = Blake2b512::new();
    }

    fn input(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..64].copy_from_slice(&self.0.finalize_reset());
    }
}
