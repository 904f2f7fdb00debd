//! mb-init: makes a node and prints its card.

use clap::Parser;
use mb_cli::{Arguments, Common, Failed, Program};
use mb_node::home::{Home, NewNode};
use std::process::ExitCode;

/// Make a node: its keys, its configuration folder and its spool. Prints its card
#[derive(Parser)]
#[command(name = "mb-init", version, after_help = EXAMPLES)]
struct Args {
    /// What the node calls itself [the host's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Seal the key with a passphrase
    #[arg(long)]
    passphrase: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  mb-init --name north                     a node for this user
  mb-init -C /etc/mailbag                  a node for this host
  mb-init --passphrase | ssh south mb-node add";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    let path = program.new_home_path();
    let sealed = args.passphrase || args.common.passphrase_fd.is_some();
    // Asked for only where it will be used.
    Home::check_new(&path)?;
    let host = rustix::system::uname();
    let new = NewNode {
        config: &path,
        spool: args.common.spool.as_deref(),
        name: args.name.as_deref(),
        host: &host.nodename().to_string_lossy(),
        passphrase: if sealed { Some(program.new_passphrase()?) } else { None },
        now: mb_cli::now_secs(),
    };
    let card = Home::create(new, &mb_cli::env, &mut mb_cli::random)?;
    program.detail(format_args!("{}: node {} ({}) made", path.display(), card.name, card.id()));
    program.say(card.to_text());
    Ok(())
}
