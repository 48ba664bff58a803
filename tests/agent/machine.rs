//! What can be wrong with the machine under the agent: its state directory, its disk, its mounts, a second agent.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use osm_protocol::messages::{ReportBatch, Validate as _};
use osm_tests::process::{Host, LISTED, Process, command, in_namespace, program, terminate};
use serde_json::{Value, json};

use crate::backend::{Backend, signed, wire};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_others_could_use_is_refused_with_the_fix() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let refused = |fix: &str| {
        for arguments in [&["run"][..], &["status"], &["unpair"], &["doctor"]] {
            let ended = host.output(&mut host.command(arguments));
            let said = ended.stdout.clone() + &ended.stderr;
            assert!(!ended.status.success() && said.contains(fix), "{arguments:?}: {said}");
        }
        let error = host.pair(&backend.url, &backend.token.text()).failed();
        assert!(error.contains(fix), "pair: {error}");
    };
    let requests = backend.with(|state| state.requests);
    for mode in [0o755, 0o750, 0o701, 0o777] {
        fs::set_permissions(host.state_dir(), fs::Permissions::from_mode(mode)).unwrap();
        refused("chmod 0700");
    }
    fs::set_permissions(host.state_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    let aside = host.path("aside");
    fs::rename(host.state_dir(), &aside).unwrap();
    std::os::unix::fs::symlink(&aside, host.state_dir()).unwrap();
    refused("symbolic link");
    fs::remove_file(host.state_dir()).unwrap();
    fs::rename(&aside, host.state_dir()).unwrap();
    if is_root() {
        std::os::unix::fs::chown(host.state_dir(), Some(4242), None).unwrap();
        refused("chown -R 0");
    } else {
        // Everybody's root directory is root's.
        let mut of_root = command(&program("osm-agent"));
        let error = host.output(of_root.args(["--state-dir", "/", "run"])).failed();
        assert!(error.contains("belongs to user id 0") && error.contains("chown"), "{error}");
    }
    assert_eq!(backend.with(|state| state.requests), requests, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_run_uses_a_state_directory_and_the_second_says_so() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let error = host.output(&mut host.command(&["run"])).failed();
    assert!(error.contains("another `osm-agent run`") && error.contains("stop it first"), "{error}");
    terminate(running);
    let running = host.run();
    backend.until("another report", |state| state.reports.len() > 1);
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_is_what_is_sent() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    // The first one has no CPU load yet.
    backend.until("two reports", |state| state.reports.len() > 1);
    terminate(running);
    let sent = backend.with(|state| String::from_utf8(state.reports[1].clone()).unwrap());
    let printed = host.output(&mut host.command(&["report", "--print"])).succeeded();
    // Byte for byte the same but for the figures, which move.
    assert_eq!(without_figures(printed.trim_end_matches('\n')), without_figures(&sent));
    let batch: ReportBatch = serde_json::from_str(&printed).unwrap();
    batch.validate(crate::backend::now()).unwrap();
    assert!(batch.reports[0].memory.is_some() && batch.reports[0].cpu.is_some());
    // And nothing else was: one request for each, no header or query that tells more.
    let fields: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(fields.as_object().unwrap().keys().collect::<Vec<_>>(), ["agent_version", "reports"]);
}

/// Every number stands for all numbers.
fn without_figures(json: &str) -> String {
    let mut text = String::new();
    let (mut quoted, mut number) = (false, false);
    for c in json.chars() {
        quoted ^= c == '"';
        let figure = !quoted && (c.is_ascii_digit() || ".-+".contains(c) || (number && c == 'e'));
        if figure && !number {
            text.push('#');
        } else if !figure {
            text.push(c);
        }
        number = figure;
    }
    text
}

/// Runs the agent in a mount namespace of its own, after `script` has prepared it; the script sees the state directory as `$1`.
fn run_in_namespace(host: &Host, script: &str) -> Process {
    let script = script.replace("$1", &host.state_dir().display().to_string());
    host.start(&mut in_namespace(&host.command(&["run"]), &script))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_it_keeps_reporting_and_does_nothing_it_cannot_write_down() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let kept = host.path("kept");
    fs::create_dir(&kept).unwrap();
    for file in ["state.json", "lock"] {
        let _ = fs::copy(host.state_dir().join(file), kept.join(file));
    }
    let script =
        format!("mount -t tmpfs -o size=256k,mode=0700 none \"$1\"; cp {0}/* \"$1\"; chmod 0600 \"$1\"/*", kept.display());
    let mut running = run_in_namespace(&host, &script);
    backend.until("a report, for which the test needs root or user namespaces", |state| !state.reports.is_empty());

    // As the agent sees it.
    let inside: PathBuf = format!("/proc/{}/root{}", running.id(), host.state_dir().display()).into();
    let ballast = inside.join("ballast");
    fill(&ballast);
    let before = backend.with(|state| state.reports.len());
    backend.until("three live reports", |state| state.reports.len() > before + 2);
    assert!(running.has_ended().unwrap().is_none(), "{}", running.stderr());

    // A command cannot be written down: it is not done, not answered, and not lost.
    let payload = backend.payload(json!({ "type": "restart-service", "unit": LISTED }));
    let (jti, seq) = (payload["jti"].as_str().unwrap().to_owned(), payload["seq"].as_i64().unwrap());
    let envelope = wire(&signed(&payload));
    backend.with(|state| state.offer = Some(vec![envelope.clone()]));
    running.says(&format!("command {jti} is not done, because it cannot be written down first"));
    let polls = backend.with(|state| state.polls.len());
    backend.until("a poll after it", |state| state.polls.len() > polls);
    assert!(backend.with(|state| state.outcome(&jti).is_none()), "{}", running.stderr());
    assert!(!running.stderr().contains(&format!("command {jti}: Rejected")), "it was tried: {}", running.stderr());

    fs::remove_file(&ballast).unwrap();
    backend.with(|state| state.offer = Some(vec![envelope]));
    backend.until("its outcome", |state| state.outcome(&jti).is_some());
    backend.until("a poll after it", |state| state.polls.last() == Some(&seq));
    let said = running.stderr();
    assert!(!said.contains("panicked") && said.contains("cannot be"), "{said}");
    terminate(running);
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(ballast).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_network_mount_holds_up_no_report() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    // Filesystems whose server never answers: every look at one hangs for ever. One is of a network type, one looks local.
    let script = "mkdir -p \"$1\"/../net \"$1\"/../local
        exec 8<>/dev/fuse 9<>/dev/fuse
        mount -i -t fuse.sshfs -o fd=8,rootmode=40000,user_id=0,group_id=0 dead:/ \"$1\"/../net
        mount -i -t fuse.mergerfs -o fd=9,rootmode=40000,user_id=0,group_id=0 dead \"$1\"/../local";
    let running = run_in_namespace(&host, script);
    let started = Instant::now();
    backend.until("two reports, for which the test needs /dev/fuse and root or user namespaces", |state| state.reports.len() > 1);
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", running.id())).unwrap();
    assert!(mounts.contains("fuse.sshfs") && mounts.contains("fuse.mergerfs"), "{mounts}");
    assert!(started.elapsed() < Duration::from_secs(30));
    let batch: ReportBatch = backend.with(|state| serde_json::from_slice(state.reports.last().unwrap()).unwrap());
    let named = |part: &str| batch.reports[0].disks.iter().any(|disk| disk.mount.ends_with(part));
    assert!(!named("/net") && !named("/local"), "{:?}", batch.reports[0].disks);
    // It can be stopped, too.
    terminate(running);
}
