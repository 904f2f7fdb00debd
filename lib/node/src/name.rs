//! Names from outside, reduced to what is safe to create here.
//!
//! A letter says where a file is to go; its path has been checked for form only. What arrives under the folder of
//! delivery is, component by component, a name that no shell, terminal or other system takes for something else.
//! Entries inside a delivered folder keep their names: they are reached only through that folder.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Names that some systems take for devices, whatever follows a dot.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// The folders and the name that `path`, from a letter, stands for here.
pub fn safe_path(path: &[u8]) -> (Vec<OsString>, OsString) {
    let mut components: Vec<OsString> = path.split(|byte| *byte == b'/').map(safe_name).collect();
    let name = components.pop().unwrap_or_else(|| "_".into());
    (components, name)
}

/// One component: control characters, and characters that change the direction of text, become `_`; so does what is no
/// UTF-8, a dot at the beginning, and a space or dot at the end. A dash at the beginning and a reserved name get `_` put
/// before them.
pub fn safe_name(component: &[u8]) -> OsString {
    let text = String::from_utf8_lossy(component);
    let mut name: String = text.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    if name.is_empty() || name.starts_with('-') || is_reserved(&name) {
        name.insert(0, '_');
    }
    // Replacement characters are longer than what they replace. What is cut has another end, so the end comes last.
    name.truncate(name.floor_char_boundary(255));
    if name.ends_with(['.', ' ']) {
        name.pop();
        name.push('_');
    }
    OsString::from_vec(name.into_bytes())
}

fn is_safe(c: char) -> bool {
    let turns_text =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let separates_lines = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    !c.is_control() && !turns_text && !separates_lines && c != char::REPLACEMENT_CHARACTER && c != '/' && c != '\\'
}

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let (device, number) = stem.split_at(stem.floor_char_boundary(3));
    RESERVED.contains(&device)
        && match device {
            "com" | "lpt" => matches!(number.as_bytes(), [b'1'..=b'9']),
            _ => number.is_empty(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat: 1.
    #[test]
    fn a_name_from_outside_is_one_harmless_component() {
        let table: &[(&[u8], &str)] = &[
            (b"report.pdf", "report.pdf"),
            ("Grüße 2026.txt".as_bytes(), "Grüße 2026.txt"),
            (b"..", "__"),
            (b".", "_"),
            (b"", "_"),
            (b".ssh", "_ssh"),
            (b".mb-abc-0", "_mb-abc-0"),
            (b"-rf", "_-rf"),
            (b"a\nb\x1b[31m", "a_b_[31m"),
            ("abc\u{202e}fdp.exe".as_bytes(), "abc_fdp.exe"),
            (b"\xff\xfe", "__"),
            (b"a\\b", "a_b"),
            (b"CON", "_CON"),
            (b"nul.txt", "_nul.txt"),
            (b"com7.log", "_com7.log"),
            (b"com", "com"),
            (b"command", "command"),
            (b"trailing. ", "trailing._"),
        ];
        for (from, expected) in table {
            assert_eq!(safe_name(from), OsString::from(expected), "{:?}", String::from_utf8_lossy(from));
        }
        assert!(safe_name(&[b'\xff'; 255]).len() <= 255);
        assert!(safe_name("-".repeat(255).as_bytes()).len() <= 255);
    }

    /// Symptom: a name of 255 bytes that began with a dash could end with a dot or a space. Cause: the end was made safe,
    /// then a `_` put before it, then all cut to 255 bytes. Remedy: the end comes last. Found by the target `safe_path`.
    #[test]
    fn a_name_that_is_cut_to_its_length_has_a_harmless_end() {
        for end in [". x", " ..", "  x", ".xx"] {
            let name = safe_name(format!("-{}{end}", "a".repeat(251)).as_bytes());
            let text = name.to_str().unwrap();
            assert!(text.len() == 255 && !text.ends_with(['.', ' ']), "{text:?}");
        }
    }

    #[test]
    fn every_component_of_a_path_is_made_safe() {
        let (folders, name) = safe_path(b"reports/.x/../may.pdf");
        assert_eq!(folders, ["reports", "_x", "__"]);
        assert_eq!(name, "may.pdf");
    }
}
