//! An event as a line of the log: which server, who, what, and what came of it.

use std::fmt;

use osm_protocol::action::Action;

use super::{Asked, By, Event, Happened, Refused};
use crate::domain::alert::{Rule, Severity};

/// Writes the line of an event. Control characters of names are taken out: a line stays one.
pub fn line(by: &By, happened: &Happened) -> String {
    let server = happened.server.as_ref().map(|server| format!("{}: ", server.name)).unwrap_or_default();
    let line = format!("{server}{by} {}", happened.event);
    line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { id, name } => write!(f, "{name} ({id})"),
            Self::Agent {} => f.write_str("the agent"),
            Self::Operator {} => f.write_str("the operator"),
            Self::System {} => f.write_str("the backend"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerClaimed {} => f.write_str("became the owner"),
            Self::OwnerSet { user, .. } => write!(f, "made {user} the owner"),
            Self::AccessGranted { user } => write!(f, "let {user} use the bot"),
            Self::AccessRevoked { user } => write!(f, "kept {user} out"),
            Self::PairingAsked { .. } => f.write_str("got a pairing token"),
            Self::Paired { fingerprint, address, again } => {
                let again = if *again { " again" } else { "" };
                write!(f, "paired{again} from {address}, key {fingerprint}")
            }
            Self::Unpaired {} => f.write_str("unpaired the server"),
            Self::Removed {} => f.write_str("removed the server"),
            Self::PairedElsewhere {} => f.write_str("paired it anew in another chat"),
            Self::MovedAway {} => f.write_str("moved the server to another chat"),
            Self::MovedHere {} => f.write_str("moved the server here"),
            Self::ChatRevoked { servers, tokens } => {
                write!(f, "removed all that is of a chat: {servers} servers, {tokens} open tokens")
            }
            Self::Cloned {} => f.write_str("suspended commands: two hosts report with one key"),
            Self::Asked { what } => write!(f, "asked to {what}"),
            Self::Confirmed { what } => write!(f, "confirmed to {what}"),
            Self::Declined { what } => write!(f, "declined to {what}"),
            Self::CommandQueued { action, .. } => write!(f, "queued the command to {}", Did(action)),
            Self::CommandEnded { action, state, .. } => {
                write!(f, "ended the command to {}: {}", Did(action), state.0.as_str())
            }
            Self::AlertOpened { rule, subject, severity, .. } => {
                let severity = match severity {
                    Severity::Warning => "warning",
                    Severity::Critical => "critical",
                };
                write!(f, "opened an alert: {}, {severity}", Of(*rule, subject))
            }
            Self::AlertAcknowledged { .. } => f.write_str("acknowledged an alert"),
            Self::AlertSnoozed { .. } => f.write_str("snoozed an alert"),
            Self::AlertOver { rule, subject, .. } => write!(f, "closed an alert: {}", Of(*rule, subject)),
            Self::Muted { .. } => f.write_str("muted it"),
            Self::Unmuted {} => f.write_str("ended a mute"),
            Self::ThresholdSet { rule, .. } => write!(f, "set the limit of {}", rule.as_str()),
            Self::ThresholdReset { rule } => write!(f, "reset the limit of {}", rule.as_str()),
            Self::TimeZoneSet { zone } => write!(f, "set the time zone {zone}"),
            Self::Reachable { reachable: true } => f.write_str("let the bot write in the chat"),
            Self::Reachable { reachable: false } => f.write_str("kept the bot from writing in the chat"),
            Self::UpdateSetAside { update } => write!(f, "set update {update} aside"),
            Self::KeysRotated { version } => write!(f, "rotated the keys: key set version {version}"),
            Self::TokenTried { address } => write!(f, "refused its pairing token to another machine, at {address}"),
            Self::Refused { what, count, networks } => {
                let from = if networks.is_empty() { String::new() } else { format!(", from {}", networks.join(", ")) };
                write!(f, "refused {count} in a minute: {what}{from}")
            }
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action { action } => Did(action).fmt(f),
            Self::Remove {} => f.write_str("remove the server"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PairingToken => "a pairing token that is wrong, used or expired",
            Self::UnknownKey => "a key that no server has",
            Self::Signature => "a signature that does not hold",
            Self::WebhookSecret => "a wrong secret of the webhook",
            Self::TooMany => "more requests than one address may make",
            Self::TooManyOfKey => "more requests than one server may make",
            Self::NoRoom => "more than this process takes at once",
            Self::TooSlow => "a head or a body that did not arrive in time",
            Self::TooLarge => "a body over its limit",
            Self::Stranger => "somebody whom nobody has let in",
        })
    }
}

struct Did<'a>(&'a Action);

impl fmt::Display for Did<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Action::RestartService { unit } => write!(f, "restart {unit}"),
            Action::CleanJournal {} => f.write_str("clean the journal"),
            Action::RunLogrotate {} => f.write_str("run logrotate"),
            Action::Reboot {} => f.write_str("reboot"),
            Action::CancelReboot { .. } => f.write_str("cancel the reboot"),
        }
    }
}

/// A rule, and the mount point or unit where a server has several.
struct Of<'a>(Rule, &'a str);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())?;
        if self.1.is_empty() { Ok(()) } else { write!(f, " {}", self.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ChatId, UserId};

    #[test]
    fn a_line_says_which_server_who_and_what_and_stays_one() {
        let by = By::Person { id: UserId(7), name: "Anna\n\u{1b}[2J".to_owned() };
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let what = Asked::Action { action: Action::RestartService { unit: "nginx.service".to_owned() } };
        let happened = Happened::to_server(ChatId(1), id, "web-1", Event::Asked { what });
        assert_eq!(line(&by, &happened), "web-1: Anna\u{fffd}\u{fffd}[2J (7) asked to restart nginx.service");
    }
}
