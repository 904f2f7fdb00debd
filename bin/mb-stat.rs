//! mb-stat: what waits, for whom, since when, how many bytes; in the spool or on a stick.

use clap::Parser;
use mb_carry::{CarryError, Stick, waiting as stick_waiting};
use mb_cli::escape::shown;
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Known, Program};
use mb_spool::bad;
use mb_spool::date::{day_text, time_text};
use mb_spool::durable::{self, DirRef, real};
use mb_spool::places::{Place, for_each_place};
use mb_spool::waiting::{self, Tally, Waiting};
use mb_wire::id::{NodeId, PacketId};
use serde_json::json;
use std::collections::BTreeSet;
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

    /// Not built yet
    #[arg(long, value_name = "PACKET", num_args = 1.., hide = true)]
    confirmed: Vec<String>,

    /// The same as JSON objects
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Lines: tx, rx, wait or out, the node, packets, bytes, since; each packet in bad with its reason.
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
        return Err(Complaint::new(Class::Usage, "--confirmed: not built yet").into());
    }
    let dir = args.words.first().filter(|word| is_dir(word)).map(PathBuf::from);
    let known = match &dir {
        Some(_) => program.known(),
        None => program.home()?.into(),
    };
    let wanted = Wanted::new(&known, &args.words.split_off(usize::from(dir.is_some())))?;
    let mut told = Told { program, known: &known, wanted, packets: args.packets, json: args.json };
    match dir {
        Some(dir) => told.stick(&dir)?,
        None => told.spool()?,
    }
    told.finish();
    Ok(())
}

/// A word is a folder if it can be nothing else: it has a slash, or is no id or known name and there is such a folder.
fn is_dir(word: &str) -> bool {
    let is_id = word.parse::<NodeId>().is_ok() || word.parse::<PacketId>().is_ok();
    word.contains('/') || word == "." || word == ".." || (!is_id && Path::new(word).is_dir())
}

/// What was named, and has not been met yet.
struct Wanted {
    nodes: Vec<NodeId>,
    packets: Vec<PacketId>,
    missed: BTreeSet<String>,
}

impl Wanted {
    fn new(known: &Known, words: &[String]) -> Result<Wanted, Failed> {
        let (mut nodes, mut packets) = (Vec::new(), Vec::new());
        for word in words {
            match word.parse() {
                Ok(packet) => packets.push(packet),
                Err(_) => nodes.push(known.find(word)?),
            }
        }
        let ids = nodes.iter().map(NodeId::to_string).chain(packets.iter().map(PacketId::to_string));
        let missed = ids.collect();
        Ok(Wanted { nodes, packets, missed })
    }

    fn takes_all(&self) -> bool {
        self.nodes.is_empty() && self.packets.is_empty()
    }

    fn takes_node(&mut self, node: &NodeId) -> bool {
        self.takes_all() || self.nodes.contains(node)
    }

    fn takes_packet(&mut self, packet: &PacketId) -> bool {
        self.packets.contains(packet) && (self.missed.remove(&packet.to_string()) || true)
    }
}

/// What is told, and where.
struct Told<'a> {
    program: &'a mut Program,
    known: &'a Known,
    wanted: Wanted,
    packets: bool,
    json: bool,
}
