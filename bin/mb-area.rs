//! mb-area: areas, whose messages come to all that subscribe to them.

use clap::{Parser, Subcommand, ValueEnum};
use mb_cli::age::parse_age;
use mb_cli::escape::{shown, shown_name};
use mb_cli::{Arguments, Class, Common, Complaint, Failed, Program, in_groups, node_name, random, setting_lines};
use mb_node::catch_up;
use mb_node::config::{KnownArea, parse_size};
use mb_node::home::{AreaSecrets, Home, Joined};
use mb_node::keys::ExchangeKeys;
use mb_node::moderate::{Members, ModerateError, Moderator};
use mb_node::posts::{KeptPost, ReadKey, kept_posts};
use mb_node::rules::Rules;
use mb_node::show::{ContentView, Piece};
use mb_node::subscribe::askers;
use mb_node::tell::tell;
use mb_spool::date::{day_text, time_text};
use mb_spool::day;
use mb_spool::subscribed::MOST_DAYS;
use mb_wire::area::{AreaCard, AreaSecret, Head, Mode, PostSecret, Settings, Subscribe};
use mb_wire::envelope::Content;
use mb_wire::id::{MsgHash, NodeId, PostKey};
use mb_wire::letter::Kind;
use serde_json::json;
use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Make areas and take part in them: what one writes comes to all who read, whichever way
#[derive(Parser)]
#[command(name = "mb-area", version, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Make an area; prints its id
    New {
        /// What to call it
        name: String,
        /// Who may write
        #[arg(long, value_enum, default_value_t = ModeWord::Open)]
        mode: ModeWord,
    },
    /// Take in an area's card; a secret one only on standard input
    Join {
        /// What to call it
        name: String,
        /// Its relay card [standard input]
        card: Option<String>,
    },
    /// Print an area's card: without options the one for relays, which is public
    Card {
        /// The area by name or id
        name: String,
        /// The secret one, for whoever may write
        #[arg(long)]
        writer: bool,
        /// The secret one, for whoever may read; in an open area he writes too
        #[arg(long, conflicts_with = "writer")]
        reader: bool,
    },
    /// List the known areas: name, mode, what we may do, id
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show all that is set for an area
    Show {
        /// The area by name or id
        name: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Hand an area's messages to these neighbours from now on, or ask them for it
    Subscribe {
        /// The area by name or id
        name: String,
        /// Nodes by name or id
        #[arg(required = true)]
        nodes: Vec<String>,
        /// Ask them to hand its messages to this node; asking again renews that
        #[arg(long)]
        ask: bool,
        /// For how long they are asked: 90d, 12w, at most 400d [400d]
        #[arg(long, value_name = "AGE", value_parser = parse_age, requires = "ask")]
        until: Option<u64>,
    },
    /// Hand them to these no more, or ask these to hand us them no more
    Unsubscribe {
        /// The area by name or id
        name: String,
        /// Nodes by name or id
        #[arg(required = true)]
        nodes: Vec<String>,
        /// Ask them to hand its messages to this node no more
        #[arg(long)]
        ask: bool,
    },
    /// Ask these neighbours for the messages that we missed
    CatchUp {
        /// The area by name or id
        name: String,
        /// Nodes by name or id
        #[arg(required = true)]
        nodes: Vec<String>,
    },
    /// Set keys in the area's file; KEY= takes one away
    Set {
        /// The area by name or id
        name: String,
        /// As folder=/srv/news or allow_unknown=true
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// List who takes part, as far as this node knows: owner and subscribers
    Members {
        /// The area by name or id
        name: String,
        /// One JSON object a line: role, name, id, until
        #[arg(long)]
        json: bool,
    },
    /// List the messages that are kept, in threads; or print what these MESSAGEs bring
    Read {
        /// The area by name or id
        name: String,
        /// Messages, as the list names them
        #[arg(value_name = "MESSAGE")]
        messages: Vec<MsgHash>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// Seconds in a day.
const DAY_SECS: u64 = 86_400;

#[derive(ValueEnum, Clone, Copy)]
enum ModeWord {
    /// Whoever has the reader or the writer card
    Open,
    /// This node alone
    Log,
    /// Whom this node's settings name
    Moderated,
}

const EXAMPLES: &str = "\
Examples:
  mb-area new news                              an area of this node
  mb-area card news --reader | ssh south mb-area join news
  mb-area subscribe news south                  south gets its messages from us
  mb-send -a news: may.txt                      to all who read it";

impl Arguments for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

fn main() -> ExitCode {
    mb_cli::main(run)
}

fn run(args: Args, program: &mut Program) -> Result<(), Failed> {
    let mut home = program.home()?;
    match args.command {
        Command::New { name, mode } => return new(program, &mut home, &name, mode),
        Command::Join { name, card } => return join(program, &mut home, &name, card),
        Command::Card { name, writer, reader } => return card(program, &home, &name, writer, reader),
        Command::List { json } => return list(program, &home, json),
        Command::Show { name, json } => return show(program, &home, &name, json),
        Command::Subscribe { name, nodes, ask: true, until } => {
            return ask(program, &home, &name, &nodes, &Ask::ToServe(days_of(until)?));
        }
        Command::Unsubscribe { name, nodes, ask: true } => return ask(program, &home, &name, &nodes, &Ask::NoMore),
        Command::Subscribe { name, nodes, .. } => home.subscribe(&name, &words(&nodes))?,
        Command::Unsubscribe { name, nodes, .. } => home.unsubscribe(&name, &words(&nodes))?,
        Command::CatchUp { name, nodes } => return ask(program, &home, &name, &nodes, &Ask::Missed),
        Command::Set { name, settings } => return set(program, &mut home, &name, &settings),
        Command::Members { name, json } => return members(program, &home, home.area(&name)?, json),
        Command::Read { name, messages, json } => return read(program, &home, &name, &messages, json),
    }
    Ok(())
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn new(program: &mut Program, home: &mut Home, name: &str, mode: ModeWord) -> Result<(), Failed> {
    let mode = match mode {
        ModeWord::Open => Mode::Open,
        ModeWord::Log => Mode::Log,
        ModeWord::Moderated => Mode::Moderated,
    };
    let secrets = program.unlock(home)?;
    let id = home.new_area(&secrets, name, mode, mb_cli::now_secs(), &mut |bytes| random(bytes))?;
    if mode == Mode::Moderated {
        moderate(program, home, name, |_| Ok(()))?;
    }
    program.say(id.to_string());
    Ok(())
}

fn join(program: &mut Program, home: &mut Home, name: &str, card: Option<String>) -> Result<(), Failed> {
    let text = match card {
        Some(text) if text.trim_start().get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("mbse")) => {
            let remedy = "hand it over on standard input; others may have seen it now";
            return Err(Complaint::new(Class::Usage, "join: a secret card as an argument").with_remedy(remedy).into());
        }
        Some(text) => Zeroizing::new(text),
        None => card_from_input(program)?,
    };
    let wrong = |error: mb_wire::area::AreaError| Complaint::new(Class::Data, format!("card: {error}"));
    let (card, secret) = match text.trim().starts_with("mbs") || text.trim().starts_with("MBS") {
        true => {
            let secret = AreaSecret::from_text(text.trim()).map_err(wrong)?;
            (secret.card.clone(), Some(secret))
        }
        false => (AreaCard::parse(text.trim()).map_err(wrong)?, None),
    };
    let id = card.id();
    match home.join_area(name, card, secret)? {
        Joined::New => program.say(format!("{name}\t{}", in_groups(&id.to_string()))),
        Joined::More => program.detail(format_args!("{name}: more may be done in it from now on")),
        Joined::Known => {}
    }
    Ok(())
}

fn card_from_input(program: &Program) -> Result<Zeroizing<String>, Failed> {
    if io::stdin().is_terminal() {
        program.note("reading a card from the terminal; Ctrl-D ends");
    }
    let mut lines = mb_cli::input_lines(io::stdin().lock())?.into_iter().map(|(_, line)| line);
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(Zeroizing::new(line)),
        (None, _) => Err(Complaint::new(Class::NoInput, "standard input: no card").into()),
        _ => Err(Complaint::new(Class::Usage, "standard input: more than one line").into()),
    }
}

fn card(program: &mut Program, home: &Home, name: &str, writer: bool, reader: bool) -> Result<(), Failed> {
    let area = home.area(name)?;
    if !writer && !reader {
        program.say(area.card.to_text());
        return Ok(());
    }
    if writer && area.card.mode == Mode::Log {
        let line = format!("area \"{}\": a log has one writer, the node that made it", area.name);
        return Err(Complaint::new(Class::Refused, line).into());
    }
    if area.is_moderated() {
        return moderated_card(program, home, area, reader);
    }
    let refused = |what: &str| Complaint::new(Class::Refused, format!("area \"{}\": {what}", area.name));
    // A secret of its own, with no more in it than it is to give away.
    let AreaSecret { card, post, read } = own_secret(home, area)?.ok_or_else(|| refused("this node only relays it"))?;
    let given = match reader {
        true if read.is_none() => return Err(refused("this node cannot read it").into()),
        true => AreaSecret { post: post.filter(|_| card.mode == Mode::Open), card, read },
        false if post.is_none() => return Err(refused("this node may not write in it").into()),
        false => AreaSecret { card, post, read: None },
    };
    program.say(given.to_text().as_bytes());
    Ok(())
}

/// A writer of a moderated area gets a post key of his own; who may read is no matter of cards.
fn moderated_card(program: &mut Program, home: &Home, area: &KnownArea, reader: bool) -> Result<(), Failed> {
    if reader {
        let line = format!("area \"{}\": who may read it its settings say", area.name);
        let remedy = "its owner names readers: mb-area set NAME readers+=NODE";
        return Err(Complaint::new(Class::Refused, line).with_remedy(remedy).into());
    }
    let mut bytes = Zeroizing::new([0; 32]);
    random(&mut *bytes).map_err(|cause| Complaint::new(Class::Io, format!("random bytes: {cause}")))?;
    let post = PostSecret::from_random(*bytes);
    moderate(program, home, &area.name, |members| {
        members.posts.push(post.public());
        Ok(())
    })?;
    let given = AreaSecret { card: area.card.clone(), post: Some(post), read: None };
    program.say(given.to_text().as_bytes());
    Ok(())
}

/// Changes who may do what in a moderated area of this node.
fn moderate(
    program: &Program,
    home: &Home,
    name: &str,
    change: impl FnOnce(&mut Members) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let area = home.area(name)?;
    let (spool, secrets, now) = (program.spool(home)?, program.unlock(home)?, mb_cli::now_secs());
    let rules = Rules::load(&spool, home.areas(), &ExchangeKeys::load(&spool, &secrets)?)?;
    let own = own_secret(home, area)?.and_then(|secret| secret.post);
    let own = own.ok_or_else(|| ModerateError::NotOurs(area.name.clone()))?;
    let run = program.start_run(&spool)?;
    let today = &day::today(&spool, now)?;
    let moderator =
        Moderator { spool: &spool, secrets: &secrets, nodes: home, rules: &rules, random: &random, now, today };
    moderator.change(area, &own, change, &run)?;
    Ok(())
}

fn own_secret(home: &Home, area: &KnownArea) -> Result<Option<AreaSecret>, Failed> {
    Ok(home.area_secrets()?.take(&area.id()))
}

/// `relay`, or what of `read` and `write` may be done.
fn rights(home: &Home, area: &KnownArea, secrets: &AreaSecrets, rules: &Rules) -> &'static str {
    let secret = secrets.get(&area.id());
    let (mut read, mut write) = secret.map_or((false, false), |it| (it.read.is_some(), it.post.is_some()));
    if area.is_moderated() {
        let settings = rules.current(&area.id());
        let own = home.itself().id();
        let post = secret.and_then(|secret| secret.post.as_ref()).map(PostSecret::public);
        read = settings.is_some_and(|settings| settings.readers().any(|reader| reader == own));
        write = settings.is_some_and(|settings| post.is_some_and(|post| settings.posts.contains(&post)));
    }
    match (read, write) {
        (true, true) => "read,write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "relay",
    }
}

fn list(program: &mut Program, home: &Home, as_json: bool) -> Result<(), Failed> {
    let (secrets, rules) = (home.area_secrets()?, program.rules(home)?);
    for area in home.areas() {
        let (id, mode, rights) = (area.id(), area.card.mode.word(), rights(home, area, &secrets, &rules));
        match as_json {
            true => program.json(&json!({ "name": area.name, "mode": mode, "rights": rights, "id": id.to_string() })),
            false => program.say(format!("{}\t{mode}\t{rights}\t{id}", area.name)),
        }
    }
    Ok(())
}

fn show(program: &mut Program, home: &Home, name: &str, as_json: bool) -> Result<(), Failed> {
    let area = home.area(name)?;
    let (secrets, rules) = (home.area_secrets()?, program.rules(home)?);
    let moderated = rules.current(&area.id()).map(|settings| {
        json!({ "version": settings.under.version, "epoch": settings.under.epoch, "most": settings.most, "days": settings.days })
    });
    let settings = json!({
        "name": area.name,
        "id": area.id().to_string(),
        "calls_itself": area.card.name,
        "mode": area.card.mode.word(),
        "rights": rights(home, area, &secrets, &rules),
        "moderated": moderated,
        "owner": node_name(home, &area.card.owner_id()),
        "created": area.card.created,
        "card": area.card.to_text(),
        "file": home.area_path(&area.name),
        "settings": area.settings(),
        "exec": area.exec.keys().collect::<Vec<_>>(),
    });
    if as_json {
        program.json(&settings);
    } else {
        program.say(format!("in groups\t{}", in_groups(&area.id().to_string())));
        setting_lines(&settings).into_iter().for_each(|line| program.say(line));
    }
    Ok(())
}

/// What neighbours are asked.
enum Ask {
    /// The messages that we missed.
    Missed,
    /// To hand us the messages, today and so many days more.
    ToServe(u32),
    /// To hand us them no more.
    NoMore,
}

/// Asks neighbours for something of an area.
fn ask(program: &Program, home: &Home, name: &str, nodes: &[String], what: &Ask) -> Result<(), Failed> {
    let (area, nodes) = (home.area(name)?.id(), home.others(&words(nodes))?);
    let (spool, secrets, now) = (program.spool(home)?, program.unlock(home)?, mb_cli::now_millis());
    let today = day::today(&spool, now / 1000)?.day;
    let subscribe = |until| Subscribe { area, until }.sign(&secrets, now);
    let statement = match what {
        Ask::Missed => catch_up::want(&spool, &program.rules(home)?, area)?.sign(&secrets, now / 1000),
        Ask::ToServe(days) => subscribe(today.saturating_add(*days)),
        Ask::NoMore => subscribe(0),
    };
    let run = program.start_run(&spool)?;
    tell(&spool, &secrets, &nodes, today, &Content::Statement(statement), &run)?;
    Ok(())
}

/// The days that so many seconds are, begun ones counted.
fn days_of(until: Option<u64>) -> Result<u32, Failed> {
    let days = until.map_or(u64::from(MOST_DAYS), |secs| secs.div_ceil(DAY_SECS));
    let days = u32::try_from(days).ok().filter(|days| *days <= MOST_DAYS);
    let line = format!("subscribe: --until: more than {MOST_DAYS} days");
    days.ok_or_else(|| Complaint::new(Class::Usage, line).into())
}

/// Some keys are the owner's, signed for all; the others are this node's file's.
fn set(program: &Program, home: &mut Home, name: &str, settings: &[String]) -> Result<(), Failed> {
    let split = |word| {
        str::split_once(word, '=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Complaint::new(Class::Usage, format!("set: {}: not KEY=VALUE", shown(word))))
    };
    let settings = settings.iter().map(|word| split(word)).collect::<Result<Vec<_>, _>>()?;
    let is_owners = |(key, _): &&(&str, &str)| OWNERS_KEYS.contains(&key.trim_end_matches(['+', '-']));
    let (owners, own): (Vec<_>, Vec<_>) = settings.iter().partition(is_owners);
    if !own.is_empty() {
        home.set_area(name, &own)?;
    }
    if owners.is_empty() {
        return Ok(());
    }
    let home = &*home;
    moderate(program, home, name, |members| owners.iter().try_for_each(|(key, value)| edit(members, home, key, value)))
}

/// What the owner of a moderated area sets for all.
const OWNERS_KEYS: [&str; 5] = ["readers", "writers", "nodes", "most", "days"];

/// `KEY=VALUE`; of lists, `KEY+=` adds and `KEY-=` takes away.
fn edit(members: &mut Members, home: &Home, key: &str, value: &str) -> Result<(), Failed> {
    let wrong = |why: String| Complaint::new(Class::Usage, format!("set: {key}={}: {why}", shown(value)));
    let name = key.trim_end_matches(['+', '-']);
    let words = value.split(',').map(str::trim).filter(|word| !word.is_empty());
    let node = |word: &str| Ok::<_, Failed>(home.node(word)?.id());
    match name {
        "readers" => change_list(&mut members.readers, key, words.map(node).collect::<Result<_, _>>()?),
        "nodes" => change_list(&mut members.nodes, key, words.map(node).collect::<Result<_, _>>()?),
        "writers" => {
            let post = |word: &str| {
                let key = word.parse::<PostKey>();
                key.map(|key| *key.as_bytes()).map_err(|error| wrong(format!("a post key {error}")))
            };
            change_list(&mut members.posts, key, words.map(post).collect::<Result<_, _>>()?);
        }
        _ if name != key => return Err(wrong("only lists grow and shrink".into()).into()),
        "most" if value.is_empty() => members.most = None,
        "most" => members.most = Some(parse_size(value).map_err(wrong)?),
        _ if value.is_empty() => members.days = None,
        _ => {
            let days = value.parse().ok().filter(|days| (1..=400).contains(days));
            members.days = Some(days.ok_or_else(|| wrong("not from 1 to 400 days".into()))?);
        }
    }
    Ok(())
}

fn change_list<T: PartialEq>(list: &mut Vec<T>, key: &str, mut words: Vec<T>) {
    match key.chars().next_back() {
        Some('-') => list.retain(|there| !words.contains(there)),
        Some('+') => {
            words.retain(|word| !list.contains(word));
            list.append(&mut words);
        }
        _ => *list = words,
    }
}

/// Role, name and id of each; of those that have asked to be handed the messages, and are not in the area's file, also until when.
fn members(program: &mut Program, home: &Home, area: &KnownArea, as_json: bool) -> Result<(), Failed> {
    let owner = area.card.owner_id();
    let owner_name = home.node_by_id(&owner).map(|node| node.name.as_str());
    let subscribers = area.subscribers.iter().map(|name| {
        let id = home.node(name).ok().map(|node| node.id());
        ("subscriber", Some(name.as_str()), id)
    });
    let spool = program.spool(home)?;
    let askers = askers(&spool, home, area, &day::today(&spool, mb_cli::now_secs())?)?;
    let rules = program.rules(home)?;
    let settings = rules.current(&area.id());
    let named = |role, id: NodeId| (role, home.node_by_id(&id).map(|node| node.name.as_str()), Some(id.to_string()));
    let readers = settings.into_iter().flat_map(Settings::readers).map(|id| named("reader", id));
    let nodes = settings.into_iter().flat_map(|settings| &settings.nodes).map(|id| named("node", *id));
    let writers = settings.into_iter().flat_map(|settings| &settings.posts);
    let writers = writers.map(|post| ("writer", None, Some(PostKey::from_bytes(*post).to_string())));
    let subscribers = subscribers.map(|(role, name, id)| (role, name, id.map(|id: NodeId| id.to_string())));
    let owner = ("owner", owner_name, Some(owner.to_string()));
    let listed = std::iter::once(owner).chain(writers).chain(readers).chain(nodes).chain(subscribers);
    let listed = listed.map(|(role, name, id)| (role, name, id, None));
    let askers = askers.iter().filter(|asker| !area.subscribers.contains(&asker.node.name)).map(|asker| {
        let (id, until) = (asker.node.id().to_string(), day_text(asker.until));
        ("subscriber", Some(asker.node.name.as_str()), Some(id), Some(until))
    });
    for (role, name, id, until) in listed.chain(askers) {
        if as_json {
            program.json(&json!({ "role": role, "name": name, "id": id, "until": until }));
            continue;
        }
        let until = until.map(|until| format!("\t{until}")).unwrap_or_default();
        program.say(format!("{role}\t{}\t{}{until}", name.unwrap_or("-"), id.as_deref().unwrap_or("-")));
    }
    Ok(())
}

fn read(program: &mut Program, home: &Home, name: &str, messages: &[MsgHash], as_json: bool) -> Result<(), Failed> {
    let area = home.area(name)?;
    let secret = own_secret(home, area)?.and_then(|secret| secret.read);
    let rules = match area.is_moderated() {
        true => {
            let spool = program.spool(home)?;
            Rules::load(&spool, home.areas(), &ExchangeKeys::load(&spool, &program.unlock(home)?)?)?
        }
        false => Rules::default(),
    };
    if secret.is_none() && !rules.reads(&area.id()) {
        let line = format!("area \"{}\": this node cannot read it", area.name);
        let remedy = if area.is_moderated() {
            "its owner names readers: mb-area set NAME readers+=NODE"
        } else {
            "mb-area card --reader at a node that can, and mb-area join here"
        };
        return Err(Complaint::new(Class::Refused, line).with_remedy(remedy).into());
    }
    let key = |head: &Head| match head.under {
        None => secret.as_ref(),
        Some(under) => rules.read_key(&area.id(), under.epoch),
    };
    let posts = posts(program, home, area, &key)?;
    if messages.is_empty() {
        posts.iter().for_each(|post| say(program, home, post, as_json));
        return Ok(());
    }
    for message in messages {
        match posts.iter().find(|post| post.hash == *message) {
            Some(post) => print(program, home, post, as_json)?,
            None => program.fail(&Complaint::new(Class::No, format!("{message}: not kept here"))),
        }
    }
    Ok(())
}

fn posts(program: &mut Program, home: &Home, area: &KnownArea, key: ReadKey) -> Result<Vec<KeptPost>, Failed> {
    let spool = program.spool(home)?;
    Ok(kept_posts(&spool, &area.id(), key, &mut |error| program.fail(&error))?)
}

/// One line of the list: message, time, author, bytes, name; answers stand further in.
fn say(program: &mut Program, home: &Home, post: &KeptPost, as_json: bool) {
    if as_json {
        let object = object(home, post);
        return program.json(&object);
    }
    let letter = &post.letter;
    let time = time_text(i64::try_from(letter.time).unwrap_or(i64::MAX));
    let what = match &letter.kind {
        Kind::File(file) => shown_name(OsStr::from_bytes(&file.path)),
        Kind::Exec(_) | Kind::Request(_) => letter.kind.word().into(),
    };
    let (author, indent) = (node_name(home, &letter.author), "  ".repeat(post.depth.min(32)));
    program.say(format!("{}\t{time}\t{author}\t{}\t{indent}{what}", post.hash, letter.payload_len()));
}

fn object(home: &Home, post: &KeptPost) -> serde_json::Value {
    let author = &post.letter.author;
    json!({
        "message": post.hash.to_string(),
        "re": post.re.map(|re| re.to_string()),
        "depth": post.depth,
        "author": { "name": home.node_by_id(author).map(|node| &node.name), "id": author.to_string() },
        "content": ContentView::new(&post.letter),
    })
}

/// What a message brings: a file's content, or what a folder consists of. With JSON, as a member `text` of its object, where it is text.
fn print(program: &mut Program, home: &Home, post: &KeptPost, as_json: bool) -> Result<(), Failed> {
    let threads = program.threads().get();
    if !as_json {
        return Ok(post.payload(threads, &mut |piece| match piece {
            Piece::Content(bytes) => program.out().content(bytes),
            Piece::Entry(path) => program.say(shown_name(OsStr::from_bytes(&path))),
        })?);
    }
    let (mut object, mut text, mut entries) = (object(home, post), Vec::new(), Vec::new());
    let is_short = post.letter.payload_len() <= MOST_TEXT;
    if is_short {
        post.payload(threads, &mut |piece| match piece {
            Piece::Content(bytes) => text.extend_from_slice(bytes),
            Piece::Entry(path) => entries.push(String::from_utf8_lossy(&path).into_owned()),
        })?;
    }
    if !entries.is_empty() {
        object["entries"] = json!(entries);
    } else if let (true, Ok(text)) = (is_short, String::from_utf8(text)) {
        object["text"] = json!(text);
    }
    program.json(&object);
    Ok(())
}

/// A text longer than this is not part of a JSON object: it is printed without `--json`.
const MOST_TEXT: u64 = 1 << 20;
