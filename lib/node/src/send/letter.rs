//! Letters and envelopes: one of each for every recipient of an input.

use mb_wire::envelope::{Address, BodyName, Content, EnvelopeError, HOPS_MOST, Wrap, wrap};
use mb_wire::id::NodeId;
use mb_wire::letter::{FileMeta, Kind, Letter, LetterBody};
use mb_wire::route::{Route, Terms};

use super::pack::Packed;
use super::source::Source;
use super::{MOST_SHARING, Options, Recipient, SendError, Sender};

/// What goes into the batch for one recipient.
pub struct Addressed {
    /// Who is handed it: the first relay, or the recipient.
    pub to: NodeId,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The names, in the run's folder, of the bodies that it lists.
    pub bodies: Vec<String>,
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
        let (hops, end) = self.hops(to, options)?;
        let first = hops[0].clone();
        let letter = Letter {
            to: to.node.id(),
            end,
            kind: Kind::File(self.meta(source, to)?),
            salt: self.random_bytes()?,
            time: self.now,
            author: self.secrets.id(),
            bodies: bodies.iter().map(|body| body.entry.clone()).collect(),
            inline,
        };
        let nice = options.nice.unwrap_or(to.node.send.nice);
        let salt = self.random_bytes()?;
        let envelope = self.wrap(&letter, hops, salt, nice).map_err(|cause| {
            let path = source.path.clone();
            SendError::Large { path, cause }
        })?;
        let bodies = bodies.iter().map(|body| body.name.clone()).collect();
        Ok(Addressed { to: first.id, envelope, bodies })
    }

    /// The envelope for the first hop. `salt` is random.
    fn wrap(&self, letter: &Letter, hops: Vec<Address>, salt: [u8; 32], nice: u8) -> Result<Vec<u8>, EnvelopeError> {
        let bodies: Vec<BodyName> = letter.bodies.iter().map(name_of).collect();
        let (first, end, signed) = (hops[0].clone(), letter.end, letter.sign(self.secrets));
        let content = if hops.len() == 1 {
            Content::Letter(signed)
        } else {
            let lists = vec![letter.list_hash(); hops.len() + 1];
            let route = Route::new(self.secrets, hops, salt)?;
            Content::Routed(Box::new(route.seal(&signed, &Terms { end, nice, lists: &lists, is_onion: false })?))
        };
        wrap(self.secrets, &Wrap { to: &first, end, nice, hops: HOPS_MOST, bodies: &bodies, content: &content })
    }

    /// Whom to seal to, the recipient last, and how long the packet may live: never longer than a key of theirs.
    fn hops(&self, to: &Recipient, options: &Options) -> Result<(Vec<Address>, u32), SendError> {
        let mut end = self.end(to, options);
        let mut hops = Vec::with_capacity(to.via.len() + 1);
        for node in to.via.iter().copied().chain([to.node]) {
            let key = node.card.exchange_key(self.today).map_err(|cause| {
                let node = node.name.clone();
                SendError::Card { node, cause }
            })?;
            if key.gone_after != 0 {
                end = end.min(key.gone_after);
            }
            hops.push(Address { id: node.id(), exchange: key.public });
        }
        Ok((hops, end))
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
