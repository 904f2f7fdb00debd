//! Where a letter wants to go, and where it may.

use std::ffi::OsString;

use mb_node::name;
use mb_spool::durable::is_one_component;
use mb_wire::path;

/// Of every path that a letter may have, each component becomes one harmless name.
pub fn safe_path(data: &[u8]) {
    if path::check(data).is_err() {
        return;
    }
    let (folders, file) = name::safe_path(data);
    assert_eq!(folders.len(), data.iter().filter(|byte| **byte == b'/').count());
    folders.iter().chain([&file]).for_each(check);
}

fn check(name: &OsString) {
    assert!(is_one_component(name) && name.len() <= 255, "{name:?}");
    let text = name.to_str().expect("UTF-8");
    assert!(!text.starts_with(['.', '-']), "{text:?}");
    assert!(!text.ends_with(['.', ' ']), "{text:?}");
    assert!(!text.contains(|c: char| c.is_control() || matches!(c, '\\' | '\u{202e}' | '\u{2028}')), "{text:?}");
    assert_eq!(name::safe_name(text.as_bytes()), *name, "what is safe stays as it is");
}
