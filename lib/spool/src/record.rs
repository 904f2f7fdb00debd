//! Small text files that count only whole: lines, and behind them the hash of all before.

use mb_wire::hash::{Label, hash};
use mb_wire::id::Root;

/// The file's bytes: `lines`, each with its newline, and `sum DIGEST`.
pub fn with_sum(label: Label, lines: &str) -> Vec<u8> {
    format!("{lines}sum {}\n", sum(label, lines)).into_bytes()
}

/// The lines of such a file; `None` if it is cut or damaged.
pub fn lines(label: Label, bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (lines, last) = text.split_at(text.rfind("sum ")?);
    let found = last.strip_prefix("sum ")?.strip_suffix('\n')?;
    (found == sum(label, lines)).then_some(lines)
}

fn sum(label: Label, lines: &str) -> String {
    digest_text(hash(label, &[lines.as_bytes()]))
}

/// A digest as such a file has it.
pub fn digest_text(digest: mb_wire::hash::Digest) -> String {
    Root::from_bytes(digest).to_string()
}
