//! mb-stat: what waits, for whom, since when, how many bytes; in the spool or on a stick.

use clap::Parser;
use mb_carry::waiting::{Bodies, on_stick};
use mb_carry::{CarryError, Stick};
use mb_cli::escape::shown;
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Known, Program};
use mb_node::receipts::{Rerouted, Told, told};
use mb_spool::complaints;
use mb_spool::date::{day_text, time_text};
use mb_spool::durable::real;
use mb_spool::layout::Spool;
use mb_spool::tries::Last;
use mb_spool::waiting::{Asked, Note, Row, Tally, Waiting, What, in_spool};
use mb_wire::id::{NodeId, PacketId};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what waits: to be carried, for its bodies, to be tossed, or in bad/; or what lies on a stick
#[derive(Parser)]
#[command(name = "mb-stat", version, after_help = EXAMPLES)]
struct Args {
    /// A stick's folder (needs no configuration); then only these nodes and packets
    #[arg(value_name = "DIR | NODE | PACKET")]
    words: Vec<String>,

    /// A line for each packet: id, queue, node, nice, bytes, last day, bodies here/all, since
    #[arg(long)]
    packets: bool,

    /// Are these delivered? Exit status 1 if not, and what was heard of them; of those sent with --receipt
    #[arg(long, value_name = "PACKET", num_args = 1.., conflicts_with_all = ["words", "packets"])]
    confirmed: Vec<PacketId>,

    /// The same as JSON objects
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Lines: queue (tx, rx, wait, out), node, packets, bytes, since; of bad each packet, with its reason.
A body that several packets share counts for each. Exit status 1: nothing that was named is here.

Examples:
  mb-stat                      what waits, for whom
  mb-stat south --packets      every packet for south
  mb-stat /media/stick         for whom is this stick?";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(mut args: Args, program: &mut Program) -> Result<(), Failed> {
    if !args.confirmed.is_empty() {
        return confirmed(&args, program);
    }
    let dir = args.words.first().filter(|word| is_dir(word)).map(PathBuf::from);
    let words = args.words.split_off(usize::from(dir.is_some()));
    let known = if dir.is_some() { program.known() } else { program.home()?.into() };
    let mut asked = Asked { each: args.packets, ..Asked::default() };
    // What was named and not met so far: ids, and the words for them.
    let mut unmet = BTreeMap::new();
    for word in words {
        let id = match word.parse() {
            Ok(packet) => {
                asked.packets.push(packet);
                word.clone()
            }
            Err(_) => {
                let node = known.find(&word)?;
                asked.nodes.push(node);
                node.to_string()
            }
        };
        unmet.insert(id, word);
    }
    match (&dir, known.home()) {
        (Some(dir), _) => {
            let stick = Stick::find(&real::open_root(dir)?)?.ok_or_else(|| CarryError::NoMailbag(dir.to_owned()))?;
            let spare = on_stick(&stick, &asked, &mut |row| print(program, &known, &row, args.json, &mut unmet))?;
            print_spare(program, spare, args.json);
        }
        (None, Some(home)) => {
            let spool = program.spool(home)?;
            in_spool(&spool, &asked, &mut |row| print(program, &known, &row, args.json, &mut unmet))?;
            for packet in &asked.packets {
                if let Some(told) = told(&spool, packet)? {
                    unmet.remove(&packet.to_string());
                    print_told(program, &known, packet, &told, args.json);
                }
            }
        }
        (None, None) => {}
    }
    if let (None, Some(home), true) = (&dir, known.home(), asked.packets.is_empty()) {
        for node in print_complaints(program, &program.spool(home)?, &known, &asked.nodes, args.json)? {
            unmet.remove(&node.to_string());
        }
    }
    for word in unmet.values() {
        program.fail(&Complaint::new(Class::No, format!("{word}: nothing here")));
    }
    Ok(())
}

/// A line for each neighbour of whose packets somebody complained; which these are.
fn print_complaints(
    program: &mut Program,
    spool: &Spool,
    known: &Known,
    only: &[NodeId],
    as_json: bool,
) -> Result<Vec<NodeId>, Failed> {
    let mut found = Vec::new();
    for node in spool.nodes()?.iter().filter(|node| only.is_empty() || only.contains(node)) {
        let count = complaints::of(spool, node)?;
        if count > 0 {
            found.push(*node);
        }
        match count {
            0 => {}
            count if as_json => {
                program.json(&json!({ "queue": "complaints", "node": known.name(node), "id": node.to_string(),
                    "complaints": count }));
            }
            count => program.say(format!("complaints {} {count} within {} days", known.name(node), complaints::DAYS)),
        }
    }
    Ok(found)
}

/// Tells what was heard of the packets that are not delivered.
fn confirmed(args: &Args, program: &mut Program) -> Result<(), Failed> {
    let known = Known::from(program.home()?);
    let Some(home) = known.home() else { return Ok(()) };
    let spool = program.spool(home)?;
    for packet in &args.confirmed {
        let line = match told(&spool, packet)? {
            Some(told) if told.is_delivered() => continue,
            Some(told) => {
                print_told(program, &known, packet, &told, args.json);
                format!("{packet}: sent {}, not delivered yet as far as is known", time_text(told.since))
            }
            None => format!("{packet}: not sent from here with --receipt, or long ago"),
        };
        program.fail(&Complaint::new(Class::No, line));
    }
    Ok(())
}

/// A line for each time that the packet went by another road, then one for each node on its way.
fn print_told(program: &mut Program, known: &Known, packet: &PacketId, told: &Told, as_json: bool) {
    for Rerouted { next, became, time } in &told.rerouted {
        let (name, time) = (known.name(next), time_text(*time));
        if as_json {
            program.json(&json!({ "packet": packet.to_string(), "queue": "way", "node": name, "id": next.to_string(),
                "stage": "rerouted", "time": time, "why": null, "became": became.to_string() }));
            continue;
        }
        program.say(format!("{packet} way {name} rerouted {time} {became}"));
    }
    for (node, said) in &told.hops {
        let name = known.name(node);
        let receipt = said.as_ref().map(|said| &said.receipt);
        let stage = receipt.map(|receipt| receipt.stage.word());
        let time = receipt.map(|receipt| time_text(i64::try_from(receipt.time).unwrap_or(i64::MAX)));
        let why = receipt.map(|receipt| &receipt.why).filter(|why| !why.is_empty());
        if as_json {
            program.json(&json!({ "packet": packet.to_string(), "queue": "way", "node": name, "id": node.to_string(),
                "stage": stage, "time": time, "why": why, "became": null }));
            continue;
        }
        let (stage, time) = (stage.unwrap_or("-"), or_dash(time));
        let why = why.map(|why| format!(" {}", shown(why))).unwrap_or_default();
        program.say(format!("{packet} way {name} {stage} {time}{why}"));
    }
}

/// A word is a folder if it has a slash, or is no id and there is such a folder.
fn is_dir(word: &str) -> bool {
    let is_id = word.parse::<NodeId>().is_ok() || word.parse::<PacketId>().is_ok();
    word.contains('/') || (!is_id && Path::new(word).is_dir())
}

fn print(program: &mut Program, known: &Known, row: &Row, as_json: bool, unmet: &mut BTreeMap<String, String>) {
    if let Some(node) = row.node.filter(|_| !unmet.is_empty()) {
        unmet.remove(&node.to_string());
    }
    match &row.what {
        What::Sum(tally) => print_sum(program, known, row, tally, as_json),
        What::Packet(waiting, note) => {
            if !unmet.is_empty() {
                unmet.remove(&waiting.packet.to_string());
            }
            print_packet(program, known, row, waiting, note.as_ref(), as_json);
        }
    }
}

fn print_sum(program: &mut Program, known: &Known, row: &Row, tally: &Tally, as_json: bool) {
    let (queue, name, id) = (row.queue, or_dash(name(known, row)), row.node.map(|node| node.to_string()));
    let Tally { packet_count, len, since, bodies } = tally;
    let since = time_text(since.unwrap_or_default());
    let (here, all) = bodies.unzip();
    if as_json {
        return program.json(&json!({ "queue": queue, "node": name, "id": id, "packets": packet_count, "bytes": len,
            "since": since, "bodies_here": here, "bodies": all }));
    }
    let bodies = bodies.map(|(here, all)| format!(" {here} of {all} bodies")).unwrap_or_default();
    program.say(format!("{queue} {name} {packet_count} packets {len} bytes since {since}{bodies}"));
}

fn print_packet(program: &mut Program, known: &Known, row: &Row, one: &Waiting, note: Option<&Note>, as_json: bool) {
    let (packet, queue, name, bytes) = (one.packet.to_string(), row.queue, name(known, row), one.len);
    let (nice, end) = one.prefix.as_ref().map(|prefix| (prefix.nice, day_text(prefix.end))).unzip();
    let (here, all) = (one.here_count, one.prefix.as_ref().map(|prefix| prefix.bodies.len()));
    let since = time_text(one.since);
    let (mut why, mut partial, mut tries, mut next) = (None, None, None, None);
    match note {
        Some(Note::Why(line)) => why = Some(&**line),
        Some(Note::Partial(path)) => partial = Some(path.to_string_lossy()),
        Some(Note::Tried(tried)) => {
            tries = Some(tried.count);
            if let Last::Failed { next: at, why: line } = &tried.last {
                (why, next) = (Some(&**line), Some(time_text(i64::try_from(*at).unwrap_or(i64::MAX))));
            }
        }
        None => {}
    }
    if as_json {
        let id = row.node.map(|node| node.to_string());
        return program.json(&json!({ "packet": packet, "queue": queue, "node": name, "id": id, "nice": nice,
            "bytes": bytes, "end": end, "bodies_here": here, "bodies": all, "since": since, "why": why, "partial": partial,
            "tries": tries, "next": next }));
    }
    let (name, nice, end) = (or_dash(name), or_dash(nice.map(|nice| nice.to_string())), or_dash(end));
    let bodies = or_dash(all.map(|all| format!("{here}/{all}")));
    let partial = partial.map(|path| format!(" partial {}", shown(&path)));
    let tried = tries.map(|tries| format!(" tried {tries} times"));
    let next = next.map(|next| format!(", again from {next}"));
    let why = why.map(|why| format!(" {}", shown(why)));
    let note: String = [partial, tried, next, why].into_iter().flatten().collect();
    program.say(format!("{packet} {queue} {name} {nice} {bytes} {end} {bodies} {since}{note}"));
}

fn print_spare(program: &mut Program, Bodies { count, len }: Bodies, as_json: bool) {
    match count {
        0 => {}
        _ if as_json => program.json(&json!({ "queue": "spare", "bodies": count, "bytes": len })),
        _ => program.say(format!("spare - {count} bodies {len} bytes that no packet here needs")),
    }
}

fn name(known: &Known, row: &Row) -> Option<String> {
    row.node.map(|node| known.name(&node))
}

fn or_dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".into())
}
