//! What programs that write the spool share: the open spool, a run of their own, a toss.

use crate::escape::shown;
use crate::outside::{now_secs, random};
use crate::{Complaint, Failed, Program, node_name};
use mb_node::config::KnownArea;
use mb_node::exec::System;
use mb_node::home::Home;
use mb_node::keys::ExchangeKeys;
use mb_node::rules::Rules;
use mb_node::toss::{Event, Failed as NotTossed, Scope, Tosser};
use mb_spool::class::Class;
use mb_spool::date::time_text;
use mb_spool::durable::real;
use mb_spool::layout::Spool;
use mb_spool::run::Run;
use mb_wire::key::NodeSecrets;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that are open at a time, at the most: a batch's packets with the folders that they go to, and what else is open.
const MOST_OPEN: u64 = 2 * 2048 + OPEN_BESIDES;
/// Folders, bodies and standard streams.
const OPEN_BESIDES: u64 = 400;

impl Program {
    /// Opens the node's spool.
    pub fn spool(&self, home: &Home) -> Result<Spool, Failed> {
        Ok(Spool::new(self.spool_dir(home)?, home.card().id()))
    }

    /// The rules of moderated areas, without what opens their letters. Nothing of the spool is read where there are none.
    pub fn rules(&self, home: &Home) -> Result<Rules, Failed> {
        match home.areas().any(KnownArea::is_moderated) {
            true => Ok(Rules::load(&self.spool(home)?, home.areas(), &ExchangeKeys::from_iter([]))?),
            false => Ok(Rules::default()),
        }
    }

    /// Begins a run in the spool.
    pub fn start_run(&self, spool: &Spool) -> Result<Run, Failed> {
        Ok(Run::start(spool, random_name()?)?)
    }

    /// Tosses what is in the spool. `told` gets what was delivered or waits; failures are told here, and counted.
    pub fn toss(
        &mut self,
        home: &Home,
        spool: &Spool,
        secrets: &NodeSecrets,
        scope: &Scope,
        told: &mut dyn FnMut(&mut Program, Event),
    ) -> Result<(), Failed> {
        let keys = ExchangeKeys::load(spool, secrets)?;
        let area_secrets = home.area_secrets()?;
        let spool_path = std::path::absolute(spool.root().path()).map_err(absolute_failed)?;
        let tosser = Tosser {
            spool,
            spool_path: &spool_path,
            nodes: home,
            secrets,
            list: home.config().list.as_ref(),
            keys: &keys,
            area_secrets: &area_secrets,
            open: &real::open_folder,
            now: now_secs(),
            reserve: home.config().reserve,
            threads: self.threads().get(),
            batch: packets_at_once(),
            runner: &System,
            stop: self.stop(),
            random: &random,
        };
        tosser.toss(scope, random_name()?, &mut |event| match event {
            Event::Failed(failed) => self.tell_not_tossed(failed),
            Event::Dropped(packet) => {
                self.note(format_args!("bad/{packet}: dropped: kept for 90 days, or the oldest of more than 10,000"));
            }
            Event::Complaint { packet, by, reason } => {
                let by = node_name(home, &by);
                self.note(format_args!("{packet}: {by} complains of it: {}", reason.word()));
            }
            Event::Tried { packet, author, handle, why, next } => {
                let next = time_text(i64::try_from(next).unwrap_or(i64::MAX));
                let line = format!("{packet} (from {author}): {handle}: {}; again from {next} on", shown(why));
                self.fail(&Complaint::new(Class::Later, line));
            }
            Event::Doubt(doubt) => self.note(format_args!(
                "the clock says day {}, far from the last day of work: nothing is expired until it is believed (mb-check --clock-ok)",
                doubt.clock
            )),
            other => told(self, other),
        })?;
        self.check_stop()
    }

    fn tell_not_tossed(&mut self, failed: &NotTossed) {
        let from = failed.from.as_ref().map(|name| format!(" (from {name})")).unwrap_or_default();
        let end = if failed.is_condemned { "; it is in bad/ now" } else { "" };
        let complaint = Complaint::new(failed.class, format!("{}{from}: {}{end}", failed.thing, failed.why));
        match &failed.remedy {
            Some(remedy) => self.fail(&complaint.with_remedy(remedy.clone())),
            None => self.fail(&complaint),
        }
    }
}

/// How many packets may share their barriers: as many as files may be open, less what else is open.
fn packets_at_once() -> usize {
    let open = allow_open_files(MOST_OPEN).min(MOST_OPEN);
    usize::try_from(open.saturating_sub(OPEN_BESIDES) / 2).unwrap_or(1).max(1)
}

/// Asks for so many open files, and returns how many may be open. What the system refuses is done without.
pub(crate) fn allow_open_files(wanted: u64) -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(wanted)
}

fn absolute_failed(cause: std::io::Error) -> Failed {
    Complaint::new(Class::Io, format!("spool: where it is: {cause}")).into()
}

/// 16 random bytes for the name of a run.
fn random_name() -> Result<[u8; 16], Failed> {
    let mut bytes = [0; 16];
    random(&mut bytes).map_err(|cause| Complaint::new(Class::Io, format!("random bytes: {cause}")))?;
    Ok(bytes)
}
