//! Moderate: the owner of an area changes who may write and read in it.
//!
//! New settings are kept, durably, before anybody hears of them: no version is ever given to two. Then they go to the area's subscribers; who
//! does not get them asks when the first message comes that was written under them.

use std::collections::BTreeMap;
use std::io;

use mb_spool::barrier::Barrier;
use mb_spool::class::{Class, Failure};
use mb_spool::day::Today;
use mb_spool::durable;
use mb_spool::layout::Spool;
use mb_spool::outbox::Outbox;
use mb_spool::rules::{self, Taken};
use mb_spool::run::Run;
use mb_wire::area::{AreaError, Draft, PostSecret, Settings, Under};
use mb_wire::card::CardError;
use mb_wire::envelope::{Address, Content};
use mb_wire::id::NodeId;
use mb_wire::key::{ExchangeSecret, NodeSecrets};
use zeroize::Zeroizing;

use crate::config::{KnownArea, KnownNode};
use crate::rules::Rules;
use crate::subscribe::askers;
use crate::toss::Nodes;
use crate::toss::answer::envelope;

/// Why settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ModerateError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// This node does not own the area, or it has no settings.
    #[error("area \"{0}\": only its owner changes who may write and read, and only if it is moderated")]
    NotOurs(String),
    /// A reader is not known.
    #[error("area \"{area}\": reader {reader} is not known here")]
    Reader {
        /// The area.
        area: String,
        /// The node.
        reader: NodeId,
    },
    /// A reader's card has no key to seal to.
    #[error("{0}: {1}")]
    Card(String, #[source] CardError),
    /// What opens the letters of this epoch is not here.
    #[error("area \"{0}\": what opens the letters of its epoch cannot be opened here")]
    NoKey(String),
    /// The settings would break a rule.
    #[error("area \"{0}\": {1}")]
    Area(String, #[source] AreaError),
    /// The system gave no randomness.
    #[error("random bytes: {0}")]
    Random(#[source] io::Error),
}

impl Failure for ModerateError {
    fn class(&self) -> Class {
        match self {
            ModerateError::Disk(error) => error.class(),
            ModerateError::NotOurs(_) => Class::Refused,
            ModerateError::Reader { .. } => Class::UnknownName,
            ModerateError::Card(..) | ModerateError::NoKey(_) | ModerateError::Area(..) => Class::Data,
            ModerateError::Random(_) => Class::Io,
        }
    }
}

/// Who may do what in a moderated area, by the nodes' ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Post keys that may write.
    pub posts: Vec<[u8; 32]>,
    /// Who may read.
    pub readers: Vec<NodeId>,
    /// Who answers for what there is.
    pub nodes: Vec<NodeId>,
    /// Most bytes of the bodies of a message.
    pub most: Option<u64>,
    /// Most days that a message may live.
    pub days: Option<u32>,
}

impl Members {
    /// Those of some settings.
    pub fn of(settings: &Settings) -> Members {
        let Settings { posts, nodes, most, days, .. } = settings;
        let (posts, nodes, readers) = (posts.clone(), nodes.clone(), settings.readers().collect());
        Members { posts, readers, nodes, most: *most, days: *days }
    }
}

/// What moderating needs.
pub struct Moderator<'a> {
    /// The spool.
    pub spool: &'a Spool,
    /// The owner.
    pub secrets: &'a NodeSecrets,
    /// The known nodes.
    pub nodes: &'a dyn Nodes,
    /// What is known of the area's settings, and its read keys.
    pub rules: &'a Rules,
    /// Where randomness comes from.
    pub random: &'a dyn Fn(&mut [u8]) -> io::Result<()>,
    /// Seconds since 1970.
    pub now: u64,
    /// The day to work with.
    pub today: &'a Today,
}

impl Moderator<'_> {
    /// Changes the settings of `area`; of a new one, whose post key is `own`, from those in which this node alone writes and reads. Whoever may not read any
    /// more cannot open what is written from now on. Durable on return.
    pub fn change<E: From<ModerateError>>(
        &self,
        area: &KnownArea,
        own: &PostSecret,
        change: impl FnOnce(&mut Members) -> Result<(), E>,
        run: &Run,
    ) -> Result<Settings, E> {
        let name = || area.name.clone();
        if !area.is_moderated() || area.card.owner != self.secrets.identity_key() {
            return Err(ModerateError::NotOurs(name()).into());
        }
        let ours = self.rules.current(&area.id());
        let before = match ours {
            Some(ours) => Members::of(ours),
            None => Members { posts: vec![own.public()], readers: vec![self.secrets.id()], ..Members::default() },
        };
        let mut members = before.clone();
        change(&mut members)?;
        let settings = self.issue(area, ours, &before, &members)?;
        let mut barrier = Barrier::new();
        let taken = Taken { settings: settings.clone(), since: self.now };
        rules::keep(self.spool, &taken, run, &mut barrier).map_err(ModerateError::from)?;
        barrier.wait().map_err(ModerateError::from)?;
        self.publish(area, &settings, run).map_err(ModerateError::from)?;
        Ok(settings)
    }

    fn issue(
        &self,
        area: &KnownArea,
        ours: Option<&Settings>,
        before: &Members,
        members: &Members,
    ) -> Result<Settings, ModerateError> {
        let is_gone = |reader: &&NodeId| !members.readers.contains(reader);
        let anew = ours.is_none() || before.readers.iter().any(|reader| is_gone(&reader));
        let (version, epoch) = ours.map_or((0, 0), |ours| (ours.under.version, ours.under.epoch));
        let under = Under { version: version + 1, epoch: if anew { epoch + 1 } else { epoch } };
        let fresh;
        let read = match anew {
            true => {
                fresh = ExchangeSecret::from_random(*self.random_bytes()?);
                &fresh
            }
            false => {
                let key = self.rules.read_key(&area.id(), epoch);
                key.ok_or_else(|| ModerateError::NoKey(area.name.clone()))?
            }
        };
        let readers = members.readers.iter().map(|reader| self.address(area, reader)).collect::<Result<_, _>>()?;
        let Members { posts, nodes, most, days, .. } = members.clone();
        let draft = Draft { posts, readers, nodes, most, days };
        let settings = Settings::issue(self.secrets, area.id(), &draft, (under, read), self.now, *self.random_bytes()?);
        settings.map_err(|error| ModerateError::Area(area.name.clone(), error))
    }

    fn address(&self, area: &KnownArea, reader: &NodeId) -> Result<Address, ModerateError> {
        let unknown = || ModerateError::Reader { area: area.name.clone(), reader: *reader };
        let node = self.nodes.node(reader).ok_or_else(unknown)?;
        let key =
            node.card.exchange_key(self.today.day).map_err(|cause| ModerateError::Card(node.name.clone(), cause))?;
        Ok(Address { id: node.id(), exchange: key.public })
    }

    fn publish(&self, area: &KnownArea, settings: &Settings, run: &Run) -> durable::Result<()> {
        let content = Content::Statement(settings.as_bytes().to_vec());
        let listed = area.subscribers.iter().filter_map(|name| self.nodes.named(name));
        let askers = askers(self.spool, self.nodes, area, self.today)?;
        let all = listed.chain(askers.iter().map(|asker| asker.node));
        let subscribers: BTreeMap<NodeId, &KnownNode> = all.map(|node| (node.id(), node)).collect();
        if subscribers.is_empty() {
            return Ok(());
        }
        let mut outbox = Outbox::new(self.spool, run);
        for node in subscribers.into_values().filter(|node| node.id() != self.secrets.id()) {
            if let Some(envelope) = envelope(self.secrets, node, self.today.day, &content) {
                outbox.add_unkept(node.id(), &envelope)?;
            }
        }
        outbox.publish()
    }

    fn random_bytes(&self) -> Result<Zeroizing<[u8; 32]>, ModerateError> {
        let mut bytes = Zeroizing::new([0; 32]);
        (self.random)(&mut *bytes).map_err(ModerateError::Random)?;
        Ok(bytes)
    }
}
