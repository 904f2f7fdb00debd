//! A test that needs something that is not here says so and passes; with STRICT=1 it fails.

use std::io::Write as _;

/// Tells that the running test is skipped because `needs` is not here; the test returns after it. Fails with STRICT=1.
///
/// The line also goes into the file that MB_SKIPS names, from which `make test` prints them: test runners keep what a
/// passing test says to themselves.
#[track_caller]
pub fn skip(needs: &str) {
    let line = format!("skipped: {needs}");
    assert!(std::env::var_os("STRICT").is_none_or(|strict| strict != "1"), "STRICT=1, and yet {line}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("MB_SKIPS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("the list of skipped tests");
    }
}

/// Whether the program `tool` is on the PATH; if not, tells that the running test is skipped.
#[track_caller]
pub fn have(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if !found {
        skip(tool);
    }
    found
}
