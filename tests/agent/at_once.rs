//! Several processes of the agent at once: they take turns, or one is refused by the name of the other.

use std::fs::{self, File};
use std::io::Write as _;

use osm_tests::process::{Host, Process, in_namespace, terminate};
use serde_json::Value;

use crate::backend::Backend;

/// Root's command on a machine without systemd, which detects nothing. In a namespace of its own the test needs no root.
fn policy(host: &Host, arguments: &[&str]) -> Process {
    let rules = host.path("rules.d").display().to_string();
    let command = host.command(&[&["policy", "--rules-dir", &rules], arguments].concat());
    host.start(&mut in_namespace(&command, "mount -t tmpfs none /run"))
}

#[test]
fn eight_that_decide_at_once_take_turns() {
    let host = Host::default();
    for round in 0..4 {
        let words: Vec<String> = (0..4).map(|number| format!("own-{round}-{number}")).collect();
        let mut deciding = Vec::new();
        for unit in &words {
            deciding.push(policy(&host, &["allow", unit]));
            deciding.push(policy(&host, &["apply"]));
        }
        for one in deciding {
            one.end(osm_tests::process::ENDS).unwrap().succeeded();
        }
        for unit in words {
            assert!(host.path(&format!("allow.d/{unit}.service")).exists(), "{unit} was allowed");
        }
        let list: Value = serde_json::from_slice(&fs::read(host.path("units.json")).unwrap()).unwrap();
        assert!(list["unavailable"].as_str().unwrap().contains("systemd"), "{list}");
    }
    let left = |folder: &str| fs::read_dir(host.path(folder)).unwrap().flatten().map(|file| file.file_name());
    assert_eq!(left("allow.d").count(), 16, "nothing half-written is left");
}

/// Opposite words on one unit: whichever came last, one of the two folders has it.
#[test]
fn opposite_words_at_once_leave_one() {
    let host = Host::default();
    let deciding: Vec<Process> =
        ["allow", "deny"].into_iter().cycle().take(8).map(|word| policy(&host, &[word, "own"])).collect();
    for one in deciding {
        one.end(osm_tests::process::ENDS).unwrap().succeeded();
    }
    let said = |folder: &str| host.path(&format!("{folder}/own.service")).exists();
    assert_ne!(said("allow.d"), said("deny.d"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pair_and_unpair_are_refused_by_the_name_of_the_one_that_is_at_it() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let mut other = File::create(host.state_dir().join("pair.lock")).unwrap();
    other.lock().unwrap();
    writeln!(other, "4242 unpair").unwrap();
    let requests = backend.with(|state| state.requests);
    for error in [host.pair(&backend.url, &backend.token.text()).failed(), host.output(&mut host.command(&["unpair"])).failed()] {
        assert!(error.contains("another `osm-agent unpair` (process 4242)") && error.contains("wait"), "{error}");
    }
    assert_eq!(backend.with(|state| state.requests), requests, "nothing was sent");
    drop(other);
    host.output(&mut host.command(&["unpair"])).succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_names_the_first() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let error = host.output(&mut host.command(&["run"])).failed();
    assert!(error.contains(&format!("another `osm-agent run` (process {})", running.id())), "{error}");
    assert!(error.contains("systemctl stop osm-agent"), "{error}");
    terminate(running);
}
