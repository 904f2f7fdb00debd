//! Command: a letter's payload becomes the standard input of a command that its receiver has configured for its author.
//!
//! All of the payload is verified before; that a try begins is durable before it does, and how it ended after. What has run well is marked
//! in `self/seen/`, then the input goes. Who dies in between runs it again, with the same letter id: at least once. A command that is
//! rather not run than twice is put aside then.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mb_spool::barrier::Barrier;
use mb_spool::blocks::for_each_block;
use mb_spool::durable;
use mb_spool::seen::{DoneMark, Seen};
use mb_spool::tries::{self, Claim, Last, Tries};
use mb_wire::letter::Kind;

use super::apply::{Batch, Fate, Item};
use super::decide::{Accepted, Deliver, How, Refusal};
use super::payload::{Bodies, PayloadError};
use super::stage::Stage;
use super::{Event, Tell};
use crate::config::Handler;
use crate::exec::{End, Order, Outcome, Take};
use crate::send::Input;

/// Commands that begin and end together, and may run once more after a crash: so many at first.
const FIRST_AT_ONCE: usize = 32;
/// No more than these, however fast they are: each has two files open.
const MOST_AT_ONCE: usize = 128;
/// Where a group takes longer the next one is smaller, else larger.
const SHORT: Duration = Duration::from_millis(250);
/// So often a try that has no end is made again at once: who dies of a command shall not die of it each time.
const SUDDEN_ENDS: u32 = 3;
/// The exit code that says: try again.
const TRY_AGAIN: i32 = 75;

/// A command that may run.
struct Ready<'a> {
    item: Item<'a>,
    claimed: Claim,
}

impl<'a> Batch<'_, 'a> {
    /// Verifies all of the input of a letter's command, if it is time for it.
    pub(super) fn ready_to_run(
        &self,
        accepted: &Accepted,
        deliver: &Deliver,
        handler: &Handler,
        stage: &Stage,
        threads: usize,
    ) -> Result<Fate, PayloadError> {
        if stage.look_up(deliver.letter.end, &deliver.id)? == Seen::Done {
            // Who marked it may have died before he did that.
            tries::forget(self.tosser.spool, &deliver.id)?;
            return Ok(Fate::Known);
        }
        let files = match self.open_bodies(accepted)? {
            Ok(files) => files,
            Err(missing) => return Ok(Fate::Waits(missing)),
        };
        let at = due(handler, tries::known(self.tosser.spool, &deliver.id)?.as_ref());
        if at > self.tosser.now {
            return Ok(Fate::Later(at));
        }
        let bodies = Bodies { letter: &deliver.letter, files, veils: deliver.veils.as_ref(), threads };
        match bodies.read(&mut |_| Ok(())) {
            Ok(()) => Ok(Fate::Runs),
            Err(PayloadError::Refused(refusal)) => {
                let claimed = tries::claim(self.tosser.spool, &deliver.id, self.run)?;
                Ok(claimed.map_or(Fate::Left, |claimed| Fate::RanBadly(claimed, refusal)))
            }
            Err(error) => Err(error),
        }
    }

    /// Runs commands, says what came of each, and ends their packets: group by group.
    pub(super) fn run_commands(&self, items: Vec<Item<'a>>, stage: &Stage, tell: Tell) -> durable::Result<()> {
        let is_once = |item: &Item| command_of(item).is_some_and(|(_, handler)| handler.once);
        let (once, mut many): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_once);
        for one in once {
            if self.is_stopped() {
                return Ok(());
            }
            self.run_group(vec![one], stage, tell)?;
        }
        let mut count = FIRST_AT_ONCE;
        while !many.is_empty() && !self.is_stopped() {
            let rest = many.split_off(many.len().min(count));
            let start = Instant::now();
            self.run_group(std::mem::replace(&mut many, rest), stage, tell)?;
            count = match start.elapsed() < SHORT {
                true => (count * 2).min(MOST_AT_ONCE),
                false => (count / 2).max(self.tosser.threads),
            };
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.tosser.stop.load(Ordering::Relaxed)
    }

    fn run_group(&self, items: Vec<Item<'a>>, stage: &Stage, tell: Tell) -> durable::Result<()> {
        let (mut ready, mut ended) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for mut item in items {
            if !self.lock_again(&mut item)? {
                continue;
            }
            match self.claim_command(&item, stage)? {
                Ok(claimed) => ready.push(Ready { item, claimed }),
                Err(fate) => {
                    item.fate = fate;
                    ended.push(item);
                }
            }
        }
        if !ready.is_empty() {
            self.run_claimed(ready, &mut ended, stage, tell)?;
        }
        self.end_all(ended, tell)
    }

    /// Claims an item's command. Another tosser may have run it since it was looked at, or be at it in another packet: then what
    /// becomes of the item instead.
    fn claim_command(&self, item: &Item, stage: &Stage) -> durable::Result<Result<Claim, Fate>> {
        let Some((deliver, handler)) = command_of(item) else { return Ok(Err(Fate::Left)) };
        let Some(claimed) = tries::claim(self.tosser.spool, &deliver.id, self.run)? else { return Ok(Err(Fate::Left)) };
        if stage.look_up(deliver.letter.end, &deliver.id)? == Seen::Done {
            claimed.end()?;
            return Ok(Err(Fate::Known));
        }
        let at = due(handler, claimed.known.as_ref());
        match &claimed.known {
            Some(Tries { last: Last::Begun(began), .. }) if handler.once => {
                let unfinished = Refusal::Unfinished { handle: handle_of(deliver), began: *began };
                Ok(Err(Fate::RanBadly(claimed, unfinished)))
            }
            _ if at > self.tosser.now => Ok(Err(Fate::Later(at))),
            _ => Ok(Ok(claimed)),
        }
    }

    fn run_claimed(
        &self,
        mut ready: Vec<Ready<'a>>,
        ended: &mut Vec<Item<'a>>,
        stage: &Stage,
        tell: Tell,
    ) -> durable::Result<()> {
        let mut barrier = Barrier::new();
        for Ready { item, claimed } in &mut ready {
            claimed.begin(item.packet, self.tosser.now, self.run, &mut barrier)?;
        }
        barrier.wait()?;
        let (mut rest, ran, mark) = (ready.into_iter(), Mutex::new(Vec::new()), DoneMark::make(self.run)?);
        let run = |one: Ready<'a>, _: &mut Vec<u8>| {
            let outcome = self.run_one(&one);
            // Durable with the others, but seen at once: who is only killed does not run it again. What fails here is tried below.
            let is_marked = is_all_done(&outcome)
                && command_of(&one.item)
                    .filter(|(deliver, _)| deliver.trace.is_none())
                    .is_some_and(|(deliver, _)| self.mark_run(deliver, &mark, stage).is_ok());
            ran.lock().unwrap_or_else(PoisonError::into_inner).push((one, outcome, is_marked));
            Ok::<(), durable::Error>(())
        };
        for_each_block(self.tosser.threads, |_| Ok(rest.next()), run)?;
        let mut ran = ran.into_inner().unwrap_or_else(PoisonError::into_inner);
        ran.sort_unstable_by_key(|(one, ..)| one.item.packet);

        let (mut barrier, from) = (Barrier::new(), ended.len());
        for (Ready { mut item, mut claimed }, outcome, is_marked) in ran {
            let Some((deliver, handler)) = command_of(&item) else { continue };
            let (packet, count) = (item.packet, claimed.count());
            let verdict = match outcome {
                Ok((outcome, printed)) => match self.verdict(handler, count, &outcome) {
                    Verdict::Good => self.reply(deliver, handler, count, printed),
                    other => other,
                },
                Err(PayloadError::Disk(error)) if handler.once => Verdict::Bad(error.to_string()),
                Err(PayloadError::Disk(error)) => Verdict::Later(self.tosser.now, error.to_string()),
                Err(PayloadError::Refused(refusal)) => Verdict::Bad(refusal.to_string()),
                Err(PayloadError::Enough) => Verdict::Bad("its input was cut short".into()),
            };
            let fate = match verdict {
                Verdict::Good => {
                    if let Some(accepted) = item.accepted.as_deref() {
                        self.keep_path(accepted, deliver, &mut barrier)?;
                    }
                    if !is_marked {
                        self.mark_run(deliver, &mark, stage)?;
                    }
                    barrier.dir(&stage.day(deliver.letter.end)?);
                    Fate::Ran(claimed, count)
                }
                Verdict::Later(next, why) => {
                    claimed.fail(packet, next, &why, self.run, &mut barrier)?;
                    Fate::Tried(next, why)
                }
                Verdict::Bad(what) => {
                    claimed.fail(packet, 0, &what, self.run, &mut barrier)?;
                    Fate::RanBadly(claimed, Refusal::Command { handle: handle_of(deliver), what })
                }
            };
            item.fate = fate;
            ended.push(item);
        }
        barrier.wait()?;
        ended.iter().skip(from).for_each(|item| say_what_came(item, tell));
        Ok(())
    }

    /// Marks a letter as settled; durable when the folder of its day is.
    fn mark_run(&self, deliver: &Deliver, mark: &DoneMark, stage: &Stage) -> durable::Result<()> {
        mark.settle(&stage.day(deliver.letter.end)?, &deliver.id, self.run)
    }

    /// What came of a command, and the file in the run's folder that holds what it printed, if that is to go back.
    fn run_one(&self, ready: &Ready) -> Result<(Outcome, Option<String>), PayloadError> {
        let Ready { item, claimed } = ready;
        let (Some(accepted), Some((deliver, handler))) = (item.accepted.as_deref(), command_of(item)) else {
            return Err(PayloadError::Enough);
        };
        if !handler.once && self.is_stopped() {
            return Ok((Outcome { end: End::Stopped, said: Vec::new() }, None));
        }
        let files = self.open_bodies(accepted)?.map_err(|missing| Refusal::Body {
            number: missing.first().copied().unwrap_or_default(),
            what: "has gone".into(),
        })?;
        let bodies = Bodies { letter: &deliver.letter, files, veils: deliver.veils.as_ref(), threads: 1 };
        let mut feed = |take: Take| {
            let fed = bodies.read(&mut |bytes| if take(bytes) { Ok(()) } else { Err(PayloadError::Enough) });
            match fed {
                Err(PayloadError::Enough) => Ok(()),
                other => other,
            }
        };
        let order = order(accepted, deliver, handler, claimed.count());
        let printed = if handler.reply { Some(self.run.create("printed-")?) } else { None };
        let mut at = 0;
        let mut print = |bytes: &[u8]| {
            let Some((_, file)) = &printed else { return Ok(()) };
            file.write_at(bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        };
        let outcome = self.tosser.runner.run(&order, &mut feed, &mut print, self.tosser.stop)?;
        Ok((outcome, printed.map(|(name, _)| name)))
    }

    /// What a command has printed goes back to the author, once.
    fn reply(&self, deliver: &Deliver, handler: &Handler, tries: u32, printed: Option<String>) -> Verdict {
        let Some(printed) = printed else { return Verdict::Good };
        let input = Input::Path(self.run.dir().path().join(printed));
        let name = Some(format!("{}.out", handle_of(deliver)).into_bytes());
        let Some(author) = deliver.author.known else { return Verdict::Bad("its author is not known any more".into()) };
        let why = match self.tosser.send_back(author, &deliver.id, input, name, self.today.day) {
            Ok(_) => return Verdict::Good,
            Err(error) => format!("it has run, and what it printed could not be sent: {error}"),
        };
        self.again(handler, tries, !handler.once, why)
    }

    /// It is tried again in its time, if that can help and may be.
    fn again(&self, handler: &Handler, tries: u32, may_be: bool, why: String) -> Verdict {
        match handler.retry.after(tries).filter(|_| may_be) {
            Some(secs) => Verdict::Later(self.tosser.now.saturating_add(secs), why),
            None => Verdict::Bad(why),
        }
    }

    /// What is rather not run than twice is tried again only if it has done nothing, as it says itself or as it never began.
    fn verdict(&self, handler: &Handler, tries: u32, outcome: &Outcome) -> Verdict {
        let (how, may_come_right) = match &outcome.end {
            End::Exited(0) => return Verdict::Good,
            End::Exited(code) => (format!("exit {code}"), *code == TRY_AGAIN),
            End::Signaled(signal) => (format!("ended by signal {signal}"), !handler.once),
            End::TooLong => (format!("took longer than {} seconds", handler.seconds), !handler.once),
            End::TooMuch => (format!("printed more than {} bytes", handler.output), false),
            End::Stopped if !handler.once => return Verdict::Later(self.tosser.now, "was stopped".into()),
            End::Stopped => ("was stopped".into(), false),
            End::NotStarted(why) => (format!("could not be started: {why}"), true),
        };
        let said = String::from_utf8_lossy(&outcome.said).trim().to_owned();
        let why = if said.is_empty() { how } else { format!("{how}: {said}") };
        self.again(handler, tries, may_come_right, why)
    }
}

fn say_what_came(item: &Item, tell: Tell) {
    let Some((deliver, _)) = command_of(item) else { return };
    let (packet, author, handle) = (item.packet, &*deliver.author.name, &*handle_of(deliver));
    match &item.fate {
        Fate::Ran(_, tries) => {
            let task = item.accepted.as_ref().map(|accepted| &accepted.task);
            let area = task.and_then(|task| Some(&*task.area()?.name));
            tell(Event::Ran { packet, author, area, handle, tries: *tries });
        }
        Fate::Tried(next, why) => tell(Event::Tried { packet, author, handle, why, next: *next }),
        _ => {}
    }
}

/// Whether a command has run well, and nothing that it printed is to go back: then only its mark is missing.
fn is_all_done(outcome: &Result<(Outcome, Option<String>), PayloadError>) -> bool {
    matches!(outcome, Ok((Outcome { end: End::Exited(0), .. }, None)))
}

enum Verdict {
    /// It has done its work.
    Good,
    /// It is to be tried again from that time on.
    Later(u64, String),
    /// It is not.
    Bad(String),
}

fn command_of<'i, 'a>(item: &'i Item<'a>) -> Option<(&'i Deliver<'a>, &'a Handler)> {
    let deliver = item.accepted.as_deref()?.task.letter()?;
    match deliver.how {
        How::Run(handler) => Some((deliver, handler)),
        How::Place | How::Keep | How::Answer(_) | How::SendOn(_) => None,
    }
}

/// From when on a try may begin, in seconds since 1970.
fn due(handler: &Handler, known: Option<&Tries>) -> u64 {
    match known {
        Some(Tries { last: Last::Failed { next, .. }, .. }) => *next,
        Some(Tries { last: Last::Begun(began), count, .. }) if *count >= SUDDEN_ENDS && !handler.once => {
            began.saturating_add(handler.retry.after(*count).unwrap_or(0))
        }
        _ => 0,
    }
}

fn handle_of(deliver: &Deliver) -> String {
    match &deliver.letter.kind {
        Kind::Exec(exec) => exec.handle.clone(),
        Kind::File(_) | Kind::Request(_) => String::new(),
    }
}

fn order<'h>(accepted: &Accepted, deliver: &Deliver, handler: &'h Handler, tries: u32) -> Order<'h> {
    let mut words: Vec<OsString> = handler.command.iter().map(OsString::from).collect();
    if let Kind::Exec(exec) = &deliver.letter.kind {
        words.extend(exec.args.iter().map(|argument| OsStr::from_bytes(&argument.0).to_owned()));
    }
    let environment = vec![
        ("MB_LETTER", deliver.id.to_string()),
        ("MB_PACKET", accepted.packet.to_string()),
        ("MB_SENDER", deliver.author.id.to_string()),
        ("MB_SENDER_NAME", deliver.author.name.clone()),
        ("MB_HANDLE", handle_of(deliver)),
        ("MB_NICE", accepted.nice.to_string()),
        ("MB_TRY", tries.to_string()),
    ];
    Order {
        words,
        environment,
        folder: handler.folder.clone().unwrap_or_else(|| PathBuf::from("/")),
        time: Duration::from_secs(handler.seconds.into()),
        most_output: handler.output,
        owner: (handler.uid, handler.gid),
        limits: &handler.limits,
    }
}
