//! mb-listen: answer the calls of neighbours.

use clap::Parser;
use listenfd::ListenFd;
use mb_carry::call::link;
use mb_cli::listen::{Desk, House, answer};
use mb_cli::{Arguments, CallSettings, Class, Common, Complaint, Failed, Program, parse_rate};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

/// Answer the calls of known nodes, and exchange with each what waits on both sides
#[derive(Parser)]
#[command(name = "mb-listen", version, after_help = EXAMPLES)]
struct Args {
    /// Listen there: HOST:PORT, [HOST]:PORT [all addresses, port 5404; or the sockets that systemd hands over]
    #[arg(long, value_name = "ADDR", conflicts_with = "stdio")]
    bind: Vec<String>,

    /// Calls at a time; beyond them the oldest caller that has not said who it is gives way
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_conn: u16,

    /// Calls at a time from one address
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_per_address: u16,

    /// Toss at the beginning, and whenever packets came
    #[arg(long)]
    toss: bool,

    /// Only packets of at most this nice
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    nice: Option<u8>,

    /// Bytes a second for each call, each way
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    rate: Option<u64>,

    /// How long a caller may say nothing
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// How long a call may last
    #[arg(long, value_name = "SECS", default_value = "86400", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_time: u64,

    /// Answer one call on standard input and output
    #[arg(long)]
    stdio: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  mb-listen --toss                         for everybody whom nodes/ knows
  mb-listen --bind 192.0.2.7:5404          on one address only
  ssh's forced command: mb-listen --stdio  for one call over ssh";

/// Where we listen unless something else is said: on all addresses, by IPv6 and IPv4, or by IPv4 alone.
const PLACES: [&str; 2] = ["[::]:5404", "0.0.0.0:5404"];

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    let settings = CallSettings {
        gives: true,
        takes: true,
        nice: args.nice.unwrap_or(u8::MAX),
        // That is for the caller to say.
        eager: false,
        rate: args.rate,
        timeout: Duration::from_secs(args.timeout),
        max_time: Some(Duration::from_secs(args.max_time)),
    };
    let sockets = if args.stdio { Vec::new() } else { sockets(&args)? };
    let desk = Desk::open(program, settings)?;
    program.prepare_to_call(desk.spool())?;
    if args.stdio {
        let link = link::stdio().map_err(|cause| Complaint::new(Class::Io, format!("standard input: {cause}")))?;
        return answer(program, &desk, link, args.toss);
    }
    let most = (args.max_conn.into(), args.max_per_address.into());
    House::new(desk, most, args.toss).run(program, sockets)
}

/// Those that systemd opened for us, or else our own.
fn sockets(args: &Args) -> Result<Vec<TcpListener>, Failed> {
    let mut handed = ListenFd::from_env();
    let failed = |place: &str, cause: std::io::Error| {
        let class = if cause.kind() == ErrorKind::InvalidInput { Class::Usage } else { Class::of_io(&cause, true) };
        Complaint::new(class, format!("{place}: listen: {cause}"))
    };
    let mut sockets = Vec::new();
    for index in 0..handed.len() {
        let taken = handed.take_tcp_listener(index).map_err(|cause| failed("socket handed over", cause))?;
        sockets.extend(taken);
    }
    for place in &args.bind {
        sockets.push(TcpListener::bind(place.as_str()).map_err(|cause| failed(place, cause))?);
    }
    if sockets.is_empty() {
        let [both, v4] = PLACES;
        sockets.push(TcpListener::bind(both).or_else(|_| TcpListener::bind(v4)).map_err(|cause| failed(v4, cause))?);
    }
    Ok(sockets)
}
