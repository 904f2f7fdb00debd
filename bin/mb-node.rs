//! mb-node: cards and known nodes.

use clap::{Parser, Subcommand, ValueEnum};
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Program, in_groups, setting_lines};
use mb_node::config::{Address, KnownNode};
use mb_node::home::{Added, Home};
use mb_spool::day;
use mb_wire::card::Card;
use mb_wire::id::PacketId;
use mb_wire::report::Reason;
use serde_json::json;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

/// Show this node's card, and keep the cards of the nodes that it knows
#[derive(Parser)]
#[command(name = "mb-node", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Print this node's card, or those of known nodes
    Card {
        /// Nodes by name or id
        nodes: Vec<String>,
        /// This node's card and those of all known nodes
        #[arg(long, conflicts_with = "nodes")]
        all: bool,
    },
    /// Take in a card, or any number on standard input; prints ids
    Add {
        /// What to call the node [what its card says]
        name: Option<String>,
        /// Its card [standard input, one a line]
        card: Option<String>,
        /// By way of this node, which is known already [directly]
        #[arg(long, value_name = "NODE")]
        via: Option<String>,
        /// Where the node is called, tcp://HOST:PORT or pipe:COMMAND; more than one is fine
        #[arg(long = "address", value_name = "A", value_parser = Address::parse_loose)]
        addresses: Vec<Address>,
    },
    /// List the known nodes: name and id
    List {
        /// One JSON object a line: name, id, version
        #[arg(long)]
        json: bool,
    },
    /// Show all that is set for a node
    Show {
        /// The node by name or id
        name: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Forget a known node
    Remove {
        /// The node by name or id
        name: String,
        /// Say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Complain of a packet to those who relayed it
    Complain {
        /// The packet, as mb-toss --json names it
        packet: PacketId,
        /// Why it should not have come
        #[arg(long, value_enum)]
        reason: Why,
    },
    /// Call a known node otherwise
    Rename {
        /// The node by name or id
        old: String,
        /// Its new name
        new: String,
    },
}

#[derive(ValueEnum, Clone, Copy)]
enum Why {
    /// Nobody wants it
    Spam,
    /// Not what it says, or not from whom it says
    Forged,
    /// Too much of it
    Flood,
    Other,
}

const EXAMPLES: &str = "\
Examples:
  mb-node card | ssh south mb-node add     south learns of this node
  mb-node card --all >/media/stick/cards   all cards, for mb-node add there";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// What a card is taken in with.
#[derive(Clone, Copy)]
struct Given<'a> {
    /// What to call its node.
    name: Option<&'a str>,
    addresses: &'a [Address],
    /// The local name of the relay on the way to it.
    via: Option<&'a str>,
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    let mut home = program.home()?;
    match args.command {
        Command::Card { nodes, all } => cards(program, &home, &nodes, all),
        Command::Add { name, card, via, addresses } => {
            let via = via.map(|word| Ok::<_, Failed>(home.node(&word)?.name.clone())).transpose()?;
            return add(
                program,
                &mut home,
                card,
                Given { name: name.as_deref(), addresses: &addresses, via: via.as_deref() },
            );
        }
        Command::List { json } => home.nodes().for_each(|node| list(program, node, json)),
        Command::Show { name, json } => show(program, &home, home.node(&name)?, json),
        Command::Complain { packet, reason } => return complain(program, &home, packet, reason),
        Command::Rename { old, new } => home.rename_node(&old, &new)?,
        Command::Remove { name, dry_run } => {
            let path = home.remove_node(&name, dry_run)?;
            if dry_run {
                program.out().path(&path);
            }
        }
    }
    Ok(())
}

fn complain(program: &mut Program, home: &Home, packet: PacketId, why: Why) -> Result<(), Failed> {
    let reason = match why {
        Why::Spam => Reason::Spam,
        Why::Forged => Reason::Forged,
        Why::Flood => Reason::Flood,
        Why::Other => Reason::Other,
    };
    let (spool, secrets, now) = (program.spool(home)?, program.unlock(home)?, mb_cli::now_secs());
    let run = program.start_run(&spool)?;
    let today = day::today(&spool, now)?.day;
    mb_node::complain::complain(&spool, &secrets, home, (now, today), (packet, reason), &run)?;
    Ok(())
}

fn cards(program: &mut Program, home: &Home, nodes: &[String], all: bool) {
    if nodes.is_empty() {
        program.say(home.card().to_text());
    }
    if all {
        home.nodes().for_each(|node| program.say(node.card.to_text()));
    }
    for word in nodes {
        match home.node(word) {
            Ok(node) => program.say(node.card.to_text()),
            Err(error) => program.fail(&error),
        }
    }
}

/// A single operand that looks like a card is one: the other end's `mb-node card` pasted.
fn add(program: &mut Program, home: &mut Home, card: Option<String>, given: Given) -> Result<(), Failed> {
    let (given, card) = match (given.name, card) {
        (Some(word), None) if looks_like(word, "mbcard1") => (Given { name: None, ..given }, Some(word.to_owned())),
        (_, card) => (given, card),
    };
    if [given.name, card.as_deref()].into_iter().flatten().any(|word| looks_like(word, "mbse")) {
        let remedy = "a card is what mb-node card prints; others may have seen the secret now";
        return Err(Complaint::new(Class::Usage, "add: that is a secret, not a card").with_remedy(remedy).into());
    }
    match card {
        Some(text) => take_in(program, home, given, "card", &text),
        None => add_from_input(program, home, given),
    }
}

fn looks_like(word: &str, start: &str) -> bool {
    word.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

fn add_from_input(program: &mut Program, home: &mut Home, given: Given) -> Result<(), Failed> {
    if io::stdin().is_terminal() {
        program.note("reading cards from the terminal, one a line; Ctrl-D ends");
    }
    let lines = mb_cli::input_lines(io::stdin().lock())?;
    match (lines.len(), given) {
        (0, _) => return Err(Complaint::new(Class::NoInput, "standard input: no card").into()),
        (2.., Given { name: Some(name), .. }) => {
            let line = format!("name \"{name}\": standard input has several cards");
            return Err(Complaint::new(Class::Usage, line).into());
        }
        (2.., Given { addresses: [_, ..], .. }) => {
            return Err(Complaint::new(Class::Usage, "--address: standard input has several cards").into());
        }
        _ => {}
    }
    for (number, text) in lines {
        if let Err(failure) = take_in(program, home, given, &format!("standard input: line {number}"), &text) {
            program.fail(&*failure);
        }
    }
    Ok(())
}

fn take_in(program: &mut Program, home: &mut Home, given: Given, place: &str, text: &str) -> Result<(), Failed> {
    let card = Card::parse(text.trim()).map_err(|e| Complaint::new(Class::Data, format!("{place}: {e}")))?;
    let id = card.id();
    match home.add_node(given.name, card, given.addresses, given.via)? {
        Added::New(name) => program.say(format!("{name}\t{}", in_groups(&id.to_string()))),
        Added::Known(name) => return keeps_its_file(home, &name, given),
        Added::Ourselves => {}
    }
    Ok(())
}

/// The file of a known node is its owner's: other addresses or ways than it names are not written, and that is said.
fn keeps_its_file(home: &Home, name: &str, given: Given) -> Result<(), Failed> {
    let node = home.node(name)?;
    let other_addresses = !given.addresses.is_empty() && node.addresses != given.addresses;
    let other_way = given.via.is_some_and(|via| node.roads.first().is_none_or(|road| road != &[via]));
    let line = match (other_addresses, other_way) {
        (true, _) => format!("{name}: --address: the node is known already, with other addresses"),
        (_, true) => format!("{name}: --via: the node is known already, by another way"),
        (false, false) => return Ok(()),
    };
    let remedy = format!("write it into {}", home.node_path(name).display());
    Err(Complaint::new(Class::Refused, line).with_remedy(remedy).into())
}

fn list(program: &mut Program, node: &KnownNode, as_json: bool) {
    match as_json {
        true => program.json(&json!({ "name": node.name, "id": node.id().to_string(), "version": node.card.version })),
        false => program.say(format!("{}\t{}", node.name, node.id())),
    }
}

fn show(program: &mut Program, home: &Home, node: &KnownNode, as_json: bool) {
    let is_known = home.nodes().any(|known| known.name == node.name);
    let settings = json!({
        "name": node.name,
        "id": node.id().to_string(),
        "calls_itself": node.card.name,
        "version": node.card.version,
        "created": node.card.created,
        "card": node.card.to_text(),
        "addresses": node.addresses,
        "roads": node.roads,
        "file": is_known.then(|| home.node_path(&node.name)),
        "send": node.send,
        "accept": node.accept,
        "link": node.link,
        "relay": node.relay,
        "share": node.shares,
        "call": node.calls,
    });
    if as_json {
        return program.json(&settings);
    }
    program.say(format!("in groups\t{}", in_groups(&node.id().to_string())));
    setting_lines(&settings).into_iter().for_each(|line| program.say(line));
}
