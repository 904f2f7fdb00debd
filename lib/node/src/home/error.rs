//! What can be wrong with a configuration folder, or with a change to it.

use super::guard::Danger;
use crate::config::{ConfigError, did_you_mean};
use mb_spool::class::{Class, Failure};
use mb_spool::durable;
use mb_wire::id::{AreaId, NodeId};
use mb_wire::text::TextError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration folder could not be opened, unlocked or changed. Prints as `thing: attempt: cause`.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no node in this folder.
    #[error("{}: no node is here", .0.display())]
    NotHere(PathBuf),
    /// No variable says where a spool might be.
    #[error("spool: neither --spool, MB_SPOOL nor HOME says where it is")]
    NoSpool,
    /// Another user could read a secret or write a file.
    #[error("{}: refused: {danger}", path.display())]
    Unsafe {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        danger: Danger,
    },
    /// A file says what it may not.
    #[error(transparent)]
    Config(ConfigError),
    /// A file is not UTF-8, or far too long.
    #[error("{}: no text, or longer than 1 MiB", .0.display())]
    NotText(PathBuf),
    /// A file in `nodes/` whose name cannot name a node.
    #[error("{}: the file's name cannot name a node: {why}", path.display())]
    BadFileName {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        why: String,
    },
    /// `config.toml` and the card in `node.key` give the node two names.
    #[error("{}: name: \"{config}\", but the card in node.key says \"{card}\": not built yet", dir.join("config.toml").display())]
    OtherName {
        /// The configuration folder.
        dir: PathBuf,
        /// What `config.toml` says.
        config: String,
        /// What the card says.
        card: String,
    },
    /// Two files are about one identity.
    #[error("{}: the same node as {}", second.display(), first.display())]
    Twice {
        /// The file of the name that comes first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Two files are about one area.
    #[error("{}: the same area as {}", second.display(), first.display())]
    TwiceArea {
        /// The file that was read first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The system refused to read or write.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// No random bytes could be had.
    #[error("random bytes: {0}")]
    Random(io::Error),
    /// The passphrase could not be asked for.
    #[error("passphrase: {0}")]
    Passphrase(io::Error),
    /// The passphrase does not open the key.
    #[error("{}: cannot be opened: wrong passphrase, or the file was altered", .0.display())]
    Locked(PathBuf),
    /// The secret in `node.key` cannot be used.
    #[error("{}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong; never the secret.
        why: String,
    },
    /// No known node has this name or id.
    #[error("unknown node \"{word}\"{}", did_you_mean(near))]
    UnknownNode {
        /// The word.
        word: String,
        /// A name that is spelt much like it.
        near: Option<String>,
    },
    /// No known area has this name or id.
    #[error("unknown area \"{word}\"{}", did_you_mean(near))]
    UnknownArea {
        /// The word.
        word: String,
        /// A name that is spelt much like it.
        near: Option<String>,
    },
    /// There is an area of that name already.
    #[error("area \"{0}\": it is known already")]
    AreaExists(String),
    /// Another area has this name already, or the area another card.
    #[error("area \"{name}\": REFUSED: it is known as {known}, the card is another one, of {given}")]
    OtherArea {
        /// The name.
        name: String,
        /// Which area has it.
        known: AreaId,
        /// Whose card was given.
        given: AreaId,
    },
    /// The area is known by another name.
    #[error("area \"{name}\": known already, as \"{known}\"")]
    AreaKnownAs {
        /// The name that was given.
        name: String,
        /// The name that it has.
        known: String,
    },
    /// The card in the file of this area was to be changed.
    #[error("area \"{0}\": card: an area keeps its card")]
    KeepsCard(String),
    /// A change that would make an area's file wrong.
    #[error("{}: {why}; nothing was changed", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// What would be wrong.
        why: String,
    },
    /// A word that looks like an id and is none.
    #[error("id {word}: {cause}")]
    MistypedId {
        /// The word.
        word: String,
        /// What is wrong with it.
        cause: TextError,
    },
    /// Another program is changing this folder.
    #[error("{}: busy: another program is changing it", .0.display())]
    Busy(PathBuf),
    /// There is a node already.
    #[error("{}: there is a node already", .0.display())]
    Exists(PathBuf),
    /// A `config.toml` that is there says something else than what was asked for.
    #[error("{}: it is there and says {key} = \"{there}\"", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        there: String,
    },
    /// A word that cannot be a node's name.
    #[error("name \"{name}\": {why}")]
    BadName {
        /// The word.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A word that names this node itself, where another is asked for.
    #[error("{0}: this node itself")]
    Itself(String),
    /// No name was given, and the host's own cannot be one.
    #[error("name: none was given, and the host's own cannot name a node")]
    NoName,
    /// Another identity has this name already.
    #[error("node \"{name}\": REFUSED: it is known as {known}, the card is of another node, {given}")]
    OtherIdentity {
        /// The name.
        name: String,
        /// Who has it.
        known: NodeId,
        /// Whose card was given.
        given: NodeId,
    },
    /// The node is known by another name.
    #[error("node \"{name}\": known already, as \"{known}\"")]
    KnownAs {
        /// The name that was given.
        name: String,
        /// The name that it has.
        known: String,
    },
    /// A card of a known node that is not the one we hold.
    #[error("node \"{name}\": {what}; {} stays as it is", path.display())]
    OtherCard {
        /// The name.
        name: String,
        /// What is different.
        what: String,
        /// The node's file.
        path: PathBuf,
        /// The new card's version is greater.
        newer: bool,
    },
}

impl HomeError {
    /// The error of opening the folder at `path`.
    pub(super) fn missing(error: durable::Error, path: &Path) -> HomeError {
        if error.is_missing() { HomeError::NotHere(path.to_owned()) } else { error.into() }
    }
}

impl Failure for HomeError {
    fn class(&self) -> Class {
        use HomeError as E;
        match self {
            E::NotHere(_) | E::NoSpool | E::Config(_) | E::NotText(_) | E::BadFileName { .. } => Class::Config,
            E::OtherName { .. } | E::Twice { .. } | E::TwiceArea { .. } | E::Key { .. } => Class::Config,
            E::Unsafe { .. } | E::Locked(_) | E::OtherIdentity { .. } | E::KnownAs { .. } | E::OtherCard { .. } => {
                Class::Refused
            }
            E::OtherArea { .. } | E::AreaKnownAs { .. } => Class::Refused,
            E::UnknownNode { .. } | E::UnknownArea { .. } | E::MistypedId { .. } => Class::UnknownName,
            E::Exists(_) | E::AreaExists(_) | E::Differs { .. } => Class::CannotCreate,
            E::BadName { .. } | E::Itself(_) | E::NoName | E::Edit { .. } | E::KeepsCard(_) => Class::Usage,
            E::Busy(_) => Class::Later,
            E::Random(_) => Class::Io,
            E::Passphrase(cause) if cause.kind() == io::ErrorKind::InvalidInput => Class::Usage,
            E::Passphrase(_) => Class::NoInput,
            E::Durable(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        use HomeError as E;
        Some(match self {
            E::NotHere(_) => "mb-init makes a node; -C DIR or MB_CONFIG says where one is".into(),
            E::Unsafe { path, danger } => danger.remedy(path),
            E::Twice { .. } | E::TwiceArea { .. } => "remove one of the two files".into(),
            E::Exists(_) => "its card: mb-node card".into(),
            E::Differs { path, .. } => format!("remove {}, or ask for what it says", path.display()),
            E::Passphrase(_) => "--passphrase-fd N or MB_PASSPHRASE_CMD hand it over without a terminal".into(),
            E::NoName => "--name NAME gives it one".into(),
            E::BadName { .. } => "a name has 1 to 32 of a-z 0-9 - _ . and begins with a letter or digit".into(),
            E::Itself(_) => "name another node".into(),
            E::OtherIdentity { name, .. } => format!(
                "is it another node? mb-node add ANOTHER-NAME CARD; a new one in its place, and you are sure: mb-node remove {name} first"
            ),
            E::KnownAs { name, known } => format!("mb-node rename {known} {name}"),
            E::OtherArea { .. } => "join it by another name: mb-area join ANOTHER-NAME".into(),
            E::KeepsCard(_) => "another area is taken in by another name: mb-area join ANOTHER-NAME".into(),
            E::AreaExists(name) => format!("its card: mb-area card {name}"),
            E::OtherCard { path, newer: true, .. } => {
                format!("to use the new card, put it into {} as card", path.display())
            }
            _ => return None,
        })
    }
}
