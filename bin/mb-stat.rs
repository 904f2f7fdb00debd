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
        return Err(Complaint::new(Class::Usage, "--confirmed: not built yet").into());
    }
    let dir = args.words.first().filter(|word| is_dir(word)).map(PathBuf::from);
    let words = args.words.split_off(usize::from(dir.is_some()));
    let known = match &dir {
        Some(_) => program.known(),
        None => program.home()?.into(),
    };
    let (mut nodes, mut packets) = (Vec::new(), Vec::new());
    for word in &words {
        match word.parse() {
            Ok(packet) => packets.push(packet),
            Err(_) => nodes.push(known.find(word)?),
        }
    }
    let mut teller = Teller { program, known: &known, nodes, packets, met: BTreeSet::new(), args: &args };
    match dir {
        Some(dir) => teller.stick(&dir)?,
        None => teller.spool()?,
    }
    teller.finish();
    Ok(())
}

/// A word is a folder if it has a slash, or is no id and there is such a folder.
fn is_dir(word: &str) -> bool {
    let is_id = word.parse::<NodeId>().is_ok() || word.parse::<PacketId>().is_ok();
    word.contains('/') || (!is_id && Path::new(word).is_dir())
}

/// Tells what was asked for, line by line.
struct Teller<'a> {
    program: &'a mut Program,
    known: &'a Known,
    nodes: Vec<NodeId>,
    packets: Vec<PacketId>,
    met: BTreeSet<String>,
    args: &'a Args,
}

impl Teller<'_> {
    fn spool(&mut self) -> Result<(), Failed> {
        let home = self.known.home().ok_or_else(|| Complaint::new(Class::Config, "no node is here"))?;
        let spool = self.program.spool(home)?;
        for_each_place(&spool, |place, dir| {
            let node = place.node();
            if !self.packets.is_empty() {
                for packet in self.packets.clone() {
                    waiting::look(&dir, &packet)?.iter().try_for_each(|one| self.packet(place.word(), node, one, Some(&dir)))?;
                }
                return Ok(());
            }
            match (&place, self.takes(node)) {
                (_, false) => Ok(()),
                (Place::Bad, _) => {
                    waiting::for_each_packet(&dir, |one| self.packet(place.word(), None, &one, Some(&dir)))
                }
                _ if self.args.packets => waiting::for_each_packet(&dir, |one| self.packet(place.word(), node, &one, None)),
                (Place::Wait(_), _) => {
                    let mut tally = Tally::default();
                    waiting::for_each_packet(&dir, |one| {
                        tally.add(&one);
                        Ok::<(), durable::Error>(())
                    })?;
                    self.total(place.word(), node, &tally);
                    Ok(())
                }
                _ => {
                    self.total(place.word(), node, &waiting::tally(&dir)?);
                    Ok::<(), Failed>(())
                }
            }
        })
    }

    fn stick(&mut self, dir: &Path) -> Result<(), Failed> {
        let stick = Stick::find(&real::open_root(dir)?)?.ok_or_else(|| CarryError::NoMailbag(dir.to_owned()))?;
        let mut listed = Vec::new();
        for node in stick.nodes()?.into_iter().filter(|node| self.takes(Some(*node)) || !self.packets.is_empty()).collect::<Vec<_>>() {
            let mut tally = Tally::default();
            stick_waiting::for_each_packet(&stick, &node, |one| {
                listed.extend(one.prefix.iter().flat_map(|prefix| &prefix.bodies).map(|body| body.root));
                tally.add(&one);
                let each = if self.packets.is_empty() { self.args.packets } else { self.packets.contains(&one.packet) };
                if each { self.packet("stick", Some(node), &one, None) } else { Ok::<(), Failed>(()) }
            })?;
            if !self.args.packets && self.packets.is_empty() {
                self.total("stick", Some(node), &tally);
            }
        }
        listed.sort_unstable();
        if self.nodes.is_empty() && self.packets.is_empty() {
            self.spare(stick_waiting::spare_bodies(&stick, &listed)?);
        }
        Ok(())
    }

    fn takes(&self, node: Option<NodeId>) -> bool {
        let all = self.nodes.is_empty() && self.packets.is_empty();
        all || node.is_some_and(|node| self.nodes.contains(&node))
    }

    fn total(&mut self, queue: &str, node: Option<NodeId>, tally: &Tally) {
        let (Some(node), false) = (node, tally.is_empty()) else { return };
        self.met.insert(node.to_string());
        let (name, since) = (self.known.name(&node), time_text(tally.since.unwrap_or_default()));
        let counts_bodies = matches!(queue, "wait" | "stick");
        let Tally { packet_count, len, here_count, body_count, .. } = tally;
        if self.args.json {
            let bodies = counts_bodies.then_some(body_count);
            let here = counts_bodies.then_some(here_count);
            self.program.json(&json!({ "queue": queue, "node": name, "id": node.to_string(), "packets": packet_count,
                "bytes": len, "since": since, "bodies_here": here, "bodies": bodies }));
        } else {
            let bodies = if counts_bodies { format!(" {here_count} of {body_count} bodies") } else { String::new() };
            self.program.say(format!("{queue} {name} {packet_count} packets {len} bytes since {since}{bodies}"));
        }
    }

    /// One packet; `bad` is the folder that has its reason.
    fn packet(&mut self, queue: &str, node: Option<NodeId>, one: &Waiting, bad: Option<&DirRef>) -> Result<(), Failed> {
        let node = node.or(one.prefix.as_ref().map(|prefix| prefix.to));
        let why = match bad.filter(|_| queue == "bad") {
            Some(dir) => bad::why(dir, &one.packet)?,
            None => None,
        };
        self.met.extend(node.iter().map(NodeId::to_string).chain([one.packet.to_string()]));
        let (packet, since) = (one.packet.to_string(), time_text(one.since));
        let name = node.map(|node| self.known.name(&node));
        let (nice, end) = one.prefix.as_ref().map(|prefix| (prefix.nice, day_text(prefix.end))).unzip();
        let bodies = one.prefix.as_ref().map(|prefix| prefix.bodies.len());
        if self.args.json {
            let id = node.map(|node| node.to_string());
            self.program.json(&json!({ "packet": packet, "queue": queue, "node": name, "id": id, "nice": nice,
                "bytes": one.len, "end": end, "bodies_here": one.here_count, "bodies": bodies, "since": since, "why": why }));
        } else {
            let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
            let (name, nice, end) = (or_dash(name), or_dash(nice.map(|nice: u8| nice.to_string())), or_dash(end));
            let bodies = or_dash(bodies.map(|count| format!("{}/{count}", one.here_count)));
            let why = why.map(|why| format!(" {}", shown(&why))).unwrap_or_default();
            self.program.say(format!("{packet} {queue} {name} {nice} {} {end} {bodies} {since}{why}", one.len));
        }
        Ok(())
    }

    fn spare(&mut self, spare: stick_waiting::Bodies) {
        match spare.count {
            0 => {}
            count if self.args.json => {
                self.program.json(&json!({ "queue": "spare", "bodies": count, "bytes": spare.len }));
            }
            count => self.program.say(format!("spare - {count} bodies {} bytes that no packet here needs", spare.len)),
        }
    }

    /// What was named and is not here.
    fn finish(self) {
        let ids = self.nodes.iter().map(|node| (node.to_string(), self.known.name(node)));
        let ids = ids.chain(self.packets.iter().map(|packet| (packet.to_string(), packet.to_string())));
        for (_, name) in ids.filter(|(id, _)| !self.met.contains(id)) {
            self.program.fail(&Complaint::new(Class::No, format!("{name}: nothing here")));
        }
    }
}
