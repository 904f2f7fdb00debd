//! Completions for shells, as `make install` writes them: `mb-send --completions bash`.
//!
//! No option of clap's, so that neither help nor completions offer it, and looked at before clap builds anything.

use crate::program::tell;
use crate::{Class, code};
use clap::{Command, ValueEnum as _};
use clap_complete::Shell;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What `--completions SHELL` prints, if that is what the program was asked for.
pub(crate) fn asked_for(command: impl FnOnce() -> Command) -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != "--completions" {
        return None;
    }
    let (mut command, word) = (command(), words.next().unwrap_or_default());
    let name = command.get_name().to_owned();
    Some(print(&mut command, &name, &word).unwrap_or_else(|(class, line)| {
        tell(&name, &line);
        ExitCode::from(code(class))
    }))
}

fn print(command: &mut Command, name: &str, word: &OsStr) -> Result<ExitCode, (Class, String)> {
    let shell = word.to_str().and_then(|word| Shell::from_str(word, false).ok());
    let shell = shell.ok_or_else(|| (Class::Usage, "--completions takes the name of a shell".to_owned()))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    let written = io::stdout().write_all(&script);
    written.map(|()| ExitCode::SUCCESS).map_err(|cause| (Class::Io, format!("standard output: write: {cause}")))
}
