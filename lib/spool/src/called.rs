//! `NODE/call`: what is remembered of the calls to a node.
//!
//! A small text file that only we write: three lines, `looked SECS`, `failures N`, `not-before SECS`. When a call is due is
//! not decided here.

use mb_wire::id::NodeId;

use crate::durable::{self, DirRef};
use crate::envelopes::read_whole;
use crate::layout::Spool;
use crate::run::Run;

/// The file's name in the node's folder.
pub(crate) const CALL: &str = "call";
/// The longest such file: the words, and 20 digits each for two times, 10 for the count.
const MOST_LEN: usize = "looked \nfailures \nnot-before \n".len() + 20 + 10 + 20;

/// What is remembered of the calls to a node. Times are seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Called {
    /// Until when the node's schedule has been worked off.
    pub looked_secs: u64,
    /// Calls that failed since the last one that did not.
    pub failure_count: u32,
    /// No call before this; 0: at any time.
    pub not_before_secs: u64,
}

impl Called {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let Called { looked_secs, failure_count, not_before_secs } = self;
        format!("looked {looked_secs}\nfailures {failure_count}\nnot-before {not_before_secs}\n")
    }

    /// What a file's text says; `None` for anything that [`Called::to_text`] would not have written.
    pub fn parse(text: &[u8]) -> Option<Called> {
        let mut lines = std::str::from_utf8(text).ok()?.lines();
        let mut value = |word: &str| lines.next()?.strip_prefix(word)?.strip_prefix(' ').map(str::to_owned);
        let called = Called {
            looked_secs: value("looked")?.parse().ok()?,
            failure_count: value("failures")?.parse().ok()?,
            not_before_secs: value("not-before")?.parse().ok()?,
        };
        (called.to_text().as_bytes() == text).then_some(called)
    }
}

/// What is remembered of the calls to `node`; `None` if nothing is, or the file is damaged.
pub fn read(spool: &Spool, node: &NodeId) -> durable::Result<Option<Called>> {
    let Some(dir) = spool.find(&[&node.to_string()])? else { return Ok(None) };
    match read_strict(&dir) {
        Err(error) if error.is_missing() => Ok(None),
        other => other,
    }
}

/// Reads the file in the node's folder `dir`, which must be there; `None` if it is damaged.
pub(crate) fn read_strict(dir: &DirRef) -> durable::Result<Option<Called>> {
    let bytes = read_whole(&dir.open(CALL.as_ref())?, MOST_LEN + 1)?;
    Ok(Called::parse(&bytes))
}

/// Replaces what is remembered of the calls to `node`; durable on return, and never neither the old nor the new.
pub fn write(spool: &Spool, node: &NodeId, called: &Called, run: &Run) -> durable::Result<()> {
    run.replace(&spool.make(&[&node.to_string()])?, CALL, called.to_text().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::memory::{Options, World};

    const CALLED: Called = Called { looked_secs: 1_790_000_000, failure_count: 3, not_before_secs: 1_790_000_240 };

    fn spool() -> (Spool, NodeId) {
        let root = World::new(1).file_system(Options::default());
        (Spool::new(root, NodeId::from_bytes([1; 32])), NodeId::from_bytes([2; 32]))
    }

    #[test]
    fn what_was_written_is_read_and_replaced() {
        let (spool, node) = spool();
        let run = Run::start(&spool, [1; 16]).unwrap();
        assert_eq!(read(&spool, &node).unwrap(), None, "no folder");
        spool.make(&[&node.to_string()]).unwrap();
        assert_eq!(read(&spool, &node).unwrap(), None, "no file");
        let most = Called { looked_secs: u64::MAX, failure_count: u32::MAX, not_before_secs: u64::MAX };
        assert_eq!(most.to_text().len(), MOST_LEN);
        for called in [CALLED, Called::default(), most] {
            write(&spool, &node, &called, &run).unwrap();
            assert_eq!(read(&spool, &node).unwrap(), Some(called));
        }
    }

    #[test]
    fn a_record_of_calls_is_read_only_as_it_was_written() {
        let good = CALLED.to_text();
        assert_eq!(good, "looked 1790000000\nfailures 3\nnot-before 1790000240\n");
        assert_eq!(Called::parse(good.as_bytes()), Some(CALLED));
        let bad = [
            "".into(),
            good.trim_end().into(),
            format!("{good}\n"),
            format!("{good}{good}"),
            format!(" {good}"),
            good.replace('\n', "\r\n"),
            good.replace(" 3", " 03"),
            good.replace(" 3", " +3"),
            good.replace(" 3", "  3"),
            good.replace(" 3", " -3"),
            good.replace(" 3", " 4294967296"),
            good.replace(" 3", ""),
            good.replace("1790000240", "18446744073709551616"),
            good.replace("looked", "Looked"),
            good.replace("failures 3\n", ""),
            "failures 3\nlooked 1790000000\nnot-before 1790000240\n".into(),
        ];
        for text in bad {
            assert_eq!(Called::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Called::parse(&[good.as_bytes(), b"\xff"].concat()), None);
    }

    #[test]
    fn a_long_file_is_not_taken_for_its_beginning() {
        let (spool, node) = spool();
        let dir = spool.make(&[&node.to_string()]).unwrap();
        let text = [CALLED.to_text().as_bytes(), &[b'x'; 200]].concat();
        dir.create(CALL.as_ref(), 0o600).unwrap().write_at(&text, 0).unwrap();
        assert_eq!(read(&spool, &node).unwrap(), None);
    }
}
