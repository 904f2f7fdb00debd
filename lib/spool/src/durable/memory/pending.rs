//! Changes of names that have not reached the disk, and which of them cannot reach it without others.

use super::state::{Id, Name};

/// One name of one folder gets another meaning.
#[derive(Clone)]
pub(super) struct Change {
    pub seq: u64,
    pub dir: Id,
    pub key: Name,
    pub value: Option<Id>,
    /// The change of the same name before this one: it comes first.
    pub previous: u64,
    /// Other changes without which this one does not reach the disk. All were made earlier, but for the other half of
    /// the same rename, which may be the very next.
    pub needs: Vec<u64>,
    /// A sync of the folder failed after it: no later sync saves it.
    pub is_lost: bool,
}

/// Adds to the marked changes all that must reach the disk with them. One pass from the newest to the oldest is
/// enough, since what a change needs is older, or the very next.
pub(super) fn add_needed(pending: &[Change], marks: &mut [bool]) {
    for i in (0..pending.len()).rev() {
        if !marks[i] {
            continue;
        }
        for j in needed_by(pending, i) {
            let was_marked = std::mem::replace(&mut marks[j], true);
            if j > i && !was_marked {
                needed_by(pending, j).for_each(|k| marks[k] = true);
            }
        }
    }
}

/// Takes from the marked changes those of which something is missing that they need.
pub(super) fn drop_lacking(pending: &[Change], marks: &mut [bool]) {
    for i in 0..pending.len() {
        marks[i] &= needed_by(pending, i).all(|j| marks[j]);
        if !marks[i] && i > 0 && pending[i - 1].needs.contains(&pending[i].seq) {
            marks[i - 1] = false;
        }
    }
}

/// The places of what one change needs; what is not pending any more is on the disk.
fn needed_by(pending: &[Change], i: usize) -> impl Iterator<Item = usize> + '_ {
    let seqs = std::iter::once(&pending[i].previous).chain(&pending[i].needs);
    seqs.filter_map(|seq| pending.binary_search_by_key(seq, |change| change.seq).ok())
}
