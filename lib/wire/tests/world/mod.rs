//! Two nodes and letters between them, for the tests of this folder.
#![allow(dead_code)]

use mb_wire::body::BodyKey;
use mb_wire::envelope::{Address, BodyName, Content, EnvelopeError, Opened, Wrap, open, wrap};
use mb_wire::id::{LetterId, Root};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed};
use mb_wire::letter::{Codec, FileMeta, Form, Kind, Letter, LetterBody, Wants};

/// The nodes: alice sends, bob receives.
pub struct World {
    pub alice: NodeSecrets,
    pub bob: NodeSecrets,
    pub bob_exchange: ExchangeSecret,
}

pub fn node(number: u8) -> NodeSecrets {
    NodeSecrets::from_seed(&Seed::from_bytes([number; 32]))
}

impl World {
    pub fn new() -> World {
        World { alice: node(1), bob: node(2), bob_exchange: ExchangeSecret::from_random([3; 32]) }
    }

    pub fn bob_address(&self) -> Address {
        Address { id: self.bob.id(), exchange: self.bob_exchange.public() }
    }

    /// A letter from alice to bob that is valid as it is.
    pub fn letter(&self) -> Letter {
        Letter {
            to: self.bob.id().into(),
            end: 20_000,
            kind: Kind::File(FileMeta {
                re: None,
                form: Form::Plain,
                mode: 0o644,
                path: b"report.pdf".to_vec(),
                mtime: (7, 8),
            }),
            salt: [4; 16],
            time: 1_700_000_000,
            forwarded: None,
            reply: None,
            wants: Wants::default(),
            author: self.alice.id(),
            bodies: vec![],
            inline: Some(b"hello".to_vec()),
        }
    }

    /// `letter` in an envelope of alice's.
    pub fn wrap(&self, letter: &Letter) -> Result<Vec<u8>, EnvelopeError> {
        self.wrap_as(letter, |_| {})
    }

    /// As [`World::wrap`], with something about the wrapping changed.
    pub fn wrap_as(&self, letter: &Letter, change: impl Fn(&mut Wrap)) -> Result<Vec<u8>, EnvelopeError> {
        let content = Content::Letter(letter.sign(&self.alice));
        let to = self.bob_address();
        let bodies: Vec<_> = letter.bodies.iter().map(|b| BodyName { root: b.root, size: b.size }).collect();
        let mut w =
            Wrap { to: &to, end: letter.end, nice: 96, hops: 16, bodies: &bodies, ask: false, content: &content };
        change(&mut w);
        wrap(&self.alice, &w)
    }

    /// Bob opens it.
    pub fn open(&self, file: &[u8]) -> Result<Opened, EnvelopeError> {
        open(file, self.bob.id(), |tag| (tag == self.bob_exchange.tag()).then_some(&self.bob_exchange))
    }

    /// Bob reads it to the end.
    pub fn read(&self, file: &[u8]) -> Result<(LetterId, Letter), EnvelopeError> {
        let opened = self.open(file)?;
        let prefix = opened.prefix.clone();
        let Content::Letter(letter) = opened.verify_hop(&self.alice.identity_key())? else { panic!("no letter in it") };
        Ok(letter.verify(&self.alice.identity_key(), &prefix)?)
    }
}

/// A body that a letter may list, told apart by `number`.
pub fn listed(number: u8, plain_len: u64) -> LetterBody {
    LetterBody {
        root: Root::from_bytes([number; 32]),
        size: mb_wire::body::body_len(plain_len),
        key: BodyKey::from_random([number; 32]),
        len: plain_len,
        codec: Codec::Plain,
    }
}
