//! Really? And what became of it.

use osm_protocol::action::{Action, Chore, Rejection};
use teloxide::types::InlineKeyboardButton;

use super::{
    card::Card,
    figures::Words,
    lists::servers_button,
    markup::{code, safe, width},
    pairing::show_button,
};
use crate::{
    domain::{
        command::{Command, State},
        confirmation::{self, Asks},
        intent::Intent,
    },
    query::confirmations::Question,
    telegram::keyboards::button,
};

pub(super) fn confirmation(words: &Words, question: &Question) -> Card {
    let Question { confirmation, server_name } = question;
    let server = safe(server_name, width::NAME);
    let line = match &confirmation.asks {
        Asks::Restart { unit } => {
            words.with("confirm-restart", &[("unit", code(unit, width::UNIT).into()), ("server", server.into())])
        }
        Asks::Chore { chore } => words.with(chore_question(*chore), &[("server", server.into())]),
        Asks::Remove {} => words.with("confirm-remove", &[("server", server.into())]),
    };
    let person = [("person", safe(&confirmation.actor_name, width::NAME).into())];
    match confirmation.state {
        confirmation::State::Open => {
            let yes = match confirmation.asks {
                Asks::Restart { .. } => "button-confirm-restart",
                Asks::Chore { chore: Chore::CleanJournal } => "button-confirm-clean-journal",
                Asks::Chore { chore: Chore::RunLogrotate } => "button-confirm-logrotate",
                Asks::Chore { chore: Chore::Reboot } => "button-confirm-reboot",
                Asks::Remove {} => "button-confirm-remove",
            };
            let confirmation_id = confirmation.id;
            let yes = button(&words.get(yes), &Intent::Confirm { confirmation_id });
            let no = button(&words.get("button-cancel"), &Intent::Decline { confirmation_id });
            Card { lines: vec![line, words.with("confirm-who", &person)], rows: vec![vec![yes, no]] }
        }
        confirmation::State::Declined => Card { lines: vec![line, words.with("confirm-declined", &person)], rows: vec![] },
        // A confirmed one's message shows what it led to.
        confirmation::State::Expired | confirmation::State::Confirmed => {
            Card { lines: vec![line, words.get("confirm-expired")], rows: vec![] }
        }
    }
}

fn chore_question(chore: Chore) -> &'static str {
    match chore {
        Chore::CleanJournal => "confirm-clean-journal",
        Chore::RunLogrotate => "confirm-logrotate",
        Chore::Reboot => "confirm-reboot",
    }
}

pub(super) fn command(words: &Words, command: &Command) -> Card {
    let mut lines = vec![title(words, command), state(words, command)];
    let reason = command.reason.filter(|_| command.state == State::Rejected);
    lines.extend(reason.map(|reason| words.get(rejection(reason, &command.action))));
    if !command.detail.is_empty() {
        lines.push(words.with("host-says", &[("detail", safe(&command.detail, width::DETAIL).into())]));
    }
    let person = safe(&command.requested_by, width::NAME);
    let asked = [("person", person.into()), ("moment", words.moment(command.created_at).into())];
    lines.push(words.with("asked-by", &asked));
    Card { lines, rows: vec![buttons(words, command)] }
}

fn buttons(words: &Words, command: &Command) -> Vec<InlineKeyboardButton> {
    match (command.state, &command.action) {
        (State::Queued | State::Delivered, Action::Reboot {}) => {
            vec![button(&words.get("button-cancel-reboot"), &Intent::CancelReboot { command_id: command.id })]
        }
        // While it runs, the message speaks for itself.
        (State::Queued | State::Delivered, _) => vec![],
        _ => vec![show_button(words, &command.server_name, command.server_id)],
    }
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
        State::Delivered if command.action == Action::Reboot {} => words.get("course-delivered-reboot"),
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
fn rejection(reason: Rejection, action: &Action) -> &'static str {
    match reason {
        Rejection::Rate if *action == Action::Reboot {} => "refused-rate-reboot",
        Rejection::Clock => "refused-clock",
        Rejection::Expired => "refused-expired",
        Rejection::Policy => "refused-policy",
        Rejection::Rate => "refused-rate",
        Rejection::UnitNotListed => "refused-unit-not-listed",
        Rejection::Unsupported => "refused-unsupported",
        Rejection::Unknown => "refused-unknown",
    }
}
