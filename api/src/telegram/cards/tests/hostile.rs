//! Whatever hosts and people put into their strings, Telegram takes the message.

use osm_protocol::action::{Action, Chore, Rejection};

use super::*;
use crate::{
    domain::{
        command::{Command, State},
        confirmation::{self, Asks, Confirmation},
        event::Refused,
        ids::{ChatId, UpdateId, UserId},
        intent::Family,
        notice::{Limit, Purpose},
        pairing::{Offer, Pairing, State as PairingState},
    },
    query::{access::Left, confirmations::Question},
    telegram::cards::markup::{MESSAGE_MAX, visible_len},
};

/// Gives the longest strings that may reach a card, and some that never should.
fn values() -> Vec<String> {
    vec![
        String::new(),
        "\0".to_owned(),
        " \u{202e}\u{2066}\n ".to_owned(),
        "</b></code></pre><a href=\"https://evil.example\">click</a>".repeat(20),
        "&lt;&amp;&#60;&nonsense;&".repeat(200),
        "<".repeat(4096),
        "🦀👩\u{200d}💻".repeat(700),
        "\u{202e}moc.live\u{2069} שלום ".repeat(200),
        "{ $server } { \"x\" } .attribute = \n-term".repeat(100),
        "x".repeat(4096),
        "line\nline\r\n\tline".repeat(300),
    ]
}

pub(super) fn hostile_server(value: &str, disks: usize, services: usize) -> Server {
    let mut server = with_report(|report| {
        report.host = Host {
            hostname: value.to_owned(),
            os: value.to_owned(),
            kernel: value.to_owned(),
            arch: value.to_owned(),
            cpus: u32::MAX,
            uptime_s: u64::MAX,
        };
        report.clock_ahead_ms = i64::MAX;
        report.at = i64::MIN;
        report.cpu = Some(f64::NAN);
        report.load = Some(Load { one: f64::MAX, five: f64::INFINITY, fifteen: -0.0 });
        let disk = Disk { fs_type: value.to_owned(), read_only: true, ..disk(value, 99) };
        report.disks = vec![disk; disks];
        report.chores = Chore::ALL.to_vec();
        report.monitored_only = Some(value.to_owned());
        report.commands_unreachable = Some(value.to_owned());
        let states = ["failed", "active", "inactive", value];
        report.services = (0..services)
            .map(|number| Service {
                sub_state: value.to_owned(),
                result: Some(value.to_owned()),
                status: Some(u8::MAX),
                restarts: Some(u32::MAX),
                restarted_ago_s: Some(u32::MAX),
                trouble: [None, Some(Trouble::NotReady), Some(Trouble::Down)][number % 3],
                waits_for: Some(value.to_owned()),
                // The first is what alerts are about.
                ..service(&if number == 0 { value.to_owned() } else { format!("{number}{value}") }, states[number % states.len()])
            })
            .collect();
    });
    server.name = value.to_owned();
    server.fingerprint = value.to_owned();
    server.os = value.to_owned();
    server.paired_from = value.to_owned();
    if let Some(latest) = &mut server.latest {
        latest.address = value.to_owned();
    }
    server
}

/// Gives a chat of somebody who may no longer use the bot, with more servers than are named.
fn left(value: &str, chat_id: i64) -> Left {
    Left { chat_id: ChatId(chat_id), user_id: UserId(i64::MAX), servers: vec![value.to_owned(); 40] }
}

/// Gives every card there is, with `value` in each of its strings.
fn cards(words: &Words<'_>, value: &str) -> Vec<Card> {
    let server = || hostile_server(value, 128, 512);
    let small = || hostile_server(value, 2, 2);
    let services = server().latest.map(|latest| latest.report.services).unwrap_or_default();
    let mut cards = vec![
        chat::claimed(words, i64::MAX),
        chat::welcome(words, 0),
        chat::help(words),
        chat::set_aside(words, UpdateId(i64::MIN)),
        pairing::sent_privately(words, value),
        pairing::needs_private_chat(words, value),
        pairing::paired(words, &small()),
        pairing::token_tried(words, &small(), value),
        chat::refused(words, Refused::TooMany, u64::MAX, &[value.to_owned(), value.to_owned(), value.to_owned()]),
        chat::packages_run_out(words, i64::MIN),
        pairing::cloned(words, &small()),
        pairing::unpaired(words, value),
        command::removed(words, value),
        access::private_bot(words, UserId(i64::MIN)),
        access::granted(words),
        access::owner_set(words),
        access::left_behind(words, &vec![left(value, 1001); 20]),
        access::left_behind(words, &[left(value, -1_001_234_567_890)]),
        access::gone(words, "server-removed-by-operator", value),
        access::gone(words, "server-moved-away", value),
        access::kept(words, "server-moved-here", &small()),
        access::kept(words, "server-paired-elsewhere", &small()),
        access::chat_revoked(words, u32::MAX),
        lists::servers(words, &page(vec![small(); 200], 1, 3)),
        lists::servers(words, &page(Vec::new(), u32::MAX, 0)),
        lists::services(words, &small(), &page(services, 1, 3)),
        lists::services(words, &small(), &page(Vec::new(), 0, 0)),
        lists::choose(words, Purpose::Status, &vec![small(); 200]),
        lists::choose(words, Purpose::Remove, &vec![small(); 9]),
        lists::no_such_server(words, value),
        gone(words),
    ];
    cards.extend(["access-revoked", "not-allowed", "unknown-command", "test-alert"].map(|key| Card::line(words.get(key))));
    cards.extend([0, 1, 5, 12, u32::MAX].map(|page| status::status(words, &server(), page)));
    cards.push(status::status(words, &Server { latest: None, suspended: true, ..server() }, 7));
    cards.push(status::status(words, &Server { unpaired_at: Some(i64::MIN), ..server() }, 0));
    cards.extend(
        [Limit::Servers, Limit::PairingTokens, Limit::Commands, Limit::Mutes].map(|limit| chat::limit_reached(words, limit)),
    );
    cards.extend(pairings(words, value));
    cards.extend(confirmations(words, value));
    cards.extend(commands(words, value));
    cards.extend(hostile_alerts::cards(words, value));
    cards
}

fn pairings(words: &Words<'_>, value: &str) -> Vec<Card> {
    let states = [
        PairingState::Open { token: "T".repeat(57), until: i64::MAX },
        PairingState::Used { server_name: value.to_owned() },
        PairingState::Expired,
    ];
    let source = Source {
        host: "osm.example.org".to_owned(),
        api_url: format!("https://{}.example", "x".repeat(500)),
        offer: Some(Offer { fingerprint: "F".repeat(40), script_sha256: "f".repeat(64) }),
    };
    let made = |state: &PairingState| Pairing { id: id(), name: value.to_owned(), state: state.clone() };
    let families = [Family::Short, Family::Apt, Family::Dnf];
    let all = families.into_iter().flat_map(|family| states.iter().map(move |state| (family, state)));
    all.map(|(family, state)| pairing::pairing(words, &made(state), family, &source)).collect()
}

fn confirmations(words: &Words<'_>, value: &str) -> Vec<Card> {
    let mut asked = vec![Asks::Restart { unit: value.to_owned() }, Asks::Remove {}];
    asked.extend(Chore::ALL.map(|chore| Asks::Chore { chore }));
    let question = |state, asks: &Asks| {
        let confirmation = Confirmation {
            id: id(),
            chat_id: ChatId(i64::MIN),
            user_id: UserId(i64::MAX),
            actor_name: value.to_owned(),
            server_id: id(),
            asks: asks.clone(),
            expires_at: i64::MIN,
            state,
            message_id: id(),
        };
        Question { confirmation, server_name: value.to_owned() }
    };
    let all = confirmation::State::ALL.into_iter().flat_map(|state| asked.iter().map(move |asks| (state, asks)));
    all.map(|(state, asks)| command::confirmation(words, &question(state, asks))).collect()
}

fn commands(words: &Words<'_>, value: &str) -> Vec<Card> {
    let actions = [
        Action::RestartService { unit: value.to_owned() },
        Action::CleanJournal {},
        Action::RunLogrotate {},
        Action::Reboot {},
        Action::CancelReboot { of: id() },
    ];
    let command = |state, action| Command {
        id: id(),
        server_id: id(),
        server_name: value.to_owned(),
        action,
        state,
        requested_by: value.to_owned(),
        reason: Some(Rejection::Policy),
        detail: value.to_owned(),
        created_at: i64::MIN,
        finished_at: Some(i64::MAX),
    };
    let all = State::ALL.into_iter().flat_map(|state| actions.clone().map(|action| command(state, action)));
    all.map(|command| command::command(words, &command)).collect()
}

/// Names the test that shows each notice, so that a new one is not forgotten: it does not compile without an arm here.
fn shown_by(notice: &Notice) -> &'static str {
    match notice {
        Notice::Welcome { .. }
        | Notice::PrivateBot
        | Notice::AccessGranted
        | Notice::AccessRevoked
        | Notice::OwnerSet
        | Notice::LeftBehind
        | Notice::PairedElsewhere { .. }
        | Notice::RemovedByOperator { .. }
        | Notice::MovedAway { .. }
        | Notice::MovedHere { .. }
        | Notice::ChatRevoked { .. }
        | Notice::Help
        | Notice::PairingSentPrivately { .. }
        | Notice::PairingNeedsPrivateChat
        | Notice::Paired { .. }
        | Notice::TokenTried { .. }
        | Notice::Refused { .. }
        | Notice::PackagesRunOut { .. }
        | Notice::Cloned { .. }
        | Notice::Unpaired { .. }
        | Notice::Servers { .. }
        | Notice::Status { .. }
        | Notice::Services { .. }
        | Notice::Choose { .. }
        | Notice::NoSuchServer { .. }
        | Notice::Removed { .. }
        | Notice::NotAllowed
        | Notice::LimitReached { .. }
        | Notice::UnknownCommand
        | Notice::SetAside { .. }
        | Notice::TestAlert => "cards",
        Notice::Pairing { .. } => "pairings",
        Notice::Confirmation { .. } => "confirmations",
        Notice::Command { .. } => "commands",
        Notice::Alert { .. }
        | Notice::Recovered { .. }
        | Notice::Reminder
        | Notice::Incident { .. }
        | Notice::Alerts { .. }
        | Notice::Thresholds { .. }
        | Notice::Threshold { .. }
        | Notice::Mutes
        | Notice::NotUnderstood { .. }
        | Notice::TimeZone => "hostile_alerts::cards",
    }
}

/// Gives the tags of a message, opened and closed in order, each one that Telegram knows; character references likewise.
#[track_caller]
fn assert_well_formed(html: &str) -> usize {
    let mut open = Vec::new();
    let mut tags = 0;
    let mut rest = html;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let found = &rest[at..];
        let end = match found.as_bytes()[0] {
            b'<' => found.find('>').expect("a tag ends"),
            b'&' => found.find(';').expect("a reference ends"),
            _ => panic!("a bare > in {html}"),
        };
        match &found[..=end] {
            "&lt;" | "&gt;" | "&amp;" => {}
            "<b>" | "<i>" | "<code>" | "<pre>" => open.push(&found[1..end]),
            "<code class=\"language-bash\">" => open.push("code"),
            "</b>" | "</i>" | "</code>" | "</pre>" => {
                assert_eq!(open.pop(), Some(&found[2..end]), "{html}");
                tags += 1;
            }
            other => panic!("{other} in {html}"),
        }
        rest = &found[end + 1..];
    }
    assert_eq!(open, Vec::<&str>::new(), "{html}");
    tags
}

#[track_caller]
fn assert_accepted(rendered: &Rendered) {
    let tags = assert_well_formed(&rendered.html);
    let Rendered { html, keyboard } = rendered;
    assert!(!html.trim().is_empty());
    assert!(visible_len(html) <= MESSAGE_MAX, "{} units: {html}", visible_len(html));
    assert!(tags <= 100, "Telegram shows 100 of {tags} tags");
    assert!(!html.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}' || c == '\u{2066}')), "{html:?}");
    assert!(keyboard.inline_keyboard.iter().map(Vec::len).sum::<usize>() <= 100, "{html}");
    for row in &keyboard.inline_keyboard {
        assert!((1..=8).contains(&row.len()), "{html}");
    }
    for button in keyboard.inline_keyboard.iter().flatten() {
        assert!(!button.text.trim().is_empty() && button.text.chars().count() <= 60, "{}", button.text);
        match &button.kind {
            InlineKeyboardButtonKind::CallbackData(data) => {
                assert!((1..=keyboards::DATA_MAX).contains(&data.len()), "{data}");
                assert_ne!(keyboards::parse(data), Intent::StaleButton, "{data}");
            }
            InlineKeyboardButtonKind::CopyText(copy) => assert!(copy.text.chars().count() <= keyboards::COPY_MAX),
            InlineKeyboardButtonKind::Url(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn telegram_takes_every_card() {
    assert_eq!(shown_by(&Notice::Help), "cards");
    for value in values() {
        in_words(|words| {
            for card in cards(words, &value) {
                assert_accepted(&card.render(words, Some(i64::MIN)));
            }
        });
    }
}

#[test]
fn telegram_takes_every_toast() {
    let text = Text::new(None);
    assert_eq!(toast(Toast::Done, &text), "");
    for some in [
        Toast::Refreshed,
        Toast::Stale,
        Toast::NotAllowed,
        Toast::NotYours,
        Toast::ConfirmationExpired,
        Toast::AlreadyAnswered,
        Toast::Declined,
        Toast::NotRestartable,
        Toast::NotOffered,
        Toast::RebootOver,
        Toast::CancelAsked,
        Toast::LimitReached,
        Toast::Suspended,
        Toast::Acknowledged,
        Toast::Snoozed,
        Toast::AlertOver,
        Toast::Saved,
        Toast::OutOfRange,
        Toast::Muted,
        Toast::Unmuted,
        Toast::TooManyMutes,
    ] {
        let words = toast(some, &text);
        assert!((1..=200).contains(&words.encode_utf16().count()) && !words.contains(['<', '&', '\n']), "{words}");
    }
}

#[test]
fn memory_and_disk_figures_that_make_no_sense_do_not_stop_the_card() {
    let server = with_report(|report| {
        report.memory = Some(Memory { total: 0, available: 0, swap_total: 0, swap_free: 0 });
        report.disks[0] = Disk { total: 0, used: 0, available: 0, inodes_total: 0, ..disk("/empty", 0) };
        report.cpu = None;
        report.load = None;
    });
    assert_accepted(&show(|words| status::status(words, &server, 0)));
}
