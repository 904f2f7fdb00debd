//! Which folders are locked, without taking a lock: a check must not stand in the way of a run that begins.

use std::collections::HashSet;

/// The inodes that somebody holds a lock on, whatever the device; `None` where the system does not tell.
///
/// Linux lists its locks in `/proc/locks`, one a line: `1: FLOCK ADVISORY WRITE 512 fe:00:131 0 EOF`. Devices are left
/// out, since some file systems tell another one here than to `stat`: taking a dead run for a living one does no harm.
pub fn held_inodes() -> Option<HashSet<u64>> {
    std::fs::read_to_string("/proc/locks").ok().map(|text| inodes(&text))
}

fn inodes(text: &str) -> HashSet<u64> {
    let of_line = |line: &str| line.split_whitespace().find_map(|word| word.splitn(3, ':').nth(2)?.parse().ok());
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inode_of_each_lock_is_read() {
        let text = "1: FLOCK  ADVISORY  WRITE 512 fe:00:131 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 513 fe:00:131 0 EOF\n\
                    2: POSIX  ADVISORY  READ 7 00:1f:9007 128 128\n";
        assert_eq!(inodes(text), HashSet::from([131, 9007]));
        assert_eq!(inodes("nonsense\n"), HashSet::new());
    }
}
