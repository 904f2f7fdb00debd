//! Lists on standard input: one thing a line, blank lines and `#` comments left out.

use crate::{Class, Complaint, Failed};
use std::io::{BufRead, Read as _};

/// No line is longer, in bytes: a card has at most 1,023.
const LONGEST: u64 = 4096;

/// The lines that say something, each with its number counted from 1, without the white space around it.
pub fn input_lines(mut from: impl BufRead) -> Result<Vec<(usize, String)>, Failed> {
    let mut lines = Vec::new();
    for number in 1.. {
        let wrong = |class, what: &str| Complaint::new(class, format!("standard input: line {number}: {what}"));
        let mut line = Vec::new();
        let read = from.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        match read.map_err(|e| wrong(Class::Io, &e.to_string()))? {
            0 => break,
            count if count as u64 == LONGEST => return Err(wrong(Class::Data, "too long").into()),
            _ => {}
        }
        let text = String::from_utf8(line).map_err(|_| wrong(Class::Data, "not UTF-8"))?;
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            lines.push((number, text.to_owned()));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_are_left_out_and_numbers_stay() {
        let lines = input_lines(&b"\n# who\n a \r\n\nb"[..]).expect("plain text");
        assert_eq!(lines, [(3, "a".to_owned()), (5, "b".to_owned())]);
        assert!(input_lines(&[b'x'; 5000][..]).is_err());
        assert!(input_lines(&b"\xff\n"[..]).is_err());
    }
}
