//! Small files of bookkeeping: put where they belong, read again; and text of them that counts only whole: lines, and behind them the
//! hash of all before.

use mb_wire::hash::{Label, hash};
use mb_wire::id::Root;

use crate::barrier::Barrier;
use crate::durable::{self, DirRef};
use crate::envelopes::read_whole;
use crate::run::Run;

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

/// Puts a small file into `dir`, instead of what is called so there: whole, or not at all while the system stays up. Durable when
/// `barrier` is; without one it may be lost.
pub fn put(dir: &DirRef, name: &str, bytes: &[u8], run: &Run, barrier: Option<&mut Barrier>) -> durable::Result<()> {
    let (made, file) = run.write("record-", bytes)?;
    run.dir().rename(made.as_ref(), &**dir, name.as_ref())?;
    if let Some(barrier) = barrier {
        barrier.file(file, dir, name);
        barrier.dir(dir);
    }
    Ok(())
}

/// The file `name` of `dir`, at most its first `most` bytes; `None` if there is none. Something else of that name is told by
/// `mb-check`.
pub fn read(dir: &DirRef, name: &str, most: usize) -> durable::Result<Option<Vec<u8>>> {
    match dir.open(name.as_ref()) {
        Ok(file) => Ok(Some(read_whole(&file, usize::try_from(file.stat()?.len).unwrap_or(usize::MAX).min(most))?)),
        Err(error) if error.is_missing() || error.is_wrong_kind() => Ok(None),
        Err(error) => Err(error),
    }
}
