//! mb-toss: process what came.

use clap::Parser;
use mb_cli::{Arguments, Common, Complaint, Failed, Program, node_name};
use mb_node::home::Home;
use mb_node::toss::{self, Delivered, Event, Scope, watch};
use mb_spool::class::Class;
use mb_spool::date::time_text;
use mb_spool::layout::{Queue, Spool};
use mb_wire::id::PacketId;
use mb_wire::key::NodeSecrets;
use serde_json::json;
use std::num::NonZeroUsize;
use std::process::ExitCode;

/// Process what came: deliver files, keep what waits for bodies, put aside what cannot be processed
#[derive(Parser)]
#[command(name = "mb-toss", version, after_help = EXAMPLES)]
struct Args {
    /// Packets from bad/ to try again with --retry [all that are there]
    packets: Vec<PacketId>,

    /// Only what this node handed over in calls, and what came by stick
    #[arg(long, value_name = "NODE")]
    from: Vec<String>,

    /// Leave what is on its way to other nodes
    #[arg(long)]
    no_relay: bool,

    /// Leave files where they are
    #[arg(long)]
    no_file: bool,

    /// Run no commands
    #[arg(long)]
    no_exec: bool,

    /// Workers; the outcome is the same [as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Bring packets back from bad/ and try them again
    #[arg(long)]
    retry: bool,

    /// Go on, and toss whenever something comes
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,

    /// End each path with NUL
    #[arg(short = '0', long = "null")]
    nul: bool,

    /// One JSON object for each delivery: packet, from, path, area, re, author
    #[arg(long)]
    json: bool,

    /// Exit 3 if nothing was delivered, and nothing went on
    #[arg(long)]
    require_work: bool,

    /// Say on standard error what would be tossed
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  mb-toss                                deliver what came; prints the path of each file
  mb-toss -0 | xargs -0r ls -l           look at what was delivered
  mb-toss --retry                        try again what is in bad/, after mending what was wrong";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    if !args.retry && !args.packets.is_empty() {
        return Err(Complaint::new(Class::Usage, "packets are named only with --retry").into());
    }
    if let Some(jobs) = args.jobs {
        program.set_threads(jobs);
    }
    let home = program.home()?;
    let from = args.from.iter().map(|word| Ok(home.node(word)?.id())).collect::<Result<_, Failed>>()?;
    let scope = Scope { from, no_relay: args.no_relay, no_file: args.no_file, no_exec: args.no_exec };
    let spool = program.spool(&home)?;
    if args.dry_run {
        return say_what_waits(program, &spool);
    }
    program.out().end_with_nul(args.nul);
    let is_idle = !args.retry && !args.watch && !toss::is_due(&spool, &scope, mb_cli::now_secs())?;
    let count = if is_idle { 0 } else { work(program, &args, &home, &spool, &scope)? };
    if args.require_work && count == 0 {
        program.count(Class::Nothing);
    }
    Ok(())
}

/// Tosses once, or with `--watch` again and again; how many packets went somewhere.
fn work(program: &mut Program, args: &Args, home: &Home, spool: &Spool, scope: &Scope) -> Result<u64, Failed> {
    let secrets = program.unlock(home)?;
    if args.retry {
        retry(program, spool, &args.packets)?;
    }
    let watcher = args.watch.then(|| watch::Watcher::new(spool)).transpose()?;
    let mut count = toss(program, home, spool, &secrets, scope, args.json)?;
    if let Some(mut watcher) = watcher {
        program.out().flush();
        while watcher.wait(program.stop())? {
            count += toss(program, home, spool, &secrets, scope, args.json)?;
            program.out().flush();
        }
    }
    Ok(count)
}

fn toss(
    program: &mut Program,
    home: &Home,
    spool: &Spool,
    secrets: &NodeSecrets,
    scope: &Scope,
    as_json: bool,
) -> Result<u64, Failed> {
    let mut count = 0;
    program.toss(home, spool, secrets, scope, &mut |program, event| match event {
        Event::Delivered(delivered) => {
            count += 1;
            say(program, delivered, as_json);
            if let Delivered { packet, author, writer: Some(writer), .. } = delivered {
                program.detail(format_args!("{packet}: by {writer}, sent on by {author}"));
            }
        }
        Event::Ran { packet, author, area, handle, tries } => {
            count += 1;
            if as_json {
                let packet = packet.to_string();
                let mut object = json!({ "packet": packet, "from": author, "handle": handle, "tries": tries });
                if let Some(area) = area {
                    object["area"] = json!(area);
                }
                program.json(&object);
            }
            program.detail(format_args!("{packet}: {handle} has run for {author}"));
        }
        Event::Relayed { packet, next, became } => {
            count += 1;
            program.detail(format_args!("{packet}: goes on to {next} as {became}"));
        }
        Event::Rerouted { packet, next, became } => {
            program.detail(format_args!("{packet}: waited long enough, goes by {next} as {became}"));
        }
        Event::Answered { packet, to, became } => {
            count += 1;
            program.detail(format_args!("{packet}: what {to} asks for goes to it as {became}"));
        }
        Event::Held { packet, until } => {
            let until = time_text(i64::try_from(until).unwrap_or(i64::MAX));
            program.detail(format_args!("{packet}: is held until {until}, as its author wants"));
        }
        Event::Waits { packet, missing } => {
            program.detail(format_args!("{packet}: waits for {} of its bodies", missing.len()));
        }
        Event::Partial { delivered, missing } => {
            count += 1;
            let (path, packet) = (delivered.path.display(), delivered.packet);
            let missing =
                if missing.len() == 1 { "1 of its bodies is" } else { &format!("{} of its bodies are", missing.len()) };
            program.note(format_args!("{packet}: partial, {missing} missing: {path}"));
        }
        Event::Receipt { packet, by, receipt } => {
            program.detail(format_args!("{packet}: {} by {}", receipt.stage.word(), node_name(home, &by)));
        }
        Event::Tried { .. } | Event::Complaint { .. } | Event::Dropped(_) | Event::Failed(_) | Event::Doubt(_) => {}
    })?;
    Ok(count)
}

fn say(program: &mut Program, delivered: &Delivered, as_json: bool) {
    if as_json {
        let path = delivered.path.to_string_lossy();
        let mut object = json!({ "packet": delivered.packet.to_string(), "from": delivered.author, "path": path });
        if let Some(area) = &delivered.area {
            object["area"] = json!(area);
        }
        if let Some(re) = &delivered.re {
            object["re"] = json!(re.to_string());
        }
        if let Some(writer) = &delivered.writer {
            object["author"] = json!(writer);
        }
        program.json(&object);
    } else {
        program.out().path(&delivered.path);
    }
}

/// Brings packets back from `bad/`.
fn retry(program: &mut Program, spool: &Spool, packets: &[PacketId]) -> Result<(), Failed> {
    let run = program.start_run(spool)?;
    mb_spool::bad::sweep(spool, &run)?;
    let there = match spool.find(&["bad"])? {
        Some(bad) => mb_spool::bodies::packets(&bad)?.envelopes,
        None => Vec::new(),
    };
    for packet in if packets.is_empty() { &there } else { packets } {
        if there.binary_search(packet).is_ok() {
            mb_spool::bad::retry(spool, packet, &run)?;
        } else {
            program.fail(&Complaint::new(Class::No, format!("{packet}: not in bad/")));
        }
    }
    Ok(())
}

fn say_what_waits(program: &mut Program, spool: &Spool) -> Result<(), Failed> {
    for node in spool.nodes()?.into_iter().chain([spool.own()]) {
        let Some(queue) = spool.find_queue(&node, Queue::Rx)? else { continue };
        for packet in mb_spool::bodies::packets(&queue)?.envelopes {
            program.note(format_args!("would toss {packet}"));
        }
    }
    Ok(())
}
