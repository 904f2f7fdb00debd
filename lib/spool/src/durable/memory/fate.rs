//! What goes wrong, and when: counted steps, the cut, faults.

use super::super::Error;
use super::state::State;
use std::io;

/// What a failing step answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
    /// EDQUOT.
    Quota,
    /// EROFS.
    ReadOnly,
    /// EMFILE.
    TooManyOpen,
    /// Any other error number.
    Errno(i32),
}

impl Fault {
    fn errno(self) -> i32 {
        use rustix::io::Errno;
        match self {
            Fault::Io => Errno::IO.raw_os_error(),
            Fault::Full => Errno::NOSPC.raw_os_error(),
            Fault::Quota => Errno::DQUOT.raw_os_error(),
            Fault::ReadOnly => Errno::ROFS.raw_os_error(),
            Fault::TooManyOpen => Errno::MFILE.raw_os_error(),
            Fault::Errno(number) => number,
        }
    }
}

/// Whether a call failed because the power is cut or its actor was killed.
pub fn is_cut(error: &Error) -> bool {
    error.cause.get_ref().is_some_and(|cause| cause.is::<Cut>())
}

#[derive(Debug, thiserror::Error)]
#[error("the power is cut")]
struct Cut;

/// Why a step does not happen.
pub(super) enum Refusal {
    Cut,
    Fault(Fault),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Cut => io::Error::other(Cut),
            Refusal::Fault(fault) => io::Error::from_raw_os_error(fault.errno()),
        }
    }
}

/// Whether a step asks the file system for space; only these feel a disk that stays full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    TakesSpace,
    TakesNone,
}

#[derive(Clone, Copy)]
struct Planned {
    at: u64,
    fault: Fault,
    sticky: bool,
}

impl Planned {
    fn hits(self, now: u64, step: Step) -> bool {
        let is_of_space = matches!(self.fault, Fault::Full | Fault::Quota);
        self.at == now || (self.sticky && self.at < now && (!is_of_space || step == Step::TakesSpace))
    }
}

#[derive(Clone, Default)]
pub(super) struct Fate {
    steps: u64,
    calls: u64,
    cut_at: Option<u64>,
    cut: bool,
    faults: Vec<Planned>,
    call_faults: Vec<Planned>,
}

impl Fate {
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn is_cut(&self) -> bool {
        self.cut
    }

    pub fn fail_at(&mut self, n: u64, fault: Fault, sticky: bool) {
        self.faults.push(Planned { at: self.steps + n, fault, sticky });
    }

    pub fn fail_call_at(&mut self, n: u64, fault: Fault) {
        self.call_faults.push(Planned { at: self.calls + n, fault, sticky: false });
    }

    pub fn heal(&mut self) {
        self.faults.clear();
        self.call_faults.clear();
    }
}

impl State {
    pub fn cut_at(&mut self, n: u64) {
        match n {
            0 => self.cut(),
            _ => self.fate.cut_at = Some(self.fate.steps + n),
        }
    }

    fn cut(&mut self) {
        self.fate.cut = true;
        self.locks.held.clear();
    }

    /// Lets a call begin, step or not.
    pub fn admit_call(&mut self) -> io::Result<()> {
        if self.fate.cut || self.actors.speaker_is_dead() {
            return Err(Refusal::Cut.into());
        }
        self.fate.calls += 1;
        let now = self.fate.calls;
        match self.fate.call_faults.iter().find(|fault| fault.at == now) {
            Some(planned) => Err(Refusal::Fault(planned.fault).into()),
            None => Ok(()),
        }
    }

    /// Lets a step happen.
    pub fn admit(&mut self, step: Step) -> Result<(), Refusal> {
        if let Some(dead) = self.actors.speaker_dies_now() {
            self.locks.held.retain(|held| held.actor != Some(dead));
            return Err(Refusal::Cut);
        }
        let now = self.fate.steps + 1;
        if self.fate.cut_at == Some(now) {
            self.cut();
            return Err(Refusal::Cut);
        }
        self.fate.steps = now;
        match self.fate.faults.iter().find(|planned| planned.hits(now, step)) {
            Some(planned) => Err(Refusal::Fault(planned.fault)),
            None => Ok(()),
        }
    }
}
