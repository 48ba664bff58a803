//! The backend dies: between an update and its answer, a token and its pairing, a tap and its command, a call and its receipt, a
//! figure and its alert.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, anyhow};
use osm_tests::database::Engine;

use crate::{
    life::{Ending, Life},
    named_in_sources,
    stories::Story,
};

/// Stories at a time: most of each is waiting for the pace that Telegram asks for.
const AT_ONCE: usize = 16;

async fn tell(engine: Engine, story: Story, crash_at: Option<&str>) -> Result<Ending> {
    let life = Life::begin(engine, story, crash_at).await?;
    if let Err(error) = story.tell(&life).await {
        let said = life.backend.stderr();
        let last: Vec<&str> = said.lines().rev().take(15).collect();
        return Err(error.context(format!("the backend said, last first:\n{}", last.join("\n"))));
    }
    life.end().await
}

/// Commits that no story brings about, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("refusals", "once a minute, longer than any story here; what was counted is in memory and dies with the process"),
    ("packages", "where repositories run out: it is told at the next look if it was not durable"),
    ("token-tried", "of another machine with a used token: it is told again if it was not durable"),
    ("operate", "of a command beside the backend: tests/stories/operator.rs kills it there"),
];

/// Where to crash: every name, and each passing of those whose passings are different steps.
fn points(story: Story, passed: &[String]) -> Vec<String> {
    let mut count = BTreeMap::<&str, usize>::new();
    for name in passed {
        *count.entry(name).or_default() += 1;
    }
    let each = |name: &str| {
        ["apply-update.", "close-gathering.", "reports.", "sweep."].iter().any(|each| name.starts_with(each))
            || name == "outbox.called"
    };
    let last_too = |name: &str| {
        name.starts_with("outbox-settle.") || name.starts_with("claim-update.") || name.starts_with("receive-update.")
    };
    count
        .into_iter()
        .filter(|(name, _)| story.is_about(name))
        .flat_map(|(name, times)| {
            let passings: BTreeSet<usize> = if each(name) {
                (1..=times).collect()
            } else if last_too(name) {
                [1, times.saturating_sub(1).max(1)].into()
            } else {
                [1].into()
            };
            passings.into_iter().map(move |passing| format!("{name}#{passing}"))
        })
        .collect()
}

/// A story, and where the backend dies in it.
type Run = (Story, Option<String>);

/// Tells the stories, each in a world of its own, some at a time; in whatever order they end.
fn tell_all(engine: Engine, runs: Vec<Run>) -> Vec<(Run, Result<Ending>)> {
    let (waiting, done) = (Mutex::new(runs.into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(run) = next() {
                    let runtime =
                        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
                    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        runtime.block_on(tell(engine, run.0, run.1.as_deref()))
                    }));
                    let ending = told.unwrap_or_else(|panicked| Err(anyhow!(said(&*panicked))));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((run, ending));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn said(panicked: &(dyn std::any::Any + Send)) -> String {
    let text = panicked.downcast_ref::<String>().cloned();
    text.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Tells each story once to see where it could crash, and once for each such point.
fn told(engine: Engine) {
    let mut passed_at_all = BTreeSet::new();
    let mut runs = Vec::new();
    for ((story, _), ending) in tell_all(engine, Story::ALL.map(|story| (story, None)).to_vec()) {
        let ending = ending.unwrap_or_else(|error| panic!("{story:?} without a crash: {error:#}"));
        assert_eq!(ending.crashes, 0);
        assert!(!ending.passed.is_empty(), "osm-api was built without crash points: run `make test`");
        passed_at_all.extend(ending.passed.iter().cloned());
        runs.extend(points(story, &ending.passed).into_iter().map(|point| (story, Some(point))));
        expect_messages(story, "", &ending);
    }
    every_commit_was_passed(engine, &passed_at_all);

    // The stories that take longest first.
    runs.sort_by_key(|(story, _)| Story::ALL.iter().position(|other| other == story));
    let (mut failures, mut missed, mut crashed) = (Vec::new(), Vec::new(), 0);
    for ((story, point), ending) in tell_all(engine, runs) {
        let point = point.unwrap_or_default();
        match ending {
            Err(error) => failures.push(format!("{story:?} at {point}: {error:#}")),
            Ok(ending) if ending.crashes == 0 => missed.push(point),
            Ok(ending) if ending.crashes > 1 => failures.push(format!("{story:?} at {point}: it died {} times", ending.crashes)),
            Ok(ending) => {
                crashed += 1;
                if let Err(panicked) = std::panic::catch_unwind(|| expect_messages(story, &point, &ending)) {
                    failures.push(format!("{story:?} at {point}: {}", said(&*panicked)));
                }
            }
        }
    }
    println!("{engine:?}: {crashed} crashes survived; not passed a second time: {missed:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // How often a message is edited depends on what could be said in one edit.
    assert!(missed.iter().all(|point| !point.ends_with("#1")) && missed.len() * 5 <= crashed, "never passed: {missed:?}");
}

/// The chat looks the same whatever crashed, but for one message more where nobody saw that Telegram had taken it.
fn expect_messages(story: Story, point: &str, ending: &Ending) {
    let mut expected = story.messages();
    let unseen = point.starts_with("outbox.called#") || point.starts_with("outbox-settle.before-commit#");
    let mut extra = Vec::new();
    for message in &ending.messages {
        if let Some(at) = expected.iter().position(|kind| kind == message) {
            expected.remove(at);
        } else if *message != "private bot" {
            extra.push(*message);
        }
    }
    assert!(expected.is_empty(), "missing: {expected:?}; there are {:?}", ending.messages);
    assert!(extra.len() <= usize::from(unseen), "doubled: {extra:?}; there are {:?}", ending.messages);
}

/// A use case whose commit no story passes fails here.
fn every_commit_was_passed(engine: Engine, passed: &BTreeSet<String>) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let commits = named_in_sources(&sources, ".commit(\"");
    assert!(commits.len() > 10, "{commits:?}");
    for commit in commits {
        if ELSEWHERE.iter().any(|(name, _)| *name == commit) || (commit == "release" && engine == Engine::Postgres) {
            continue;
        }
        for side in ["before-commit", "after-commit"] {
            assert!(passed.contains(&format!("{commit}.{side}")), "no story passes {commit}.{side}: add it to one here");
        }
    }
    for point in named_in_sources(&sources, "crash::point(\"") {
        assert!(passed.contains(&point), "no story passes {point}");
    }
}

#[test]
fn the_backend_dies_anywhere_and_nothing_is_lost_or_doubled_on_sqlite() {
    told(Engine::Sqlite);
}

#[test]
fn the_backend_dies_anywhere_and_nothing_is_lost_or_doubled_on_postgres() {
    told(Engine::Postgres);
}
