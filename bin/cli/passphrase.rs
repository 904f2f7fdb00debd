//! A passphrase, from wherever the user has it: a file descriptor, a command, or the terminal. Never from an argument or
//! a variable, where other users could see it.

use crate::Common;
use std::fs::File;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// A command that prints the passphrase, run by `sh -c`.
const COMMAND: &str = "MB_PASSPHRASE_CMD";
/// No passphrase is longer, in bytes.
const LONGEST: u64 = 1024;

/// The passphrase of a key that is sealed already.
pub(crate) fn ask(common: &Common) -> io::Result<Zeroizing<String>> {
    match from_elsewhere(common)? {
        Some(passphrase) => Ok(passphrase),
        None => prompt("Passphrase of the node's key: "),
    }
}

/// A new passphrase: asked twice on a terminal. An empty one is invalid input.
pub(crate) fn ask_new(common: &Common) -> io::Result<Zeroizing<String>> {
    let passphrase = match from_elsewhere(common)? {
        Some(passphrase) => passphrase,
        None => {
            let first = prompt("New passphrase: ")?;
            if *prompt("The same once more: ")? != *first {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the two are not the same"));
            }
            first
        }
    };
    if passphrase.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "empty"));
    }
    Ok(passphrase)
}

fn from_elsewhere(common: &Common) -> io::Result<Option<Zeroizing<String>>> {
    if let Some(fd) = common.passphrase_fd {
        return from_descriptor(fd).map(Some).map_err(|e| said(&format!("file descriptor {fd}"), &e));
    }
    match std::env::var_os(COMMAND).filter(|command| !command.is_empty()) {
        Some(command) => from_command(&command).map(Some).map_err(|e| said(COMMAND, &e)),
        None => Ok(None),
    }
}

/// Any descriptor but standard input is opened once more by its name, so it must be one that we could open ourselves.
fn from_descriptor(fd: u32) -> io::Result<Zeroizing<String>> {
    if fd == 0 { first_line(io::stdin().lock()) } else { File::open(format!("/dev/fd/{fd}")).and_then(first_line) }
}

fn from_command(command: &std::ffi::OsStr) -> io::Result<Zeroizing<String>> {
    let mut child = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let line = child.stdout.take().map(first_line).unwrap_or_else(|| Ok(Zeroizing::default()));
    let status = child.wait()?;
    if status.success() { line } else { Err(io::Error::other(status.to_string())) }
}

/// All up to the first line feed.
fn first_line(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    from.take(LONGEST + 1).read_to_end(&mut bytes)?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than 1024 bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn prompt(text: &str) -> io::Result<Zeroizing<String>> {
    let asked = rpassword::prompt_password(text).map(Zeroizing::new);
    asked.map_err(|e| if e.kind() == io::ErrorKind::Interrupted { e } else { said("no terminal to ask on", &e) })
}

fn said(thing: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{thing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line() {
        let line = |text: &[u8]| first_line(text).map(|line| line.to_string()).ok();
        assert_eq!(line(b"correct horse\nbattery\n").as_deref(), Some("correct horse"));
        assert_eq!(line(b"with spaces \r\n").as_deref(), Some("with spaces "));
        assert_eq!(line(b"").as_deref(), Some(""));
        assert_eq!(line(b"\xff"), None);
        assert_eq!(line(&[b'x'; 1025]), None);
    }
}
