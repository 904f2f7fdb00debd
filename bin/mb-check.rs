//! mb-check: is every byte in the spool, or on a stick, what its name says; is the configuration sound.

use clap::Parser;
use clap::builder::Resettable;
use mb_carry::{CarryError, Stick, check as stick_check};
use mb_cli::escape::shown_name;
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Failure, Known, Program, Progress, ProgressWhen, now_secs};
use mb_node::home::{Home, unsound};
use mb_spool::check::{Check, Finding, Fix, Mended, Work, held_inodes};
use mb_spool::day;
use mb_spool::durable::real;
use mb_wire::id::NodeId;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

/// Longer than any program needs between two steps that belong together.
const PAUSE: Duration = Duration::from_millis(100);

/// Check that every byte in the spool, or on a stick, is what its name says; prints what is not
#[derive(Parser)]
#[command(name = "mb-check", version, after_help = EXAMPLES, mut_arg("config", |arg| arg.long(Resettable::Reset)))]
struct Args {
    /// A folder with a mailbag in it; needs no configuration [the spool]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Only what is for this node, or came from it
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,

    /// Is the configuration sound? (-C DIR says which)
    #[arg(long = "config", id = "sound", conflicts_with_all = ["dir", "node", "clock_ok", "fix"])]
    sound: bool,

    /// The clock is right: take its word, and check nothing else
    #[arg(long, conflicts_with_all = ["dir", "node", "fix"])]
    clock_ok: bool,

    /// Damaged packets to bad/, damaged records and litter away; on a stick, damaged files to NAME.bad
    #[arg(long)]
    fix: bool,

    /// With --fix: say what it would do
    #[arg(long, requires = "fix")]
    dry_run: bool,

    /// One JSON object for each finding: path, kind, what, mended
    #[arg(long)]
    json: bool,

    /// Show progress
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    progress: ProgressWhen,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Exit status: 0 clean, 1 something was found, mended or not.

Examples:
  mb-check                     is the spool whole?
  mb-check /media/stick        is the stick? needs no keys and no configuration
  mb-check --config            is the configuration sound, and what to do
  mb-check --fix --dry-run     what would be mended, and how";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    match &args.dir {
        _ if args.sound => check_config(&args, program),
        Some(dir) => check_stick(&args, dir, program)?,
        None => check_spool(&args, program)?,
    }
    program.check_stop()
}

/// Needs no configuration where no node is named by its local name.
fn check_stick(args: &Args, dir: &Path, program: &mut Program) -> Result<(), Failed> {
    let root = real::open_root(dir)?;
    let stick = Stick::find(&root)?.ok_or_else(|| CarryError::NoMailbag(dir.to_owned()))?;
    let nodes = if args.node.is_empty() { Vec::new() } else { nodes(args, &program.known())? };
    let fix = match (args.fix, args.dry_run) {
        (false, _) => stick_check::Fix::No,
        (true, true) => stick_check::Fix::DryRun,
        (true, false) => stick_check::Fix::Yes,
    };
    let progress = Progress::new(args.progress);
    let read = |len| progress.add(len);
    let work = Work { threads: program.threads(), stop: program.stop(), read: &read };
    let check = stick_check::Check { stick: &stick, work, nodes: &nodes, fix };
    Ok(check.run(&mut |finding| tell(program, dir, &finding, args.json))?)
}

fn check_spool(args: &Args, program: &mut Program) -> Result<(), Failed> {
    let home = program.home()?;
    let spool = program.spool(&home)?;
    if args.clock_ok {
        return Ok(day::accept_clock(&spool, now_secs(), &program.start_run(&spool)?)?);
    }
    let nodes = nodes(args, &home.into())?;
    let writes = args.fix && !args.dry_run;
    let run = if writes { Some(program.start_run(&spool)?) } else { None };
    let fix = args.fix.then_some(Fix { run: run.as_ref(), now: now_secs(), open: &real::open_folder });
    let progress = Progress::new(args.progress);
    let read = |len| progress.add(len);
    let work = Work { threads: program.threads(), stop: program.stop(), read: &read };
    let check = Check { spool: &spool, work, nodes: &nodes, held: &held_inodes, pause: &|| sleep(PAUSE), fix };
    Ok(check.run(&mut |finding| tell(program, spool.root().path(), &finding, args.json))?)
}

fn nodes(args: &Args, known: &Known) -> Result<Vec<NodeId>, Failed> {
    args.node.iter().map(|word| known.find(word)).collect()
}

/// One finding, as a line on standard output; what is only worth a note goes to standard error, with `-v`.
fn tell(program: &mut Program, root: &Path, finding: &Finding, as_json: bool) {
    let path = root.join(&finding.place);
    if !finding.fault.is_damage() {
        return program.detail(format_args!("{}: {}", shown_name(path.as_os_str()), finding.fault));
    }
    program.count(Class::No);
    let mended = match &finding.mended {
        Mended::NotAsked | Mended::Failed(..) => None,
        Mended::Left => Some("left as it is".to_owned()),
        Mended::Would(mend) => Some(format!("would be {}", mend.as_str())),
        Mended::Done(mend) => Some(mend.as_str().to_owned()),
    };
    if as_json {
        let (kind, what) = (finding.fault.code(), finding.fault.to_string());
        program.json(&json!({ "path": path.to_string_lossy(), "kind": kind, "what": what, "mended": mended }));
    } else {
        let mended = mended.map(|mended| format!("; {mended}")).unwrap_or_default();
        program.say(format!("{}: {}{mended}", shown_name(path.as_os_str()), finding.fault));
    }
    if let Mended::Failed(_, error) = &finding.mended {
        program.fail(&Complaint::new(error.class(), error.to_string()));
    }
}

fn check_config(args: &Args, program: &mut Program) {
    let path = Home::find(args.common.config.as_deref(), &mb_cli::env);
    for one in unsound(&path, args.common.spool.as_deref(), &mb_cli::env, now_secs()) {
        program.count(Class::No);
        let (what, remedy) = (one.to_string(), one.remedy());
        if args.json {
            program.json(&json!({ "what": what, "remedy": remedy }));
        } else {
            let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
            program.say(shown_name(format!("{what}{remedy}").as_ref()));
        }
    }
}
