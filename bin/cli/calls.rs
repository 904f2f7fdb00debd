//! What programs that make or answer calls share.

use crate::{Complaint, Failed, Program, ProgressWhen, random};
use mb_carry::call::{CallOptions, Step};
use mb_node::config::{KnownNode, parse_size};
use mb_spool::batch::publish_all;
use mb_spool::class::Class;
use mb_spool::deliver::clear_dead_runs;
use mb_spool::durable::real;
use mb_spool::layout::Spool;
use mb_wire::id::PacketId;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Threads beyond these only take memory: a link is slower.
const MOST_THREADS: usize = 8;

/// How a call goes, unless the node's file says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct CallSettings {
    /// Whether we give.
    pub gives: bool,
    /// Whether we take.
    pub takes: bool,
    /// Only packets of at most this `nice` move.
    pub nice: u8,
    /// Whether envelopes do not wait for their bodies, even if the other side does not wish it.
    pub eager: bool,
    /// Bytes a second each way.
    pub rate: Option<u64>,
    /// How long the other side may say nothing.
    pub timeout: Duration,
    /// How long the call may last.
    pub max_time: Option<Duration>,
}

impl CallSettings {
    /// The options of a call with `known`. Links that `known` may not use are not refused here.
    pub fn options<'a>(
        &self,
        known: &KnownNode,
        reserve: u64,
        threads: usize,
        stop: &'a AtomicBool,
        progress: &'a dyn Fn(Step),
    ) -> CallOptions<'a> {
        CallOptions {
            gives: self.gives,
            takes: self.takes && known.link.from,
            nice: self.nice,
            eager: self.eager,
            reserve,
            most_bytes: known.link.most_bytes,
            most_packets: known.link.most_packets,
            most_sharing: known.link.most_sharing,
            rate: self.rate,
            timeout: self.timeout,
            max_time: self.max_time,
            threads: threads.min(MOST_THREADS),
            stop,
            progress,
        }
    }
}

/// A rate in bytes a second, as an option says it.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("0: nothing would ever move".into()),
        rate => Ok(rate),
    }
}

/// 32 random bytes for the one-time key of a call.
pub fn call_coins() -> Result<[u8; 32], Failed> {
    let mut coins = [0; 32];
    random(&mut coins).map_err(|cause| Complaint::new(Class::Io, format!("random bytes: {cause}")))?;
    Ok(coins)
}

/// How far a call is, on standard error: the total, and the packet that is moving.
pub struct CallProgress {
    total: crate::Progress,
    now: Mutex<Option<(PacketId, u64)>>,
}

impl CallProgress {
    /// Nothing moved yet.
    pub fn new(when: ProgressWhen) -> CallProgress {
        CallProgress { total: crate::Progress::new(when), now: Mutex::new(None) }
    }

    /// Something moved.
    pub fn step(&self, step: Step) {
        // Poisoned only by a panic, which ends the program.
        if let Ok(mut now) = self.now.lock() {
            let before = now.filter(|(packet, _)| *packet == step.packet).map_or(0, |(_, len)| len);
            *now = Some((step.packet, before + step.len));
            let way = if step.is_out { "out" } else { "in" };
            let mib = (before + step.len) >> 20;
            self.total.tell(|| format!("{way} {}…: {mib} MiB", &step.packet.to_string()[..8]));
        }
        self.total.add(step.len);
    }
}

impl Program {
    /// What every program does before it calls or answers: what dead runs left is cleared, and what was sent is published.
    pub fn prepare_to_call(&mut self, spool: &Spool) -> Result<(), Failed> {
        clear_dead_runs(spool, &real::open_folder)?;
        let run = self.start_run(spool)?;
        publish_all(spool, &run)?;
        Ok(())
    }
}
