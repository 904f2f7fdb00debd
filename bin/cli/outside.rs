//! What library functions take as arguments: the clock, randomness, the environment.

use std::ffi::OsString;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// A variable of the process's environment.
pub fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Fills `bytes` with the kernel's randomness.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::other)
}

/// Seconds since 1970, by the host's clock; 0 before.
pub fn now_secs() -> u64 {
    now_millis() / 1000
}

/// The same in milliseconds.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
