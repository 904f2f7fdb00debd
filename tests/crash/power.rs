//! Power cuts on a real file system: ext4 in a file, behind a loop device. What the device holds at any moment is that file.
//! So a program is stopped, the file is copied while nothing was synced, and the copy is mounted anew: the journal is
//! replayed, as after a reboot.
//!
//! Spools and stick are two disks. Only root may mount; the disks are in memory, so a point takes some 100 ms. What this
//! cannot show is a device that reorders writes, nor names that ext4's journal keeps in order although nobody synced them:
//! for those there is the model in `lib/spool`.

use crate::points::{Point, Stage, take_step};
use crate::trace::inject;
use crate::yard::Yard;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of each disk: enough for a scenario, and quick to copy.
const DISK_LEN: u64 = 16 << 20;

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// Cuts that were made.
    pub cut_count: usize,
    /// Calls to which the program did not come this time.
    pub missed_count: usize,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Cuts the power after each stage's program, after the story so far, and before the calls of `kills`.
pub fn cut_all(stages: &[Stage], kills: &[Point], dir: &Path) -> Outcome {
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(stage) = stages.get(number) else { return };
            cut_stage(stage, stages, kills, &dir.join(format!("disks{number}")), &outcome);
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    outcome.into_inner().expect("no panic")
}

fn cut_stage(stage: &Stage, stages: &[Stage], kills: &[Point], dir: &Path, outcome: &Mutex<Outcome>) {
    let note = |what: String, cut: &dyn Fn() -> bool| {
        let result = catch_unwind(AssertUnwindSafe(cut));
        let mut outcome = outcome.lock().expect("no panic");
        match result {
            Ok(true) => outcome.cut_count += 1,
            Ok(false) => outcome.missed_count += 1,
            Err(panic) => {
                let why = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                outcome.failures.push(format!("{what}\n{why}"));
            }
        }
    };
    let first = stages.iter().find(|first| std::ptr::eq(first.scenario, stage.scenario)).unwrap_or(stage);
    let name = format!("{}: step {}", stage.scenario.name, stage.step);
    note(format!("{name}: power cut after the story so far"), &|| cut_story(first, stage, &dir.join("story")));
    let cuts = Cuts::new(stage, dir);
    note(format!("{name}: power cut after it"), &|| cuts.after());
    for point in kills.iter().filter(|point| std::ptr::eq(point.stage, stage)) {
        note(format!("{point}, power cut\n  {}", point.called.line), &|| cuts.before(point));
    }
    std::fs::remove_dir_all(dir).expect("the disks go");
}

/// Whether this host lets us mount: root, loop devices, ext4.
pub fn may_mount(dir: &Path) -> bool {
    let disk = Disk { file: dir.join("try.img"), mount: dir.join("try") };
    disk.make().and_then(|()| disk.mount()).is_ok()
}

/// A disk in a file, and where it is mounted.
#[derive(Clone)]
struct Disk {
    file: PathBuf,
    mount: PathBuf,
}

/// A disk that is mounted as long as this lives.
struct Mounted {
    mount: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run("umount", &[self.mount.as_os_str()]).is_err() {
            let _ = run("umount", &["-l".as_ref(), self.mount.as_os_str()]);
        }
    }
}

impl Disk {
    fn make(&self) -> Result<(), String> {
        let file = std::fs::File::create(&self.file).expect("a file for a disk");
        file.set_len(DISK_LEN).expect("a file for a disk");
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), self.file.as_os_str()])
    }

    /// As most hosts mount it, but that ext4 does not guess which files should have been synced.
    fn mount(&self) -> Result<Mounted, String> {
        std::fs::create_dir_all(&self.mount).expect("a folder to mount on");
        let options = ["-o".as_ref(), "loop,noauto_da_alloc".as_ref()];
        run("mount", &[options[0], options[1], self.file.as_os_str(), self.mount.as_os_str()])?;
        Ok(Mounted { mount: self.mount.clone() })
    }

    /// Another disk with what this one's device holds now, to be mounted at the same place.
    fn copy(&self, file: &Path) -> Disk {
        std::fs::copy(&self.file, file).expect("a copy of a disk");
        Disk { file: file.to_owned(), mount: self.mount.clone() }
    }
}

fn run(program: &str, words: &[&std::ffi::OsStr]) -> Result<(), String> {
    let path = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
    let output = Command::new(program).args(words).env("PATH", path).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// The two disks of a yard.
struct Host {
    dir: PathBuf,
    yard: Disk,
    stick: Disk,
}

/// Both disks, mounted. The stick, which is mounted inside of the other, is unmounted first.
struct Running {
    _stick: Mounted,
    _yard: Mounted,
}

impl Host {
    /// Disks that hold `yard`, everything durable.
    fn new(dir: &Path, before: &Yard) -> Host {
        std::fs::create_dir_all(dir).expect("a folder for disks");
        let mount = dir.join("mnt");
        let yard = Disk { file: dir.join("yard.img"), mount: mount.clone() };
        let stick = Disk { file: dir.join("stick.img"), mount: mount.join("yard/stick") };
        let host = Host { dir: dir.to_owned(), yard, stick };
        host.yard.make().and_then(|()| host.stick.make()).expect("mkfs.ext4 has worked before");
        let made = host.yard.mount().expect("mounting has worked before");
        std::fs::create_dir_all(mount.join("yard/stick")).expect("a folder on a new disk");
        let stick = host.stick.mount().expect("mounting has worked before");
        before.copy(mount.join("yard"));
        drop((stick, made));
        host
    }

    fn at_yard(&self) -> Yard {
        Yard::at(self.yard.mount.join("yard"))
    }

    /// The same host with copies of what its devices hold now.
    fn copy(&self, name: &str) -> Host {
        let file = |disk: &str| self.dir.join(format!("{name}-{disk}.img"));
        Host { dir: self.dir.clone(), yard: self.yard.copy(&file("yard")), stick: self.stick.copy(&file("stick")) }
    }

    fn start(&self) -> Running {
        let yard = self.yard.mount().expect("mounting has worked before");
        let stick = self.stick.mount().expect("mounting has worked before");
        Running { _stick: stick, _yard: yard }
    }

    /// Runs something on copies of the disks, cuts the power at once, and starts again.
    fn cut_after<T>(&self, work: impl FnOnce(&Yard) -> T) -> (T, Running) {
        let live = self.copy("live");
        let running = live.start();
        let done = work(&self.at_yard());
        let cut = live.copy("cut");
        drop(running);
        (done, cut.start())
    }
}

/// The disks of one stage, as often as its points need them.
struct Cuts<'a> {
    stage: &'a Stage,
    host: Host,
}

impl<'a> Cuts<'a> {
    /// Disks with the yard as it was before the stage.
    fn new(stage: &'a Stage, dir: &Path) -> Cuts<'a> {
        Cuts { stage, host: Host::new(dir, &stage.before) }
    }

    /// The power is cut before a call. `false`: the program did not come to it.
    fn before(&self, point: &Point) -> bool {
        let Stage { scenario, program, .. } = self.stage;
        let log = self.host.dir.join("strace");
        let (run, _running) =
            self.host.cut_after(|yard| inject(yard.call(program), point.called, point.fault, scenario.lacks, &log));
        let Some(run) = run else { return false };
        self.stage.judge(&run, &self.host.at_yard(), &self.host.dir);
        true
    }

    /// The power is cut when the program has said that all is done.
    fn after(&self) -> bool {
        let Stage { program, .. } = self.stage;
        let (run, _running) = self.host.cut_after(|yard| yard.call(program).run());
        assert_eq!(run.code, program.code, "{run}");
        self.stage.judge(&run, &self.host.at_yard(), &self.host.dir);
        true
    }
}

/// The power is cut after the stage's program, and nothing since the scenario's first step had time to be written by itself.
fn cut_story(first: &Stage, last: &Stage, dir: &Path) -> bool {
    let host = Host::new(dir, &first.before);
    let (run, _running) = host.cut_after(|yard| {
        first.scenario.steps[first.step..last.step].iter().for_each(|step| take_step(first.scenario, step, yard, dir));
        yard.call(&last.program).run()
    });
    assert_eq!(run.code, last.program.code, "{run}");
    last.judge(&run, &host.at_yard(), dir);
    true
}
