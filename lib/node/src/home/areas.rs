//! Known areas: made, taken in, changed.
//!
//! `areas/NAME.toml` belongs to the people who edit it; what a command changes in it keeps their comments and their order.
//! `areas/NAME.key` holds the secrets, and only its owner can read it; it is there before the file that makes the area known. An area
//! with other keys under a known name is refused loudly.

use super::create::{CONFIG_MODE, random_bytes};
use super::read::{AREAS, area_file, area_key_file};
use super::write::Writer;
use super::{Home, HomeError, read};
use crate::config::{KnownArea, KnownNode, area_key_text, check_name, nearest};
use mb_spool::durable::DirRef;
use mb_spool::layout::{DIR_MODE, FILE_MODE, sub_dir};
use mb_wire::area::{AreaCard, AreaKeys, AreaSecret, Mode, PostSecret};
use mb_wire::id::AreaId;
use mb_wire::key::{ExchangeSecret, NodeSecrets};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml_edit::{Array, DocumentMut, Item, Value};

/// The secrets of all areas of which we have some. Wiped when dropped.
#[derive(Debug, Default)]
pub struct AreaSecrets(BTreeMap<AreaId, AreaSecret>);

impl AreaSecrets {
    /// What of an area we can read.
    pub fn read(&self, area: &AreaId) -> Option<&ExchangeSecret> {
        self.0.get(area)?.read.as_ref()
    }

    /// What we sign messages of an area with.
    pub fn post(&self, area: &AreaId) -> Option<&PostSecret> {
        self.0.get(area)?.post.as_ref()
    }

    /// All that we have of an area, taken out.
    pub fn take(mut self, area: &AreaId) -> Option<AreaSecret> {
        self.0.remove(area)
    }

    /// All that we have of an area.
    pub fn get(&self, area: &AreaId) -> Option<&AreaSecret> {
        self.0.get(area)
    }
}

impl FromIterator<AreaSecret> for AreaSecrets {
    fn from_iter<T: IntoIterator<Item = AreaSecret>>(secrets: T) -> Self {
        AreaSecrets(secrets.into_iter().map(|secret| (secret.card.id(), secret)).collect())
    }
}

/// What came of taking in an area's card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The area is known from now on.
    New,
    /// It was known, and we may do more in it from now on.
    More,
    /// It was known, with all that the card gives.
    Known,
}

impl Home {
    /// The known areas, in the order of their names.
    pub fn areas(&self) -> impl Iterator<Item = &KnownArea> {
        self.areas.values()
    }

    /// The area with this id, if it is known.
    pub fn area_by_id(&self, id: &AreaId) -> Option<&KnownArea> {
        self.areas.values().find(|area| area.id() == *id)
    }

    /// The area that `word` names, by its local name or its id. [`HomeError::UnknownArea`] suggests the name that was meant.
    pub fn area(&self, word: &str) -> Result<&KnownArea, HomeError> {
        if let Some(area) = self.areas.get(word) {
            return Ok(area);
        }
        match word.parse::<AreaId>() {
            Ok(id) => self.area_by_id(&id).ok_or_else(|| HomeError::UnknownArea { word: word.into(), near: None }),
            Err(cause) if word.starts_with("mba1") => Err(HomeError::MistypedId { word: word.into(), cause }),
            Err(_) => {
                let near = nearest(word, self.areas.keys().map(String::as_str)).map(str::to_owned);
                Err(HomeError::UnknownArea { word: word.into(), near })
            }
        }
    }

    /// The secrets of all known areas. [`HomeError::Unsafe`] where another user can read one.
    pub fn area_secrets(&self) -> Result<AreaSecrets, HomeError> {
        match self.areas.is_empty() {
            true => Ok(AreaSecrets::default()),
            false => read::area_secrets(&self.areas_dir()?, self.areas.values(), self.uid),
        }
    }

    /// The path of the file of the known area `name`.
    pub fn area_path(&self, name: &str) -> PathBuf {
        self.path().join(AREAS).join(area_file(name))
    }

    /// Makes an area of this node, with keys from `random` bytes. Durable on return.
    pub fn new_area(
        &mut self,
        node: &NodeSecrets,
        name: &str,
        mode: Mode,
        created: u64,
        random: super::Random,
    ) -> Result<AreaId, HomeError> {
        check_name(name).map_err(|why| HomeError::BadName { name: name.to_owned(), why })?;
        if self.areas.contains_key(name) {
            return Err(HomeError::AreaExists(name.to_owned()));
        }
        let post = PostSecret::from_random(*random_bytes(random)?);
        let read = ExchangeSecret::from_random(*random_bytes(random)?);
        let keys = (mode != Mode::Moderated).then(|| AreaKeys { post: post.public(), read: read.public() });
        let read = keys.is_some().then_some(read);
        let card = AreaCard::new(node, name, mode, keys, *random_bytes(random)?, created);
        let card = card.map_err(|error| HomeError::BadName { name: name.to_owned(), why: error.to_string() })?;
        let id = card.id();
        self.join_area(name, card.clone(), Some(AreaSecret { card, post: Some(post), read }))?;
        Ok(id)
    }

    /// Takes in an area's card, and what may be done in it, as `name`. What is known already stays, and may become more.
    ///
    /// [`HomeError::OtherArea`] where the name is another area's, [`HomeError::AreaKnownAs`] where the area has another name.
    /// Durable on return.
    pub fn join_area(&mut self, name: &str, card: AreaCard, secret: Option<AreaSecret>) -> Result<Joined, HomeError> {
        check_name(name).map_err(|why| HomeError::BadName { name: name.to_owned(), why })?;
        let id = card.id();
        if let Some(known) = self.areas.get(name).filter(|known| known.id() != id) {
            return Err(HomeError::OtherArea { name: name.to_owned(), known: known.id(), given: id });
        }
        if let Some(known) = self.area_by_id(&id).filter(|known| known.name != name) {
            return Err(HomeError::AreaKnownAs { name: name.to_owned(), known: known.name.clone() });
        }
        // Of one area there is one card.
        if self.areas.get(name).is_some_and(|known| known.card != card) {
            return Err(HomeError::OtherArea { name: name.to_owned(), known: id, given: id });
        }
        let is_new = !self.areas.contains_key(name);
        let areas = Writer::new(sub_dir(&self.dir, AREAS.as_ref(), DIR_MODE)?)?;
        let is_more = match secret {
            Some(secret) => self.add_secret(&areas, name, secret)?,
            None => {
                // A dead run may have left those of an area that did not come to be known.
                if is_new {
                    areas.remove(&area_key_file(name))?;
                }
                false
            }
        };
        if is_new {
            match areas.publish_new(&area_file(name), KnownArea::file_text(&card).as_bytes(), CONFIG_MODE) {
                // Since we looked, another program made it.
                Err(error) if error.is_taken() => return Err(HomeError::Busy(self.area_path(name))),
                other => other?,
            }
        } else {
            // The run that made it may have been killed before it could tidy up and sync.
            areas.tidy(&area_file(name))?;
            areas.dir().sync()?;
        }
        self.reread(name)?;
        Ok(match (is_new, is_more) {
            (true, _) => Joined::New,
            (false, true) => Joined::More,
            (false, false) => Joined::Known,
        })
    }

    /// `true`: there is more in the key file now. What a dead run left there of an area that did not come to be known is
    /// replaced.
    fn add_secret(&self, areas: &Writer, name: &str, given: AreaSecret) -> Result<bool, HomeError> {
        let file = area_key_file(name);
        let there = match self.areas.contains_key(name) {
            true => read::area_key(areas.dir(), name, self.uid)?.filter(|there| there.card == given.card),
            false => None,
        };
        // In a moderated area a node may get another post key instead of one that counts no more.
        let post = |secret: &AreaSecret| secret.post.as_ref().map(PostSecret::public);
        let has_post = given.post.is_none() || there.as_ref().and_then(post) == post(&given);
        let has_read = given.read.is_none() || there.as_ref().is_some_and(|there| there.read.is_some());
        if has_post && has_read {
            return Ok(false);
        }
        let (post, read) = there.map_or((None, None), |there| (there.post, there.read));
        let whole = AreaSecret { card: given.card, post: given.post.or(post), read: given.read.or(read) };
        areas.replace(&file, &area_key_text(&whole), FILE_MODE)?;
        Ok(true)
    }

    /// From now on these nodes get the area's messages from us. Durable on return.
    pub fn subscribe(&mut self, area: &str, nodes: &[&str]) -> Result<(), HomeError> {
        let names: Vec<String> = self.others(nodes)?.into_iter().map(|node| node.name.clone()).collect();
        self.change_area(area, &mut |file| {
            let there = subscribers(file)?;
            let known: Vec<&str> = there.iter().filter_map(Value::as_str).collect();
            let new: Vec<String> = names.iter().filter(|name| !known.contains(&name.as_str())).cloned().collect();
            new.iter().for_each(|name| there.push(name.as_str()));
            Ok(())
        })
    }

    /// The nodes that these words name, each once. [`HomeError::Itself`] where one is this node itself.
    pub fn others(&self, words: &[&str]) -> Result<Vec<&KnownNode>, HomeError> {
        let mut nodes: Vec<&KnownNode> = Vec::with_capacity(words.len());
        for word in words {
            let node = self.node(word)?;
            if node.id() == self.itself.id() {
                return Err(HomeError::Itself((*word).to_owned()));
            }
            if nodes.iter().all(|known| known.name != node.name) {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    /// These nodes get them no more. One that did not is no error. Durable on return.
    pub fn unsubscribe(&mut self, area: &str, nodes: &[&str]) -> Result<(), HomeError> {
        // A name that is in the file may be that of a node that was removed since.
        let listed = self.area(area)?.subscribers.clone();
        let name = |word: &&str| match listed.iter().find(|name| name == word) {
            Some(name) => Ok(name.clone()),
            None => self.node(word).map(|node| node.name.clone()),
        };
        let names = nodes.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        self.change_area(area, &mut |file| {
            subscribers(file)?.retain(|value| value.as_str().is_none_or(|name| !names.iter().any(|gone| gone == name)));
            Ok(())
        })
    }

    /// Sets keys of the area's file; an empty value removes the key. What would make the file wrong is refused, and nothing is
    /// changed; so is another card, [`HomeError::KeepsCard`], and a new subscriber that is not known. Durable on return.
    pub fn set_area(&mut self, area: &str, settings: &[(&str, &str)]) -> Result<(), HomeError> {
        if settings.iter().any(|(key, _)| *key == "card") {
            return Err(HomeError::KeepsCard(self.area(area)?.name.clone()));
        }
        self.change_area(area, &mut |file| {
            for (key, value) in settings {
                if value.is_empty() {
                    file.remove(key);
                    continue;
                }
                // What is no number, truth or list is a text, with or without quotes.
                let value: Value = value.parse().unwrap_or_else(|_| (*value).into());
                match file.get_mut(key).and_then(Item::as_value_mut) {
                    Some(there) => {
                        let decor = there.decor().clone();
                        *there = value;
                        *there.decor_mut() = decor;
                    }
                    None => {
                        file.insert(key, Item::Value(value));
                    }
                }
            }
            Ok(())
        })
    }

    fn change_area(
        &mut self,
        word: &str,
        change: &mut dyn FnMut(&mut DocumentMut) -> Result<(), String>,
    ) -> Result<(), HomeError> {
        let name = self.area(word)?.name.clone();
        let path = self.area_path(&name);
        let wrong = |why: String| HomeError::Edit { path: path.clone(), why };
        let areas = Writer::new(self.areas_dir()?)?;
        let (text, mode) = read::area_text(areas.dir(), &name, self.uid)?;
        let mut file: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| wrong(error.to_string()))?;
        change(&mut file).map_err(wrong)?;
        let changed = file.to_string();
        let known = KnownArea::parse(&path, &name, &changed).map_err(|error| wrong(error.what()))?;
        // What is there may be the name of a node that was removed since.
        let listed = &self.area(&name)?.subscribers;
        let new: Vec<&str> =
            known.subscribers.iter().filter(|name| !listed.contains(name)).map(String::as_str).collect();
        self.others(&new)?;
        if changed != *text {
            areas.replace(&area_file(&name), changed.as_bytes(), mode)?;
        }
        drop(areas);
        self.reread(&name)
    }

    fn reread(&mut self, name: &str) -> Result<(), HomeError> {
        if let Some(area) = read::area(&self.areas_dir()?, &area_file(name), self.uid)? {
            self.areas.insert(name.to_owned(), area);
        }
        Ok(())
    }

    fn areas_dir(&self) -> Result<DirRef, HomeError> {
        Ok(self.dir.open_dir(AREAS.as_ref())?)
    }
}

fn subscribers(file: &mut DocumentMut) -> Result<&mut Array, String> {
    let item = file.entry("subscribers").or_insert_with(|| Item::Value(Array::new().into()));
    item.as_array_mut().ok_or_else(|| "subscribers is no list".into())
}
