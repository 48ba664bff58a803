//! The agent as its user sees it: the program itself, against a backend of its own.

mod backend;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use backend::{Backend, key};
use osm_protocol::{
    action::{Action, OutcomeKind, Rejection},
    key::PublicKey,
    messages::{Report, ReportBatch},
    pairing_token::PairingToken,
};

/// A host with a configuration and a state directory of its own.
struct Host {
    folder: tempfile::TempDir,
    backend: Backend,
}

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("units.json");
        fs::write(folder.path().join("agent.toml"), format!("interval = 5\npolicy_file = \"{}\"\n", list.display())).unwrap();
        fs::write(&list, r#"{"version":1,"units":["nginx.service"]}"#).unwrap();
        fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).unwrap();
        Self { folder, backend: Backend::start() }
    }

    fn state_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_osm-agent"));
        command
            .arg("--config")
            .arg(self.folder.path().join("agent.toml"))
            .arg("--state-dir")
            .arg(self.state_dir())
            .args(arguments);
        // Another test's variables are not ours, and the journal is nobody's here.
        for variable in ["OSM_CRASH_AT", "OSM_CRASH_LOG", "OSM_CLOCK_SHIFT_MS", "INVOCATION_ID", "JOURNAL_STREAM", "OSM_LOG"] {
            command.env_remove(variable);
        }
        // Whatever a test says, no service of this machine is touched.
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn pair(&self) -> Output {
        let token = self.backend.with(|state| state.token.text());
        self.pair_with(&token, |_| {})
    }

    fn pair_with(&self, token: &str, change: impl FnOnce(&mut Command)) -> Output {
        let mut command = self.command(&["pair", "--api", &self.backend.url, "--token-file", "-"]);
        command.stdin(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn paired() -> Self {
        let host = Self::new();
        succeeded(&host.pair());
        host
    }

    fn run(&self) -> Running {
        self.run_with(|_| {})
    }

    fn run_with(&self, change: impl FnOnce(&mut Command)) -> Running {
        let mut command = self.command(&["run"]);
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        change(&mut command);
        Running(command.spawn().unwrap())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn restart(unit: &str) -> Action {
    Action::RestartService { unit: unit.to_owned() }
}

fn terminate(mut running: Running) {
    rustix::process::kill_process(rustix::process::Pid::from_child(&running.0), rustix::process::Signal::TERM).unwrap();
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn a_paired_host_reports_and_stops_cleanly() {
    let host = Host::new();
    let said = succeeded(&host.pair());
    assert!(said.contains("Paired with") && said.contains("web-1"), "{said}");
    let running = host.run();
    host.backend.until("two reports", |state| state.reports().count() >= 2);
    let status = succeeded(&host.output(&["status"]));
    assert!(status.contains("web-1") && status.contains("running") && status.contains("Last report"), "{status}");
    assert!(failed(&host.output(&["run"])).contains("another `osm-agent run`"));
    let (first, second) = host.backend.with(|state| (state.batches[0][0].clone(), state.batches[1][0].clone()));
    assert!(first.cpu.is_some() && second.cpu.is_some());
    assert_eq!(first.boot, second.boot);
    terminate(running);
}

#[test]
fn an_unpaired_host_waits_and_starts_when_it_is_paired() {
    let host = Host::new();
    let running = host.run();
    thread::sleep(Duration::from_millis(500));
    assert!(host.backend.with(|state| state.batches.is_empty()));
    assert!(succeeded(&host.output(&["status"])).contains("Not paired"));
    succeeded(&host.pair());
    host.backend.until("a report", |state| state.reports().count() > 0);
    terminate(running);
}

#[test]
fn a_lost_answer_is_retried_with_the_same_key() {
    let host = Host::new();
    host.backend.with(|state| state.lose = 1);
    let error = failed(&host.pair());
    assert!(error.contains("the same token works"), "{error}");
    succeeded(&host.pair());
    host.backend.with(|state| {
        assert_eq!(state.pairs.len(), 2);
        assert_eq!(state.pairs[0].agent_key, state.pairs[1].agent_key);
    });
    // The same line once more is the same pairing once more; on another machine the token is used up.
    succeeded(&host.pair());
    host.backend.with(|state| assert_eq!(state.pairs[0].agent_key, state.pairs[2].agent_key));
    fs::remove_dir_all(host.state_dir()).unwrap();
    let error = failed(&host.pair());
    assert!(error.contains("/add_server"), "{error}");
    assert!(succeeded(&host.output(&["status"])).contains("Not paired"));
}

#[test]
fn a_wrong_token_is_refused_and_never_shown() {
    let host = Host::new();
    let token = PairingToken::new([8; 16], &PublicKey::from(&key(1))).text();
    let error = failed(&host.pair_with(&token, |_| {}));
    assert!(error.contains("/add_server") && !error.contains(&token[5..]), "{error}");
    let error = failed(&host.pair_with("no token", |_| {}));
    assert!(error.contains("not a pairing token") && !error.contains("no token"), "{error}");
    assert!(succeeded(&host.output(&["status"])).contains("Not paired"));
}

#[test]
fn an_answer_that_the_token_does_not_vouch_for_changes_nothing() {
    let host = Host::new();
    // The address is right, the root key is another's.
    host.backend.with(|state| state.token = PairingToken::new([7; 16], &PublicKey::from(&key(9))));
    let error = failed(&host.pair());
    assert!(error.contains("not from the backend that made this token"), "{error}");
    let host = Host::new();
    host.backend.with(|state| state.lie = Some(PublicKey::from(&key(9))));
    let error = failed(&host.pair());
    assert!(error.contains("another agent key"), "{error}");
    assert!(!host.state_dir().join("state.json").exists());
}

#[test]
fn pairing_again_signs_with_the_old_key_and_a_running_agent_follows() {
    let host = Host::paired();
    let running = host.run();
    host.backend.until("a report", |state| state.reports().count() > 0);
    host.backend.with(|state| state.token = PairingToken::new([3; 16], &PublicKey::from(&state.root)));
    succeeded(&host.pair());
    host.backend.with(|state| {
        assert!(state.pairs[0].replaces.is_none() && state.pairs[1].replaces.is_some());
        assert_ne!(state.pairs[0].agent_key, state.pairs[1].agent_key);
        state.batches.clear();
    });
    host.backend.until("a report under the new key", |state| state.reports().count() > 0);
    drop(running);
}

#[test]
fn an_hour_off_is_measured_corrected_and_reported() {
    let host = Host::new();
    host.backend.with(|state| state.clock_ms = -3_600_000);
    succeeded(&host.pair());
    let running = host.run();
    host.backend.until("three reports", |state| state.reports().count() >= 3);
    host.backend.with(|state| {
        let now = backend::host_now() - 3_600_000;
        for report in state.reports() {
            assert!(report.at.abs_diff(now) < 60_000, "{} {now}", report.at);
        }
        let ahead = state.reports().last().unwrap().clock_ahead_ms;
        assert!(ahead.abs_diff(3_600_000) < 5_000, "{ahead}");
    });
    // Commands are judged by the host's own clock, and the refusal says whose fault it is.
    let jti = host.backend.ask(restart("nginx.service"));
    host.backend.until("the outcome", |state| state.outcome(jti).is_some());
    host.backend.with(|state| assert_eq!(state.outcome(jti).unwrap().reason, Some(Rejection::Clock)));
    assert!(succeeded(&host.output(&["status"])).contains("ahead of the backend's"));
    let doctor = host.output(&["doctor"]);
    assert!(!doctor.status.success() && text(&doctor.stdout).contains("timedatectl"), "{}", text(&doctor.stdout));
    drop(running);
}

#[test]
fn what_is_measured_while_the_backend_is_away_comes_after_the_fresh_report_newest_first() {
    let host = Host::paired();
    host.backend.with(|state| state.refuse = Some(503));
    let running = host.run();
    thread::sleep(Duration::from_secs(12));
    terminate(running);
    // Over a restart of the agent.
    host.backend.with(|state| state.refuse = None);
    let running = host.run();
    host.backend.until("the backlog", |state| state.batches.len() >= 2);
    host.backend.with(|state| {
        assert_eq!(state.batches[0].len(), 1);
        let live = state.batches[0][0].at;
        let backlog: Vec<i64> = state.batches[1].iter().map(|report| report.at).collect();
        assert!(backlog.len() >= 2, "{backlog:?}");
        assert!(backlog.iter().all(|&at| at < live) && backlog.is_sorted_by(|one, other| one > other), "{backlog:?}");
    });
    thread::sleep(Duration::from_secs(6));
    host.backend.with(|state| {
        let mut times: Vec<i64> = state.reports().map(|report| report.at).collect();
        let count = times.len();
        times.sort_unstable();
        times.dedup();
        assert_eq!(times.len(), count, "each is sent once");
    });
    drop(running);
}

#[test]
fn commands_are_refused_by_name_or_ignored_and_never_answered() {
    let host = Host::paired();
    let running = host.run();
    host.backend.until("a report", |state| state.reports().count() > 0);
    // Forged, for another server, and late replays: never answered.
    let genuine = host.backend.with(|state| state.command.clone());
    host.backend.with(|state| state.command = key(66));
    let forged = host.backend.ask(restart("nginx.service"));
    host.backend.with(|state| state.command = genuine);
    let strange = host.backend.ask_with(restart("nginx.service"), |command| {
        command.aud.server_id = "0190a6b0-7c00-7000-8000-00000000bbbb".parse().unwrap();
    });
    let reboot = host.backend.ask(Action::Reboot {});
    let unlisted = host.backend.ask(restart("mysql.service"));
    let expired = host.backend.ask_with(restart("nginx.service"), |command| {
        command.nbf -= 3_600_000;
        command.exp -= 3_600_000;
    });
    host.backend.until("three outcomes", |state| state.outcomes.len() >= 3);
    host.backend.with(|state| {
        let reason = |jti| state.outcome(jti).and_then(|outcome| outcome.reason);
        assert_eq!(reason(reboot), Some(Rejection::Unsupported));
        assert_eq!(reason(unlisted), Some(Rejection::UnitNotListed));
        assert_eq!(reason(expired), Some(Rejection::Expired));
        assert!(state.outcome(forged).is_none() && state.outcome(strange).is_none());
    });
    drop(running);
    // Not done again by an agent that comes back, nor answered again.
    let running = host.run();
    host.backend.until("a poll", |state| state.polls > 2);
    thread::sleep(Duration::from_secs(1));
    // Told twice perhaps, when the agent ended before it had noted the answer; never anything else.
    host.backend.with(|state| {
        state.outcomes.sort_by_key(|(jti, _)| *jti);
        state.outcomes.dedup();
        assert_eq!(state.outcomes.len(), 3);
    });
    drop(running);
}

#[test]
fn a_listed_unit_gets_an_outcome_even_where_systemd_cannot_be_asked() {
    let host = Host::paired();
    let running = host.run();
    host.backend.until("a report", |state| state.reports().count() > 0);
    // The answer to the first attempt is lost: it is delivered again, and changes nothing.
    host.backend.with(|state| state.lose = 1);
    let jti = host.backend.ask(restart("nginx.service"));
    host.backend.until("the outcome, twice", |state| state.outcomes.len() >= 2);
    host.backend.with(|state| {
        let outcome = state.outcome(jti).unwrap();
        assert_eq!((outcome.result, outcome.reason), (OutcomeKind::Rejected, Some(Rejection::Unsupported)));
        assert!(outcome.detail.contains("systemd") || outcome.detail.contains("system bus"), "{outcome:?}");
    });
    drop(running);
}

#[test]
fn new_command_keys_are_fetched_and_the_old_one_is_dead() {
    let host = Host::paired();
    let running = host.run();
    host.backend.until("a report", |state| state.reports().count() > 0);
    let old = host.backend.with(|state| {
        state.key_set_version = 2;
        std::mem::replace(&mut state.command, key(3))
    });
    let jti = host.backend.ask(Action::Reboot {});
    host.backend.until("the outcome under the new key", |state| state.outcome(jti).is_some());
    assert!(host.state_dir().join("keys.json").exists());
    host.backend.with(|state| state.command = old);
    let dead = host.backend.ask(Action::Reboot {});
    thread::sleep(Duration::from_secs(2));
    host.backend.with(|state| assert!(state.outcome(dead).is_none()));
    drop(running);
}

#[test]
fn a_removed_server_stops_sending_and_says_so() {
    let host = Host::paired();
    host.backend.with(|state| state.refuse = Some(410));
    let running = host.run();
    thread::sleep(Duration::from_secs(3));
    let polls = host.backend.with(|state| state.polls);
    assert!(succeeded(&host.output(&["status"])).contains("no longer knows this server"));
    thread::sleep(Duration::from_secs(6));
    assert_eq!(host.backend.with(|state| state.polls), polls);
    terminate(running);
    succeeded(&host.output(&["unpair"]));
    assert!(succeeded(&host.output(&["status"])).contains("Not paired"));
}

#[test]
fn unpairing_tells_the_backend_and_forgets_the_key() {
    let host = Host::paired();
    assert!(succeeded(&host.output(&["unpair"])).contains("no longer paired"));
    assert!(host.backend.with(|state| state.agent.is_none()));
    assert!(!host.state_dir().join("state.json").exists());
}

#[test]
fn a_clone_sends_nothing_until_it_is_paired_again() {
    let host = Host::paired();
    let state = host.state_dir().join("state.json");
    let text = fs::read_to_string(&state).unwrap();
    let machine = host.backend.with(|state| state.pairs[0].machine.clone());
    fs::write(&state, text.replace(&machine, &"0".repeat(64))).unwrap();
    let running = host.run();
    thread::sleep(Duration::from_secs(2));
    assert!(host.backend.with(|state| state.batches.is_empty()));
    terminate(running);
    let doctor = host.output(&["doctor"]);
    assert!(text_of(&doctor).contains("pair it again"));
}

fn text_of(output: &Output) -> String {
    text(&output.stdout)
}

#[test]
fn a_state_directory_that_others_can_use_is_refused() {
    let host = Host::paired();
    fs::set_permissions(host.state_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [&["run"][..], &["status"], &["unpair"]] {
        let error = failed(&host.output(arguments));
        assert!(error.contains("chmod 0700"), "{error}");
    }
}

#[test]
fn the_printed_report_is_the_contracts() {
    let host = Host::new();
    let batch: ReportBatch = serde_json::from_str(&succeeded(&host.output(&["report", "--print"]))).unwrap();
    let report: &Report = &batch.reports[0];
    batch.validate(backend::host_now()).unwrap();
    assert!(report.memory.is_some() && report.cpu.is_some());
}

#[test]
fn the_address_must_be_safe_and_the_token_no_argument() {
    let host = Host::new();
    let token = host.backend.with(|state| state.token.text());
    host.backend.with(|state| state.pairs.clear());
    let mut command = host.command(&["pair", "--api", "http://192.0.2.1:80", "--token-file", "-"]);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let error = failed(&child.wait_with_output().unwrap());
    assert!(error.contains("plain http"), "{error}");
    let error = failed(&host.output(&["pair", "--api", &host.backend.url, "--token", &token]));
    assert!(error.contains("--token"), "{error}");
    assert!(failed(&host.output(&["pair", "--api", &host.backend.url])).contains("--token-file"));
}

/// Aborts at each point in turn; whatever the agent died of, the host is paired, its report arrives, and its command is
/// taken up at most once and answered.
#[cfg(feature = "crash-points")]
#[test]
fn a_crash_at_any_point_loses_nothing_and_does_nothing_twice() {
    let story = |at: Option<usize>, log: &std::path::Path| {
        let host = Host::new();
        let crash = |command: &mut Command| {
            command.env("OSM_CRASH_LOG", log);
            if let Some(at) = at {
                command.env("OSM_CRASH_AT", at.to_string());
            }
        };
        let token = host.backend.with(|state| state.token.text());
        if !host.pair_with(&token, crash).status.success() {
            succeeded(&host.pair());
        }
        let mut running = host.run_with(crash);
        host.backend.with(|state| state.agent.expect("paired"));
        let jti = host.backend.ask(restart("nginx.service"));
        for _ in 0..200 {
            let done = host.backend.with(|state| state.reports().count() >= 2 && state.outcome(jti).is_some());
            if done || running.0.try_wait().unwrap().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let crashed = running.0.try_wait().unwrap().is_some();
        drop(running);
        let running = host.run();
        host.backend.until("two reports and the outcome", |state| state.reports().count() >= 2 && state.outcome(jti).is_some());
        host.backend.with(|state| {
            let outcomes: Vec<_> = state.outcomes.iter().map(|(_, outcome)| (outcome.result, outcome.reason)).collect();
            assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "one command, one outcome: {outcomes:?}");
        });
        drop(running);
        crashed
    };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("points");
    story(None, &log);
    let points: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
    for name in
        ["pair.key_persisted", "pair.stored", "spool.appended", "report.acknowledged", "ledger.taken", "outcome.acknowledged"]
    {
        assert!(points.iter().any(|point| point == name), "{name} is not passed: {points:?}");
    }
    // Pairing and running count from 1 each; the longer of the two sets how far.
    for at in 1..=points.len() {
        story(Some(at), &folder.path().join("other"));
        println!("crash at {at}: held");
    }
}
