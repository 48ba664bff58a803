//! The first try, as a person at a terminal has it: what `osm-demo` shows, and that nothing is left when it ends.
//! Needs osm-api and osm-agent built beside it, as `make test` does.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SOON: Duration = Duration::from_mins(1);

#[test]
fn the_first_conversation_is_played_and_shown() {
    let output = finished(&mut demo(&["--once"]));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{shown}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    // In this order.
    let mut rest = &*shown;
    for expected in [
        "$ osm-api serve",
        "/start ",
        "You are now the owner of this bot",
        "Anna taps [ ➕ Add a server ]",
        "sudo osm-agent pair --api http://127.0.0.1:",
        "| osm-agent pair --api http://127.0.0.1:",
        "Fingerprint of this agent's key",
        "is paired",
        "Memory",
        "/status",
        "Memory",
    ] {
        let found = rest.find(expected).unwrap_or_else(|| panic!("{expected:?} is not shown in its place:\n{shown}"));
        rest = &rest[found + expected.len()..];
    }
    assert!(!shown.contains('\x1b'), "colours are for terminals");
    assert_eq!(shown.contains("does not run systemd"), !Path::new("/run/systemd/system").exists());
}

#[test]
fn a_signal_ends_everything() {
    for signal in [Signal::INT, Signal::TERM] {
        let (mut demo, programs, files) = staying();
        kill_process(Pid::from_child(&demo), signal).unwrap();
        let status = demo.wait().unwrap();
        assert!(status.success(), "{status}");
        for program in &programs {
            assert!(gone(*program), "{program} outlived the demo");
        }
        assert_eq!(fs::read_dir(&files).unwrap().count(), 0, "databases and logs are left");
    }
}

#[test]
fn a_hard_kill_takes_the_programs_along() {
    let (mut demo, programs, _files) = staying();
    demo.kill().unwrap();
    demo.wait().unwrap();
    for program in programs {
        let deadline = Instant::now() + SOON;
        while !gone(program) {
            assert!(Instant::now() < deadline, "{program} outlived the demo");
            sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_program_that_dies_is_named_and_ends_the_rest() {
    let (mut demo, programs, _files) = staying();
    let agent = programs.iter().find(|pid| name(**pid) == "osm-agent").copied().expect("an agent");
    kill_process(Pid::from_raw(agent.cast_signed()).unwrap(), Signal::KILL).unwrap();
    let mut error = String::new();
    demo.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    assert!(error.starts_with("osm-demo: osm-agent has ended (signal: 9 (SIGKILL))"), "{error}");
    assert!(programs.iter().all(|program| gone(*program)));
}

#[test]
fn a_port_in_use_is_one_line_that_names_the_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["OSM_LISTEN", "OSM_DEMO_CHAT_LISTEN"] {
        let output = finished(demo(&["--once"]).env(key, &address));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains(&format!("{address} is in use")) && error.contains(&format!("set {key} to")), "{error}");
    }
}

#[test]
fn a_missing_program_is_one_line_that_says_how_to_build_it() {
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("osm-demo");
    fs::copy(env!("CARGO_BIN_EXE_osm-demo"), &copy).unwrap();
    let output = finished(in_free_ports(Command::new(copy).arg("--once")));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("osm-api is not in ") && error.contains("cargo build -p osm-api"), "{error}");
}

#[test]
fn a_bad_token_is_one_line_and_is_not_shown() {
    let state = tempfile::tempdir().unwrap();
    let output = finished(demo(&[]).env("OSM_TELEGRAM_TOKEN", "hunter2").env("OSM_STATE_DIR", state.path().join("state")));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("OSM_TELEGRAM_TOKEN: ") && !error.contains("hunter2"), "{error}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("osm-agent pair --api http://127.0.0.1:0"));
}

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osm-demo"));
    in_free_ports(command.args(arguments));
    command
}

fn in_free_ports(command: &mut Command) -> &mut Command {
    command.env("OSM_LISTEN", "127.0.0.1:0").env("OSM_DEMO_CHAT_LISTEN", "127.0.0.1:0");
    command.env_remove("OSM_TELEGRAM_TOKEN").env_remove("OSM_TELEGRAM_TOKEN_FILE")
}

fn finished(command: &mut Command) -> Output {
    command.output().expect("osm-demo runs")
}

/// A demo that has played its conversation and waits for Ctrl-C, its programs, and the folder of its temporary files.
fn staying() -> (Child, Vec<u32>, TempDir) {
    let files = tempfile::tempdir().unwrap();
    let mut child = demo(&[]).env("TMPDIR", files.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let invitation = lines.find(|line| line.contains("to go on in the web chat. Ctrl-C ends everything."));
    assert!(invitation.is_some_and(|line| line.starts_with("Open http://127.0.0.1:")), "it does not get to its end");
    let programs = children(child.id());
    let mut names: Vec<_> = programs.iter().map(|program| name(*program)).collect();
    names.sort_unstable();
    assert_eq!(names, ["osm-agent", "osm-api"]);
    (child, programs, files)
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// A zombie that its reaper has not yet seen counts as gone.
fn gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        || !Path::new(&format!("/proc/{pid}")).exists()
}
