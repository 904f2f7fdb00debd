//! Options that every program has.

use clap::{Args, ValueEnum};
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Options in common. Each program flattens them into its own.
#[derive(Args, Debug, Clone, Default)]
pub struct Common {
    /// Configuration folder [$MB_CONFIG, ~/.config/mailbag]
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub config: Option<PathBuf>,

    /// Spool [$MB_SPOOL, or what config.toml says]
    #[arg(long, value_name = "DIR", global = true)]
    pub spool: Option<PathBuf>,

    /// Read the passphrase from file descriptor N
    #[arg(long, value_name = "N", global = true)]
    pub passphrase_fd: Option<u32>,

    /// Say more on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Say nothing of what will be tried again
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Threads that work at the same time
    #[arg(long, value_name = "N", global = true, hide = true)]
    pub threads: Option<NonZeroUsize>,
}

impl Common {
    /// Threads that may work at the same time: as told, or as many as there are cores.
    pub fn threads(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or_else(cores)
    }
}

/// When progress is shown on standard error; for programs whose work can take more than a second.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressWhen {
    /// When standard error is a terminal.
    #[default]
    Auto,
    /// Also into a file or pipe.
    Always,
    /// Not at all.
    Never,
}

impl ProgressWhen {
    /// Whether it is shown now.
    pub fn is_shown(self) -> bool {
        match self {
            ProgressWhen::Auto => std::io::stderr().is_terminal(),
            ProgressWhen::Always => true,
            ProgressWhen::Never => false,
        }
    }
}
