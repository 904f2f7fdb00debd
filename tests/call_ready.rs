//! What is ready to run in `examples/`: the scripts that show calls and onions, the units for systemd. Each is tried as it is.

mod common;

use common::skip::{have, skip};
use common::{Node, World, program};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// The folder in which the programs are.
fn programs() -> &'static Path {
    Path::new(program("mb-call")).parent().expect("programs are in a folder")
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// North sends a file to south, and calls it at `address`.
fn call_with_a_file(world: &World, north: &Node, address: &str) {
    let file = world.write("out/report.txt", "all is well\n");
    north.command(["mb-send", "-t", "south"]).arg(file).run().ok();
    north.run(["mb-call", "south", "--addr", address]).silent();
}

/// What was delivered at south, once it is there: south may still be at it when the call is over.
fn delivered(south: &Node) -> String {
    let path = south.spool.join("incoming/north/report.txt");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match fs::read_to_string(&path) {
            Ok(text) => return text,
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Err(e) => panic!("{}: {e}", path.display()),
        }
    }
}

/// A port that nobody uses at the moment.
fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("it has an address").port()
}

/// What the script of `examples/` says, which must succeed and leave nothing behind.
fn show(name: &str, operands: &[&str]) -> String {
    let world = World::new();
    let place = world.make_dir("tmp");
    let mut command = Command::new(example(name));
    command.arg(programs()).args(operands).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", world.path("")).env("TMPDIR", &place).stdin(Stdio::null());
    let output = command.output().expect("it starts");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(fs::read_dir(&place).expect("the folder is there").count(), 0, "it leaves something behind");
    format!("{said}{errors}")
}

/// Shows: the "Done when" of calls.
#[test]
fn call_sh_calls_over_tcp_a_pipe_and_ssh_and_every_byte_arrives() {
    let said = show("call.sh", &[]);
    for line in ["tcp: one call", "tcp: a call was killed", "pipe: one call", "Every byte is what was sent"] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    if !said.contains("ssh: one call") {
        skip("sshd, in examples/call.sh");
    }
}

/// Shows: the "Done when" of relays. The script itself fails where something is not as it tells.
#[test]
fn onion_sh_sends_by_a_hub_and_through_three_relays_and_every_byte_arrives() {
    let said = show("onion.sh", &["2"]);
    for line in ["nothing was copied", "and the body once", "stops        the rest is", "Every byte is what was sent"] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

/// systemd-analyze looks at every setting, and whether the programs are there: here, where this build has them.
#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    if !have("systemd-analyze") {
        return;
    }
    let world = World::new();
    let units = fs::read_dir(example("systemd")).expect("the units");
    let units: Vec<PathBuf> = units.map(|unit| unit.expect("a unit").path()).collect();
    assert_eq!(units.len(), 6, "{units:?}");
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]);
    for unit in units {
        let text = fs::read_to_string(&unit).expect("a unit");
        let text = text.replace("/usr/local/bin", programs().to_str().expect("a plain path"));
        command.arg(world.write(unit.file_name().expect("a file"), text));
    }
    let output = command.output().expect("systemd-analyze starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The socket is systemd's, as mailbag-listen.socket has it: nothing runs before the first call, which is answered.
#[test]
fn a_call_starts_the_listener_whose_socket_systemd_opened() {
    if !have("systemd-socket-activate") {
        return;
    }
    let world = World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    let address = format!("127.0.0.1:{}", free_port());
    let mut call = south.command(["mb-listen", "--toss"]).under([
        "systemd-socket-activate",
        "-l",
        &address,
        "-E",
        "MB_CONFIG",
        "-E",
        "MB_SPOOL",
    ]);
    let mut child = Running(call.raw().stderr(Stdio::piped()).spawn().expect("systemd-socket-activate starts"));
    let mut lines = BufReader::new(child.0.stderr.take().expect("it is piped")).lines();
    let first = lines.next().expect("it says where it listens").expect("text");
    assert!(first.starts_with("Listening on"), "{first}");
    std::thread::spawn(move || lines.for_each(drop));
    call_with_a_file(&world, &north, &address);
    assert_eq!(delivered(&south), "all is well\n");
}

/// The same without systemd: a socket as descriptor 3, and two variables that say so.
#[test]
fn a_socket_that_is_handed_over_comes_before_the_port_of_its_own() {
    if !have("python3") {
        return;
    }
    let world = World::new();
    let (north, south) = (world.node("north"), world.node("south"));
    world.introduce(&[&north, &south]);
    let hand_over = "
import os, socket, sys
s = socket.create_server(('127.0.0.1', 0))
print(s.getsockname()[1], flush=True)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
";
    let mut call = south.command(["mb-listen", "--toss", "-q"]).under(["python3", "-c", hand_over]);
    let mut child = Running(call.raw().stdout(Stdio::piped()).spawn().expect("python3 starts"));
    let mut output = BufReader::new(child.0.stdout.take().expect("it is piped"));
    let mut port = String::new();
    output.read_line(&mut port).expect("the port");
    call_with_a_file(&world, &north, &format!("127.0.0.1:{}", port.trim()));
    assert_eq!(delivered(&south), "all is well\n");
    let id = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
    let mut paths = String::new();
    output.read_to_string(&mut paths).expect("its output");
    assert_eq!(paths, format!("{}\n", south.spool.join("incoming/north/report.txt").display()));
    assert_eq!(child.0.wait().expect("it ends").code(), Some(0));
}

/// Lines that people copy name options and programs that are there: the page and the program agree by another test.
#[test]
fn lines_for_cron_ssh_and_inetd_name_programs_and_options_that_are_there() {
    for name in ["crontab", "authorized_keys", "inetd.conf"] {
        let text = fs::read_to_string(example(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let words: Vec<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
        let starts: Vec<usize> = (0..words.len()).filter(|at| ["mb-call", "mb-listen"].contains(&words[*at])).collect();
        assert!(!starts.is_empty(), "{name}");
        for start in starts {
            let options = words[start + 1..].iter().take_while(|word| word.starts_with("--"));
            let world = World::new();
            let help = world.command([words[start], "--help"]).run().ok();
            options.for_each(|option| assert!(help.contains(option), "{name}: {} {option}", words[start]));
        }
    }
}
