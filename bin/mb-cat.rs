//! mb-cat: what a packet says, layer by layer, as far as our keys reach.

use clap::Parser;
use mb_cli::escape::{shown, shown_name};
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Known, Program};
use mb_node::keys::ExchangeKeys;
use mb_node::rules::Rules;
use mb_node::show::{self, Piece, Readable, Reader, StepView, View};
use mb_node::toss::payload::{Bodies, PayloadError};
use mb_spool::durable::{DirRef, FileRef, real};
use mb_spool::envelopes::read_whole;
use mb_spool::names::body_name;
use mb_spool::paths;
use mb_spool::places::holding;
use mb_wire::envelope::packet_id;
use mb_wire::id::PacketId;
use mb_wire::size::ENVELOPE_MOST;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

/// Show what a packet says, layer by layer, as far as this node's keys reach; never a key
#[derive(Parser)]
#[command(name = "mb-cat", version, after_help = EXAMPLES)]
struct Args {
    /// A packet's id, wherever it lies in the spool, or a file
    #[arg(value_name = "PACKET | FILE")]
    packet: String,

    /// Print what the letter carries instead, once all of it is verified: the file, or a folder's names
    #[arg(long, conflicts_with = "json")]
    letter: bool,

    /// Print the path of a traced packet instead, also of one delivered: each node, the next, and when, as that node says
    #[arg(long, conflicts_with = "letter")]
    path: bool,

    /// As one JSON object; with --path one a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Where our keys end it says so, and exits 0; a damaged or forged packet is 65.

Examples:
  mb-stat --packets south      which packets are there?
  mb-cat PACKET                who is it for, what is in it?
  mb-cat --letter PACKET | tar t";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    let known = program.known();
    if args.path {
        return print_path(&args, &known, program);
    }
    let found = find(&args.packet, &known, program)?;
    let (view, readable) = look(&found, &known, program)?;
    if args.letter {
        let readable = readable.ok_or_else(|| {
            let why = view.stops.as_deref().unwrap_or("it cannot be opened");
            Complaint::new(Class::Refused, format!("{}: {why}", args.packet))
        })?;
        return print_payload(&found, &readable, program);
    }
    if args.json {
        program.json(&view);
    } else {
        for (word, value) in view.lines() {
            program.say(format!("{word:<12} {}", shown(&value)));
        }
    }
    Ok(())
}

/// The path of a packet that was delivered, or of one that is still to be.
fn print_path(args: &Args, known: &Known, program: &mut Program) -> Result<(), Failed> {
    let word = &args.packet;
    let kept = match (word.parse::<PacketId>(), known.home()) {
        (Ok(packet), Some(home)) => paths::find(&program.spool(home)?, &packet)?,
        _ => None,
    };
    let steps = match kept {
        Some(came) => {
            let steps = came.path().map(|path| path.map(|path| StepView::all(&path, known)));
            steps.unwrap_or_else(|| Ok(Vec::new())).map_err(|error| error.to_string())
        }
        None => {
            let (view, _) = look(&find(word, known, program)?, known, program)?;
            let route = view.opened.and_then(|opened| opened.route);
            route.map_or(Ok(Vec::new()), |route| route.broken.map_or(Ok(route.path), Err))
        }
    };
    let steps = steps.map_err(|why| Complaint::new(Class::Data, format!("{word}: {why}")))?;
    if steps.is_empty() {
        return Err(Complaint::new(Class::No, format!("{word}: not traced, or not for us to see")).into());
    }
    for step in &steps {
        if args.json {
            program.json(step);
        } else {
            program.say(step.text());
        }
    }
    Ok(())
}

/// An envelope, and the folder that its bodies lie in, beside it.
struct Found {
    name: String,
    file: Vec<u8>,
    dir: DirRef,
}

/// A file if there is one of that name; else an id, which is looked for in the spool.
fn find(word: &str, known: &Known, program: &Program) -> Result<Found, Failed> {
    let Ok(packet) = word.parse::<PacketId>() else { return open(word) };
    if Path::new(word).exists() {
        return open(word);
    }
    let spool = match known.home() {
        Some(home) => program.spool(home)?,
        // Says why there is none.
        None => program.spool(&program.home()?)?,
    };
    let Some((_, dir)) = holding(&spool, &packet)?.into_iter().next() else {
        return Err(Complaint::new(Class::No, format!("{packet}: not in the spool")).into());
    };
    let found = Found::read(dir, word.as_ref())?;
    if packet_id(&found.file) == packet {
        Ok(found)
    } else {
        Err(damaged(&found, "its content is not what its name says"))
    }
}

fn open(word: &str) -> Result<Found, Failed> {
    let path = std::path::absolute(word).map_err(|cause| Complaint::new(Class::NoInput, format!("{word}: {cause}")))?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Found::read(real::open_root(parent)?, name),
        _ => Err(Complaint::new(Class::NoInput, format!("{word}: no file")).into()),
    }
}

impl Found {
    fn read(dir: DirRef, name: &OsStr) -> Result<Found, Failed> {
        let file = dir.open(name)?;
        // One byte more than the longest, so that a longer one is refused for its length.
        let file = read_whole(&file, ENVELOPE_MOST + 1)?;
        Ok(Found { name: name.to_string_lossy().into_owned(), file, dir })
    }
}

fn damaged(found: &Found, what: impl std::fmt::Display) -> Failed {
    Complaint::new(Class::Data, format!("{}: damaged: {what}", found.name)).into()
}

/// The passphrase is asked for only when there is something to open.
fn look(found: &Found, known: &Known, program: &Program) -> Result<(View, Option<Readable>), Failed> {
    let own = known.home().map(|home| home.card().id());
    let (view, is_ours) = show::clear(&found.file, known, own).map_err(|error| damaged(found, error))?;
    let (Some(home), Some(own), true) = (known.home(), own, is_ours) else { return Ok((view, None)) };
    let spool = program.spool(home)?;
    let keys = ExchangeKeys::load(&spool, &program.unlock(home)?)?;
    let (area_secrets, rules) = (&home.area_secrets()?, &Rules::load(&spool, home.areas(), &keys)?);
    show::opened(&found.file, &Reader { own, nodes: known, keys: &keys, area_secrets, rules })
        .map_err(|error| damaged(found, error))
}

fn print_payload(found: &Found, readable: &Readable, program: &mut Program) -> Result<(), Failed> {
    let Readable { letter, veils } = readable;
    let packet = packet_id(&found.file);
    let files = (0..letter.bodies.len()).map(|number| open_body(found, &packet, number)).collect::<Result<_, _>>()?;
    let bodies = Bodies { letter, files, veils: veils.as_ref(), threads: program.threads().get() };
    let printed = show::payload(&bodies, &mut |piece| match piece {
        Piece::Content(bytes) => program.out().content(bytes),
        Piece::Entry(path) => program.say(shown_name(OsStr::from_bytes(&path))),
    });
    printed.map_err(|error| match error {
        PayloadError::Disk(error) => error.into(),
        PayloadError::Refused(refusal) => damaged(found, refusal),
        PayloadError::Enough => damaged(found, error),
    })
}

fn open_body(found: &Found, packet: &PacketId, number: usize) -> Result<FileRef, Failed> {
    let named = found.dir.open(body_name(packet, number).as_ref());
    // A file may have another name than its packet; then its bodies are called after it.
    let opened = named.or_else(|_| found.dir.open(format!("{}.{number}", found.name).as_ref()));
    opened.map_err(|error| match error.is_missing() {
        true => Complaint::new(Class::Later, format!("{}: body {number} is not here (yet)", found.name)).into(),
        false => error.into(),
    })
}
