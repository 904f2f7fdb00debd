//! `[[share]]`: a folder whose files a node may ask for.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::fields;
use super::source::{Key, Keys};

/// Bytes that an answer holds at the most, unless `most_bytes` says otherwise.
const MOST_BYTES: u64 = 1 << 30;
/// Files and folders that an answer holds or lists at the most, unless `most_files` says otherwise.
const MOST_FILES: u32 = 10_000;

/// A folder, and what of it may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The folder, an absolute path; its last part is no link.
    #[serde(deserialize_with = "folder")]
    pub folder: PathBuf,
    /// The first component of what is asked for in it; None: paths begin in the folder. At most one share has none.
    #[serde(default, deserialize_with = "name")]
    pub name: Option<String>,
    /// `match`: only files that one of these fits; if there are none, all.
    #[serde(default, rename = "match")]
    pub only: Patterns,
    /// Neither files that one of these fits, nor folders with all that is in them.
    #[serde(default)]
    pub except: Patterns,
    /// Bytes of a file, or of all files of a folder, at the most.
    #[serde(default = "most_bytes", deserialize_with = "fields::size")]
    pub most_bytes: u64,
    /// Files and folders of a folder, or lines of a list, at the most: 1 to 1,000,000.
    #[serde(default = "most_files", deserialize_with = "fields::within::<_, _, 1, 1_000_000>")]
    pub most_files: u32,
}

/// All keys of `[[share]]`.
pub(super) const KEYS: Keys = &[
    ("folder", Key::Value),
    ("name", Key::Value),
    ("match", Key::Value),
    ("except", Key::Value),
    ("most_bytes", Key::Value),
    ("most_files", Key::Value),
];

impl Share {
    /// Whether a file of the share may be asked for. `path` is relative to the folder; that none of the folders on the way
    /// is excepted, the caller has seen.
    pub fn has_file(&self, path: &Path) -> bool {
        self.has_folder(path) && (self.only.is_empty() || self.only.fit(path))
    }

    /// Whether a folder of the share may be looked into: the same, but for what `match` says of files.
    pub fn has_folder(&self, path: &Path) -> bool {
        !self.except.fit(path)
    }
}

/// Patterns as a shell has them. One without `/` is about names, wherever they are; one with `/` about paths from the top of the
/// share. `*` and `?` do not stand for `/`; `**` does.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl Patterns {
    /// From their texts, or what is wrong with one.
    pub fn new(texts: Vec<String>) -> Result<Patterns, String> {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            let whole = match text.strip_prefix('/').unwrap_or(text) {
                "" => return Err("an empty pattern".into()),
                path if text.contains('/') => path.to_owned(),
                name => format!("**/{name}"),
            };
            let glob = GlobBuilder::new(&whole).literal_separator(true).build();
            set.add(glob.map_err(|error| format!("{text:?}: {}", error.kind()))?);
        }
        let set = set.build().map_err(|error| error.kind().to_string())?;
        Ok(Patterns { texts, set })
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    fn fit(&self, path: &Path) -> bool {
        self.set.is_match(path)
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Patterns) -> bool {
        self.texts == other.texts
    }
}

impl Eq for Patterns {}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Patterns::new(Vec::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Serialize for Patterns {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        self.texts.serialize(into)
    }
}

fn most_bytes() -> u64 {
    MOST_BYTES
}

fn most_files() -> u32 {
    MOST_FILES
}

fn folder<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    fields::absolute(from)?.ok_or_else(|| de::Error::custom("no folder"))
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(from)?;
    let is_fit = mb_wire::path::check(name.as_bytes()).is_ok() && !name.contains('/');
    if is_fit { Ok(Some(name)) } else { Err(de::Error::custom(format!("{name:?} is not one part of a path"))) }
}

/// Shares that can be told apart.
pub(super) fn shares<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Share>, D::Error> {
    let shares = Vec::<Share>::deserialize(from)?;
    for (number, share) in shares.iter().enumerate() {
        if shares[..number].iter().any(|other| other.name == share.name) {
            return Err(de::Error::custom(match &share.name {
                Some(name) => format!("two of the name {name:?}"),
                None => "two without a name: at most one share has none".into(),
            }));
        }
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(only: &[&str], except: &[&str]) -> Share {
        let patterns = |texts: &[&str]| Patterns::new(texts.iter().map(|text| text.to_string()).collect()).unwrap();
        Share {
            folder: "/srv".into(),
            name: None,
            only: patterns(only),
            except: patterns(except),
            most_bytes: 0,
            most_files: 1,
        }
    }

    #[test]
    fn a_pattern_without_a_slash_is_about_names_and_one_with_it_about_paths() {
        let share = share(&["*.pdf", "docs/*.txt", "/top.?", "all/**"], &["*.secret.pdf", "old"]);
        for path in ["a.pdf", "x/y/a.pdf", "docs/a.txt", "top.c", "all/x/y"] {
            assert!(share.has_file(Path::new(path)), "{path}");
        }
        for path in ["a.txt", "x/docs/a.txt", "docs/x/a.txt", "x/top.c", "top.cc", "a.secret.pdf", "x/a.secret.pdf"] {
            assert!(!share.has_file(Path::new(path)), "{path}");
        }
        assert!(share.has_folder(Path::new("docs")));
        assert!(!share.has_folder(Path::new("old")) && !share.has_folder(Path::new("x/old")));
    }

    #[test]
    fn patterns_fit_names_that_are_not_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"\xff.pdf");
        assert!(share(&["*.pdf"], &[]).has_file(Path::new(name)));
        assert!(!share(&[], &["*.pdf"]).has_file(Path::new(name)));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_with_its_words() {
        for text in ["", "/", "a[", "{a,b"] {
            assert!(Patterns::new(vec![text.into()]).is_err(), "{text:?}");
        }
    }
}
