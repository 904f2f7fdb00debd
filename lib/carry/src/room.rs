//! How much still fits: on the file system, and of what the user allows.
//!
//! Every file is counted up to full clusters, since on a stick small files take most of the room. The file system is asked
//! again only when the estimate has run out, so many small packets cost few questions.

use std::io::ErrorKind;

use mb_spool::durable::{self, DirRef};

/// Room that a file takes is a multiple of this, as a guess.
const CLUSTER_LEN: u64 = 32 * 1024;

/// What still fits.
pub(crate) struct Room {
    dir: DirRef,
    /// Bytes that are to stay free.
    reserve: u64,
    /// Bytes that this run may still write.
    allowed: u64,
    /// Bytes that are surely free.
    free: u64,
}

impl Room {
    /// Room on the file system of `dir`, of which `reserve` bytes stay free, and of which at most `allowed` are taken.
    pub fn new(dir: &DirRef, reserve: u64, allowed: u64) -> Room {
        Room { dir: dir.clone(), reserve, allowed, free: 0 }
    }

    /// Whether the user allows so many bytes more.
    pub fn allows(&self, len: u64) -> bool {
        len <= self.allowed
    }

    /// Whether files of these sizes fit on the file system.
    pub fn fits(&mut self, sizes: &[u64]) -> durable::Result<bool> {
        let need = taken(sizes);
        if need > self.free {
            self.free = self.dir.free_space()?.saturating_sub(self.reserve);
        }
        // At the very end the guess of clusters may be what is wrong.
        Ok(need <= self.free || sizes.iter().sum::<u64>().saturating_add(CLUSTER_LEN) <= self.free)
    }

    /// Notes that files of these sizes were written.
    pub fn take(&mut self, sizes: &[u64]) {
        self.allowed = self.allowed.saturating_sub(sizes.iter().sum());
        self.free = self.free.saturating_sub(taken(sizes));
    }

    /// Notes that something else happened to the room.
    pub fn forget(&mut self) {
        self.free = 0;
    }
}

/// Whether something could not be written for want of room.
pub(crate) fn is_full(error: &durable::Error) -> bool {
    matches!(error.cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn taken(sizes: &[u64]) -> u64 {
    sizes.iter().map(|size| size.div_ceil(CLUSTER_LEN).saturating_mul(CLUSTER_LEN)).fold(0, u64::saturating_add)
}
