//! mb-send: files, folders and standard input, to one or many nodes.

use clap::{ArgGroup, ArgMatches, Parser, ValueEnum};
use mb_cli::age::parse_age;
use mb_cli::escape::shown;
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Program, Progress, ProgressWhen};
use mb_node::config::KnownNode;
use mb_node::home::{AreaSecrets, Home};
use mb_node::rules::Rules;
use mb_node::send::{
    Compress, Errand, Input, Onion, Options, Place, Posting, Recipient, SendError, Sender, split_list,
};
use mb_node::toss::{Event, Scope};
use mb_node::way::{relays, roads};
use mb_spool::day;
use mb_spool::deliver::clear_dead_runs;
use mb_spool::durable::real;
use mb_wire::area::Mode;
use mb_wire::id::MsgHash;
use mb_wire::letter::{ARGUMENTS_LEN_MOST, ARGUMENTS_MOST, Argument, ExecMeta, RequestMeta, check_handle};
use mb_wire::route::HOLD_MOST;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Send files and folders to nodes: each FILE is a packet for each NODE, and all are sent or none
#[derive(Parser)]
#[command(name = "mb-send", version, after_help = EXAMPLES)]
#[command(group = ArgGroup::new("whom").args(["to", "area"]).required(true).multiple(true))]
struct Args {
    /// Files and folders; - is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// To whom; PATH/ is a folder at the other end, PATH a new name
    #[arg(short, long, value_name = "NODE[:PATH]")]
    to: Vec<OsString>,

    /// To all who read this area; PATH as with -t
    #[arg(short, long, value_name = "AREA[:PATH]", conflicts_with_all = ["request", "via", "onion", "receipt", "trace"])]
    area: Vec<OsString>,

    /// The message of the area that it answers, as mb-area read names it
    #[arg(long, value_name = "MESSAGE", requires = "area")]
    re: Option<MsgHash>,

    /// The nodes and areas in the order in which they were typed.
    #[arg(skip)]
    order: Vec<(usize, Whom)>,

    /// Standard input is for this command over there, with the ARGs behind --
    #[arg(short = 'x', long, value_name = "HANDLE", conflicts_with_all = ["files", "files_from", "name"])]
    exec: Option<String>,

    /// Its arguments, if it takes any; without -x more FILEs
    #[arg(last = true, value_name = "ARG", conflicts_with = "request")]
    arguments: Vec<OsString>,

    /// Ask for what the node shares with us; PATH/ is a list, / that of all
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["files", "files_from", "name", "exec", "private", "pad", "copy_self"])]
    request: Option<OsString>,

    /// The name that it gets here; NAME/ is a folder for it
    #[arg(short, long, value_name = "NAME")]
    output: Option<OsString>,

    /// By way of these relays, nearest first [the first of the node's roads]
    #[arg(long, value_name = "NODE,NODE...", value_delimiter = ',')]
    via: Vec<String>,

    /// Hide where it comes from and goes to: at each relay all of it changes
    #[arg(long)]
    onion: bool,

    /// Each relay holds an onion a random time of at most AGE, as 30m, up to 7d
    #[arg(long, value_name = "AGE", requires = "onion", value_parser = delay)]
    delay: Option<u32>,

    /// Name at the other end, for a single FILE
    #[arg(long, value_name = "NAME")]
    name: Option<OsString>,

    /// More FILEs, one a line, from this list; - is standard input
    #[arg(long, value_name = "LIST")]
    files_from: Option<PathBuf>,

    /// The list has NULs between its names
    #[arg(short = '0', long = "null", requires = "files_from")]
    nul: bool,

    /// Priority, 1 (first) to 255 [the node's, 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    nice: Option<u8>,

    /// Days until it is given up, 1 to 400 [the node's, 90]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=400))]
    ttl: Option<u16>,

    /// Send once under KEY; again, it prints the same ids and sends nothing
    #[arg(long, value_name = "KEY")]
    once: Option<String>,

    /// Ask for word of how far it has come; mb-stat PACKET shows it
    #[arg(long)]
    receipt: bool,

    /// Each node on the way signs that it had it; mb-cat --path shows it
    #[arg(long, conflicts_with = "onion")]
    trace: bool,

    /// A body for each recipient, so that nobody sees what they share
    #[arg(long)]
    private: bool,

    /// Hide the exact size
    #[arg(long)]
    pad: bool,

    /// Compress
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = CompressWhen::Auto, conflicts_with = "onion")]
    compress: CompressWhen,

    /// Also to this node itself, to have a copy that can be read
    #[arg(long)]
    copy_self: bool,

    /// Leave what is for this node itself to the next mb-toss
    #[arg(long)]
    no_toss: bool,

    /// Say on standard error what would be sent
    #[arg(long)]
    dry_run: bool,

    /// Show progress
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    progress: ProgressWhen,

    #[command(flatten)]
    common: Common,
}

/// What writing to areas needs.
#[derive(Default)]
struct Writing {
    secrets: AreaSecrets,
    rules: Rules,
}

/// `-t` or `-a`, by its number among these.
#[derive(Clone, Copy)]
enum Whom {
    To(usize),
    Area(usize),
}

#[derive(ValueEnum, Clone, Copy)]
enum CompressWhen {
    /// When it pays
    Auto,
    Never,
    Always,
}

const EXAMPLES: &str = "\
Examples:
  mb-send -t south report.pdf                 it keeps its name
  mb-send -t south:reports/ -t east *.pdf     one body each, for two nodes
  mb-send --via hub,sat -t far report.pdf     by way of hub, then sat
  mb-send -a news: may.txt                    to all who read the area news
  mb-send --once $@ -t south: $< >$@          in a makefile: sent once
  tar c src | mb-send -t south -x unpack      for a command that south has configured
  mb-send -t south -r docs/may.pdf            ask for what south shares with us";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }

    fn see(&mut self, matches: &ArgMatches) {
        let places = |id| matches.indices_of(id).into_iter().flatten().enumerate();
        let to = places("to").map(|(number, place)| (place, Whom::To(number)));
        let area = places("area").map(|(number, place)| (place, Whom::Area(number)));
        self.order = to.chain(area).collect();
        self.order.sort_unstable_by_key(|(place, _)| *place);
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    if args.delay.is_some() && !args.onion {
        // Beside what conflicts with --onion, clap lets this pass.
        return Err(usage("--delay goes with --onion"));
    }
    if args.output.is_some() && args.request.is_none() {
        // Likewise.
        return Err(usage("-o goes with -r"));
    }
    if args.re.is_some() && args.area.len() > 1 {
        return Err(usage("--re goes with a single -a: a message is of one area"));
    }
    let errand = errand(&args)?;
    let home = program.home()?;
    let inputs = inputs(&args)?;
    let writing = match args.area.is_empty() {
        true => Writing::default(),
        false => Writing { secrets: home.area_secrets()?, rules: program.rules(&home)? },
    };
    let recipients = recipients(&args, &home, &writing, inputs.len())?;
    if args.dry_run {
        say_what_would_be_sent(program, &args, &inputs, &recipients);
        return Ok(());
    }
    let spool = program.spool(&home)?;
    let secrets = program.unlock(&home)?;
    clear_dead_runs(&spool, &real::open_folder)?;
    let run = program.start_run(&spool)?;
    let now = mb_cli::now_secs();
    let progress = Progress::new(args.progress);
    let sender = Sender {
        spool: &spool,
        secrets: &secrets,
        itself: home.itself(),
        random: &mb_cli::random,
        now,
        today: day::today(&spool, now)?.day,
        stop: program.stop(),
        progress: &|bytes| progress.add(bytes),
    };
    let sent = sender.send(&inputs, &recipients, &options(&args, errand, &home, program), &run);
    drop(progress);
    let sent = match sent {
        Err(SendError::Stopped) => return program.check_stop(),
        other => other?,
    };
    sent.iter().for_each(|packet| program.say(packet.to_string()));
    for Posting { area, .. } in recipients.iter().filter_map(|to| to.area.as_ref()) {
        if area.subscribers.is_empty() {
            program.note(format_args!("area \"{}\": no node subscribes here: nobody gets it", area.name));
        }
    }
    drop(run);
    if !args.no_toss && recipients.iter().any(|to| to.node.id() == spool.own()) {
        program.toss(
            &home,
            &spool,
            &secrets,
            &Scope { from: vec![spool.own()], ..Scope::default() },
            &mut |program, event| {
                if let Event::Delivered(delivered) = event {
                    program.detail(format_args!("{}: here", delivered.path.display()));
                }
            },
        )?;
    }
    Ok(())
}

/// What is sent.
fn errand(args: &Args) -> Result<Errand, Failed> {
    if let Some(path) = &args.request {
        return request(path, args.output.as_deref());
    }
    let Some(handle) = &args.exec else { return Ok(Errand::Files(None)) };
    if !check_handle(handle) {
        let line = format!("-x: {}: no handle", shown(handle));
        return Err(Complaint::new(Class::Usage, line).with_remedy("1 to 64 of a-z A-Z 0-9 - _ .").into());
    }
    let arguments = args.arguments.iter().map(|argument| Argument(argument.as_bytes().to_vec()));
    let exec = ExecMeta { args: arguments.collect(), handle: handle.clone() };
    let len: usize = args.arguments.iter().map(|argument| argument.len()).sum();
    if exec.args.len() > ARGUMENTS_MOST || len > ARGUMENTS_LEN_MOST {
        let line = format!("at most {ARGUMENTS_MOST} ARGs, with {ARGUMENTS_LEN_MOST} bytes in all");
        return Err(Complaint::new(Class::Usage, line).with_remedy("send what is longer on standard input").into());
    }
    Ok(Errand::Exec(exec))
}

/// A request for PATH, whose answer is called `output` here.
fn request(path: &OsStr, output: Option<&OsStr>) -> Result<Errand, Failed> {
    let bytes = path.as_bytes();
    let (path, list) = match bytes.strip_suffix(b"/") {
        Some(folder) => (folder, true),
        None => (bytes, false),
    };
    if !(path.is_empty() && list) {
        mb_wire::path::check(path).map_err(|cause| {
            Complaint::new(Class::Usage, format!("-r: {}: {cause}", shown(&String::from_utf8_lossy(bytes))))
                .with_remedy("PATH is relative to what the node shares; -r / lists that")
        })?;
    }
    let name = output.map(OsStr::as_bytes);
    // Nothing would be no name.
    if let Some(Err(cause)) = name.map(|name| Place::parse(if name.is_empty() { b"/" } else { name })) {
        let line = format!("-o: {}: {cause}", shown(&String::from_utf8_lossy(name.unwrap_or_default())));
        return Err(Complaint::new(Class::Usage, line)
            .with_remedy("NAME is relative to the node's folder here")
            .into());
    }
    Ok(Errand::Request(RequestMeta { list, path: path.to_vec() }, name.map(<[u8]>::to_vec)))
}

fn options(args: &Args, errand: Errand, home: &Home, program: &Program) -> Options {
    Options {
        errand,
        nice: args.nice,
        ttl: args.ttl,
        name: args.name.clone().map(OsString::into_vec),
        once: args.once.clone(),
        private: args.private,
        pad: args.pad,
        receipt: args.receipt,
        trace: args.trace,
        onion: args.onion.then(|| Onion { delay: args.delay.unwrap_or(0) }),
        compress: match args.compress {
            CompressWhen::Auto => Compress::Auto,
            CompressWhen::Never => Compress::Never,
            CompressWhen::Always => Compress::Always,
        },
        reserve: home.config().reserve,
        threads: program.threads().get(),
    }
}

fn inputs(args: &Args) -> Result<Vec<Input>, Failed> {
    if args.exec.is_some() {
        return Ok(vec![Input::Stdin]);
    }
    if args.request.is_some() {
        return Ok(vec![Input::Bytes(Vec::new(), Vec::new())]);
    }
    let files = args.files.iter().map(|file| file.as_os_str()).chain(args.arguments.iter().map(OsString::as_os_str));
    let mut inputs: Vec<Input> = files.map(Input::parse).collect();
    if let Some(list) = &args.files_from {
        let names = split_list(&read_list(list)?, args.nul);
        inputs.extend(names.into_iter().map(|name| Input::Path(name.into())));
    }
    let is_list_stdin = args.files_from.as_deref().is_some_and(|list| list.as_os_str() == "-");
    let stdin_count = inputs.iter().filter(|input| **input == Input::Stdin).count() + usize::from(is_list_stdin);
    match (inputs.len(), stdin_count) {
        (0, _) if args.files_from.is_some() => Err(usage("the list of files is empty")),
        (0, _) => Err(usage("no FILE; standard input is -")),
        (_, 2..) => Err(usage("standard input can be read only once")),
        (2.., _) if args.name.is_some() => Err(usage("--name goes with a single FILE")),
        _ => Ok(inputs),
    }
}

fn read_list(list: &PathBuf) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let read = match list.as_os_str() == "-" {
        true => std::io::stdin().lock().read_to_end(&mut bytes),
        false => std::fs::File::open(list).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|cause| Complaint::new(Class::NoInput, format!("{}: read: {cause}", list.display())))?;
    Ok(bytes)
}

fn usage(line: &str) -> Failed {
    Complaint::new(Class::Usage, line).into()
}

fn recipients<'a>(
    args: &Args,
    home: &'a Home,
    writing: &'a Writing,
    input_count: usize,
) -> Result<Vec<Recipient<'a>>, Failed> {
    let recipient = |(_, whom): &(usize, Whom)| match whom {
        Whom::To(number) => recipient(&args.to[*number], &args.via, home),
        Whom::Area(number) => area_recipient(&args.area[*number], args.re, home, writing),
    };
    let mut recipients = args.order.iter().map(recipient).collect::<Result<Vec<_>, _>>()?;
    if input_count > 1 && recipients.iter().any(|to| matches!(to.place, Place::As(_))) {
        return Err(usage("several FILEs cannot have one name: end the PATH with /"));
    }
    if let Some(to) = recipients.iter().find(|to| args.exec.is_some() && to.place != Place::Keep) {
        return Err(usage(&format!("{}: a command has no PATH", to.words)));
    }
    if let Some(to) = recipients.iter().find(|to| args.request.is_some() && to.place != Place::Keep) {
        let line = format!("{}: what is asked for goes with -r", to.words);
        return Err(Complaint::new(Class::Usage, line).with_remedy("-t NODE -r PATH").into());
    }
    let is_direct = |to: &&Recipient| to.via.is_empty() && to.node.id() != home.itself().id();
    if let Some(to) = recipients.iter().find(is_direct).filter(|_| args.onion) {
        let line = format!("--onion: {}: no relay is on the way to it", to.node.name);
        return Err(Complaint::new(Class::Usage, line).with_remedy("--via names relays").into());
    }
    if args.copy_self {
        recipients.push(Recipient {
            node: home.itself(),
            via: Vec::new(),
            others: Vec::new(),
            words: "--copy-self".into(),
            place: Place::Keep,
            area: None,
        });
    }
    Ok(recipients)
}

fn recipient<'a>(words: &OsStr, via: &[String], home: &'a Home) -> Result<Recipient<'a>, Failed> {
    let (node, place) = name_and_place(words, "PATH is relative to the other node's folder for us")?;
    let node = home.node(&node)?;
    let mut ways = ways(node, via, home)?.into_iter();
    let via = ways.next().unwrap_or_default();
    let words = words.to_string_lossy().into_owned();
    Ok(Recipient { node, via, others: ways.collect(), words, place, area: None })
}

/// A message of an area, which goes to ourselves first.
fn area_recipient<'a>(
    words: &OsStr,
    re: Option<MsgHash>,
    home: &'a Home,
    writing: &'a Writing,
) -> Result<Recipient<'a>, Failed> {
    let (name, place) = name_and_place(words, "PATH is relative to the area's folder at each reader")?;
    let area = home.area(&name)?;
    if area.card.mode == Mode::Log && area.card.owner_id() != home.itself().id() {
        let line = format!("area \"{}\": a log has one writer, the node that made it", area.name);
        return Err(Complaint::new(Class::Refused, line).into());
    }
    let may_not = || {
        let line = format!("area \"{}\": this node may not write in it", area.name);
        Complaint::new(Class::Refused, line).with_remedy("ask its owner for mb-area card --writer, and mb-area join it")
    };
    let post = writing.secrets.post(&area.id()).ok_or_else(may_not)?;
    let (read, under, days) = match area.card.keys {
        Some(keys) => (keys.read, None, None),
        None => {
            let settings = writing.rules.current(&area.id()).ok_or_else(|| {
                let line = format!("area \"{}\": its settings have not come yet", area.name);
                Complaint::new(Class::Later, line).with_remedy("whoever carries it to this node hands them over too")
            })?;
            if !settings.posts.contains(&post.public()) {
                return Err(may_not().into());
            }
            (settings.read, Some(settings.under), settings.days)
        }
    };
    let words = format!("-a {}", words.to_string_lossy());
    let (node, area) = (home.itself(), Some(Posting { area, post, read, under, days, re }));
    Ok(Recipient { node, via: Vec::new(), others: Vec::new(), words, place, area })
}

/// What `NAME[:PATH]` says.
fn name_and_place(words: &OsStr, remedy: &str) -> Result<(String, Place), Failed> {
    let bytes = words.as_bytes();
    let (name, path) = match bytes.iter().position(|byte| *byte == b':') {
        Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
        None => (bytes, &b""[..]),
    };
    let place = Place::parse(path).map_err(|cause| {
        Complaint::new(Class::Usage, format!("{}: {cause}", words.to_string_lossy())).with_remedy(remedy)
    })?;
    Ok((String::from_utf8_lossy(name).into_owned(), place))
}

/// The relays of each way to `node`, in their order: those of `--via`, else of the node's roads. To ourselves nothing goes by
/// relays.
fn ways<'a>(node: &KnownNode, via: &[String], home: &'a Home) -> Result<Vec<Vec<&'a KnownNode>>, Failed> {
    let (own, to) = (home.itself().id(), node.id());
    let find = |word: &str| home.node(word);
    if !via.is_empty() && to != own {
        let relays =
            relays(own, to, via, find).map_err(|error| Complaint::of(&error, |line| format!("--via: {line}")))?;
        return Ok(vec![relays]);
    }
    roads(own, node, find).map_err(|error| {
        let file = home.node_path(&node.name);
        Complaint::new(Class::Config, format!("{}: roads: {error}", file.display())).into()
    })
}

/// An age that a relay may be asked to hold a packet for.
fn delay(text: &str) -> Result<u32, String> {
    let secs = parse_age(text)?;
    u32::try_from(secs).ok().filter(|secs| *secs <= HOLD_MOST).ok_or_else(|| "at most 7d".into())
}

fn say_what_would_be_sent(program: &Program, args: &Args, inputs: &[Input], recipients: &[Recipient]) {
    if let Some(path) = &args.request {
        return recipients.iter().for_each(|to| {
            program.note(format_args!("would ask {} for {}", to.words, path.display()));
        });
    }
    for input in inputs {
        for to in recipients {
            program.note(format_args!("would send {} to {}", input.path().display(), to.words));
        }
    }
}
