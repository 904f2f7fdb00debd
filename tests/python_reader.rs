//! The formats are what `docs/format.md` says, not what our code happens to do: `tests/vectors/check.py` was written
//! from that page alone, with other libraries, and must judge every vector as `lib/wire` does.
//!
//! It needs python3 and the packages of `tests/vectors/requirements.txt`. Where they are missing the test says so and
//! passes, unless the environment has STRICT=1, as in CI.

mod common;

use common::skip::skip;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// What check.py exits with when a package is missing.
const SKIPPED: i32 = 77;

/// A program that shares no code with ours accepts every good vector, with all values that ours finds in it, and refuses
/// every bad one.
#[test]
fn a_second_implementation_agrees_on_every_vector() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/check.py");
    assert!(script.is_file(), "{} is not there", script.display());
    let output = match Command::new("python3").arg(&script).output() {
        Ok(output) => output,
        Err(e) if e.kind() == ErrorKind::NotFound => return skip("python3"),
        Err(e) => panic!("python3: {e}"),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => println!("{stdout}"),
        Some(SKIPPED) => skip(stdout.trim().trim_start_matches("skipped: ")),
        _ => panic!("check.py: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr)),
    }
}
