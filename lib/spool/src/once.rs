//! `self/once/`: what was sent under a `--once` key.
//!
//! A record is part of its batch and becomes visible by link, so two runs with one key send one batch. It lives until
//! the packets' last day.

use mb_wire::hash::{Digest, Label, hash};
use mb_wire::id::{PacketId, Root};

use crate::durable::{self, DirRef};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::record::{self, digest_text};
use crate::run::gone;

/// A record longer than this is damaged: room for 64 recipients of 4,000 files.
const MOST_RECORD_LEN: usize = 16 * 1024 * 1024;

/// What was sent under one key to one list of recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceRecord {
    /// The record's file name, from [`record_name`].
    pub name: String,
    /// The last day of the packets.
    pub end: u32,
    /// A digest of the input.
    pub input: Digest,
    /// The packets' ids, in the order in which `mb-send` prints them.
    pub packets: Vec<PacketId>,
}

/// The file name for a key and its recipients, as they were named.
pub fn record_name<'a>(key: &str, recipients: impl Iterator<Item = &'a str>) -> String {
    let mut text = length_prefixed(key.as_bytes());
    for recipient in recipients {
        text.extend(length_prefixed(recipient.as_bytes()));
    }
    digest_text(hash(Label::Once, &[&text]))
}

fn length_prefixed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_be_bytes(), bytes].concat()
}

impl OnceRecord {
    /// The record as it lies on disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("name {}\nend {}\ninput {}\n", self.name, self.end, digest_text(self.input));
        for packet in &self.packets {
            text.push_str(&format!("{packet}\n"));
        }
        record::with_sum(Label::Once, &text)
    }

    fn from_bytes(bytes: &[u8]) -> Option<OnceRecord> {
        let mut lines = record::lines(Label::Once, bytes)?.lines();
        let name = lines.next()?.strip_prefix("name ")?.to_owned();
        let end = lines.next()?.strip_prefix("end ")?.parse().ok()?;
        let input: Root = lines.next()?.strip_prefix("input ")?.parse().ok()?;
        let packets = lines.map(|line| line.parse().ok()).collect::<Option<Vec<_>>>()?;
        Some(OnceRecord { name, end, input: *input.as_bytes(), packets })
    }
}

/// The record called `name`, if there is one and it is whole.
pub fn read(spool: &Spool, name: &str) -> durable::Result<Option<OnceRecord>> {
    match spool.find(&["self", "once"])? {
        Some(dir) => read_file(&dir, name),
        None => Ok(None),
    }
}

/// The record in the file `name` of `dir`.
pub fn read_file(dir: &DirRef, name: &str) -> durable::Result<Option<OnceRecord>> {
    match dir.open(name.as_ref()) {
        Ok(file) => {
            let len = usize::try_from(file.stat()?.len).unwrap_or(usize::MAX).min(MOST_RECORD_LEN);
            Ok(OnceRecord::from_bytes(&read_whole(&file, len)?))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a record whose packets have ended.
pub fn forget(spool: &Spool, name: &str) -> durable::Result<()> {
    match spool.find(&["self", "once"])? {
        Some(dir) => gone(dir.unlink(name.as_ref())),
        None => Ok(()),
    }
}

/// Removes every record that ended before `today`.
pub fn forget_before(spool: &Spool, today: u32) -> durable::Result<()> {
    let Some(dir) = spool.find(&["self", "once"])? else { return Ok(()) };
    let names = dir.list()?.collect::<durable::Result<Vec<_>>>()?;
    for entry in names {
        let Some(name) = entry.name.to_str() else { continue };
        if read_file(&dir, name)?.is_some_and(|record| record.end < today) {
            gone(dir.unlink(&entry.name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_counts_as_none() {
        let name = record_name("key", ["south:", "east:"].into_iter());
        let packets = vec![PacketId::from_bytes([1; 32]), PacketId::from_bytes([2; 32])];
        let record = OnceRecord { name, end: 20_000, input: [9; 32], packets };
        let bytes = record.to_bytes();
        assert_eq!(OnceRecord::from_bytes(&bytes), Some(record));
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            assert_eq!(OnceRecord::from_bytes(&damaged), None, "bit of byte {position}");
            assert_eq!(OnceRecord::from_bytes(&bytes[..position]), None, "cut at {position}");
        }
    }

    #[test]
    fn recipients_and_key_do_not_run_into_each_other() {
        let one = record_name("ab", ["c"].into_iter());
        assert_ne!(one, record_name("a", ["bc"].into_iter()));
        assert_ne!(one, record_name("ab", ["c", ""].into_iter()));
    }
}
