//! A command's way: judged, admitted by the host's own policy, written down, done, and its outcome written down.

use std::{cell::RefCell, path::Path};

use osm_protocol::{
    action::{Action, Outcome, OutcomeKind, Rejection},
    command::Command,
    ids::CommandId,
    key::PublicKey,
};

use super::{
    admit::admit,
    ended::{Ended, Refusal},
    facts::Taken,
    judge::{Identity, Judged, Judging},
    ledger::Ledger,
    oneshot,
    reboot::{self, Due},
    restart::restart,
};
use crate::{
    config::Settings,
    crash,
    host::{clock::Clock, journal, systemd::Systemd},
    policy::list::UnitList,
    text::shorten,
};

/// What was learned from an envelope that was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The ledger has moved on.
    Recorded,
    Ignored,
    UnknownKey,
}

pub struct Executor<'a, S> {
    pub settings: &'a Settings,
    pub identity: &'a Identity,
    pub clock: &'a Clock,
    pub ledger: &'a RefCell<Ledger>,
    pub systemd: &'a S,
}

/// What of an envelope is written down.
#[derive(Clone, Copy)]
struct Told {
    jti: CommandId,
    seq: i64,
    exp: i64,
}

/// What is known of the reboot that a command has scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// None is ahead.
    Nothing,
    Ahead,
    /// Its outcome has just been written down.
    Ended,
}

impl<S: Systemd> Executor<'_, S> {
    /// Takes one envelope all the way. Whatever happens, it happens at most once.
    pub async fn handle(&self, raw: &[u8], trusted: &[PublicKey]) -> Handled {
        self.ledger.borrow_mut().mend(self.clock.moment());
        let judging = Judging {
            trusted,
            us: self.identity,
            host_now: self.clock.moment().host,
            backend_now: self.clock.now(),
            last_seq: self.ledger.borrow().last_seq(self.identity.key_id),
        };
        match judging.judge(raw) {
            Judged::Ignore(why) => {
                log::warn!("an envelope is not taken up: {why}");
                Handled::Ignored
            }
            Judged::UnknownKey => {
                log::warn!("an envelope is signed by a key that is not trusted here");
                Handled::UnknownKey
            }
            Judged::Refuse { jti, seq, exp, refusal } => self.refuse(Told { jti, seq, exp }, refusal),
            Judged::Do(command) => self.take_up(&command).await,
        }
    }

    async fn take_up(&self, command: &Command) -> Handled {
        let Command { jti, seq, exp, ref action, .. } = *command;
        let told = Told { jti, seq, exp };
        if self.ledger.borrow().knows(jti) {
            return self.skip(told);
        }
        let trouble = self.ledger.borrow().trouble().map(str::to_owned);
        if let Some(trouble) = trouble {
            return self
                .refuse(told, Refusal::new(Rejection::Unsupported, format!("{trouble}; on the server: osm-agent doctor")));
        }
        log::info!("command {jti}: {action:?}, asked for by {}", shorten(&command.requested_by, 100));
        let list = UnitList::read(&self.settings.policy_file);
        let ages = self.ledger.borrow().ages(self.clock.moment(), action);
        if let Err(refusal) = admit(action, self.settings, &ages, list) {
            return self.refuse(told, refusal);
        }
        crash::point("command.admitted");
        let is_reboot = matches!(action, Action::Reboot {});
        let due = if is_reboot { Some(Due::plan(self.clock.moment().host, self.systemd).await) } else { None };
        let taken = Taken { act: Some(action.clone()), due, ..self.taken(told) };
        if let Err(error) = self.ledger.borrow_mut().take(taken) {
            log::error!("command {jti} is not done, because it cannot be written down first: {error}");
            return Handled::Ignored;
        }
        let ended = self.act(action, due).await;
        crash::point("command.acted");
        match ended {
            Some(ended) => self.finish(jti, ended),
            None => log::info!("command {jti}: the reboot is scheduled"),
        }
        Handled::Recorded
    }

    /// Does it. `None`: a reboot is scheduled; the next boot, or [`Executor::watch_reboot`], tells how that ended.
    async fn act(&self, action: &Action, due: Option<Due>) -> Option<Ended> {
        match action {
            Action::RestartService { unit } => Some(restart(unit, self.systemd).await),
            Action::CleanJournal {} => Some(oneshot::clean_journal(self.systemd, Path::new(journal::FREED)).await),
            Action::RunLogrotate {} => Some(oneshot::run_logrotate(self.systemd).await),
            Action::Reboot {} => reboot::schedule(due?, self.clock.moment().host, self.systemd).await.err(),
            Action::CancelReboot { of } => Some(self.call_off(*of).await),
        }
    }

    /// Calls the reboot off that the command `of` scheduled.
    async fn call_off(&self, of: CommandId) -> Ended {
        let ahead = self.ledger.borrow().open_reboot(self.identity.key_id);
        let Some((_, due)) = ahead.filter(|(jti, _)| *jti == of) else {
            return Ended::failed("there is no such reboot ahead");
        };
        let ended = reboot::call_off(due, self.systemd).await;
        if ended.result == OutcomeKind::Succeeded {
            self.finish(of, Ended::new(OutcomeKind::Cancelled, "called off from the chat"));
        }
        ended
    }

    /// Looks whether the reboot that is ahead still is.
    pub async fn watch_reboot(&self) -> Watched {
        let ahead = self.ledger.borrow().open_reboot(self.identity.key_id);
        let Some((jti, due)) = ahead else { return Watched::Nothing };
        let Some(ended) = reboot::watch(due, self.clock.moment().host, self.systemd).await else { return Watched::Ahead };
        self.finish(jti, ended);
        Watched::Ended
    }

    fn finish(&self, jti: CommandId, ended: Ended) {
        log::info!("command {jti}: {:?}: {}", ended.result, ended.detail);
        if let Err(error) = self.ledger.borrow_mut().finish(jti, self.outcome(ended), self.clock.moment()) {
            log::error!("the outcome of command {jti} cannot be written down: {error}");
        }
    }

    fn refuse(&self, told: Told, refusal: Refusal) -> Handled {
        let jti = told.jti;
        if self.ledger.borrow().knows(jti) {
            return self.skip(told);
        }
        log::warn!("command {jti} is refused ({:?}): {}", refusal.reason, refusal.detail);
        let outcome = self.outcome(refusal.into());
        recorded(self.ledger.borrow_mut().refuse(self.taken(told), outcome))
    }

    /// Passes over a command whose id was used before: it cannot be answered by its name. Its seq is used up.
    fn skip(&self, Told { jti, seq, .. }: Told) -> Handled {
        log::warn!("command {jti} is passed over: its id was used before");
        recorded(self.ledger.borrow_mut().skip(self.identity.key_id, seq, self.clock.moment()))
    }

    fn taken(&self, Told { jti, seq, exp }: Told) -> Taken {
        Taken {
            seq,
            jti,
            key: self.identity.key_id,
            boot: self.identity.boot.clone(),
            at: self.clock.moment(),
            act: None,
            exp,
            due: None,
            delivered: false,
        }
    }

    fn outcome(&self, Ended { result, reason, detail }: Ended) -> Outcome {
        Outcome { result, reason, detail: shorten(&detail, Outcome::DETAIL_MAX), at: self.clock.now() }
    }
}

/// Tells whether the ledger has moved on. Where it cannot be written, the command stays open and comes again.
fn recorded(written: std::io::Result<()>) -> Handled {
    match written {
        Ok(()) => Handled::Recorded,
        Err(error) => {
            log::error!("that cannot be written down: {error}");
            Handled::Ignored
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::fixture::{Host, NOW, command, jti, list, signed, us},
        host::systemd::{ServiceState, Shutdown, fake::state},
        policy::LOGROTATE_UNIT,
    };
    use osm_protocol::action::Rejection;
    use std::fs;

    #[tokio::test(start_paused = true)]
    async fn a_true_command_restarts_once_and_says_what_came_of_it() {
        let mut host = Host::new();
        let envelope = signed(&command(1, NOW));
        assert_eq!(host.handle(&envelope).await, Handled::Recorded);
        let (_, outcome) = host.ledger.borrow().open_outcomes(us().key_id).pop().unwrap();
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
        let mut reboot = command(5, NOW);
        reboot.action = Action::Reboot {};
        host.handle(&signed(&reboot)).await;
        assert_eq!(host.ledger.borrow().open_outcomes(us().key_id).pop().unwrap().1.reason, Some(Rejection::Unsupported));
        assert_eq!(host.restarts(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_agent_itself_is_never_restarted_even_when_listed() {
        let host = Host::new();
        list(&host.settings.policy_file, r#"{"version":1,"units":["osm-agent.service"]}"#);
        let mut command = command(1, NOW);
        command.action = Action::RestartService { unit: "osm-agent.service".to_owned() };
        host.handle(&signed(&command)).await;
        let outcome = host.ledger.borrow().open_outcomes(us().key_id)[0].1.clone();
        assert_eq!(outcome.reason, Some(Rejection::UnitNotListed));
        assert!(outcome.detail.contains("never"), "{}", outcome.detail);
        assert_eq!(host.restarts(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_used_id_is_passed_over_and_its_seq_is_used_up() {
        let host = Host::new();
        host.ask(1).await;
        let again = Command { seq: 2, ..command(1, NOW) };
        assert_eq!(host.handle(&signed(&again)).await, Handled::Recorded);
        assert_eq!(host.ledger.borrow().open_outcomes(us().key_id).len(), 1);
        assert_eq!(host.ledger.borrow().last_seq(us().key_id), 2);
        assert_eq!(host.restarts(), 1);
    }

    fn chore(seq: i64, action: Action) -> Vec<u8> {
        signed(&Command { action, ..command(seq, NOW) })
    }

    impl Host {
        fn grants(self, chores: &str) -> Self {
            list(&self.settings.policy_file, &format!(r#"{{"version":1,"units":[],"chores":[{chores}]}}"#));
            self
        }

        async fn does(&self, seq: i64, action: Action) -> Option<Outcome> {
            assert_eq!(self.handle(&chore(seq, action)).await, Handled::Recorded);
            let jti = command(seq, 0).jti;
            self.ledger.borrow().open_outcomes(us().key_id).into_iter().find(|(of, _)| *of == jti).map(|(_, outcome)| outcome)
        }

        async fn watch(&self) -> Watched {
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
    async fn a_reboot_is_scheduled_called_off_and_never_that_of_another() {
        let host = Host::new().grants(r#""reboot""#);
        assert_eq!(host.does(1, Action::Reboot {}).await, None, "it is ahead");
        let due = host.systemd.shutdown.borrow().clone().unwrap();
        assert!(due.kind == "reboot" && (55_000..=60_000).contains(&(due.at - NOW)));
        assert_eq!(host.watch().await, Watched::Ahead);
        let second = host.does(2, Action::Reboot {}).await.unwrap();
        assert!(second.result == OutcomeKind::Failed && second.detail.contains("scheduled a reboot"), "{second:?}");
        let wrong = host.does(3, Action::CancelReboot { of: jti(999) }).await.unwrap();
        assert_eq!(wrong.result, OutcomeKind::Failed);
        assert!(host.systemd.shutdown.borrow().is_some());

        let cancelled = host.does(4, Action::CancelReboot { of: command(1, 0).jti }).await.unwrap();
        assert_eq!(cancelled.result, OutcomeKind::Succeeded);
        assert_eq!(*host.systemd.shutdown.borrow(), None);
        let reboot =
            host.ledger.borrow().open_outcomes(us().key_id).into_iter().find(|(jti, _)| *jti == command(1, 0).jti).unwrap().1;
        assert_eq!(reboot.result, OutcomeKind::Cancelled);
        assert_eq!(host.watch().await, Watched::Nothing);
        // Root's own plans are not ours to touch.
        *host.systemd.shutdown.borrow_mut() = Some(Shutdown { kind: "poweroff".to_owned(), at: NOW });
        assert_eq!(host.does(5, Action::Reboot {}).await.unwrap().result, OutcomeKind::Failed);
        assert_eq!(host.does(6, Action::Reboot {}).await.unwrap().reason, Some(Rejection::Rate), "three a day");
        assert_eq!(host.systemd.shutdown.borrow().as_ref().unwrap().kind, "poweroff");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reboot_called_off_on_the_server_is_noticed() {
        let host = Host::new().grants(r#""reboot""#);
        assert_eq!(host.does(1, Action::Reboot {}).await, None);
        *host.systemd.shutdown.borrow_mut() = None;
        assert_eq!(host.watch().await, Watched::Ended);
        let outcome = host.ledger.borrow().open_outcomes(us().key_id).pop().unwrap().1;
        assert_eq!((outcome.result, outcome.detail.as_str()), (OutcomeKind::Cancelled, "called off on the server"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reboot_of_a_container_is_seen_by_its_init() {
        let host = Host::new().grants(r#""reboot""#);
        assert_eq!(host.does(1, Action::Reboot {}).await, None);
        // The kernel, and so its boot id, stays the same.
        host.systemd.init.set(77);
        *host.systemd.shutdown.borrow_mut() = None;
        assert_eq!(host.watch().await, Watched::Ended);
        let outcome = host.ledger.borrow().open_outcomes(us().key_id).pop().unwrap().1;
        assert_eq!(outcome.result, OutcomeKind::Succeeded);
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_that_the_backend_tells_lifts_the_rates() {
        let host = Host::new();
        assert_eq!(host.ask(1).await.result, OutcomeKind::Succeeded);
        host.clock.learn(NOW + 24 * 3_600_000, std::time::Duration::ZERO);
        assert_eq!(host.ask(2).await.reason, Some(Rejection::Rate));
        assert_eq!(host.restarts(), 1);
    }
}
