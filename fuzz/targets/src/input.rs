//! Takes numbers off the front of the fuzzer's bytes; what is missing is zero.

/// What is left.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next bytes, `N` of them.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let part = self.take(N);
        out[..part.len()].copy_from_slice(part);
        out
    }

    /// At most `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (part, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        part
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two bytes.
    pub fn short(&mut self) -> usize {
        usize::from(u16::from_le_bytes(self.array()))
    }

    /// Three bytes.
    pub fn length(&mut self) -> usize {
        let [a, b, c] = self.array();
        u32::from_le_bytes([a, b, c, 0]) as usize
    }
}
