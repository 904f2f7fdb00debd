//! mb-rm: removes packets from the spool, for good.

use clap::{ArgGroup, Parser};
use mb_cli::age::parse_age;
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Known, Program, now_secs};
use mb_spool::batch::publish_all;
use mb_spool::date::day_text;
use mb_spool::day;
use mb_spool::layout::Spool;
use mb_spool::parts::{self, Cleared};
use mb_spool::places::Place;
use mb_spool::remove::{Removed, Selection, remove};
use mb_spool::seen;
use mb_wire::id::{NodeId, PacketId};
use std::collections::HashSet;
use std::process::ExitCode;

/// Remove packets from the spool for good; prints the id of each
#[derive(Parser)]
#[command(name = "mb-rm", version, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("queue").args(["tx", "rx", "bad", "seen", "part"])))]
struct Args {
    /// These packets, wherever they are
    #[arg(value_name = "PACKET", conflicts_with_all = ["seen", "part"])]
    packets: Vec<PacketId>,

    /// Only what is for this node, or came from it
    #[arg(long, value_name = "NODE")]
    node: Option<String>,

    /// Only what has lain here for longer: 30d, 12h
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older: Option<u64>,

    /// What is to be handed to others
    #[arg(long)]
    tx: bool,

    /// What came: not tossed yet, or waiting for bodies
    #[arg(long)]
    rx: bool,

    /// What could not be processed
    #[arg(long, conflicts_with = "node")]
    bad: bool,

    /// Records of letters that ended two days and AGE ago [0d]; prints their days
    #[arg(long, conflicts_with = "node")]
    seen: bool,

    /// Bodies of calls that have not all come; prints their roots
    #[arg(long)]
    part: bool,

    /// Print what would be removed
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
A letter whose record is gone is refused as too old from then on: nothing is delivered twice.

Examples:
  mb-rm --tx --node south      give up all that waits for south
  mb-rm --bad --older 30d      forget what went bad more than 30 days ago
  mb-stat --packets | awk '$5 > 1e9 { print $1 }' | xargs -r mb-rm";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    if args.packets.is_empty() && ![args.tx, args.rx, args.bad, args.seen, args.part].contains(&true) {
        let refused = Complaint::new(Class::Usage, "nothing is selected: that would be everything");
        return Err(refused.with_remedy("name packets, or say --tx, --rx, --bad, --seen or --part").into());
    }
    let home = program.home()?;
    let spool = program.spool(&home)?;
    let known = Known::from(home);
    let node = args.node.as_deref().map(|word| known.find(word)).transpose()?;
    let is_timed = args.seen || args.older.is_some();
    if let Some(doubt) = day::today(&spool, now_secs())?.doubt.filter(|_| is_timed) {
        let refused = format!("clock: day {} is far from the last day of work: nothing is removed by age", doubt.clock);
        return Err(Complaint::new(Class::Later, refused)
            .with_remedy("if the clock is right: mb-check --clock-ok")
            .into());
    }
    match () {
        () if args.seen => forget(&args, &spool, program),
        () if args.part => clear_parts(&args, &spool, node, program),
        () => remove_packets(&args, &spool, node, program),
    }
}

/// The second before which something counts as older.
fn before(args: &Args) -> Option<i64> {
    args.older.map(|age| i64::try_from(now_secs().saturating_sub(age)).unwrap_or(i64::MAX))
}

fn clear_parts(args: &Args, spool: &Spool, node: Option<NodeId>, program: &mut Program) -> Result<(), Failed> {
    Ok(parts::clear(spool, node, before(args), args.dry_run, &mut |from, cleared| match cleared {
        Cleared::Gone(root) => program.say(root.to_string()),
        Cleared::Busy => {
            program.fail(&Complaint::new(Class::Later, format!("part/{from}: a call takes from it at this moment")));
        }
    })?)
}

fn remove_packets(args: &Args, spool: &Spool, node: Option<NodeId>, program: &mut Program) -> Result<(), Failed> {
    let run = if args.dry_run { None } else { Some(program.start_run(spool)?) };
    if let Some(run) = &run {
        // A batch that was committed is as good as in tx/.
        publish_all(spool, run)?;
    }
    let by_queue = |place: &Place| match place {
        Place::Tx(_) | Place::Sent(_) | Place::Out(_) => args.tx,
        Place::Rx(_) | Place::Wait(_) => args.rx,
        Place::Bad => args.bad,
    };
    let any = !(args.tx || args.rx || args.bad);
    let places = |place: &Place| (any || by_queue(place)) && node.is_none_or(|node| place.node() == Some(node));
    let mut met = HashSet::new();
    remove(
        spool,
        &Selection { places: &places, before: before(args), packets: &args.packets },
        run.as_ref(),
        &mut |place, packet, done| {
            if !args.packets.is_empty() {
                met.insert(*packet);
            }
            match done {
                Removed::Gone => program.say(packet.to_string()),
                Removed::Busy => {
                    let what = format!("{}/{packet}: another program works on it", place.word());
                    program.fail(&Complaint::new(Class::Later, what));
                }
            }
        },
    )?;
    for packet in args.packets.iter().filter(|packet| !met.contains(*packet)) {
        program.fail(&Complaint::new(Class::No, format!("{packet}: no such packet among what was selected")));
    }
    Ok(())
}

/// Records of days that are over. The floor is raised first, so that whatever ended by then is refused, record or not.
fn forget(args: &Args, spool: &Spool, program: &mut Program) -> Result<(), Failed> {
    let today = day::clock_day(now_secs().saturating_sub(args.older.unwrap_or(0)));
    for day in seen::days_before(spool, today)? {
        program.say(day_text(day));
    }
    if args.dry_run { Ok(()) } else { Ok(seen::forget_before(spool, today, &program.start_run(spool)?)?) }
}
