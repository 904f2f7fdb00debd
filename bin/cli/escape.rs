//! Names that come from outside can hold what a terminal obeys: escape sequences, characters that turn the direction of
//! reading, line feeds that forge a line of ours. Whatever is shown to people goes through here.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// `text` with every character that is not plainly visible written as `\n` or `\u{202e}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.extend(c.escape_default()),
            c if is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same for a name that need not be UTF-8: bytes that are none are written as `\xff`.
pub fn shown_name(name: &OsStr) -> String {
    let mut out = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        out.push_str(&shown(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The same JSON with every character that is not plainly visible written as an escape. Such stand only in its strings.
pub fn shown_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Control characters, line and paragraph separators, everything that turns the direction of reading, joins or has no
/// width, and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_with_escapes() {
        let value = serde_json::json!({ "why": "Ü \u{9b}31m \u{7f}\u{202e}\u{e0041} \"\n" });
        let text = value.to_string();
        let shown = shown_json(&text);
        assert!(!shown.chars().any(is_hidden) && shown.contains('Ü'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    /// Threat: 1.
    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        assert_eq!(shown("Übersicht 2026.pdf"), "Übersicht 2026.pdf");
        assert_eq!(shown("a\x1b[2Jb\r\n\u{9b}c"), "a\\u{1b}[2Jb\\r\\n\\u{9b}c");
        assert_eq!(shown("cod\u{202e}fdp.exe\u{2066}"), "cod\\u{202e}fdp.exe\\u{2066}");
        assert_eq!(shown_name(OsStr::from_bytes(b"a\xffb\x07")), "a\\xffb\\u{7}");
    }
}
