//! Lengths: the classes that hide how long an envelope's content is, and Padmé (Nikitin et al., PURBs, 2019), which
//! hides all but the order of magnitude for at most 12 % more (format.md, section 3).

/// Greatest size, version and time in seconds: below 2^53, so that every language can hold it.
pub const NUMBER_MOST: u64 = (1 << 53) - 1;

/// Longest envelope file, in bytes; itself a size class.
pub const ENVELOPE_MOST: usize = 262_144;

/// The Padmé size of `len`: as many significant bits as the length of its exponent, rounded up. `len` below 2^63.
pub fn padme(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1_u64 << (exponent - significant)) - 1;
    (len + mask) & !mask
}

/// The length of the envelope file that `len` bytes are filled up to.
pub fn class(len: u64) -> u64 {
    match len {
        0..=512 => 512,
        513..=1024 => 1024,
        1025..=2048 => 2048,
        2049..=4096 => 4096,
        _ => padme(len),
    }
}

/// Whether an envelope file may have this length.
pub fn is_class(len: u64) -> bool {
    len <= ENVELOPE_MOST as u64 && class(len) == len
}
