//! What a running program has at hand.

use crate::escape::shown;
use crate::outside::env;
use crate::{Common, Failed, Outcome, Records, passphrase, start};
use mb_node::home::{self, Home};
use mb_spool::class::{Class, Failure};
use mb_spool::durable::DirRef;
use mb_wire::key::NodeSecrets;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// One run of a program: its options in common, what it prints, and what went wrong so far.
pub struct Program {
    name: &'static str,
    common: Common,
    outcome: Outcome,
    records: Records,
    is_silent: bool,
}

impl Program {
    pub(crate) fn new(name: &'static str, common: Common) -> Program {
        Program { name, common, outcome: Outcome::default(), records: Records::new(), is_silent: false }
    }

    /// The options in common.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// Standard output.
    pub fn out(&mut self) -> &mut Records {
        &mut self.records
    }

    /// Writes one record to standard output.
    pub fn say(&mut self, record: impl AsRef<[u8]>) {
        self.records.line(record);
    }

    /// Writes one JSON object to standard output.
    pub fn json(&mut self, object: &impl Serialize) {
        self.records.json(object);
    }

    /// Tells people something, unless `-q`.
    pub fn note(&self, text: impl fmt::Display) {
        if !self.common.quiet {
            self.tell(text);
        }
    }

    /// Tells people something that only `-v` asks for.
    pub fn detail(&self, text: impl fmt::Display) {
        if self.common.verbose > 0 {
            self.tell(text);
        }
    }

    /// Tells a failure and counts it; the run goes on. `-q` silences what will be tried again.
    pub fn fail(&mut self, failure: &dyn Failure) {
        let class = failure.class();
        self.outcome.add(class);
        if self.common.quiet && class.is_temporary() {
            return;
        }
        self.tell(failure);
        if let Some(remedy) = failure.remedy().filter(|_| !self.is_silent) {
            tell_remedy(&remedy);
        }
    }

    /// From now on standard error is somebody else's: only the exit status speaks.
    pub fn be_silent(&mut self) {
        self.is_silent = true;
    }

    /// Counts a failure that is a result and was told as one: nothing matched, nothing moved.
    pub fn count(&mut self, class: Class) {
        self.outcome.add(class);
    }

    /// One line on standard error, made harmless. That standard error is closed or full changes nothing.
    fn tell(&self, text: impl fmt::Display) {
        if !self.is_silent {
            tell(self.name, &text.to_string());
        }
    }

    /// Set by SIGINT and SIGTERM, for library code to look at between two safe points; a second signal ends the process at
    /// once. From the first call on: before it, one signal is enough.
    pub fn stop(&self) -> &'static AtomicBool {
        start::watch_signals()
    }

    /// An error if the run was asked to stop; it makes the exit status 128 and the signal's number.
    pub fn check_stop(&self) -> Result<(), Failed> {
        if self.stop().load(Ordering::SeqCst) { Err(start::Stopped.into()) } else { Ok(()) }
    }

    /// From now on so many threads may work at the same time.
    pub fn set_threads(&mut self, threads: NonZeroUsize) {
        self.common.threads = Some(threads);
    }

    /// Threads that may work at the same time.
    pub fn threads(&self) -> NonZeroUsize {
        self.common.threads()
    }

    /// Opens the node's configuration.
    pub fn home(&self) -> Result<Home, Failed> {
        Ok(Home::open(&Home::find(self.common.config.as_deref(), &env))?)
    }

    /// The configuration folder for a node that is to be made.
    pub fn new_home_path(&self) -> PathBuf {
        Home::place(self.common.config.as_deref(), &env)
    }

    /// Where the node's spool is.
    pub fn spool_path(&self, home: &Home) -> Result<PathBuf, Failed> {
        Ok(home.spool_path(self.common.spool.as_deref(), &env)?)
    }

    /// Opens the folder of the node's spool, which must be there; refused where other users can write it.
    pub fn spool_dir(&self, home: &Home) -> Result<DirRef, Failed> {
        Ok(home::check_folder(Path::new(&self.spool_path(home)?))?)
    }

    /// The node's secrets; a sealed key asks for its passphrase.
    pub fn unlock(&self, home: &Home) -> Result<NodeSecrets, Failed> {
        Ok(home.unlock(&mut || passphrase::ask(&self.common))?)
    }

    /// A new passphrase, asked for twice where there is a terminal.
    pub fn new_passphrase(&self) -> Result<Zeroizing<String>, Failed> {
        Ok(passphrase::ask_new(&self.common).map_err(home::HomeError::Passphrase)?)
    }

    /// Everything is said; the exit status.
    pub(crate) fn finish(&mut self) -> u8 {
        if let Some(error) = self.records.finish() {
            self.outcome.add(Class::Io);
            self.tell(format_args!("standard output: write: {error}"));
        }
        self.outcome.code()
    }
}

/// One line on standard error: `program: text`.
pub(crate) fn tell(program: &str, text: &str) {
    write_line(&format!("{program}: {}\n", shown(text)));
}

/// The line after it: what can be done.
pub(crate) fn tell_remedy(text: &str) {
    write_line(&format!("  {}\n", shown(text)));
}

/// One write, so that the lines of programs that run at the same time do not mix. Nobody is left to hear that it failed.
fn write_line(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}
