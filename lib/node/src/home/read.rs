//! The files of the configuration folder, read with suspicion.

use super::areas::AreaSecrets;
use super::guard::{self, Reach};
use super::{Ask, HomeError};
use crate::config::{Config, KeyFile, KnownArea, KnownNode, SeedText, check_name, parse_area_key};
use mb_spool::durable::DirRef;
use mb_wire::area::AreaSecret;
use mb_wire::id::{AreaId, NodeId};
use mb_wire::key::{KeyError, NodeSecrets, Seed};
use mb_wire::sealed::open_sealed_seed;
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

/// The node's card and secret.
pub(super) const KEY: &str = "node.key";
/// The node's settings.
pub(super) const CONFIG: &str = "config.toml";
/// The folder of known nodes.
pub(super) const NODES: &str = "nodes";
/// The folder of known areas.
pub(super) const AREAS: &str = "areas";
/// No file of ours is longer.
const LONGEST: u64 = 1 << 20;

/// The name of the file of the known node `name`.
pub(super) fn node_file(name: &str) -> String {
    format!("{name}.toml")
}

/// The name of the file of the known area `name`.
pub(super) fn area_file(name: &str) -> String {
    node_file(name)
}

/// The name of the file that holds its secrets.
pub(super) fn area_key_file(name: &str) -> String {
    format!("{name}.key")
}

/// The text of a file, or `None` where there is none. [`HomeError::Unsafe`] where others can reach it.
fn text(dir: &DirRef, name: &str, uid: u32, reach: Reach) -> Result<Option<Zeroizing<String>>, HomeError> {
    let path = dir.path().join(name);
    let file = match dir.open(name.as_ref()) {
        Ok(file) => file,
        Err(e) if e.is_missing() => return Ok(None),
        Err(e) if e.is_wrong_kind() => return Err(guard::not_a_file(dir, name)),
        Err(e) => return Err(e.into()),
    };
    let stat = file.stat()?;
    guard::check(&stat, &path, uid, reach)?;
    if stat.len > LONGEST {
        return Err(HomeError::NotText(path));
    }
    let mut bytes = Zeroizing::new(vec![0; stat.len as usize]);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    match std::str::from_utf8(&bytes[..filled]) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(HomeError::NotText(path)),
    }
}

/// What `node.key` says, if it is there.
pub(super) fn key_file(dir: &DirRef, uid: u32) -> Result<Option<KeyFile>, HomeError> {
    key_file_at(dir, KEY, uid)
}

/// The same of a key file by another name.
pub(super) fn key_file_at(dir: &DirRef, name: &str, uid: u32) -> Result<Option<KeyFile>, HomeError> {
    let Some(text) = text(dir, name, uid, Reach::Secret)? else { return Ok(None) };
    Ok(Some(KeyFile::parse(&dir.path().join(name), &text)?))
}

/// What `config.toml` says, if it is there.
pub(super) fn config(dir: &DirRef, uid: u32) -> Result<Option<Config>, HomeError> {
    let Some(text) = text(dir, CONFIG, uid, Reach::Public)? else { return Ok(None) };
    Ok(Some(Config::parse(&dir.path().join(CONFIG), &text)?))
}

/// All known nodes by name. Names that begin with a dot or do not end in `.toml` are an editor's, not ours.
pub(super) fn nodes(dir: &DirRef, uid: u32) -> Result<BTreeMap<String, KnownNode>, HomeError> {
    let mut nodes = BTreeMap::new();
    let dir = match dir.open_dir(NODES.as_ref()) {
        Ok(dir) => dir,
        Err(e) if e.is_missing() => return Ok(nodes),
        Err(e) => return Err(e.into()),
    };
    guard::check_dir(&dir, uid)?;
    for entry in dir.list()? {
        if let Some(node) = node(&dir, &entry?.name.to_string_lossy(), uid)? {
            nodes.insert(node.name.clone(), node);
        }
    }
    Ok(nodes)
}

/// The known node that `file` in the folder `dir` of known nodes is about, if it is about one.
pub(super) fn node(dir: &DirRef, file: &str, uid: u32) -> Result<Option<KnownNode>, HomeError> {
    let Some(name) = file.strip_suffix(".toml").filter(|name| !name.starts_with('.')) else { return Ok(None) };
    let path = dir.path().join(file);
    check_name(name).map_err(|why| HomeError::BadFileName { path: path.clone(), why })?;
    let Some(text) = text(dir, file, uid, Reach::Public)? else { return Ok(None) };
    Ok(Some(KnownNode::parse(&path, name, &text)?))
}

/// All known areas by name. Names that begin with a dot or do not end in `.toml` are an editor's, or those of keys.
pub(super) fn areas(dir: &DirRef, uid: u32) -> Result<BTreeMap<String, KnownArea>, HomeError> {
    let mut areas: BTreeMap<String, KnownArea> = BTreeMap::new();
    let dir = match dir.open_dir(AREAS.as_ref()) {
        Ok(dir) => dir,
        Err(e) if e.is_missing() => return Ok(areas),
        Err(e) => return Err(e.into()),
    };
    guard::check_dir(&dir, uid)?;
    let mut ids: BTreeMap<AreaId, String> = BTreeMap::new();
    for entry in dir.list()? {
        let Some(area) = area(&dir, &entry?.name.to_string_lossy(), uid)? else { continue };
        if let Some(other) = ids.insert(area.id(), area.name.clone()) {
            let path = |name: &str| dir.path().join(area_file(name));
            return Err(HomeError::TwiceArea { first: path(&other), second: path(&area.name) });
        }
        areas.insert(area.name.clone(), area);
    }
    Ok(areas)
}

/// The known area that `file` in the folder `dir` of known areas is about, if it is about one.
pub(super) fn area(dir: &DirRef, file: &str, uid: u32) -> Result<Option<KnownArea>, HomeError> {
    let Some(name) = file.strip_suffix(".toml").filter(|name| !name.starts_with('.')) else { return Ok(None) };
    let path = dir.path().join(file);
    check_name(name).map_err(|why| HomeError::BadFileName { path: path.clone(), why })?;
    let Some(text) = text(dir, file, uid, Reach::Public)? else { return Ok(None) };
    Ok(Some(KnownArea::parse(&path, name, &text)?))
}

/// The text of the file of the known area `name`, and its permission bits.
pub(super) fn area_text(dir: &DirRef, name: &str, uid: u32) -> Result<(Zeroizing<String>, u32), HomeError> {
    let file = area_file(name);
    let found = text(dir, &file, uid, Reach::Public)?;
    let text = found.ok_or_else(|| HomeError::UnknownArea { word: name.to_owned(), near: None })?;
    Ok((text, dir.stat(file.as_ref())?.mode & 0o777))
}

/// The secrets of the area `name`, if there are any.
pub(super) fn area_key(dir: &DirRef, name: &str, uid: u32) -> Result<Option<AreaSecret>, HomeError> {
    let file = area_key_file(name);
    let Some(text) = text(dir, &file, uid, Reach::Secret)? else { return Ok(None) };
    Ok(Some(parse_area_key(&dir.path().join(&file), &text)?))
}

/// The secrets of these areas. Those of another area by the same name are refused.
pub(super) fn area_secrets<'a>(
    dir: &DirRef,
    areas: impl Iterator<Item = &'a KnownArea>,
    uid: u32,
) -> Result<AreaSecrets, HomeError> {
    let mut secrets = Vec::new();
    for area in areas {
        let Some(secret) = area_key(dir, &area.name, uid)? else { continue };
        check_area_key(dir, area, &secret)?;
        secrets.push(secret);
    }
    Ok(secrets.into_iter().collect())
}

/// Refuses secrets that are not those of this area.
pub(super) fn check_area_key(dir: &DirRef, area: &KnownArea, secret: &AreaSecret) -> Result<(), HomeError> {
    if secret.card.id() == area.id() {
        return Ok(());
    }
    let why = "it holds the secrets of another area".into();
    Err(HomeError::Key { path: dir.path().join(area_key_file(&area.name)), why })
}

/// The names of the nodes by id. [`HomeError::Twice`] where two files are about one identity.
pub(super) fn names_by_id(
    dir: &DirRef,
    nodes: &BTreeMap<String, KnownNode>,
) -> Result<BTreeMap<NodeId, String>, HomeError> {
    let mut names = BTreeMap::new();
    for (name, node) in nodes {
        if let Some(first) = names.insert(node.id(), name.clone()) {
            let path = |name: &str| dir.path().join(NODES).join(node_file(name));
            return Err(HomeError::Twice { first: path(&first), second: path(name) });
        }
    }
    Ok(names)
}

/// The secrets that a key file holds, proved to belong to its card.
pub(super) fn secrets(path: &Path, file: KeyFile, ask: Ask) -> Result<NodeSecrets, HomeError> {
    let wrong = |why: String| HomeError::Key { path: path.to_owned(), why };
    let seed = match file.seed {
        SeedText::Plain(text) => Seed::from_text(&text).map_err(|e| wrong(e.to_string()))?,
        SeedText::Sealed(text) => {
            let passphrase = ask().map_err(HomeError::Passphrase)?;
            let opened = open_sealed_seed(&text, passphrase.as_bytes());
            opened.map_err(|e| {
                if e == KeyError::Passphrase { HomeError::Locked(path.to_owned()) } else { wrong(e.to_string()) }
            })?
        }
    };
    let secrets = NodeSecrets::from_seed(&seed);
    if secrets.id() == file.card.id() { Ok(secrets) } else { Err(wrong("the secret is not that of the card".into())) }
}
