//! Small state files that hold one number: `FLOOR`, `day`, `doubt`, `due`.

use crate::barrier::Barrier;
use crate::durable::{self, DirRef};
use crate::run::Run;

/// Reads the number in the file `name`; `None` if it is missing or damaged.
pub fn read(dir: &DirRef, name: &str) -> durable::Result<Option<u64>> {
    match read_strict(dir, name) {
        Err(error) if error.is_missing() => Ok(None),
        other => other,
    }
}

/// Reads the number in the file `name`, which must be there; `None` if it is damaged.
pub fn read_strict(dir: &DirRef, name: &str) -> durable::Result<Option<u64>> {
    let mut bytes = [0; 32];
    let count = dir.open(name.as_ref())?.read_at(&mut bytes, 0)?;
    let text = std::str::from_utf8(&bytes[..count]).ok();
    Ok(text.and_then(|text| text.strip_suffix('\n')).and_then(|digits| digits.parse().ok()))
}

/// Replaces the number in the file `name`; durable on return, and never neither the old nor the new.
pub fn write(dir: &DirRef, name: &str, number: u64, run: &Run) -> durable::Result<()> {
    let (temporary, file) = run.write("number-", format!("{number}\n").as_bytes())?;
    file.sync()?;
    run.dir().rename(temporary.as_ref(), &**dir, name.as_ref())?;
    let mut barrier = Barrier::new();
    barrier.dir(dir);
    barrier.wait()
}
