//! Really? And what became of it.

use osm_protocol::action::{Action, Rejection};

use super::{
    Card,
    figures::Words,
    lists::servers_button,
    markup::{code, safe, width},
    pairing::show_button,
};
use crate::{
    domain::{
        command::{Command, State},
        intent::Intent,
        view::{Asks, Confirmation, ConfirmationState},
    },
    telegram::keyboards::button,
};

pub(super) fn confirmation(words: &Words, confirmation: &Confirmation) -> Card {
    let server = safe(&confirmation.server_name, width::NAME);
    let question = match &confirmation.asks {
        Asks::Restart { unit } => {
            words.with("confirm-restart", &[("unit", code(unit, width::UNIT).into()), ("server", server.into())])
        }
        Asks::Remove => words.with("confirm-remove", &[("server", server.into())]),
    };
    let person = [("person", safe(&confirmation.actor_name, width::NAME).into())];
    match confirmation.state {
        ConfirmationState::Open => {
            let yes = match confirmation.asks {
                Asks::Restart { .. } => "button-confirm-restart",
                Asks::Remove => "button-confirm-remove",
            };
            let confirmation_id = || confirmation.id.clone();
            let yes = button(&words.get(yes), &Intent::Confirm { confirmation_id: confirmation_id() });
            let no = button(&words.get("button-cancel"), &Intent::Decline { confirmation_id: confirmation_id() });
            Card { lines: vec![question, words.with("confirm-who", &person)], rows: vec![vec![yes, no]] }
        }
        ConfirmationState::Declined => Card { lines: vec![question, words.with("confirm-declined", &person)], rows: vec![] },
        ConfirmationState::Expired => Card { lines: vec![question, words.get("confirm-expired")], rows: vec![] },
    }
}

pub(super) fn command(words: &Words, command: &Command) -> Card {
    let mut lines = vec![title(words, command), state(words, command)];
    lines.extend(command.reason.filter(|_| command.state == State::Rejected).map(|reason| words.get(rejection(reason))));
    if !command.detail.is_empty() {
        lines.push(words.with("host-says", &[("detail", safe(&command.detail, width::DETAIL).into())]));
    }
    let person = safe(&command.requested_by, width::NAME);
    let asked = [("person", person.into()), ("moment", words.moment(command.created_at).into())];
    lines.push(words.with("asked-by", &asked));
    // While it runs, the message speaks for itself.
    let rows = match command.state {
        State::Queued | State::Delivered => vec![],
        _ => vec![vec![show_button(words, &command.server_name, &command.server_id)]],
    };
    Card { lines, rows }
}

pub(super) fn removed(words: &Words, name: &str) -> Card {
    let line = words.with("server-removed", &[("server", safe(name, width::NAME).into())]);
    Card { lines: vec![line], rows: vec![vec![servers_button(words)]] }
}

fn title(words: &Words, command: &Command) -> String {
    let server = ("server", safe(&command.server_name, width::NAME).into());
    match &command.action {
        Action::RestartService { unit } => words.with("action-restart", &[("unit", code(unit, width::UNIT).into()), server]),
        Action::CleanJournal {} => words.with("action-clean-journal", &[server]),
        Action::RunLogrotate {} => words.with("action-logrotate", &[server]),
        Action::Reboot {} => words.with("action-reboot", &[server]),
        Action::CancelReboot { .. } => words.with("action-cancel-reboot", &[server]),
    }
}

fn state(words: &Words, command: &Command) -> String {
    let took = command.finished_at.map_or(0, |finished| finished.saturating_sub(command.created_at));
    let took = [("duration", words.duration(took).into())];
    match command.state {
        State::Queued => words.get("course-queued"),
        State::Delivered => words.get("course-delivered"),
        State::Succeeded => words.with("course-succeeded", &took),
        State::Failed => words.with("course-failed", &took),
        State::Rejected => words.get("course-rejected"),
        State::Indeterminate => words.get("course-indeterminate"),
        State::Unanswered => words.get("course-unanswered"),
        State::Expired => words.get("course-expired"),
        State::Cancelled => words.get("course-cancelled"),
    }
}

/// Why, and what to do.
fn rejection(reason: Rejection) -> &'static str {
    match reason {
        Rejection::Clock => "refused-clock",
        Rejection::Expired => "refused-expired",
        Rejection::Policy => "refused-policy",
        Rejection::Rate => "refused-rate",
        Rejection::UnitNotListed => "refused-unit-not-listed",
        Rejection::Unsupported => "refused-unsupported",
        Rejection::Unknown => "refused-unknown",
    }
}
