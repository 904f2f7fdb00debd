//! Letters and envelopes: one of each for every recipient of an input.

use mb_spool::batch::MadeBody;
use mb_wire::envelope::{Address, BodyName, Content, HOPS_MOST, Wrap, wrap};
use mb_wire::id::NodeId;
use mb_wire::letter::{FileMeta, Kind, Letter, LetterBody};

use super::pack::Packed;
use super::source::Source;
use super::{MOST_SHARING, Options, Recipient, SendError, Sender};

/// What goes into the batch for one recipient.
pub struct Addressed {
    /// The recipient.
    pub to: NodeId,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The bodies that it lists.
    pub bodies: Vec<MadeBody>,
}

impl Sender<'_> {
    /// One envelope for each recipient, in order.
    pub(super) fn letters(
        &self,
        source: &Source,
        to: &[Recipient],
        options: &Options,
        packed: &Packed,
    ) -> Result<Vec<Addressed>, SendError> {
        let seal = |(number, recipient)| self.letter(source, recipient, number, options, packed);
        to.iter().enumerate().map(seal).collect()
    }

    fn letter(
        &self,
        source: &Source,
        to: &Recipient,
        number: usize,
        options: &Options,
        packed: &Packed,
    ) -> Result<Addressed, SendError> {
        let (inline, bodies) = match packed {
            Packed::Inline(payload) => (Some(payload.clone()), &[][..]),
            Packed::Bodies(copies) if options.private => (None, &copies[number][..]),
            Packed::Bodies(copies) => (None, &copies[number / MOST_SHARING][..]),
        };
        let (address, end) = self.address(to, options)?;
        let letter = Letter {
            to: address.id,
            end,
            kind: Kind::File(self.meta(source, to)?),
            salt: self.random_bytes()?,
            time: self.now,
            author: self.secrets.id(),
            bodies: bodies.iter().map(|body| body.entry.clone()).collect(),
            inline,
        };
        let nice = options.nice.unwrap_or(to.node.send.nice);
        let envelope = self.wrap(&letter, &address, nice).map_err(|cause| {
            let path = source.path.clone();
            SendError::Large { path, cause }
        })?;
        let bodies = bodies.iter().map(|body| body.made.clone()).collect();
        Ok(Addressed { to: address.id, envelope, bodies })
    }

    fn wrap(&self, letter: &Letter, address: &Address, nice: u8) -> Result<Vec<u8>, mb_wire::envelope::EnvelopeError> {
        let bodies: Vec<BodyName> = letter.bodies.iter().map(name_of).collect();
        let content = Content::Letter(letter.sign(self.secrets));
        wrap(
            self.secrets,
            &Wrap { to: address, end: letter.end, nice, hops: HOPS_MOST, bodies: &bodies, content: &content },
        )
    }

    /// Whom to seal to, and how long it may live: never longer than the key.
    fn address(&self, to: &Recipient, options: &Options) -> Result<(Address, u32), SendError> {
        let card = &to.node.card;
        let key = card.exchange_key(self.today).map_err(|cause| {
            let node = to.node.name.clone();
            SendError::Card { node, cause }
        })?;
        let end = match key.gone_after {
            0 => self.end(to, options),
            gone_after => self.end(to, options).min(gone_after),
        };
        Ok((Address { id: card.id(), exchange: key.public }, end))
    }

    fn meta(&self, source: &Source, to: &Recipient) -> Result<FileMeta, SendError> {
        let path = to.place.path_of(&source.name);
        if source.name.is_empty() && !matches!(to.place, super::Place::As(_)) {
            return Err(SendError::NoName(source.path.display().to_string()));
        }
        mb_wire::path::check(&path).map_err(|cause| SendError::Path { path: path.clone(), cause })?;
        let mtime = if source.mtime == (0, 0) { (self.now.cast_signed(), 0) } else { source.mtime };
        Ok(FileMeta { form: source.form, mode: source.mode, path, mtime })
    }

    pub(super) fn random_bytes<const N: usize>(&self) -> Result<[u8; N], SendError> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes).map_err(SendError::Random)?;
        Ok(bytes)
    }
}

fn name_of(body: &LetterBody) -> BodyName {
    BodyName { root: body.root, size: body.size }
}
