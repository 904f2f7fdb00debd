//! Making a node.
//!
//! The order is what a power cut at any point leaves: `config.toml`, `nodes/`; the key file under its draft name; the exchange
//! key in the spool; then the key file gets its name. Until then there is no node, and the next run begins anew: the
//! draft tells it which exchange key was made for nothing. From then on there is one, whole, and no run touches it.

use super::guard;
use super::read::{self, CONFIG, KEY, NODES};
use super::write::{Writer, draft_name};
use super::{Env, Home, HomeError, find};
use crate::config::{Config, KeyFile, SeedText, check_name, name_from_host};
use mb_spool::durable::{self, DirRef, real};
use mb_spool::layout::{DIR_MODE, FILE_MODE, sub_dir};
use mb_wire::card::{Card, CardError, ExchangeKey, SUITE};
use mb_wire::key::{ExchangeSecret, NodeSecrets, Seed, key_tag};
use mb_wire::sealed::{ArgonCost, seal_seed};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Permission bits of what is no secret; the folder keeps others out.
pub(super) const CONFIG_MODE: u32 = 0o644;

/// Fills a buffer with good random bytes.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]) -> io::Result<()>;

/// A node to be made.
pub struct NewNode<'a> {
    /// Its configuration folder: made if it is not there.
    pub config: &'a Path,
    /// Its spool, if an option names one.
    pub spool: Option<&'a Path>,
    /// Its name, if an option gives one.
    pub name: Option<&'a str>,
    /// The host's own name, for a node without a name.
    pub host: &'a str,
    /// What seals its key, if anything shall.
    pub passphrase: Option<Zeroizing<String>>,
    /// Seconds since 1970.
    pub now: u64,
}

impl Home {
    /// An error if there is a node in `path` already: for a program that wants to know before it asks for a passphrase.
    pub fn check_new(path: &Path) -> Result<(), HomeError> {
        match real::open_root(path) {
            Ok(dir) => refuse_second(&dir),
            Err(e) if e.is_missing() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a node and returns its card. All of it is durable on return.
    ///
    /// [`HomeError::Exists`] where there is one: a key is never overwritten. A node that a killed run left half made is
    /// made anew. A `config.toml` that is there is kept, and [`HomeError::Differs`] where it says otherwise.
    pub fn create(new: NewNode, env: Env, random: Random) -> Result<Card, HomeError> {
        let uid = rustix::process::geteuid().as_raw();
        create_in(&|path| real::make_root(path, DIR_MODE), uid, &new, env, random)
    }
}

/// [`Home::create`] with folders from `make_root`, for the user `uid`.
pub(super) fn create_in(
    make_root: &dyn Fn(&Path) -> durable::Result<DirRef>,
    uid: u32,
    new: &NewNode,
    env: Env,
    random: Random,
) -> Result<Card, HomeError> {
    let dir = make_root(new.config)?;
    guard::check_dir(&dir, uid)?;
    let home = Writer::new(dir.clone())?;
    if let Err(error) = refuse_second(&dir) {
        // The run that made it may have been killed before it could tidy up and sync.
        home.tidy(KEY)?;
        dir.sync()?;
        return Err(error);
    }
    let there = read::config(&dir, uid)?;
    let name = choose_name(new, there.as_ref(), &dir)?;
    let spool_path = choose_spool(new, there.as_ref(), &dir, env)?;
    let root = make_root(&spool_path)?;
    guard::check_dir(&root, uid)?;
    let own = sub_dir(&root, "self".as_ref(), DIR_MODE)?;
    let keys = Writer::new(sub_dir(&own, "keys".as_ref(), DIR_MODE)?)?;
    discard_draft(&home, &keys, uid)?;
    publish_config(&home, &config_text(&name, &spool_path)?, there.is_some())?;
    make_nodes(&dir)?;
    let made = Made::new(&name, new, random)?;
    made.publish(&home, &keys, uid)?;
    Ok(made.card)
}

/// What a new node consists of.
struct Made {
    card: Card,
    key_file: Zeroizing<Vec<u8>>,
    exchange_name: String,
    exchange_file: Vec<u8>,
}

impl Made {
    fn new(name: &str, new: &NewNode, random: Random) -> Result<Made, HomeError> {
        let seed = Seed::from_bytes(*random_bytes::<32>(random)?);
        let exchange = ExchangeSecret::from_random(*random_bytes::<32>(random)?);
        let secrets = NodeSecrets::from_seed(&seed);
        let key = ExchangeKey { suite: SUITE, public: exchange.public(), use_until: 0, gone_after: 0 };
        let card = Card::issue(&secrets, vec![key], name, 1, new.now).map_err(|e| unissued(name, &e))?;
        let text = match &new.passphrase {
            None => SeedText::Plain(seed.to_text()),
            Some(phrase) => {
                let salt = *random_bytes::<16>(random)?;
                SeedText::Sealed(seal_seed(&seed, phrase.as_bytes(), salt, ArgonCost::DEFAULT))
            }
        };
        Ok(Made {
            key_file: KeyFile::to_text(&card, &text),
            exchange_name: exchange.tag().to_string(),
            exchange_file: exchange.to_file(&secrets),
            card,
        })
    }

    /// The draft is durable before the exchange key is there, and the exchange key before the node is.
    fn publish(&self, home: &Writer, keys: &Writer, uid: u32) -> Result<(), HomeError> {
        let draft = home.draft(KEY, &self.key_file, FILE_MODE)?;
        let ready =
            home.dir().sync().and_then(|()| keys.publish_new(&self.exchange_name, &self.exchange_file, FILE_MODE));
        if let Err(error) = ready.and_then(|()| home.move_new(&draft, KEY)) {
            self.withdraw(home, keys, &draft, uid);
            return Err(if error.is_taken() { HomeError::Exists(home.dir().path().join(KEY)) } else { error.into() });
        }
        Ok(home.dir().sync()?)
    }

    /// Takes back what was written of a node that did not come to be; as well as that can be done on a disk that fails.
    fn withdraw(&self, home: &Writer, keys: &Writer, draft: &str, uid: u32) {
        match read::key_file(home.dir(), uid) {
            Ok(None) => {}
            Ok(Some(file)) if file.card != self.card => {}
            // It came to be after all, or nobody knows.
            _ => return,
        }
        if keys.remove(&self.exchange_name).and_then(|()| keys.dir().sync()).is_ok() {
            let _ = home.remove(draft);
        }
    }
}

pub(super) fn random_bytes<const N: usize>(random: Random) -> Result<Zeroizing<[u8; N]>, HomeError> {
    let mut bytes = Zeroizing::new([0; N]);
    random(&mut *bytes).map_err(HomeError::Random)?;
    Ok(bytes)
}

/// The name is checked; what remains is a clock beyond all numbers.
fn unissued(name: &str, error: &CardError) -> HomeError {
    HomeError::BadName { name: name.to_owned(), why: error.to_string() }
}

/// Refuses to make a node where there is one.
fn refuse_second(dir: &DirRef) -> Result<(), HomeError> {
    if guard::is_file(dir, KEY)? { Err(HomeError::Exists(dir.path().join(KEY))) } else { Ok(()) }
}

fn choose_name(new: &NewNode, there: Option<&Config>, dir: &DirRef) -> Result<String, HomeError> {
    let there = there.and_then(|config| config.name.as_deref());
    let name = match (new.name, there) {
        (Some(asked), Some(there)) if asked != there => {
            return Err(HomeError::Differs { path: dir.path().join(CONFIG), key: "name", there: there.to_owned() });
        }
        (Some(name), _) | (None, Some(name)) => name.to_owned(),
        (None, None) => name_from_host(new.host).ok_or(HomeError::NoName)?,
    };
    check_name(&name).map_err(|why| HomeError::BadName { name: name.clone(), why })?;
    Ok(name)
}

fn choose_spool(new: &NewNode, there: Option<&Config>, dir: &DirRef, env: Env) -> Result<PathBuf, HomeError> {
    let there = there.and_then(|config| config.spool.as_deref());
    let path = find::spool_path(new.spool, env, there, new.config)?;
    match there {
        Some(there) if new.spool.is_some() && there != path => {
            let there = there.display().to_string();
            Err(HomeError::Differs { path: dir.path().join(CONFIG), key: "spool", there })
        }
        _ => Ok(path),
    }
}

/// The spool is written down, so that a cron job with another environment finds it.
fn config_text(name: &str, spool: &Path) -> Result<String, HomeError> {
    let spool = spool.to_str().ok_or_else(|| HomeError::NotText(spool.to_owned()))?;
    Ok(format!(
        "name = \"{name}\"\nspool = {}\n# reserve = \"16 MiB\"    space that is left free\n",
        toml::Value::from(spool)
    ))
}

/// Makes `config.toml` unless it is there.
fn publish_config(home: &Writer, text: &str, is_there: bool) -> durable::Result<()> {
    match is_there {
        true => home.tidy(CONFIG).and_then(|()| home.dir().sync()),
        false => match home.publish_new(CONFIG, text.as_bytes(), CONFIG_MODE) {
            // Another run was quicker; which of the two makes the node is still open.
            Err(e) if e.is_taken() => home.dir().sync(),
            other => other,
        },
    }
}

fn make_nodes(dir: &DirRef) -> durable::Result<()> {
    match dir.make_dir(NODES.as_ref(), DIR_MODE) {
        Err(e) if !e.is_taken() => Err(e),
        _ => dir.sync(),
    }
}

/// Takes away what a killed run left: the exchange keys that its draft names, then the draft. They belong to a node that
/// never was: there is no key file. Only who is alone can tell that the run was killed.
fn discard_draft(home: &Writer, keys: &Writer, uid: u32) -> Result<(), HomeError> {
    if !home.is_alone() {
        return Ok(());
    }
    // A draft that cannot be read was cut short, before any exchange key was made for it.
    if let Ok(Some(file)) = read::key_file_at(home.dir(), &draft_name(KEY, 0), uid) {
        for key in &file.card.keys {
            let name = key_tag(&key.public).to_string();
            keys.remove(&name)?;
            keys.tidy(&name)?;
        }
        keys.dir().sync()?;
    }
    Ok(home.tidy(KEY)?)
}
