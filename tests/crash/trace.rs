//! Programs under strace: which system calls they make, and one of them killed or failed.
//!
//! strace counts each call by its own name and from the program's start, so a point is a name and an occurrence, known
//! from a run that was recorded. Only what comes after `prctl(PR_SET_DUMPABLE)`, with which our programs begin, is a
//! point: before it is the dynamic loader. Nothing rests on decoded paths, which strace cannot read of such a process
//! unless it is root. `--seccomp-bpf` is not used: with it strace kills nothing.

use crate::common::{Call, Run};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Calls that change something, and how each may fail.
const CHANGES: [(&str, &[&str]); 24] = [
    ("write", &["EIO", "ENOSPC", "EDQUOT"]),
    ("pwrite64", &["EIO", "ENOSPC", "EDQUOT"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("fallocate", &["ENOSPC"]),
    ("copy_file_range", &["EIO", "ENOSPC"]),
    ("mkdir", &["EIO", "ENOSPC"]),
    ("mkdirat", &["EIO", "ENOSPC", "EDQUOT"]),
    ("link", &["EIO", "ENOSPC"]),
    ("linkat", &["EIO", "ENOSPC"]),
    ("symlink", &["EIO", "ENOSPC"]),
    ("symlinkat", &["EIO", "ENOSPC"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("renameat", &["EIO", "ENOSPC"]),
    ("renameat2", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("rmdir", &["EIO"]),
    ("unlinkat", &["EIO"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("syncfs", &["EIO", "ENOSPC"]),
    ("sync_file_range", &["EIO"]),
    ("chmod", &["EIO"]),
    ("fchmod", &["EIO"]),
    ("utimensat", &["EIO"]),
];
/// Calls that open: those that make a file change something.
const OPENS: [&str; 2] = ["openat", "open"];
/// Calls that only look, and may fail all the same.
const LOOKS: [&str; 11] = [
    "read",
    "pread64",
    "getdents64",
    "fstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "readlink",
    "readlinkat",
    "flock",
];

/// One system call of a recorded run.
#[derive(Debug, Clone)]
pub struct Called {
    /// Its name.
    pub name: String,
    /// Its number among those of that name, from the program's start, counted from 1.
    pub nth: usize,
    /// The line that strace wrote.
    pub line: String,
}

impl Called {
    fn makes_file(&self) -> bool {
        OPENS.contains(&&*self.name) && self.line.contains("O_CREAT")
    }

    fn errors(&self) -> &'static [&'static str] {
        match CHANGES.iter().find(|(name, _)| *name == self.name) {
            Some((_, errors)) => errors,
            None if self.makes_file() => &["EIO", "ENOSPC", "EMFILE"],
            None if OPENS.contains(&&*self.name) => &["EIO", "EMFILE"],
            None => &["EIO"],
        }
    }

    /// Whether it changes something on disk, or would.
    pub fn changes(&self) -> bool {
        self.makes_file() || CHANGES.iter().any(|(name, _)| *name == self.name)
    }

    /// Everything that may happen to this call.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        faults.extend(self.changes().then_some(Fault::Kill));
        for error in self.errors() {
            faults.push(Fault::Once(error));
            faults.extend((self.changes() && *error != "EDQUOT").then_some(Fault::FromHere(error)));
        }
        faults
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The program is killed, and the call does not happen.
    Kill,
    /// It fails.
    Once(&'static str),
    /// It and all later ones of its name fail.
    FromHere(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill => f.write_str("kill"),
            Fault::Once(error) => f.write_str(error),
            Fault::FromHere(error) => write!(f, "{error} from there on"),
        }
    }
}

/// What a file system cannot do: calls that fail from the beginning.
pub type Lacks = &'static [(&'static str, &'static str)];

/// Runs a call to its end. What it came to, and the system calls that are points.
pub fn record(call: Call, lacks: Lacks, log: &Path) -> (Run, Vec<Called>) {
    let names: Vec<&str> = CHANGES.iter().map(|(name, _)| *name).chain(OPENS).chain(LOOKS).chain(["prctl"]).collect();
    let run = under_strace(call, &names.join(","), lacks, None, log).run();
    let text = std::fs::read_to_string(log).expect("what strace wrote");
    (run, read_log(&text, lacks))
}

fn read_log(text: &str, lacks: Lacks) -> Vec<Called> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut called = Vec::new();
    let mut began = false;
    for line in text.lines() {
        // With -f: the thread's number first.
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let Some((name, _)) = line.split_once('(').filter(|(name, _)| is_name(name)) else { continue };
        assert!(!line.contains("<unfinished"), "several threads, whose calls cannot be counted: {line}");
        let nth = counts.entry(name).or_default();
        *nth += 1;
        if name == "prctl" {
            began |= line.contains("PR_SET_DUMPABLE");
        } else if began && !lacks.iter().any(|(lacking, _)| *lacking == name) {
            called.push(Called { name: name.into(), nth: *nth, line: line.into() });
        }
    }
    assert!(began, "the program does not begin as ours do, with prctl(PR_SET_DUMPABLE):\n{text}");
    called
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A call where the file system lacks something, and without a fault.
pub fn without(call: Call, lacks: Lacks, log: &Path) -> Call {
    match lacks {
        [] => call,
        [(name, _), ..] => under_strace(call, name, lacks, None, log),
    }
}

/// Runs a call with a fault at one of its system calls. `None`: the fault did not come to pass.
pub fn inject(call: Call, called: &Called, fault: Fault, lacks: Lacks, log: &Path) -> Option<Run> {
    let what = match fault {
        Fault::Kill => format!("{}:signal=KILL:when={}", called.name, called.nth),
        Fault::Once(error) => format!("{}:error={error}:when={}", called.name, called.nth),
        Fault::FromHere(error) => format!("{}:error={error}:when={}+", called.name, called.nth),
    };
    let run = under_strace(call, &called.name, lacks, Some(&what), log).run();
    let came_to_pass = match fault {
        Fault::Kill => run.code == 137,
        _ => was_injected(called, log),
    };
    came_to_pass.then_some(run)
}

fn was_injected(called: &Called, log: &Path) -> bool {
    let text = std::fs::read_to_string(log).expect("what strace wrote");
    text.lines().any(|line| line.contains(&format!("{}(", called.name)) && line.ends_with("(INJECTED)"))
}

fn under_strace(call: Call, names: &str, lacks: Lacks, inject: Option<&str>, log: &Path) -> Call {
    let traced = lacks.iter().map(|(name, _)| *name).chain([names]).collect::<Vec<_>>().join(",");
    let mut words = ["timeout", "-k", "5", "60", "strace", "-qq"].map(String::from).to_vec();
    // A call has threads that only move bytes, and another side; commands are others' programs. The first thread does all that touches
    // the disk.
    let has_others = call.is_of("mb-call") || call.has("--no-file");
    words.extend((!has_others).then(|| "-f".into()));
    words.extend(["-o".into()]);
    words.extend([log.to_str().expect("a plain path").into(), "-e".into(), format!("trace={traced}")]);
    let lacking = lacks.iter().map(|(name, error)| format!("{name}:error={error}"));
    words.extend(lacking.chain(inject.map(str::to_owned)).flat_map(|what| ["-e".into(), format!("inject={what}")]));
    call.under(words)
}
