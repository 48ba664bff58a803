//! Buttons, and what they carry: an intent as at most 64 bytes of callback data, both ways.
//!
//! Data is a verb of one letter and its ids, split by colons. Nothing in it is trusted when it comes back: ids are only
//! keys for look-ups that also ask for the chat, and whoever taps is authorised at the tap.

use std::str::FromStr;

use osm_protocol::action::Chore;
use teloxide::types::{CopyTextButton, InlineKeyboardButton, InlineKeyboardButtonKind, InlineKeyboardMarkup};

use crate::{
    domain::{
        alert::{Rule, Setting, Severity},
        ids::ServerId,
        intent::{Family, Intent},
    },
    telegram::text::printable,
};

/// Telegram's limit on callback data, in bytes.
pub const DATA_MAX: usize = 64;
/// Telegram's limit on the text behind a copy button, in characters.
pub const COPY_MAX: usize = 256;
/// Longer texts are cut off on phones anyway.
const LABEL_MAX: usize = 60;
/// For how many hours something can be made silent by a tap.
pub const HOURS: [u32; 3] = [1, 8, 24];
/// What no verb is; answered as a stale button.
const NOTHING: &str = "-";

/// Gives what a tapped button asks for. Data that this version never wrote is a stale button.
pub fn parse(data: &str) -> Intent {
    understand(data).unwrap_or(Intent::StaleButton)
}

/// Gives the callback data of an intent; of one that no button carries, data that [`parse`] calls stale.
pub fn data(intent: &Intent) -> String {
    let data = match intent {
        Intent::AddServer { name: None } => "a".to_owned(),
        Intent::Help => "h".to_owned(),
        Intent::Servers { page } => format!("l:{page}"),
        Intent::PairingSteps { pairing_id, family } => format!("p:{pairing_id}:{}", family_letter(*family)),
        Intent::ShowServer { server_id } => format!("s:{server_id}"),
        Intent::Refresh { server_id, page } => format!("r:{server_id}:{page}"),
        Intent::Services { server_id, page } => format!("v:{server_id}:{page}"),
        Intent::AskRestart { server_id, unit } => format!("u:{server_id}:{unit}"),
        Intent::AskChore { server_id, chore } => format!("c:{server_id}:{}", chore_letter(*chore)),
        Intent::CancelReboot { command_id } => format!("x:{command_id}"),
        Intent::AskRemove { server_id } => format!("d:{server_id}"),
        Intent::Alerts { page } => format!("A:{page}"),
        Intent::ShowIncident { incident_id } => format!("i:{incident_id}"),
        Intent::Acknowledge { incident_id } => format!("k:{incident_id}"),
        Intent::AcknowledgeAll => "K".to_owned(),
        Intent::Snooze { incident_id, hours } => format!("z:{incident_id}:{hours}"),
        Intent::TestAlert => "t".to_owned(),
        Intent::ShowThresholds { server_id } => format!("T:{}", scope_text(*server_id)),
        Intent::TryThreshold { server_id, rule, setting } => threshold("e", *server_id, *rule, *setting),
        Intent::SetThreshold { server_id, rule, setting } => threshold("E", *server_id, *rule, *setting),
        Intent::MuteFor { server_id, hours } => format!("m:{}:{hours}", scope_text(*server_id)),
        Intent::Unmute { mute_id } => format!("w:{mute_id}"),
        Intent::Confirm { confirmation_id } => format!("y:{confirmation_id}"),
        Intent::Decline { confirmation_id } => format!("n:{confirmation_id}"),
        Intent::Start { .. }
        | Intent::AddServer { name: Some(_) }
        | Intent::Status { .. }
        | Intent::RemoveServer { .. }
        | Intent::Thresholds { .. }
        | Intent::Mute { .. }
        | Intent::TimeZone { .. }
        | Intent::StaleButton
        | Intent::UnknownCommand
        | Intent::Reachable { .. }
        | Intent::Migrated { .. } => NOTHING.to_owned(),
    };
    // Telegram refuses the whole message for one button that is too long.
    if data.len() <= DATA_MAX { data } else { NOTHING.to_owned() }
}

/// Gives a button that asks for `intent`. `label` is plain text.
pub fn button(label: &str, intent: &Intent) -> InlineKeyboardButton {
    InlineKeyboardButton::new(printable(label, LABEL_MAX), InlineKeyboardButtonKind::CallbackData(data(intent)))
}

/// Gives a button that opens a link, if it is one.
pub fn link(label: &str, url: &str) -> Option<InlineKeyboardButton> {
    let url = url.parse().ok()?;
    Some(InlineKeyboardButton::new(printable(label, LABEL_MAX), InlineKeyboardButtonKind::Url(url)))
}

/// Gives a button that copies `content`, if that is not too long for one.
pub fn copy(label: &str, content: &str) -> Option<InlineKeyboardButton> {
    (1..=COPY_MAX).contains(&content.encode_utf16().count()).then(|| {
        let kind = InlineKeyboardButtonKind::CopyText(CopyTextButton { text: content.to_owned() });
        InlineKeyboardButton::new(printable(label, LABEL_MAX), kind)
    })
}

/// Gives a keyboard without its empty rows, which Telegram would drop too.
pub fn keyboard(rows: impl IntoIterator<Item = Vec<InlineKeyboardButton>>) -> InlineKeyboardMarkup {
    InlineKeyboardMarkup::new(rows.into_iter().filter(|row| !row.is_empty()))
}

fn understand(data: &str) -> Option<Intent> {
    let mut parts = data.split(':');
    let verb = parts.next()?;
    let intent = match verb {
        "a" => Intent::AddServer { name: None },
        "h" => Intent::Help,
        "l" => Intent::Servers { page: page(parts.next())? },
        "p" => Intent::PairingSteps { pairing_id: id(parts.next())?, family: family(parts.next()?)? },
        "s" => Intent::ShowServer { server_id: id(parts.next())? },
        "r" => Intent::Refresh { server_id: id(parts.next())?, page: page(parts.next())? },
        "v" => Intent::Services { server_id: id(parts.next())?, page: page(parts.next())? },
        "u" => Intent::AskRestart { server_id: id(parts.next())?, unit: tag(parts.next())? },
        "c" => Intent::AskChore { server_id: id(parts.next())?, chore: chore(parts.next()?)? },
        "x" => Intent::CancelReboot { command_id: id(parts.next())? },
        "d" => Intent::AskRemove { server_id: id(parts.next())? },
        "A" => Intent::Alerts { page: page(parts.next())? },
        "i" => Intent::ShowIncident { incident_id: id(parts.next())? },
        "k" => Intent::Acknowledge { incident_id: id(parts.next())? },
        "K" => Intent::AcknowledgeAll,
        "z" => Intent::Snooze { incident_id: id(parts.next())?, hours: hours(parts.next())? },
        "t" => Intent::TestAlert,
        "T" => Intent::ShowThresholds { server_id: scope(parts.next()).ok()? },
        "e" => Intent::TryThreshold {
            server_id: scope(parts.next()).ok()?,
            rule: rule(parts.next()?)?,
            setting: setting(&mut parts).ok()?,
        },
        "E" => Intent::SetThreshold {
            server_id: scope(parts.next()).ok()?,
            rule: rule(parts.next()?)?,
            setting: setting(&mut parts).ok()?,
        },
        "m" => Intent::MuteFor { server_id: scope(parts.next()).ok()?, hours: hours(parts.next())? },
        "w" => Intent::Unmute { mute_id: id(parts.next())? },
        "y" => Intent::Confirm { confirmation_id: id(parts.next())? },
        "n" => Intent::Decline { confirmation_id: id(parts.next())? },
        _ => return None,
    };
    parts.next().is_none().then_some(intent)
}

fn id<I: FromStr>(part: Option<&str>) -> Option<I> {
    part?.parse().ok()
}

/// Gives a server, or `-` for the whole chat.
fn scope(part: Option<&str>) -> Result<Option<ServerId>, Strange> {
    if part == Some(NOTHING) { Ok(None) } else { id(part).map(Some).ok_or(Strange) }
}

fn scope_text(server_id: Option<ServerId>) -> String {
    server_id.map_or_else(|| NOTHING.to_owned(), |server_id| server_id.to_string())
}

/// Those that buttons offer.
fn hours(part: Option<&str>) -> Option<u32> {
    HOURS.into_iter().find(|hours| part == Some(hours.to_string().as_str()))
}

fn threshold(verb: &str, server_id: Option<ServerId>, rule: Rule, setting: Option<Setting>) -> String {
    let head = format!("{verb}:{}:{}", scope_text(server_id), rule_letter(rule));
    let Some(Setting { enabled, tenths, lower_tenths, minutes, severity }) = setting else { return head };
    let mode = match (enabled, severity) {
        (true, Severity::Critical) => 'c',
        (true, Severity::Warning) => 'w',
        (false, Severity::Critical) => 'C',
        (false, Severity::Warning) => 'W',
    };
    format!("{head}:{tenths}:{lower_tenths}:{minutes}:{mode}")
}

/// Data that this version never wrote.
struct Strange;

/// Gives what is left of a threshold's data: four parts, or none.
fn setting<'d>(parts: &mut impl Iterator<Item = &'d str>) -> Result<Option<Setting>, Strange> {
    let Some(tenths) = parts.next() else { return Ok(None) };
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let lower_tenths = parts.next().and_then(number).ok_or(Strange)?;
    let minutes = parts.next().and_then(number).ok_or(Strange)?;
    let tenths = number(tenths).ok_or(Strange)?;
    let (enabled, severity) = match parts.next().ok_or(Strange)? {
        "c" => (true, Severity::Critical),
        "w" => (true, Severity::Warning),
        "C" => (false, Severity::Critical),
        "W" => (false, Severity::Warning),
        _ => return Err(Strange),
    };
    Ok(Some(Setting { enabled, tenths, lower_tenths, minutes, severity }))
}

fn rule_letter(rule: Rule) -> &'static str {
    match rule {
        Rule::Cpu => "c",
        Rule::Memory => "m",
        Rule::Swap => "s",
        Rule::Disk => "d",
        Rule::Inodes => "i",
        Rule::ReadOnly => "w",
        Rule::NoAnswer => "n",
        Rule::Load => "l",
        Rule::Service => "u",
        Rule::Restarts => "a",
        Rule::NotReady => "y",
        Rule::Down => "b",
        Rule::Unit => "f",
        Rule::Offline => "o",
        Rule::Reboot => "r",
        Rule::Clock => "t",
        Rule::Commands => "k",
    }
}

fn rule(letter: &str) -> Option<Rule> {
    Rule::ALL.into_iter().find(|rule| rule_letter(*rule) == letter)
}

/// [`crate::domain::server::unit_tag`]: 16 hexadecimal digits.
fn tag(part: Option<&str>) -> Option<String> {
    let part = part.filter(|part| part.len() == 16)?;
    part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then(|| part.to_owned())
}

fn page(part: Option<&str>) -> Option<u32> {
    // `parse` alone would take "+1".
    part.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn family_letter(family: Family) -> &'static str {
    match family {
        Family::Short => "s",
        Family::Apt => "a",
        Family::Dnf => "d",
    }
}

fn family(letter: &str) -> Option<Family> {
    [Family::Short, Family::Apt, Family::Dnf].into_iter().find(|family| family_letter(*family) == letter)
}

fn chore_letter(chore: Chore) -> &'static str {
    match chore {
        Chore::CleanJournal => "j",
        Chore::RunLogrotate => "l",
        Chore::Reboot => "r",
    }
}

fn chore(letter: &str) -> Option<Chore> {
    Chore::ALL.into_iter().find(|chore| chore_letter(*chore) == letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ids::ChatId, server::unit_tag};

    const ID: &str = "019aab1c-7e1f-7c3a-9f00-ffffffffffff";

    fn id<I: FromStr<Err: std::fmt::Debug>>() -> I {
        ID.parse().unwrap()
    }

    /// Gives every intent that a button carries, each with the longest ids it can have.
    fn carried() -> Vec<Intent> {
        let server_id: fn() -> ServerId = id;
        let mut intents = vec![
            Intent::AddServer { name: None },
            Intent::Help,
            Intent::Servers { page: u32::MAX },
            Intent::ShowServer { server_id: server_id() },
            Intent::Refresh { server_id: server_id(), page: u32::MAX },
            Intent::Services { server_id: server_id(), page: u32::MAX },
            Intent::AskRestart { server_id: server_id(), unit: unit_tag("nginx.service") },
            Intent::CancelReboot { command_id: id() },
            Intent::AskRemove { server_id: server_id() },
            Intent::Alerts { page: u32::MAX },
            Intent::ShowIncident { incident_id: id() },
            Intent::Acknowledge { incident_id: id() },
            Intent::AcknowledgeAll,
            Intent::Snooze { incident_id: id(), hours: 24 },
            Intent::TestAlert,
            Intent::Unmute { mute_id: id() },
            Intent::Confirm { confirmation_id: id() },
            Intent::Decline { confirmation_id: id() },
        ];
        for family in [Family::Short, Family::Apt, Family::Dnf] {
            intents.push(Intent::PairingSteps { pairing_id: id(), family });
        }
        for scope in [None, Some(server_id())] {
            let setting =
                Setting { enabled: false, tenths: 36_000, lower_tenths: 36_000, minutes: 1440, severity: Severity::Critical };
            intents.push(Intent::ShowThresholds { server_id: scope });
            intents.push(Intent::MuteFor { server_id: scope, hours: 24 });
            for rule in Rule::ALL {
                for setting in [None, Some(setting), Some(rule.default_limits().into())] {
                    intents.push(Intent::TryThreshold { server_id: scope, rule, setting });
                    intents.push(Intent::SetThreshold { server_id: scope, rule, setting });
                }
            }
        }
        for chore in Chore::ALL {
            intents.push(Intent::AskChore { server_id: server_id(), chore });
        }
        intents
    }

    #[test]
    fn buttons_survive_the_way_through_telegram() {
        for intent in carried() {
            let data = data(&intent);
            assert!(data.len() <= DATA_MAX, "{data}");
            assert_eq!(parse(&data), intent, "{data}");
        }
    }

    #[test]
    fn what_this_version_never_wrote_is_stale() {
        let mut stranger = vec![
            String::new(),
            "-".to_owned(),
            "a:".to_owned(),
            "l".to_owned(),
            "l:".to_owned(),
            "l:+1".to_owned(),
            "l:-1".to_owned(),
            "l:4294967296".to_owned(),
            format!("s:{ID}:0"),
            format!("s:{ID}0"),
            format!("s:{}", ID.to_uppercase()),
            format!("s:{{{ID}}}"),
            "s:s1".to_owned(),
            "s:' OR 1=1".to_owned(),
            "s:\0".to_owned(),
            "s:🦀".to_owned(),
            format!("r:{ID}"),
            format!("p:{ID}:x"),
            format!("u:{ID}:nginx.service"),
            format!("u:{ID}:ABCDEF0123456789"),
            format!("c:{ID}"),
            format!("c:{ID}:x"),
            format!("c:{ID}:r:r"),
            "x:".to_owned(),
            format!("z:{ID}:9"),
            format!("m:{ID}:+1"),
            format!("E:{ID}:c:900:10"),
            format!("E:{ID}:c:-1:10:c"),
            format!("E:{ID}:c:99999999999999999999:10:c"),
            format!("E:{ID}:?"),
            format!("Z:{ID}"),
            "x".repeat(4096),
        ];
        stranger.push(format!("{}\n", data(&Intent::Help)));
        for data in stranger {
            assert_eq!(parse(&data), Intent::StaleButton, "{data:?}");
        }
    }

    #[test]
    fn what_no_button_carries_becomes_a_stale_one() {
        for intent in [Intent::Start { code: None }, Intent::Migrated { to: ChatId(1) }, Intent::StaleButton] {
            assert_eq!(parse(&data(&intent)), Intent::StaleButton);
        }
    }

    #[test]
    fn copy_buttons_end_where_telegram_ends_them() {
        assert!(copy("Copy", &"x".repeat(COPY_MAX)).is_some());
        assert!(copy("Copy", &"x".repeat(COPY_MAX + 1)).is_none());
        assert!(copy("Copy", "").is_none());
    }

    #[test]
    fn a_link_that_is_none_makes_no_button() {
        assert!(link("Open", "https://t.me/bot?start=add").is_some());
        assert!(link("Open", "nonsense").is_none());
    }
}
