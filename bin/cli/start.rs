//! From the first instruction to the exit status.

use crate::program::{tell, tell_remedy};
use crate::{Common, Failed, Program, completions, exit};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};
use mb_spool::class::{Class, Failure};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What `--help` looks like: it has to fit a screen, and its end has examples.
const HELP: &str = "{usage-heading} {usage}\n\n{about}\n\n{all-args}{after-help}";

/// The options and operands of a program.
pub trait Arguments: Parser {
    /// The options in common among them.
    fn common(&self) -> &Common;

    /// Takes from what clap found what its own types do not tell: in which order options of several kinds stood.
    fn see(&mut self, _matches: &ArgMatches) {}
}

/// Runs a program: parses its arguments, does `work`, tells what failed. Wrong usage is 64, a panic 70.
pub fn main<A: Arguments>(work: fn(A, &mut Program) -> Result<(), Failed>) -> ExitCode {
    if let Some(code) = completions::asked_for(A::command) {
        return code;
    }
    let command = with_short_help(A::command().help_template(HELP).disable_help_subcommand(true));
    let name: &'static str = String::leak(command.get_name().to_owned());
    hide_memory();
    hook_panics(name);
    let parsed = command.try_get_matches().and_then(|matches| {
        let mut arguments = A::from_arg_matches(&matches)?;
        arguments.see(&matches);
        Ok(arguments)
    });
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(tell_usage(name, &error)),
    };
    let mut program = Program::new(name, arguments.common().clone());
    let done = panic::catch_unwind(AssertUnwindSafe(|| work(arguments, &mut program)));
    match done {
        Ok(Ok(())) => ExitCode::from(program.finish()),
        Ok(Err(failure)) => {
            program.fail(&*failure);
            let code = program.finish();
            ExitCode::from(signal().map_or(code, |signal| 128 + signal))
        }
        // The hook has told it.
        Err(_) => {
            program.finish();
            ExitCode::from(exit::code(Class::Bug))
        }
    }
}

/// One form of help, by `-h` and `--help` alike: clap's long one does not fit a screen.
fn with_short_help(command: Command) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print help").global(true);
    command.disable_help_flag(true).arg(help)
}

/// No core dump, no debugger of the same user: the process holds keys.
fn hide_memory() {
    // Where it cannot be done, the run is no worse than that of any other program.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// A panic is one line, unless RUST_BACKTRACE asks for more.
fn hook_panics(name: &'static str) {
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        panic::set_hook(Box::new(move |info| tell_panic(name, info)));
    }
}

fn tell_panic(name: &str, info: &PanicHookInfo<'_>) {
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("no message");
    tell(name, &format!("a bug of ours{place}: {what}"));
    tell_remedy("please report it; RUST_BACKTRACE=1 tells more");
}

/// Help and version go to standard output; wrong usage is told in one line, with a tip where clap has one.
fn tell_usage(name: &str, error: &clap::Error) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    let mut parts = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    match (error.kind(), parts.next()) {
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _) | (_, None) => tell(name, "what shall it do?"),
        (_, Some(first)) => tell(name, first.strip_prefix("error: ").unwrap_or(&first)),
    }
    let tip = parts.find_map(|part| part.strip_prefix("tip: ").map(str::to_owned));
    tell_remedy(&tip.unwrap_or_else(|| format!("{name} --help tells more")));
    exit::code(Class::Usage)
}

static STOP: AtomicBool = AtomicBool::new(false);
static SIGNAL: AtomicUsize = AtomicUsize::new(0);

/// Lets SIGINT and SIGTERM set a flag, and end the process at once when it is set already.
pub(crate) fn watch_signals() -> &'static AtomicBool {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In this order: the first signal finds the flag not set. Where it cannot be done, one signal is enough.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, &STOP);
            let _ = signal_hook::flag::register_usize(signal, &SIGNAL, signal as usize);
            let _ = signal_hook::flag::register(signal, &STOP);
        }
    });
    &STOP
}

fn signal() -> Option<u8> {
    u8::try_from(SIGNAL.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
}

/// The run was asked to stop, and stopped where the next one goes on.
#[derive(Debug)]
pub(crate) struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped by a signal; the next run goes on from here")
    }
}

impl std::error::Error for Stopped {}

impl Failure for Stopped {
    fn class(&self) -> Class {
        Class::Later
    }
}
