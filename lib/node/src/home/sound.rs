//! Is a configuration sound? Everything that is wrong at once, where programs stop at the first thing.
//!
//! Looks only: no passphrase is asked for, nothing is made. What a program would refuse to start with comes in its own
//! words; to that come what it would only meet later (a folder of delivery that is gone, a card without a key to seal
//! to), and what is nobody's error but bad to leave (a spool that others can look into).

use super::guard::{self, quoted};
use super::read::{self, AREAS, NODES};
use super::{Env, HomeError, find};
use crate::config::{Config, KnownArea, KnownNode, did_you_mean, nearest};
use crate::way::{WayError, relays};
use mb_spool::class::{Class, Failure};
use mb_spool::day;
use mb_spool::durable::{DirRef, Entry, real};
use mb_spool::layout::Spool;
use mb_wire::card::Card;
use mb_wire::id::{KeyTag, NodeId};
use mb_wire::key::key_tag;
use rustix::fs::Access;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Something in a configuration that is not as it should be. Prints as `PATH: WHAT`.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    /// A program would not start.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// No exchange key of a known node may be used any more.
    #[error("{}: nothing can be sent to it: every exchange key of its card has ended", .0.display())]
    Expired(PathBuf),
    /// A way to a known node cannot be gone.
    #[error("{}: roads: {cause}", file.display())]
    Road {
        /// The node's file.
        file: PathBuf,
        /// What is wrong with it.
        cause: WayError,
    },
    /// A subscriber of an area is not known.
    #[error("{}: subscribers: unknown node \"{word}\"{}", file.display(), did_you_mean(near))]
    Subscriber {
        /// The area's file.
        file: PathBuf,
        /// The word.
        word: String,
        /// A name that is spelt much like it.
        near: Option<String>,
    },
    /// The folder where the files of a node or an area go cannot be written to.
    #[error("{}: {key}: {}: {cause}", file.display(), folder.display())]
    Folder {
        /// Its file.
        file: PathBuf,
        /// The key that names the folder.
        key: &'static str,
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A folder that is shared cannot be read.
    #[error("{}: share: {}: {cause}", file.display(), folder.display())]
    Share {
        /// The node's file.
        file: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Others can look into the spool.
    #[error("{}: other users can look into it", .0.display())]
    Open(PathBuf),
    /// The private half of a key in our own card is not there.
    #[error("{}: missing: what is sealed to this node cannot be opened", .0.display())]
    NoKey(PathBuf),
    /// The clock is far from the last day that was worked on.
    #[error("clock: it says day {clock}, the last day of work was {last}: until it is believed nothing expires")]
    Clock {
        /// What the clock says.
        clock: u32,
        /// What stands for today.
        last: u32,
    },
}

impl Failure for Unsound {
    fn class(&self) -> Class {
        match self {
            Unsound::Home(error) => error.class(),
            _ => Class::Config,
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Unsound::Home(error) => return error.remedy(),
            Unsound::Expired(file) => format!("put a newer card of that node into {}", file.display()),
            Unsound::Road { cause, .. } => {
                return cause.remedy().or_else(|| Some("name nodes that are known, nearest first".into()));
            }
            Unsound::Folder { folder, cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                format!("mkdir -p {}", quoted(folder))
            }
            Unsound::Subscriber { .. } => {
                "mb-node add it, or mb-area unsubscribe it; until then the area's messages wait".into()
            }
            Unsound::Share { .. } => "name a folder that this user can read, and no link".into(),
            Unsound::Folder { folder, .. } => format!("make {} a folder that this user can write to", folder.display()),
            Unsound::Open(path) => format!("chmod go= {}", quoted(path)),
            Unsound::NoKey(_) => "restore the file from a backup of the spool".into(),
            Unsound::Clock { .. } => "set the clock; if it is right: mb-check --clock-ok".into(),
        })
    }
}

/// Everything that is unsound in the configuration folder at `path`, and in the place of its spool. `spool` and `env` are
/// those of the program; `now` is in seconds since 1970.
pub fn unsound(path: &Path, spool: Option<&Path>, env: Env, now: u64) -> Vec<Unsound> {
    let uid = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    let dir = match real::open_root(path) {
        Ok(dir) => dir,
        Err(error) => return vec![HomeError::missing(error, path).into()],
    };
    let look = Look { dir, uid, found: &mut found };
    look.all(spool, env, now);
    found
}

/// What is found while the files are gone through.
struct Look<'a> {
    dir: DirRef,
    uid: u32,
    found: &'a mut Vec<Unsound>,
}

impl Look<'_> {
    fn told<T>(&mut self, result: Result<T, HomeError>) -> Option<T> {
        result.map_err(|error| self.found.push(error.into())).ok()
    }

    fn all(mut self, spool: Option<&Path>, env: Env, now: u64) {
        let dir = self.dir.clone();
        self.told(guard::check_dir(&dir, self.uid));
        let card = match self.told(read::key_file(&dir, self.uid)) {
            Some(Some(key)) => Some(key.card),
            Some(None) => {
                self.found.push(HomeError::NotHere(dir.path().to_owned()).into());
                None
            }
            None => None,
        };
        let config = self.told(read::config(&dir, self.uid)).flatten();
        self.name(card.as_ref(), config.as_ref());
        let nodes = self.nodes(day::clock_day(now), card.as_ref().map(Card::id));
        self.areas(&nodes, card.as_ref());
        let configured = config.as_ref().and_then(|config| config.spool.as_deref());
        let place = find::spool_path(spool, env, configured, dir.path());
        if let Some(place) = self.told(place) {
            self.spool(&place, card.as_ref(), now);
        }
    }

    fn name(&mut self, card: Option<&Card>, config: Option<&Config>) {
        if let (Some(card), Some(name)) = (card, config.and_then(|config| config.name.as_ref()))
            && card.name != *name
        {
            let (config, card) = (name.clone(), card.name.clone());
            self.found.push(HomeError::OtherName { dir: self.dir.path().to_owned(), config, card }.into());
        }
    }

    /// The folder of this name and the files in it, in order. Nothing, where it is not there.
    fn files(&mut self, name: &str) -> Option<(DirRef, Vec<String>)> {
        let dir = match self.dir.open_dir(name.as_ref()) {
            Ok(dir) => dir,
            Err(error) => {
                if !error.is_missing() {
                    self.found.push(HomeError::from(error).into());
                }
                return None;
            }
        };
        self.told(guard::check_dir(&dir, self.uid));
        let name = |entry: Result<Entry, _>| Ok(entry?.name.to_string_lossy().into_owned());
        let listed = dir.list().and_then(|entries| entries.map(name).collect::<Result<Vec<_>, _>>());
        let mut files = self.told(listed.map_err(HomeError::from)).unwrap_or_default();
        files.sort_unstable();
        Some((dir, files))
    }

    /// Each known node by itself, then what goes wrong between two.
    fn nodes(&mut self, today: u32, own: Option<NodeId>) -> BTreeMap<String, KnownNode> {
        let mut nodes = BTreeMap::new();
        let Some((dir, files)) = self.files(NODES) else { return nodes };
        for file in files {
            let Some(Some(node)) = self.told(read::node(&dir, &file, self.uid)) else { continue };
            self.node(&dir.path().join(&file), &node, today);
            nodes.insert(node.name.clone(), node);
        }
        self.roads(&nodes, own);
        let names = read::names_by_id(&self.dir, &nodes);
        self.told(names);
        nodes
    }

    /// Each known area by itself, with its secrets, and which files are about one.
    fn areas(&mut self, nodes: &BTreeMap<String, KnownNode>, own: Option<&Card>) {
        let Some((dir, files)) = self.files(AREAS) else { return };
        let (mut areas, mut ids) = (BTreeMap::new(), BTreeMap::new());
        for file in &files {
            let Some(Some(area)) = self.told(read::area(&dir, file, self.uid)) else { continue };
            let path = dir.path().join(file);
            self.area(&path, &area, nodes, own);
            if let Some(first) = ids.insert(area.id(), path.clone()) {
                self.found.push(HomeError::TwiceArea { first, second: path }.into());
            }
            areas.insert(area.name.clone(), area);
        }
        // Those of an area that is not known, too: a secret is a secret.
        for name in files.iter().filter_map(|file| file.strip_suffix(".key")) {
            let Some(Some(secret)) = self.told(read::area_key(&dir, name, self.uid)) else { continue };
            if let Some(area) = areas.get(name) {
                self.told(read::check_area_key(&dir, area, &secret));
            }
        }
    }

    fn area(&mut self, file: &Path, area: &KnownArea, nodes: &BTreeMap<String, KnownNode>, own: Option<&Card>) {
        let is_known = |name: &String| nodes.contains_key(name) || own.is_none_or(|own| own.name == *name);
        for word in area.subscribers.iter().filter(|name| !is_known(name)) {
            let near = nearest(word, nodes.keys().map(String::as_str)).map(str::to_owned);
            self.found.push(Unsound::Subscriber { file: file.to_owned(), word: word.clone(), near });
        }
        self.folder(file, "folder", area.accept.folder.as_deref());
    }

    /// A folder of delivery that `key` in `file` names.
    fn folder(&mut self, file: &Path, key: &'static str, folder: Option<&Path>) {
        if let Some(folder) = folder
            && let Err(cause) = can_write(folder)
        {
            self.found.push(Unsound::Folder { file: file.to_owned(), key, folder: folder.to_owned(), cause });
        }
    }

    /// Ways lead by nodes that are known.
    fn roads(&mut self, nodes: &BTreeMap<String, KnownNode>, own: Option<NodeId>) {
        let find = |word: &str| {
            let near = || nearest(word, nodes.keys().map(String::as_str)).map(str::to_owned);
            nodes.get(word).ok_or_else(|| HomeError::UnknownNode { word: word.into(), near: near() })
        };
        for node in nodes.values() {
            let own = own.unwrap_or(node.id());
            let causes = node.roads.iter().filter_map(|road| relays(own, node.id(), road, find).err());
            let file = self.dir.path().join(NODES).join(read::node_file(&node.name));
            self.found.extend(causes.map(|cause| Unsound::Road { file: file.clone(), cause }));
        }
    }

    fn node(&mut self, file: &Path, node: &KnownNode, today: u32) {
        if node.card.exchange_key(today).is_err() {
            self.found.push(Unsound::Expired(file.to_owned()));
        }
        self.folder(file, "accept.folder", node.accept.folder.as_deref().filter(|_| node.accept.files));
        for share in &node.shares {
            if let Err(error) = real::open_folder(&share.folder) {
                let (file, folder) = (file.to_owned(), share.folder.clone());
                self.found.push(Unsound::Share { file, folder, cause: error.cause });
            }
        }
    }

    fn spool(&mut self, path: &Path, card: Option<&Card>, now: u64) {
        let root = match real::open_root(path) {
            Ok(root) => root,
            Err(error) => return self.found.push(HomeError::from(error).into()),
        };
        self.told(guard::check_dir(&root, self.uid));
        self.closed(&root);
        let Some(card) = card else { return };
        let spool = Spool::new(root, card.id());
        for key in card.keys.iter().filter(|key| key.gone_after == 0 || key.gone_after >= day::clock_day(now)) {
            self.key(&spool, key_tag(&key.public));
        }
        match day::today(&spool, now) {
            Ok(today) => {
                self.found.extend(today.doubt.map(|doubt| Unsound::Clock { clock: doubt.clock, last: today.day }))
            }
            Err(error) => self.found.push(HomeError::from(error).into()),
        }
    }

    /// The root keeps others out; only where it does not, what is below it counts.
    fn closed(&mut self, dir: &DirRef) {
        match dir.stat_self() {
            Ok(stat) if stat.mode & 0o077 != 0 => self.found.push(Unsound::Open(dir.path().to_owned())),
            Ok(_) => {}
            Err(error) => self.found.push(HomeError::from(error).into()),
        }
    }

    fn key(&mut self, spool: &Spool, tag: KeyTag) {
        let path = spool.root().path().join("self").join("keys").join(tag.to_string());
        let file = match spool.find(&["self", "keys"]) {
            Ok(Some(dir)) => dir.stat(tag.to_string().as_ref()),
            Ok(None) => return self.found.push(Unsound::NoKey(path)),
            Err(error) => return self.found.push(HomeError::from(error).into()),
        };
        match file {
            Ok(stat) => {
                let checked = guard::check(&stat, &path, self.uid, guard::Reach::Secret);
                self.told(checked);
            }
            Err(error) if error.is_missing() => self.found.push(Unsound::NoKey(path)),
            Err(error) => self.found.push(HomeError::from(error).into()),
        }
    }
}

fn can_write(folder: &Path) -> io::Result<()> {
    rustix::fs::access(folder, Access::EXISTS | Access::WRITE_OK | Access::EXEC_OK)?;
    if std::fs::metadata(folder)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}
