//! Points: every system call of every step that is tried, and what may happen to it.

use crate::common::Run;
use crate::end::{delivered_count, half_delivered, problems, wrong_deliveries};
use crate::scenario::{After, Program, Scenario, Step};
use crate::trace::{Called, Fault, inject, record, without};
use crate::yard::Yard;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a fault that did not come to pass is tried again: names are random, and now and then two of them begin alike,
/// which saves a folder and its calls.
const TRIES: usize = 5;
/// After how many points it is told how far it is.
const TOLD_EVERY: usize = 1000;

/// A step of a scenario that is tried, with the yard as it was before.
pub struct Stage {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The number of the step.
    pub step: usize,
    /// The program.
    pub program: Program,
    /// The yard before it.
    pub before: Yard,
    /// Its calls.
    pub called: Vec<Called>,
}

/// One thing to try.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    /// The step.
    pub stage: &'a Stage,
    /// The system call.
    pub called: &'a Called,
    /// What happens to it.
    pub fault: Fault,
}

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { stage, called, fault } = self;
        let Program { node, words, .. } = stage.program;
        write!(f, "{}: step {}, {} at {node}: ", stage.scenario.name, stage.step, words[0])?;
        write!(f, "{} {}: {fault}", called.name, called.nth)
    }
}

/// Plays a scenario without any fault, and records it. It must end well.
pub fn play(scenario: &'static Scenario, dir: &Path) -> Vec<Stage> {
    let yard = Yard::at(dir.join("live"));
    (scenario.prepare)(&yard);
    let mut stages = Vec::new();
    for (step, what) in scenario.steps.iter().enumerate() {
        match what {
            Step::Program(program) if program.is_tried => {
                let before = yard.copy(dir.join(step.to_string()));
                let call = yard.call(program);
                let (run, called) = record(call, scenario.lacks, &dir.join("strace"));
                assert_eq!(run.code, program.code, "{}: without any fault\n{run}", scenario.name);
                stages.push(Stage { scenario, step, program: *program, before, called });
            }
            _ => take_step(scenario, what, &yard, dir),
        }
    }
    let wrong = problems(scenario, &yard);
    assert!(wrong.is_empty(), "{}: without any fault: {wrong:#?}", scenario.name);
    stages
}

/// Does a step. A program must do well, as it does without a fault, or find nothing to do.
pub fn take_step(scenario: &Scenario, step: &Step, yard: &Yard, dir: &Path) {
    match step {
        Step::User(act) => act(yard),
        Step::Program(program) => {
            let call = yard.call(program);
            let run = without(call, scenario.lacks, &dir.join("strace")).run();
            let is_well = [0, program.code, program.done_code].contains(&run.code);
            assert!(is_well, "{}\n{run}", scenario.name);
        }
    }
}

/// Every node has worked on another day before, and tosses.
fn next_day(yard: &Yard) {
    for node in ["north", "south", "east"] {
        let _ = std::fs::remove_file(yard.path(node).join("spool/self/day"));
        yard.command(node, &["mb-toss"]).run().ok();
    }
}

impl Stage {
    /// Everything to try in it.
    pub fn points(&self) -> Vec<Point<'_>> {
        let all = self.called.iter().flat_map(|called| called.faults().into_iter().map(move |fault| (called, fault)));
        all.map(|(called, fault)| Point { stage: self, called, fault }).collect()
    }

    /// The program has come to `run`; now everything is simply run again. Panics, saying what, if anything is lost, doubled,
    /// torn or left over.
    pub fn judge(&self, run: &Run, yard: &Yard, dir: &Path) {
        let Stage { scenario, step, program, .. } = *self;
        let half = half_delivered(scenario, yard);
        assert!(half.is_empty(), "visible and not whole: {half:#?}\n{run}");
        let has_done = run.code == 0 && program.code == 0;
        let again = || scenario.steps[step..].iter().for_each(|step| take_step(scenario, step, yard, dir));
        if has_done || program.after == After::Look {
            scenario.steps[step + 1..].iter().for_each(|step| take_step(scenario, step, yard, dir));
            let wrong = wrong_deliveries(scenario, yard);
            assert!(!has_done || wrong.is_empty(), "it exited 0 and has not done it: {wrong:#?}\n{run}");
            let (sent, delivered) = delivered_count(scenario, yard);
            assert!(delivered == 0 || delivered == sent, "neither all nor nothing: {delivered} of {sent}\n{run}");
            if delivered == 0 {
                again();
            }
        } else {
            again();
        }
        self.check_end(run, yard, dir);
    }

    /// Nothing is left over, at the latest when everything ran once more; in the index of bodies and in `bad/`, on the next
    /// day.
    fn check_end(&self, run: &Run, yard: &Yard, dir: &Path) {
        let Stage { scenario, .. } = self;
        if problems(scenario, yard).is_empty() {
            return;
        }
        let is_program = |step: &&Step| matches!(step, Step::Program(program) if program.words[0] != "mb-send");
        scenario.steps.iter().filter(is_program).for_each(|step| take_step(scenario, step, yard, dir));
        let wrong = problems(scenario, yard);
        if wrong.iter().all(|what| ["/spool/body/", "/spool/bad/"].iter().any(|place| what.contains(place))) {
            next_day(yard);
        }
        let wrong = problems(scenario, yard);
        assert!(wrong.is_empty(), "in the end: {wrong:#?}\nafter {run}");
    }
}

impl Point<'_> {
    /// Tries it in a fresh folder. Panics, saying what, if anything is lost, doubled, torn or left over.
    fn attempt(&self, dir: &Path) {
        let (yard, run) = self.break_program(dir);
        self.check_exit(&run);
        self.stage.judge(&run, &yard, dir);
    }

    /// Runs the program and lets it come to harm.
    fn break_program(&self, dir: &Path) -> (Yard, Run) {
        let Stage { scenario, program, before, .. } = self.stage;
        for number in 0..TRIES {
            let yard = before.copy(dir.join(format!("yard{number}")));
            let call = yard.call(program);
            if let Some(run) = inject(call, self.called, self.fault, scenario.lacks, &dir.join("strace")) {
                return (yard, run);
            }
        }
        panic!("in {TRIES} runs it did not come to pass: nothing was tried");
    }

    fn check_exit(&self, run: &Run) {
        if self.fault == Fault::Kill {
            return;
        }
        let is_documented = matches!(run.code, 0 | 1 | 66 | 73 | 74 | 75) || run.code == self.stage.program.code;
        assert!(is_documented, "an exit code that says something else\n{run}");
        // Where it cannot write it cannot say why.
        let says_why = run.code == 0 || !run.stderr.is_empty() || !run.stdout.is_empty() || self.called.name == "write";
        assert!(says_why, "it does not say why\n{run}");
    }
}

/// Tries points on all cores. What went wrong, in their order.
pub fn try_all(points: &[Point], dir: &Path) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(BTreeMap::new());
    let work = |worker: usize| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(point) = points.get(number) else { return };
            if number > 0 && number.is_multiple_of(TOLD_EVERY) {
                eprintln!("{number} of {} points tried", points.len());
            }
            let dir: PathBuf = dir.join(format!("try{worker}"));
            std::fs::create_dir_all(&dir).expect("a folder for a point");
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| point.attempt(&dir))) {
                let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                let line = &point.called.line;
                failures.lock().expect("no panic").insert(number, format!("{point}\n  {line}\n{what}"));
            }
            std::fs::remove_dir_all(&dir).expect("the point's folder goes");
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|worker| drop(scope.spawn(move || work(worker)))));
    failures.into_inner().expect("no panic").into_values().collect()
}

/// How many points there are of each call and kind, for people.
pub fn table(points: &[Point]) -> String {
    let mut rows: BTreeMap<&str, BTreeMap<Fault, usize>> = BTreeMap::new();
    for point in points {
        *rows.entry(&point.called.name).or_default().entry(point.fault).or_default() += 1;
    }
    let mut text = String::new();
    for (name, faults) in rows {
        let counts: Vec<String> = faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        text.push_str(&format!("  {name:<10} {}\n", counts.join(", ")));
    }
    text
}
