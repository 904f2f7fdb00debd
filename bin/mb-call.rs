//! mb-call: exchange packets with neighbours over a live link.

use clap::Parser;
use mb_carry::call::pump::Link;
use mb_carry::call::{CallError, CallReport, claim, greet, link, shake};
use mb_cli::{
    Arguments, CallProgress, CallSettings, Class, Common, Complaint, Failed, Program, ProgressWhen, Teller, call_coins,
    now_secs, parse_rate, random,
};
use mb_node::config::{Address, CallRule, Direction, KnownNode};
use mb_node::due;
use mb_node::home::Home;
use mb_node::toss::{self, Scope};
use mb_spool::layout::Spool;
use mb_wire::call::handshake::{Opener, Sealer};
use mb_wire::key::NodeSecrets;
use std::process::ExitCode;
use std::time::Duration;

/// Call neighbours, and exchange with each what waits on both sides
#[derive(Parser)]
#[command(name = "mb-call", version, after_help = EXAMPLES)]
struct Args {
    /// Whom to call
    nodes: Vec<String>,

    /// Call every known node that has an address
    #[arg(long, conflicts_with_all = ["nodes", "due", "stdio"])]
    all: bool,

    /// Make the calls that are due by the nodes' [[call]] rules
    #[arg(long, conflicts_with_all = ["nodes", "stdio", "addr"])]
    due: bool,

    /// Call there instead: tcp://HOST:PORT, HOST:PORT, pipe:COMMAND
    #[arg(long, value_name = "ADDR", value_parser = Address::parse_loose, conflicts_with_all = ["all", "stdio"])]
    addr: Vec<Address>,

    /// Only give
    #[arg(long, conflicts_with = "inward")]
    out: bool,

    /// Only take
    #[arg(long = "in")]
    inward: bool,

    /// Toss before, and after packets came
    #[arg(long)]
    toss: bool,

    /// Envelopes do not wait for their bodies, either way
    #[arg(long)]
    eager: bool,

    /// Only packets of at most this nice
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    nice: Option<u8>,

    /// Bytes a second, each way
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    rate: Option<u64>,

    /// How long to wait for an answer, or a word [60]
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,

    /// How long a call may last
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_time: Option<u64>,

    /// The link is standard input and output, or those of COMMAND
    #[arg(long)]
    stdio: bool,

    /// What to run for --stdio
    #[arg(last = true, value_name = "COMMAND", requires = "stdio")]
    command: Vec<String>,

    /// Exit 3 if nothing moved
    #[arg(long)]
    require_work: bool,

    /// Say on standard error whom it would call, and where
    #[arg(long)]
    dry_run: bool,

    /// Whether to show how far a call is
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    progress: ProgressWhen,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  mb-call south                                    by the addresses in nodes/south.toml
  mb-call south --stdio -- ssh south mb-listen --stdio
  mb-call --all --toss -q                          all of a crontab
  mb-call --due --toss -q                          the same, when the nodes' files say so";

/// Seconds to wait for an answer or a word, unless something else is said.
const TIMEOUT_SECS: u64 = 60;

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
    let spool = program.spool(&home)?;
    let now = now_secs();
    let calls = whom(&args, &home, &spool, now)?;
    if args.dry_run {
        calls.iter().for_each(|call| would_call(program, &args, call));
        return Ok(());
    }
    if args.due {
        note_looked(program, &home, &spool, now)?;
    }
    let mut count = 0;
    if !calls.is_empty() || args.toss {
        let secrets = program.unlock(&home)?;
        count = Caller { args: &args, home: &home, spool: &spool, secrets: &secrets }.all(program, &calls)?;
    }
    if args.require_work && count == 0 {
        program.count(Class::Nothing);
    }
    Ok(())
}

/// A call that is to be made, by a rule or because somebody says so.
struct Wanted<'a> {
    known: &'a KnownNode,
    rule: Option<&'a CallRule>,
}

fn whom<'a>(args: &Args, home: &'a Home, spool: &Spool, now: u64) -> Result<Vec<Wanted<'a>>, Failed> {
    if args.due {
        let mut calls = Vec::new();
        for known in home.nodes() {
            calls.extend(due::due(spool, known, now)?.map(|rule| Wanted { known, rule: Some(rule) }));
        }
        return Ok(calls);
    }
    if args.all {
        let with_address = home.nodes().filter(|known| !known.addresses.is_empty());
        return Ok(with_address.map(|known| Wanted { known, rule: None }).collect());
    }
    if args.nodes.is_empty() {
        return Err(Complaint::new(Class::Usage, "whom to call? name nodes, or --all, or --due").into());
    }
    if args.nodes.len() > 1 && (args.stdio || !args.addr.is_empty()) {
        return Err(Complaint::new(Class::Usage, "--stdio and --addr go with one node").into());
    }
    args.nodes.iter().map(|word| named_node(home, word)).collect()
}

fn named_node<'a>(home: &'a Home, word: &str) -> Result<Wanted<'a>, Failed> {
    let known = home.node(word)?;
    if known.id() == home.card().id() {
        return Err(Complaint::new(Class::Usage, format!("{word}: this node itself")).into());
    }
    Ok(Wanted { known, rule: None })
}

/// That somebody looked is remembered of every node; what is due stays so.
fn note_looked(program: &Program, home: &Home, spool: &Spool, now: u64) -> Result<(), Failed> {
    let mut with_rules = home.nodes().filter(|known| !known.calls.is_empty()).peekable();
    if with_rules.peek().is_some() {
        let run = program.start_run(spool)?;
        with_rules.try_for_each(|known| due::note_looked(spool, known, now, &run))?;
    }
    Ok(())
}

fn would_call(program: &Program, args: &Args, call: &Wanted) {
    let addresses: Vec<String> = addresses(args, call).iter().map(ToString::to_string).collect();
    program.note(format_args!("would call {}: {}", call.known.name, addresses.join(", ")));
}

fn addresses(args: &Args, call: &Wanted) -> Vec<Address> {
    match call.rule.and_then(|rule| rule.address.clone()) {
        Some(address) => vec![address],
        None if args.addr.is_empty() => call.known.addresses.clone(),
        None => args.addr.clone(),
    }
}

fn settings(args: &Args, rule: Option<&CallRule>) -> CallSettings {
    let direction = rule.map(|rule| rule.direction);
    let secs = |option: Option<u64>, rule: Option<u32>| option.or(rule.map(u64::from));
    let timeout = secs(args.timeout, rule.and_then(|rule| rule.timeout)).unwrap_or(TIMEOUT_SECS);
    CallSettings {
        gives: !args.inward && direction != Some(Direction::In),
        takes: !args.out && direction != Some(Direction::Out),
        eager: args.eager,
        nice: args.nice.or(rule.and_then(|rule| rule.nice)).unwrap_or(u8::MAX),
        rate: args.rate.or(rule.and_then(|rule| rule.rate)),
        timeout: Duration::from_secs(timeout),
        max_time: secs(args.max_time, rule.and_then(|rule| rule.max_time)).map(Duration::from_secs),
    }
}

struct Caller<'a> {
    args: &'a Args,
    home: &'a Home,
    spool: &'a Spool,
    secrets: &'a NodeSecrets,
}

impl Caller<'_> {
    /// Makes the calls, one after another. How many packets moved.
    fn all(&self, program: &mut Program, calls: &[Wanted]) -> Result<u64, Failed> {
        let mut count = self.toss(program)?;
        program.prepare_to_call(self.spool)?;
        let mut in_count = 0;
        for call in calls {
            // That somebody else is at it is no call that failed.
            let Some(_claim) = claim(self.spool, &call.known.id())? else {
                let busy = format!("{}: another call to it is going on", call.known.name);
                program.fail(&Complaint::new(Class::Later, busy));
                continue;
            };
            let mut report = CallReport::default();
            let done = self.one(program, call, &mut report);
            in_count += report.in_count;
            count += report.in_count + report.out_count;
            if call.rule.is_some() {
                self.note_outcome(program, call.known, done.is_ok())?;
            }
            if let Err(failure) = done {
                program.fail(&*failure);
            }
            program.check_stop()?;
        }
        if in_count > 0 {
            count += self.toss(program)?;
        }
        Ok(count)
    }

    fn note_outcome(&self, program: &Program, known: &KnownNode, is_ok: bool) -> Result<(), Failed> {
        let mut bytes = [0; 8];
        random(&mut bytes).map_err(|cause| Complaint::new(Class::Io, format!("random bytes: {cause}")))?;
        let run = program.start_run(self.spool)?;
        Ok(due::note_outcome(self.spool, &known.id(), now_secs(), is_ok, u64::from_le_bytes(bytes), &run)?)
    }

    /// One call. An error of the whole call; what concerns single packets is told.
    fn one(&self, program: &mut Program, call: &Wanted, report: &mut CallReport) -> Result<(), Failed> {
        let settings = settings(self.args, call.rule);
        let (link, keys) = self.connect(program, call, settings)?;
        let progress = CallProgress::new(self.args.progress);
        let step = |step| progress.step(step);
        let (reserve, threads, stop) = (self.home.config().reserve, program.threads().get(), program.stop());
        let options = settings.options(call.known, reserve, threads, stop, &step);
        let name = &call.known.name;
        let failed = |error: CallError| named(name, &error);
        let greeted = greet(self.spool.own(), link, keys, options, settings.timeout).map_err(failed)?;
        let run = program.start_run(self.spool)?;
        let mut teller = Teller::new(program, self.home, false);
        let done;
        (*report, done) = greeted.exchange(self.spool, &run, call.known.id(), options, &mut teller);
        drop(progress);
        let CallReport { out_count, out_len, in_count, in_len, resumed_len, .. } = *report;
        program.detail(format_args!(
            "{name}: {out_count} packets out ({out_len} bytes), {in_count} in ({in_len} bytes, {resumed_len} here before)"
        ));
        done.map_err(failed)
    }

    /// The first address that answers as the node should.
    fn connect(
        &self,
        program: &mut Program,
        call: &Wanted,
        settings: CallSettings,
    ) -> Result<(Link, (Sealer, Opener)), Failed> {
        let name = &call.known.name;
        if self.args.stdio {
            let command = &self.args.command;
            let link = if command.is_empty() { link::stdio() } else { link::pipe(command) };
            let address = command.first().map_or("standard input", String::as_str);
            let connected = |cause| CallError::Connect { address: address.to_owned(), cause };
            return self.shake(link.map_err(connected), call, address, settings);
        }
        let addresses = addresses(self.args, call);
        let mut failures: Vec<Failed> = Vec::new();
        for address in &addresses {
            let text = address.to_string();
            let connected = |cause| CallError::Connect { address: text.clone(), cause };
            let link = match address {
                Address::Tcp { host, port } => {
                    link::connect(host, *port, settings.timeout).map(|stream| link::tcp(stream.into()))
                }
                Address::Pipe { command } => link::pipe(command),
            };
            match self.shake(link.map_err(connected), call, &text, settings) {
                Ok(link) => {
                    // Another address was as good.
                    failures.iter().for_each(|failure| program.detail(failure));
                    return Ok(link);
                }
                Err(failure) => failures.push(failure),
            }
        }
        let last = failures.pop();
        failures.iter().for_each(|failure| program.fail(&**failure));
        let file = self.home.node_path(name);
        let none = || {
            let complaint = Complaint::new(Class::Unreachable, format!("{name}: no address is known"));
            complaint.with_remedy(format!("add `addresses` to {}, or use --addr", file.display())).into()
        };
        Err(last.unwrap_or_else(none))
    }

    fn shake(
        &self,
        link: Result<Link, CallError>,
        call: &Wanted,
        address: &str,
        settings: CallSettings,
    ) -> Result<(Link, (Sealer, Opener)), Failed> {
        let to = (call.known.id(), call.known.card.call);
        let coins = call_coins()?;
        let shaken = link.and_then(|link| shake::call(link, self.secrets, to, coins, address, settings.timeout));
        shaken.map_err(|error| named(&call.known.name, &error))
    }

    fn toss(&self, program: &mut Program) -> Result<u64, Failed> {
        if !self.args.toss {
            return Ok(0);
        }
        let mut count = 0;
        let is_link = self.args.stdio && self.args.command.is_empty();
        program.toss(self.home, self.spool, self.secrets, &Scope::default(), &mut |program, event| {
            if let toss::Event::Delivered(delivered) = event {
                count += 1;
                if !is_link {
                    program.out().path(&delivered.path);
                }
            }
        })?;
        Ok(count)
    }
}

/// An error of a call, with whom it was.
fn named(name: &str, error: &CallError) -> Failed {
    Box::new(Complaint::of(error, |line| format!("{name}: {line}")))
}
