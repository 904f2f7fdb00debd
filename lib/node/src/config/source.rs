//! From the text of a file to a value, with every fault found at its place.
//!
//! The keys are held against a list of our own before serde sees the text: it gives each unknown key its place and a
//! suggestion, and names what is not built yet.

use super::error::{ConfigError, Fault};
use super::near::nearest;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of a table.
pub(super) type Keys = &'static [(&'static str, Key)];

/// What is known of a key.
pub(super) enum Key {
    /// It has a value; serde says of which type.
    Value,
    /// It holds a table with these keys.
    Table(Keys),
    /// It holds tables with these keys, by names of the user's own.
    Named(Keys),
    /// It holds any number of tables with these keys, each with at least one of the first two.
    Tables(Keys),
    /// It is one of ours, and its work is not built yet.
    NotBuilt,
}

/// The text of one file.
pub(super) struct Source<'a> {
    /// For messages.
    pub path: &'a Path,
    /// What it holds.
    pub text: &'a str,
}

impl Source<'_> {
    /// The value that the text means.
    pub fn read<T: DeserializeOwned>(&self, keys: Keys) -> Result<T, ConfigError> {
        let table = DeTable::parse(self.text).map_err(|e| self.toml_error(&e, String::new()))?;
        self.check(table.get_ref(), keys, "")?;
        toml::from_str(self.text).map_err(|e| self.toml_error(&e, key_at(table.get_ref(), e.span())))
    }

    /// An error at byte `offset` of the text.
    pub fn error(&self, offset: usize, key: impl Into<String>, fault: Fault) -> ConfigError {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ConfigError { file: self.path.to_owned(), line, column, key: key.into(), fault }
    }

    fn check(&self, table: &DeTable<'_>, keys: Keys, within: &str) -> Result<(), ConfigError> {
        for (word, value) in table {
            let name = word.get_ref().as_ref();
            let fail = |fault| Err(self.error(word.span().start, format!("{within}{name}"), fault));
            match keys.iter().find(|(known, _)| *known == name) {
                Some((_, Key::Value)) => {}
                Some((_, Key::NotBuilt)) => return fail(Fault::NotBuilt),
                // What is no table where one should be is serde's to refuse.
                Some((_, Key::Table(keys))) => {
                    let inner = value.get_ref().as_table();
                    inner.into_iter().try_for_each(|inner| self.check(inner, keys, &format!("{within}{name}.")))?;
                }
                Some((_, Key::Named(keys))) => {
                    for (word, value) in value.get_ref().as_table().into_iter().flatten() {
                        let within = format!("{within}{name}.{}.", word.get_ref());
                        value
                            .get_ref()
                            .as_table()
                            .into_iter()
                            .try_for_each(|inner| self.check(inner, keys, &within))?;
                    }
                }
                Some((_, Key::Tables(keys))) => self.check_each(value, keys, &format!("{within}{name}"))?,
                None => {
                    let near = nearest(name, keys.iter().map(|(known, _)| *known)).map(str::to_owned);
                    return fail(Fault::Unknown { near });
                }
            }
        }
        Ok(())
    }

    /// Serde would name the place of the first of the tables for all of them.
    fn check_each(&self, tables: &Spanned<DeValue<'_>>, keys: Keys, within: &str) -> Result<(), ConfigError> {
        for value in tables.get_ref().as_array().into_iter().flatten() {
            let Some(table) = value.get_ref().as_table() else { continue };
            self.check(table, keys, &format!("{within}."))?;
            if let [(one, _), (other, _), ..] = keys
                && !table.contains_key(*one)
                && !table.contains_key(*other)
            {
                let fault = Fault::Value(format!("neither `{one}` nor `{other}` is there"));
                return Err(self.error(value.span().start, within, fault));
            }
        }
        Ok(())
    }

    fn toml_error(&self, error: &toml::de::Error, key: String) -> ConfigError {
        let offset = error.span().map_or(0, |span| span.start);
        self.error(offset, key, Fault::Value(error.message().trim().replace('\n', ", ")))
    }
}

/// The key whose value `span` is in, with its tables; empty if it is in none. (The span of a table is its heading.)
fn key_at(table: &DeTable<'_>, span: Option<Range<usize>>) -> String {
    span.and_then(|span| leaf_at(table, span.start)).unwrap_or_default()
}

fn leaf_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let below = |inner: &DeTable<'_>| leaf_at(inner, at).map(|leaf| format!("{}.{leaf}", key.get_ref()));
        let here = |span: Range<usize>| span.contains(&at).then(|| key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => below(inner),
            DeValue::Array(values) => {
                let mut tables = values.iter().filter_map(|value| Some((value.span(), value.get_ref().as_table()?)));
                let inner = tables.find_map(|(span, inner)| below(inner).or_else(|| here(span)));
                inner.or_else(|| here(value.span()))
            }
            _ => here(value.span()),
        }
    })
}
