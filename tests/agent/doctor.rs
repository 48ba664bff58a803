//! What `osm-agent doctor` says when something is wrong: which check fails, and what to do.

use std::{fs, process::Command};

use osm_protocol::messages::problem;
use osm_tests::{
    database::Engine,
    process::{Host, in_namespace},
    until::found_in_time,
    world::World,
};

use crate::backend::{Answer, Backend, PROBLEM, SOON, like};

/// What doctor printed, a line a check.
#[derive(Debug)]
pub struct Found(String);

impl Found {
    /// The line of a check.
    #[track_caller]
    pub fn line(&self, check: &str) -> &str {
        let of_check =
            |line: &&str| line.get(6..).and_then(|rest| rest.strip_prefix(check)).is_some_and(|rest| rest.starts_with(' '));
        self.0.lines().find(of_check).unwrap_or_else(|| panic!("no line of {check}:\n{}", self.0))
    }

    /// The checks that fail. The bus is left out: programs under test are kept from this machine's.
    pub fn failing(&self) -> Vec<&str> {
        let names = self.0.lines().filter_map(|line| line.strip_prefix("FAIL  ")).map(|rest| rest[..16].trim_end());
        names.filter(|name| *name != "D-Bus").collect()
    }
}

/// Runs doctor, whose exit code says whether anything fails.
#[track_caller]
pub fn examine(host: &Host, change: impl FnOnce(&mut Command)) -> Found {
    let mut command = host.command(&["doctor"]);
    change(&mut command);
    let ended = host.output(&mut command);
    let fails = ended.stdout.lines().any(|line| line.starts_with("FAIL  "));
    assert_eq!(ended.status.code(), Some(i32::from(fails)), "{}{}", ended.stdout, ended.stderr);
    Found(ended.stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_nothing_wrong_where_nothing_is_and_says_where_to_get_a_pairing() {
    let backend = Backend::start().await;
    let host = Host::default();
    fs::create_dir(host.state_dir()).unwrap();
    fs::set_permissions(host.state_dir(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let found = examine(&host, |_| {});
    assert_eq!(found.failing(), ["pairing"], "{found:?}");
    assert!(found.line("pairing").contains("get a line with /add_server in the chat"), "{found:?}");

    host.pair(&backend.url, &backend.token.text()).succeeded();
    let found = examine(&host, |_| {});
    assert!(found.failing().is_empty(), "{found:?}");
    assert!(found.line("TLS").contains("plain http to this very machine"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_what_to_do_when_the_backend_is_stopped_or_its_name_is_unknown() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let url = backend.url.clone();
    drop(backend);
    let found = examine(&host, |_| {});
    assert_eq!(found.failing(), ["API"], "{found:?}");
    assert!(found.line("API").contains("nothing listens there: check the address and that the backend runs"), "{found:?}");

    let state = host.state_dir().join("state.json");
    let before = fs::read_to_string(&state).unwrap();
    let after = before.replace(&url, "https://nonexistent.invalid");
    assert_ne!(before, after);
    fs::write(&state, after).unwrap();
    let found = examine(&host, |_| {});
    assert_eq!(found.failing(), ["DNS", "TLS", "API"], "{found:?}");
    let line = found.line("DNS");
    assert!(line.contains("nonexistent.invalid cannot be resolved") && line.contains("check /etc/resolv.conf"), "{found:?}");
    assert!(found.line("API").contains("check the address and DNS"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_that_the_server_was_removed() {
    let world = World::on_system_clock(Engine::Sqlite, &[]).await;
    let host = Host::default();
    let (token, _) = world.token(&world.anna, "web-1").await;
    host.pair(&world.api, &token).succeeded();
    world.see(&world.anna, "Key fingerprint").await;
    let choice = world.ask(&world.anna, "/remove_server", "Which server").await;
    world.tap(&world.anna, &choice, "web-1").await;
    let question = world.see(&world.anna, "Remove web-1").await;
    world.tap(&world.anna, &question, "Remove").await;
    world.becomes(&question, "web-1 is removed").await;
    // The backend remembers a key for some seconds.
    let removed = || Some(examine(&host, |_| {})).filter(|found| found.failing() == ["API"]);
    let found = found_in_time(SOON, removed).expect("a check that fails");
    let line = found.line("API");
    assert!(line.contains("it was removed") && line.contains("pair it again, or stop the agent"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_what_to_do_about_a_refused_key_a_busy_backend_and_a_clone() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    for (answer, said) in [
        (like(401, PROBLEM, problem::SIGNATURE, "NONCE"), "pair this server again"),
        (like(503, PROBLEM, problem::BUSY, "NONCE"), "the backend is busy"),
        (
            Answer::Page(401),
            "something in between answers in the backend's place (401 Unauthorized, text/html, “We will be back soon”)",
        ),
    ] {
        backend.with(|state| state.answer = Some(answer));
        let found = examine(&host, |_| {});
        assert_eq!(found.failing(), ["API"], "{found:?}");
        assert!(found.line("API").contains(said), "{found:?}");
    }
    backend.with(|state| state.answer = None);

    let state = host.state_dir().join("state.json");
    let mut pairing: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    pairing["machine"] = "c".repeat(64).into();
    fs::write(&state, pairing.to_string()).unwrap();
    let found = examine(&host, |_| {});
    assert_eq!(found.failing(), ["pairing"], "{found:?}");
    assert!(found.line("pairing").contains("a clone?") && found.line("pairing").contains("pair it again"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_how_to_set_a_clock_that_is_wrong() {
    // The backend's clock stands in 2027.
    let world = World::new(Engine::Sqlite).await;
    let host = Host::default();
    let (token, _) = world.token(&world.anna, "web-1").await;
    host.pair(&world.api, &token).succeeded();
    let found = examine(&host, |_| {});
    assert_eq!(found.failing(), ["clock"], "{found:?}");
    assert!(found.line("clock").contains("Do: timedatectl set-ntp true"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_how_to_make_a_policy_list_that_is_missing_and_where_to_look_for_a_dead_bus() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    // As sd_booted(3) finds out, systemd is the init of this machine; there is no bus.
    let booted = "mount -t tmpfs none /run; mkdir -p /run/systemd/system";
    let look = || examine(&host, |command| *command = in_namespace(command, booted));
    let found = look();
    assert!(found.line("policy").starts_with("ok ") && found.failing().is_empty(), "needs root or user namespaces: {found:?}");
    assert!(found.line("D-Bus").starts_with("FAIL ") && found.line("D-Bus").contains("systemctl status dbus"), "{found:?}");

    fs::remove_file(host.path("units.json")).unwrap();
    let found = look();
    assert_eq!(found.failing(), ["policy"], "{found:?}");
    let line = found.line("policy");
    assert!(line.contains("units.json does not exist") && line.contains("Do, as root: osm-agent policy apply"), "{found:?}");
}
