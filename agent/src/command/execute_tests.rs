use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use ed25519_dalek::SigningKey;
use osm_protocol::{command::Audience, envelope};

use super::*;
use crate::policy::LOGROTATE_UNIT;
use crate::{
    command::act::{outcome_of, restart},
    host::systemd::{ActError, JobResult, ServiceState, Unavailable, fake::Fake},
};

const NOW: i64 = 1_800_000_000_000;
const SERVER: &str = "0190a6b0-7c00-7000-8000-00000000aaaa";

fn jti(seq: i64) -> CommandId {
    format!("0190a6b0-7c00-7000-8000-{seq:012}").parse().unwrap()
}

fn us() -> Identity {
    Identity { server_id: SERVER.parse().unwrap(), agent_key: "k1".to_owned(), key_id: "id1".to_owned(), boot: "b".to_owned() }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn command(seq: i64, now: i64) -> Command {
    Command {
        v: 1,
        iss: "https://osm.example".to_owned(),
        aud: Audience { server_id: SERVER.parse().unwrap(), agent_key: "k1".to_owned() },
        jti: jti(seq),
        seq,
        iat: now,
        nbf: now,
        exp: now + 120_000,
        action: Action::RestartService { unit: "nginx.service".to_owned() },
        requested_by: "anna".to_owned(),
    }
}

fn signed(command: &Command) -> Vec<u8> {
    serde_json::to_vec(&Envelope::sign_json(envelope::COMMAND, command, &key())).unwrap()
}

fn state(active: &str, sub: &str, result: &str) -> ServiceState {
    ServiceState {
        active_state: active.to_owned(),
        sub_state: sub.to_owned(),
        kind: "simple".to_owned(),
        result: result.to_owned(),
        ..ServiceState::default()
    }
}

/// A host with a list, a ledger and a systemd.
struct Host {
    settings: Settings,
    clock: Clock,
    ledger: RefCell<Ledger>,
    systemd: Fake,
    identity: Identity,
    folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::for_test();
        settings.policy_file = folder.path().join("units.json");
        list(&settings.policy_file, r#"{"version":1,"units":["nginx.service"]}"#);
        let ledger = RefCell::new(Ledger::open(&folder.path().join("ledger.jsonl"), "b", Moment::now()).unwrap());
        let systemd = Fake { states: vec![state("active", "running", "success")].into(), ..Fake::default() };
        Self { settings, clock: Clock::default(), ledger, systemd, identity: us(), folder }
    }

    async fn handle(&self, raw: &[u8]) -> Handled {
        let executor = Executor {
            settings: &self.settings,
            identity: &self.identity,
            clock: &self.clock,
            ledger: &self.ledger,
            systemd: &self.systemd,
        };
        executor.handle(raw, &[PublicKey::from(&key())]).await
    }

    async fn ask(&self, seq: i64) -> Outcome {
        assert_eq!(self.handle(&signed(&command(seq, clock::host_now()))).await, Handled::Recorded);
        self.ledger.borrow().open_outcomes("id1").pop().unwrap().1
    }

    fn restarts(&self) -> usize {
        self.systemd.restarted.borrow().len()
    }

    /// The agent dies and comes back.
    fn restart_agent(&mut self) {
        self.ledger = RefCell::new(Ledger::open(&self.folder.path().join("ledger.jsonl"), "b", Moment::now()).unwrap());
    }
}

fn list(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_true_command_restarts_once_and_says_what_came_of_it() {
    let mut host = Host::new();
    let envelope = signed(&command(1, clock::host_now()));
    assert_eq!(host.handle(&envelope).await, Handled::Recorded);
    let (_, outcome) = host.ledger.borrow().open_outcomes("id1").pop().unwrap();
    assert_eq!((outcome.result, outcome.detail.as_str()), (OutcomeKind::Succeeded, "active (running)"));
    // The same again, also by an agent that was restarted meanwhile.
    assert_eq!(host.handle(&envelope).await, Handled::Ignored);
    host.restart_agent();
    assert_eq!(host.handle(&envelope).await, Handled::Ignored);
    assert_eq!(*host.systemd.restarted.borrow(), ["nginx.service"]);
}

#[tokio::test(start_paused = true)]
async fn the_rates_hold_and_outlive_the_agent() {
    let mut host = Host::new();
    assert_eq!(host.ask(1).await.result, OutcomeKind::Succeeded);
    host.restart_agent();
    let refused = host.ask(2).await;
    assert_eq!((refused.result, refused.reason), (OutcomeKind::Rejected, Some(Rejection::Rate)));
    assert_eq!(host.restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn policy_list_and_unknown_actions_refuse_by_name() {
    let mut host = Host::new();
    host.settings.actions.restart_service = false;
    assert_eq!(host.ask(1).await.reason, Some(Rejection::Policy));
    host.settings.actions.restart_service = true;
    list(&host.settings.policy_file, r#"{"version":1,"units":["other.service"]}"#);
    assert_eq!(host.ask(2).await.reason, Some(Rejection::UnitNotListed));
    list(&host.settings.policy_file, r#"{"version":1,"units":[],"unavailable":"polkit 0.105 has no rules"}"#);
    let outcome = host.ask(3).await;
    assert_eq!((outcome.reason, outcome.detail.as_str()), (Some(Rejection::Unsupported), "polkit 0.105 has no rules"));
    fs::remove_file(&host.settings.policy_file).unwrap();
    assert!(host.ask(4).await.detail.contains("osm-agent policy apply"));
    let mut reboot = command(5, clock::host_now());
    reboot.action = Action::Reboot {};
    host.handle(&signed(&reboot)).await;
    assert_eq!(host.ledger.borrow().open_outcomes("id1").pop().unwrap().1.reason, Some(Rejection::Unsupported));
    assert_eq!(host.restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_agent_itself_is_never_restarted_even_when_listed() {
    let host = Host::new();
    list(&host.settings.policy_file, r#"{"version":1,"units":["osm-agent.service"]}"#);
    let mut command = command(1, clock::host_now());
    command.action = Action::RestartService { unit: "osm-agent.service".to_owned() };
    host.handle(&signed(&command)).await;
    let outcome = host.ledger.borrow().open_outcomes("id1")[0].1.clone();
    assert_eq!(outcome.reason, Some(Rejection::UnitNotListed));
    assert!(outcome.detail.contains("never"), "{}", outcome.detail);
    assert_eq!(host.restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_used_id_is_passed_over_and_its_seq_is_used_up() {
    let host = Host::new();
    host.ask(1).await;
    let again = Command { seq: 2, ..command(1, clock::host_now()) };
    assert_eq!(host.handle(&signed(&again)).await, Handled::Recorded);
    assert_eq!(host.ledger.borrow().open_outcomes("id1").len(), 1);
    assert_eq!(host.ledger.borrow().last_seq("id1"), 2);
    assert_eq!(host.restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_systemd_cannot_do_is_told_from_what_failed_and_what_nobody_saw() {
    for (job, result, reason) in [
        (Err(ActError::Unavailable(Unavailable::Absent)), OutcomeKind::Rejected, Some(Rejection::Unsupported)),
        (Err(ActError::Denied), OutcomeKind::Rejected, Some(Rejection::Unsupported)),
        (Err(ActError::Refused("Unit x.service not found.".to_owned())), OutcomeKind::Failed, None),
        (Err(ActError::Lost("x".to_owned())), OutcomeKind::Indeterminate, None),
        (Ok(JobResult::Other("canceled".to_owned())), OutcomeKind::Failed, None),
        (Ok(JobResult::Done), OutcomeKind::Succeeded, None),
    ] {
        let fake = Fake { job: job.clone(), states: vec![state("active", "running", "success")].into(), ..Fake::default() };
        let outcome = restart("x.service", &fake).await;
        assert_eq!((outcome.0, outcome.1), (result, reason), "{job:?}");
    }
    let unseen = Fake { states: vec![].into(), ..Fake::default() };
    assert_eq!(restart("x.service", &unseen).await.0, OutcomeKind::Indeterminate);
}

#[test]
fn a_jobs_result_and_the_state_after_it_become_one_sentence() {
    let done = JobResult::Done;
    let failed = ServiceState { exit_code: 1, exit_status: 1, ..state("failed", "failed", "exit-code") };
    let looping = ServiceState { exit_code: 1, exit_status: 203, ..state("activating", "auto-restart", "exit-code") };
    let killed = ServiceState { exit_code: 2, exit_status: 9, ..state("failed", "failed", "signal") };
    let crashed = ServiceState { restarts: 3, ..state("active", "running", "success") };
    let oneshot = ServiceState { kind: "oneshot".to_owned(), ..state("inactive", "dead", "success") };
    for (job, state, result, detail) in [
        (&done, state("active", "running", "success"), OutcomeKind::Succeeded, "active (running)"),
        (&done, state("active", "exited", "success"), OutcomeKind::Succeeded, "active (exited)"),
        (&done, oneshot, OutcomeKind::Succeeded, "inactive (dead)"),
        (&done, failed.clone(), OutcomeKind::Failed, "failed (failed): exit-code, status 1"),
        (&done, looping, OutcomeKind::Failed, "activating (auto-restart): exit-code, status 203"),
        (&done, killed, OutcomeKind::Failed, "failed (failed): signal, signal 9"),
        (&done, crashed, OutcomeKind::Failed, "active (running); it has ended 3 times since"),
        (&done, state("inactive", "dead", "success"), OutcomeKind::Failed, "inactive (dead): it started and ended at once"),
        (&JobResult::Other("failed".to_owned()), failed, OutcomeKind::Failed, "failed (failed): exit-code, status 1"),
        (
            &JobResult::Other("dependency".to_owned()),
            state("inactive", "dead", "success"),
            OutcomeKind::Failed,
            "a unit that it needs failed; now inactive (dead)",
        ),
        (
            &JobResult::Other("timeout".to_owned()),
            state("failed", "failed", "timeout"),
            OutcomeKind::Failed,
            "it took too long; now failed (failed): timeout",
        ),
    ] {
        assert_eq!(outcome_of(job, &state), (result, detail.to_owned()));
    }
}

#[test]
fn time_is_judged_by_the_hosts_clock_and_a_wrong_clock_is_named() {
    let envelope = signed(&command(8, NOW));
    let keys = [PublicKey::from(&key())];
    let judged = |host_now, backend_now, last_seq| judge(&envelope, &keys, &us(), host_now, backend_now, last_seq);
    let reason = |judged| match judged {
        Judged::Refuse { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert!(matches!(judged(NOW, NOW, 7), Judged::Do(_)));
    // An hour ahead or behind, and known to be.
    assert_eq!(reason(judged(NOW + 3_600_000, NOW, 7)), Rejection::Clock);
    assert_eq!(reason(judged(NOW - 3_600_000, NOW, 7)), Rejection::Clock);
    // Truly too late.
    assert_eq!(reason(judged(NOW + 3_600_000, NOW + 3_600_000, 7)), Rejection::Expired);
    // A replay past its time is a replay: it must not override an outcome.
    assert!(matches!(judged(NOW + 3_600_000, NOW + 3_600_000, 8), Judged::Ignore(_)));
    assert!(matches!(judged(NOW, NOW, 8), Judged::Ignore(_)));
}

#[test]
fn forged_and_malformed_envelopes_are_never_answered() {
    let keys = [PublicKey::from(&key())];
    let judged = |raw: &[u8]| judge(raw, &keys, &us(), NOW, NOW, 0);
    let good = signed(&command(8, NOW));
    for cut in 0..good.len() {
        assert!(matches!(judged(&good[..cut]), Judged::Ignore(_)), "cut at {cut}");
    }
    assert!(matches!(judged(&vec![b' '; 20_000]), Judged::Ignore(_)));
    let other = Envelope::sign_json(envelope::COMMAND, &command(8, NOW), &SigningKey::from_bytes(&[9; 32]));
    assert_eq!(judged(&serde_json::to_vec(&other).unwrap()), Judged::UnknownKey);
    let mut forged = Envelope::from_slice(&good).unwrap();
    forged.payload = Envelope::sign_json(envelope::COMMAND, &command(9, NOW), &key()).payload;
    assert!(matches!(judged(&serde_json::to_vec(&forged).unwrap()), Judged::Ignore(_)));
    let typed = Envelope::sign_json(envelope::PAIRING, &command(8, NOW), &key());
    assert!(matches!(judged(&serde_json::to_vec(&typed).unwrap()), Judged::Ignore(_)));
    let mut strange = command(8, NOW);
    strange.aud.server_id = "0190a6b0-7c00-7000-8000-00000000bbbb".parse().unwrap();
    assert!(matches!(judged(&signed(&strange)), Judged::Ignore(_)));
    let unknown =
        String::from_utf8(serde_json::to_vec(&command(8, NOW)).unwrap()).unwrap().replace("restart-service", "run-shell");
    let unknown = Envelope::sign(envelope::COMMAND, unknown.as_bytes(), &key());
    let judged = judged(&serde_json::to_vec(&unknown).unwrap());
    assert!(matches!(judged, Judged::Refuse { reason: Rejection::Unknown, seq: 8, .. }), "{judged:?}");
}

#[test]
fn rates_count_by_the_gap_and_by_the_hour() {
    let rates = Settings::for_test().rates;
    let allowed = |ages: &[u64]| check_rate(ages.iter().copied(), &rates).is_ok();
    assert!(allowed(&[]));
    assert!(!allowed(&[29_999]));
    assert!(allowed(&[30_000]));
    assert!(!allowed(&[60_000, 120_000, 180_000, 240_000, 300_000, 360_000]));
    assert!(allowed(&[60_000, 120_000, 180_000, 240_000, 300_000, 3_600_001]));
}

fn chore(seq: i64, action: Action) -> Vec<u8> {
    signed(&Command { action, ..command(seq, clock::host_now()) })
}

impl Host {
    fn grants(self, chores: &str) -> Self {
        list(&self.settings.policy_file, &format!(r#"{{"version":1,"units":[],"chores":[{chores}]}}"#));
        self
    }

    async fn does(&self, seq: i64, action: Action) -> Option<Outcome> {
        assert_eq!(self.handle(&chore(seq, action)).await, Handled::Recorded);
        let jti = command(seq, 0).jti;
        self.ledger.borrow().open_outcomes("id1").into_iter().find(|(of, _)| *of == jti).map(|(_, outcome)| outcome)
    }

    async fn watch(&self) -> (bool, bool) {
        let Self { settings, identity, clock, ledger, systemd, .. } = self;
        Executor { settings, identity, clock, ledger, systemd }.watch_reboot().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_chore_is_done_by_roots_oneshot_where_root_grants_it() {
    let oneshot = ServiceState { kind: "oneshot".to_owned(), ..state("inactive", "dead", "success") };
    let mut host = Host::new().grants(r#""run-logrotate""#);
    host.systemd.states = vec![oneshot].into();
    let done = host.does(1, Action::RunLogrotate {}).await.unwrap();
    assert_eq!((done.result, done.detail.as_str()), (OutcomeKind::Succeeded, "done"));
    assert_eq!(*host.systemd.restarted.borrow(), [LOGROTATE_UNIT]);
    let soon = host.does(2, Action::RunLogrotate {}).await.unwrap();
    assert_eq!(soon.reason, Some(Rejection::Rate));
    let not_granted = host.does(3, Action::CleanJournal {}).await.unwrap();
    assert_eq!(not_granted.reason, Some(Rejection::Unsupported));
    assert_eq!(host.restarts(), 1);

    let running = Host::new().grants(r#""clean-journal""#);
    *running.systemd.states.borrow_mut() = vec![state("activating", "start", "success")];
    let outcome = running.does(1, Action::CleanJournal {}).await.unwrap();
    assert!(outcome.result == OutcomeKind::Failed && outcome.detail.contains("running already"), "{outcome:?}");
    assert_eq!(running.restarts(), 0, "a restart would have killed it");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_scheduled_called_off_and_never_anothers() {
    let host = Host::new().grants(r#""reboot""#);
    assert_eq!(host.does(1, Action::Reboot {}).await, None, "it is ahead");
    let due = host.systemd.shutdown.borrow().clone().unwrap();
    assert!(due.kind == "reboot" && (55_000..=60_000).contains(&(due.at - clock::host_now())));
    assert_eq!(host.watch().await, (true, false));
    let second = host.does(2, Action::Reboot {}).await.unwrap();
    assert!(second.result == OutcomeKind::Failed && second.detail.contains("scheduled a reboot"), "{second:?}");
    let wrong = host.does(3, Action::CancelReboot { of: jti(999) }).await.unwrap();
    assert_eq!(wrong.result, OutcomeKind::Failed);
    assert!(host.systemd.shutdown.borrow().is_some());

    let cancelled = host.does(4, Action::CancelReboot { of: command(1, 0).jti }).await.unwrap();
    assert_eq!(cancelled.result, OutcomeKind::Succeeded);
    assert_eq!(*host.systemd.shutdown.borrow(), None);
    let reboot = host.ledger.borrow().open_outcomes("id1").into_iter().find(|(jti, _)| *jti == command(1, 0).jti).unwrap().1;
    assert_eq!(reboot.result, OutcomeKind::Cancelled);
    assert_eq!(host.watch().await, (false, false));
    // Root's own plans are not ours to touch.
    *host.systemd.shutdown.borrow_mut() = Some(crate::host::systemd::Shutdown { kind: "poweroff".to_owned(), at: NOW });
    assert_eq!(host.does(5, Action::Reboot {}).await.unwrap().result, OutcomeKind::Failed);
    assert_eq!(host.does(6, Action::Reboot {}).await.unwrap().reason, Some(Rejection::Rate), "three a day");
    assert_eq!(host.systemd.shutdown.borrow().as_ref().unwrap().kind, "poweroff");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_called_off_on_the_server_is_noticed() {
    let host = Host::new().grants(r#""reboot""#);
    assert_eq!(host.does(1, Action::Reboot {}).await, None);
    *host.systemd.shutdown.borrow_mut() = None;
    assert_eq!(host.watch().await, (false, true));
    let outcome = host.ledger.borrow().open_outcomes("id1").pop().unwrap().1;
    assert_eq!((outcome.result, outcome.detail.as_str()), (OutcomeKind::Cancelled, "called off on the server"));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_of_a_container_is_seen_by_its_init() {
    let host = Host::new().grants(r#""reboot""#);
    assert_eq!(host.does(1, Action::Reboot {}).await, None);
    // The kernel, and so its boot id, stays the same.
    host.systemd.init.set(77);
    *host.systemd.shutdown.borrow_mut() = None;
    assert_eq!(host.watch().await, (false, true));
    let outcome = host.ledger.borrow().open_outcomes("id1").pop().unwrap().1;
    assert_eq!(outcome.result, OutcomeKind::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn no_time_that_the_backend_tells_lifts_the_rates() {
    let host = Host::new();
    assert_eq!(host.ask(1).await.result, OutcomeKind::Succeeded);
    host.clock.learn(clock::host_now() + 24 * 3_600_000, std::time::Duration::ZERO);
    assert_eq!(host.ask(2).await.reason, Some(Rejection::Rate));
    assert_eq!(host.restarts(), 1);
}
