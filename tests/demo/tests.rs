//! The first try, as a person at a terminal has it: what `osm-demo` shows, and that nothing is left when it ends.
//! Needs osm-api and osm-agent built beside it, as `make test` does.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use osm_telegram_sim::{Options, Sim};
use osm_tests::{process::Process, until::found_in_time};
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
    assert!(shown.contains("`make run-systemd` shows them"), "the way to restart buttons is not shown:\n{shown}");
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
        found_in_time(SOON, || gone(program).then_some(())).unwrap_or_else(|| panic!("{program} outlived the demo"));
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
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing is promised that does not come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_the_backend_runs_as_that_bot_by_polling_and_its_link_makes_an_owner() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for signal in [Signal::INT, Signal::TERM] {
        let sim = Sim::start(Options::default()).await.unwrap();
        let anna = sim.user(1001, "Anna");
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Process::start(&mut as_bot(&sim, sim.token(), folder.path()), folder.path(), "demo").unwrap();
        let code = claim_code(&mut demo);
        sim.say(&anna, &anna, &format!("/start {code}"));
        sim.wait(&anna, SOON, |message| message.plain.contains("You are now the owner")).await.unwrap();
        sim.wait_delivered(SOON).await.unwrap();
        // The only way updates come to a machine that Telegram cannot reach.
        let calls = sim.calls();
        assert!(calls.iter().any(|call| call.method == "deleteWebhook" && call.accepted), "{calls:?}");
        assert!(calls.iter().all(|call| call.method != "setWebhook") && sim.deliveries().is_empty(), "{calls:?}");

        kill_process(Pid::from_raw(demo.id().cast_signed()).unwrap(), signal).unwrap();
        let ended = demo.end(SOON).unwrap();
        assert!(ended.status.success(), "{signal:?}: {ended:?}");
        assert!(ended.stdout.contains("osm-agent pair --api http://127.0.0.1:0 --token-file -"), "{}", ended.stdout);
        assert!(!(ended.stdout + &ended.stderr).contains(secret(sim.token())), "the token is shown");
        assert!(folder.path().join("state/osm.db").exists(), "what it stores is kept where it says");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_telegram_does_not_know_is_one_line_and_is_not_shown() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sim = Sim::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = "110201543:AAEjNoBotHasThisTokenAtAllxxxxxxxxx";
    let demo = Process::start(&mut as_bot(&sim, token, folder.path()), folder.path(), "demo").unwrap();
    // The backend goes on for its agents.
    demo.says("OSM_TELEGRAM_TOKEN: Telegram does not know this bot; copy the token again from @BotFather");
    demo.terminate().unwrap();
    let ended = demo.end(SOON).unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("ERROR")).collect();
    assert!((1..=2).contains(&errors.len()), "{errors:?}");
    assert!(!ended.stdout.contains("t.me/") && !(ended.stdout + &ended.stderr).contains(secret(token)), "the token is shown");
}

/// The demo as a bot of the stand-in.
fn as_bot(sim: &Sim, token: &str, folder: &Path) -> Command {
    let mut command = demo(&[]);
    for key in ["OSM_PUBLIC_URL", "OSM_TELEGRAM_MODE", "OSM_ALLOWED_USERS", "OSM_DATABASE_URL", "OSM_LOG"] {
        command.env_remove(key);
    }
    command.env("OSM_TELEGRAM_TOKEN", token).env("OSM_TELEGRAM_API_URL", sim.api_url());
    command.env("OSM_STATE_DIR", folder.join("state"));
    command
}

/// What must never be shown of a token.
fn secret(token: &str) -> &str {
    token.split_once(':').expect("a token").1
}

/// The code in the link that makes an owner of whoever opens it.
fn claim_code(demo: &mut Process) -> String {
    let code = found_in_time(SOON, || {
        assert!(demo.has_ended().unwrap().is_none(), "{}{}", demo.stdout(), demo.stderr());
        let said = demo.stdout();
        let (_, link) = said.split_once("https://t.me/osm_demo_bot?start=")?;
        link.split_once(' ').map(|(code, _)| code.to_owned())
    });
    code.unwrap_or_else(|| panic!("{}{}", demo.stdout(), demo.stderr()))
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
