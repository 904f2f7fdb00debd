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

    /// Threat: 1.
    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        assert_eq!(shown("Übersicht 2026.pdf"), "Übersicht 2026.pdf");
        assert_eq!(shown("a\x1b[2Jb\r\n\u{9b}c"), "a\\u{1b}[2Jb\\r\\n\\u{9b}c");
        assert_eq!(shown("cod\u{202e}fdp.exe\u{2066}"), "cod\\u{202e}fdp.exe\\u{2066}");
        assert_eq!(shown_name(OsStr::from_bytes(b"a\xffb\x07")), "a\\xffb\\u{7}");
    }
}
