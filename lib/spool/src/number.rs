//! Small state files that hold one number: `FLOOR`, `day`, `doubt`, `due`.

use crate::durable::{self, DirRef};
use crate::envelopes::read_whole;
use crate::run::Run;

/// The longest such file: 20 digits and a newline.
const MOST_LEN: usize = 21;

/// Reads the number in the file `name`; `None` if it is missing or damaged.
pub fn read(dir: &DirRef, name: &str) -> durable::Result<Option<u64>> {
    match read_strict(dir, name) {
        Err(error) if error.is_missing() => Ok(None),
        other => other,
    }
}

/// Reads the number in the file `name`, which must be there; `None` if it is damaged.
pub fn read_strict(dir: &DirRef, name: &str) -> durable::Result<Option<u64>> {
    let bytes = read_whole(&dir.open(name.as_ref())?, MOST_LEN + 1)?;
    let digits = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
    let number = digits.and_then(|digits| digits.parse().ok());
    // As it was written: no other spelling, and nothing after it.
    Ok(number.filter(|number: &u64| Some(number.to_string().as_str()) == digits))
}

/// Replaces the number in the file `name`; durable on return, and never neither the old nor the new.
pub fn write(dir: &DirRef, name: &str, number: u64, run: &Run) -> durable::Result<()> {
    run.replace(dir, name, format!("{number}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::memory::{Options, World};

    #[test]
    fn a_number_is_read_only_as_it_was_written() {
        let dir = World::new(1).file_system(Options::default());
        let read_back = |name: &str, text: &[u8]| {
            dir.create(name.as_ref(), 0o600).unwrap().write_at(text, 0).unwrap();
            read(&dir, name).unwrap()
        };
        assert_eq!(read_back("least", b"0\n"), Some(0));
        assert_eq!(read_back("most", b"18446744073709551615\n"), Some(u64::MAX));
        let behind = [&[b'0'; 30][..], b"7\n", b"\x80 more"].concat();
        for (number, text) in
            [&b""[..], b"7", b"07\n", b"+7\n", b"7\n\n", b"7\n7\n", b"18446744073709551616\n", &behind]
                .iter()
                .enumerate()
        {
            assert_eq!(read_back(&number.to_string(), text), None, "{text:?}");
        }
    }
}
