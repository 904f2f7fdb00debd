//! mb-xfer: exchange packets with a stick.

use clap::Parser;
use mb_carry::copy::Work;
use mb_carry::out::{OutOptions, out, would_go};
use mb_carry::take::{TakeOptions, take, would_come};
use mb_carry::{CarryError, Report, Stick};
use mb_cli::{Arguments, Class, Common, Failed, Program, Progress, ProgressWhen, Teller};
use mb_node::config::parse_size;
use mb_node::config::{Keep, KnownNode};
use mb_node::home::Home;
use mb_node::toss::{self, Scope};
use mb_spool::deliver::clear_dead_runs;
use mb_spool::durable::{DirRef, real};
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_wire::id::NodeId;
use mb_wire::key::NodeSecrets;
use std::path::PathBuf;
use std::process::ExitCode;

/// Threads beyond these only take memory: a stick is slower.
const MOST_THREADS: usize = 8;

/// Exchange packets with a stick: take in what is for us, then put on it what is for the nodes that it goes to
#[derive(Parser)]
#[command(name = "mb-xfer", version, after_help = EXAMPLES)]
struct Args {
    /// The stick's folder, in which mailbag/ is or will be
    dir: PathBuf,

    /// Only put packets on the stick
    #[arg(long, conflicts_with = "inward")]
    out: bool,

    /// Only take packets in
    #[arg(long = "in")]
    inward: bool,

    /// The stick goes to this node from now on
    #[arg(long, value_name = "NODE", value_delimiter = ',', conflicts_with_all = ["all", "inward"])]
    node: Vec<String>,

    /// The stick goes to all known nodes from now on
    #[arg(long, conflicts_with = "inward")]
    all: bool,

    /// Toss before, and after packets were taken in
    #[arg(long)]
    toss: bool,

    /// Leave the packets where they are as well
    #[arg(long)]
    keep: bool,

    /// Put on the stick again what its nodes have not confirmed
    #[arg(long, conflicts_with = "inward")]
    again: bool,

    /// Read everything back from the stick before the source goes
    #[arg(long, conflicts_with = "inward")]
    verify: bool,

    /// Write nothing on the stick; with --in
    #[arg(long, requires = "inward")]
    one_way: bool,

    /// Put at most so many bytes on the stick
    #[arg(long, value_name = "N", value_parser = parse_size, conflicts_with = "inward")]
    max_bytes: Option<u64>,

    /// Exit 3 if nothing moved
    #[arg(long)]
    require_work: bool,

    /// Say on standard error what would move
    #[arg(long)]
    dry_run: bool,

    /// Whether to show how far work is
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    progress: ProgressWhen,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  mb-xfer --node south /media/stick    the first time: this stick goes to south
  mb-xfer --toss /media/stick          all that is typed at a host
  mb-xfer --in --one-way /media/cd     from a medium that cannot be written";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    let home = program.home()?;
    let nodes = nodes(&args, &home)?;
    let spool = program.spool(&home)?;
    let dir = real::open_root(&args.dir)?;
    let count = match args.dry_run {
        true => would_move(&args, program, &home, &spool, &dir, &nodes)?,
        false => Visit { args: &args, home: &home, spool: &spool }.exchange(program, &dir, &nodes)?,
    };
    program.check_stop()?;
    if args.require_work && count == 0 {
        program.count(Class::Nothing);
    }
    Ok(())
}

fn nodes(args: &Args, home: &Home) -> Result<Vec<NodeId>, Failed> {
    match args.all {
        true => Ok(home.nodes().map(|node| node.id()).collect()),
        false => args.node.iter().map(|word| Ok(home.node(word)?.id())).collect(),
    }
}

fn would_move(
    args: &Args,
    program: &mut Program,
    home: &Home,
    spool: &Spool,
    dir: &DirRef,
    nodes: &[NodeId],
) -> Result<u64, Failed> {
    let stick = Stick::find(dir)?;
    if stick.is_none() && nodes.is_empty() {
        return Err(CarryError::NoMailbag(args.dir.clone()).into());
    }
    let stop = program.stop();
    let work = Work { threads: 1, stop, progress: &|_| {} };
    let mut teller = Teller::new(program, home, true);
    let mut count = 0;
    if let Some(stick) = stick.filter(|_| !args.out) {
        count += would_come(spool, &stick, &mut teller)?.packet_count;
    }
    if !args.inward {
        count += would_go(spool, dir, out_options(args, nodes, &[], work), &mut teller)?.packet_count;
    }
    Ok(count)
}

fn out_options<'a>(args: &Args, nodes: &'a [NodeId], confirmed_by: &'a [NodeId], work: Work<'a>) -> OutOptions<'a> {
    let Args { keep, again, verify, max_bytes, .. } = *args;
    OutOptions { nodes, keep, confirmed_by, again, verify, max_bytes, work }
}

/// The nodes for which we keep what leaves until they confirm it.
fn confirmed_by(home: &Home) -> Vec<NodeId> {
    home.nodes().filter(|node| node.send.keep == Keep::UntilConfirmed).map(KnownNode::id).collect()
}

/// One exchange with a stick.
struct Visit<'a> {
    args: &'a Args,
    home: &'a Home,
    spool: &'a Spool,
}

impl Visit<'_> {
    /// Toss what waits, take in, toss, give out: the parts of it that were asked for. How many packets moved.
    fn exchange(&self, program: &mut Program, dir: &DirRef, nodes: &[NodeId]) -> Result<u64, Failed> {
        let stick = match nodes {
            [] => Stick::find(dir)?.ok_or_else(|| CarryError::NoMailbag(self.args.dir.clone()))?,
            _ => Stick::make(dir)?,
        };
        let secrets = if self.args.toss { Some(program.unlock(self.home)?) } else { None };
        clear_dead_runs(self.spool, &real::open_folder)?;
        let run = program.start_run(self.spool)?;
        let mut count = self.toss(program, secrets.as_ref())?;
        if !self.args.out {
            let taken = self.take(program, &stick, &run)?;
            program.check_stop()?;
            if taken.packet_count > 0 {
                count += taken.packet_count + self.toss(program, secrets.as_ref())?;
            }
        }
        if !self.args.inward {
            count += self.out(program, &stick, &run, nodes)?.packet_count;
        }
        Ok(count)
    }

    fn toss(&self, program: &mut Program, secrets: Option<&NodeSecrets>) -> Result<u64, Failed> {
        let Some(secrets) = secrets else { return Ok(0) };
        let mut count = 0;
        program.toss(self.home, self.spool, secrets, &Scope::default(), &mut |program, event| {
            if let toss::Event::Delivered(delivered) = event {
                count += 1;
                program.out().path(&delivered.path);
            }
        })?;
        Ok(count)
    }

    fn take(&self, program: &mut Program, stick: &Stick, run: &Run) -> Result<Report, Failed> {
        let progress = Progress::new(self.args.progress);
        let add = |bytes| progress.add(bytes);
        let keep = self.args.keep || self.args.one_way;
        let options = TakeOptions { keep, reserve: self.home.config().reserve, work: work(program, &add) };
        Ok(take(self.spool, stick, run, options, &mut Teller::new(program, self.home, false))?)
    }

    fn out(&self, program: &mut Program, stick: &Stick, run: &Run, nodes: &[NodeId]) -> Result<Report, Failed> {
        let progress = Progress::new(self.args.progress);
        let add = |bytes| progress.add(bytes);
        let confirmed_by = confirmed_by(self.home);
        let options = out_options(self.args, nodes, &confirmed_by, work(program, &add));
        Ok(out(self.spool, stick, run, options, &mut Teller::new(program, self.home, false))?)
    }
}

fn work<'a>(program: &Program, progress: &'a (dyn Fn(u64) + Sync)) -> Work<'a> {
    Work { threads: program.threads().get().min(MOST_THREADS), stop: program.stop(), progress }
}
