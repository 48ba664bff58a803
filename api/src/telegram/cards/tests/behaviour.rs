//! What people read, card by card.

use osm_protocol::action::{Action, Chore, Rejection};

use super::*;
use crate::{
    domain::{
        command::{Command, State},
        confirmation::{self, Asks, Confirmation},
        ids::{ChatId, UpdateId, UserId},
        intent::Family,
        notice::{Limit, Purpose},
        pairing::{Offer, Pairing, State as PairingState},
        server::unit_tag,
    },
    query::confirmations::Question,
};

const TOKEN: &str = "OSM1-0123456789ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJK";

fn status(server: &Server) -> Rendered {
    show(|words| super::status::status(words, server, 0))
}

fn line(key: &str) -> Rendered {
    show(|words| Card::line(words.get(key)))
}

#[track_caller]
fn says(rendered: &Rendered, expected: &[&str]) {
    for line in expected {
        assert!(rendered.html.contains(line), "{line:?} is not in:\n{}", rendered.html);
    }
}

fn pairing(family: Family, state: PairingState) -> Rendered {
    let source = Source { api_url: "https://osm.example.org".to_owned(), host: "osm.example.org".to_owned(), offer: None };
    let pairing = Pairing { id: id(), name: "web <1>".to_owned(), state };
    show(|words| pairing::pairing(words, &pairing, family, &source))
}

/// By a backend that has packages to offer.
fn offered(family: Family) -> Rendered {
    let offer = Some(Offer { fingerprint: "AB".repeat(20), script_sha256: "cd".repeat(32) });
    let source = Source { api_url: "https://osm.example.org".to_owned(), host: "osm.example.org".to_owned(), offer };
    let pairing = Pairing { id: id(), name: String::new(), state: open() };
    show(|words| pairing::pairing(words, &pairing, family, &source))
}

fn open() -> PairingState {
    PairingState::Open { token: TOKEN.to_owned(), until: NOW + 15 * MINUTE }
}

#[test]
fn the_card_tells_the_whole_state() {
    let expected = "\
🟢 <b>web-1</b> · online
Figures of 2026-11-22 14:01 UTC, 12 s ago

Debian GNU/Linux 12 (bookworm) · x86_64
Kernel 6.1.0-18-amd64
Up 12 d 3 h, since 2026-11-10 11:01 UTC

<b>CPU</b> 12 % of 4 CPUs
<b>Memory</b> 25 %: 2.0 GiB of 8.0 GiB
<b>Swap</b> 0 %: 0 B of 2.0 GiB
<b>Load</b> 0.50, 0.25, 0.12 over 1, 5, 15 min on 4 CPUs

<b>Disks</b>
⚠ <code>/</code> 91 % of 100 GiB · 9.0 GiB free · inodes 12 %
<code>/srv</code> 40 % of 100 GiB · 60.0 GiB free · inodes 12 %

<b>Services</b>
1 failed · 1 running · 1 stopped
🔴 <code>nginx.service</code> · failed (exit-code)
🟢 <code>ssh.service</code> · active (running)
⚪ <code>cron.service</code> · inactive (dead)";
    let card = status(&server());
    assert_eq!(card.html, expected);
    assert!(asks(&card, &Intent::Refresh { server_id: id(), page: 0 }));
    assert!(asks(&card, &Intent::Services { server_id: id(), page: 0 }));
}

#[test]
fn a_silent_server_is_stale_and_its_figures_are_called_old() {
    let mut server = server();
    if let Some(latest) = &mut server.latest {
        latest.received_at = NOW - 180 * MINUTE;
    }
    says(&status(&server), &["🟠 <b>web-1</b> · stale since 2026-11-22 11:02 UTC (3 h ago)", "Last known figures"]);
}

#[test]
fn a_server_that_never_reported_says_how_to_find_out_why() {
    let card = status(&Server { latest: None, ..server() });
    says(&card, &["⚪ <b>web-1</b> · waiting for its first report", "osm-agent doctor"]);
    assert_eq!(intents(&card).len(), 1, "only Refresh");
}

#[test]
fn without_systemd_the_card_says_why_there_is_no_restart() {
    for (systemd, words) in [(Systemd::Absent, "does not run this machine"), (Systemd::Unreachable, "did not answer")] {
        let card = status(&with_report(|report| {
            report.systemd = systemd;
            report.services.clear();
        }));
        says(&card, &[words]);
        assert!(!asks(&card, &Intent::Services { server_id: id(), page: 0 }));
    }
}

#[test]
fn services_that_may_not_be_restarted_have_no_button() {
    let card = status(&with_report(|report| report.services.iter_mut().for_each(|service| service.restartable = false)));
    says(&card, &["None may be restarted from here"]);
    assert_eq!(intents(&card).len(), 1);
}

#[test]
fn a_suspended_server_says_so_and_offers_no_restart() {
    let server = with_report(|report| report.chores = Chore::ALL.to_vec());
    let card = status(&Server { suspended: true, ..server });
    says(&card, &["Commands are suspended"]);
    assert_eq!(intents(&card).len(), 1);
}

#[test]
fn the_chores_that_the_host_lets_be_asked_for_are_a_row_of_their_own() {
    // In our order and once, whatever the host says.
    let server = with_report(|report| report.chores = vec![Chore::Reboot, Chore::CleanJournal, Chore::Reboot]);
    let card = status(&server);
    let row: Vec<&str> = card.keyboard.inline_keyboard[1].iter().map(|button| button.text.as_str()).collect();
    assert_eq!(row, ["🧹 Clean journal", "⚡ Reboot"]);
    for (chore, offered) in [(Chore::CleanJournal, true), (Chore::RunLogrotate, false), (Chore::Reboot, true)] {
        assert_eq!(asks(&card, &Intent::AskChore { server_id: id(), chore }), offered, "{chore:?}");
    }
}

#[test]
fn a_clock_that_is_off_by_more_than_30_s_is_told() {
    let card = |off| status(&with_report(|report| report.clock_ahead_ms = off));
    says(&card(90_000), &["1 min 30 s ahead"]);
    says(&card(-31_000), &["31 s behind"]);
    assert!(!card(30_000).html.contains("clock"));
    // The contract has no bounds for it.
    says(&card(i64::MIN), &["behind"]);
}

#[test]
fn full_inodes_and_read_only_disks_are_marked() {
    let card = status(&with_report(|report| {
        report.disks[0].inodes_free = 50;
        report.disks[1].read_only = true;
    }));
    says(&card, &["⚠ <code>/srv</code> 40 %", "inodes 95 %", "⚠ <code>/</code>", "· read-only"]);
}

#[test]
fn a_long_card_is_paged_and_every_line_is_on_some_page() {
    let server = with_report(|report| {
        report.services = (0..512).map(|number| service(&format!("unit-{number}.service"), "active")).collect();
    });
    let mut pages = String::new();
    let mut page = 0;
    loop {
        let card = show(|words| super::status::status(words, &server, page));
        pages.push_str(&card.html);
        says(&card, &[&format!("Page {} of", page + 1)]);
        if !asks(&card, &Intent::Refresh { server_id: id(), page: page + 1 }) {
            break;
        }
        page += 1;
    }
    for number in 0..512 {
        assert!(pages.contains(&format!(">unit-{number}.service<")), "{number}");
    }
    let beyond = show(|words| super::status::status(words, &server, u32::MAX));
    says(&beyond, &[&format!("Page {} of {}", page + 1, page + 1)]);
}

#[test]
fn the_first_steps_each_name_the_next() {
    let first = show(|words| chat::claimed(words, 0));
    says(&first, &["You are now the owner of this bot", "Next: tap <b>➕ Add a server</b>"]);
    assert!(asks(&first, &Intent::AddServer { name: None }));
    let later = show(|words| chat::welcome(words, 2));
    says(&later, &["2 servers are paired here. Next: tap <b>🖥 Servers</b>"]);
    assert!(asks(&later, &Intent::Servers { page: 0 }));
    says(&pairing(Family::Short, open()), &["Next: as soon as the line has run"]);
    says(
        &show(|words| pairing::paired(words, &Server { latest: None, ..server() })),
        &["Next: its first figures arrive within a minute."],
    );
}

#[test]
fn a_paired_server_can_be_recognised() {
    let card = show(|words| pairing::paired(words, &server()));
    says(&card, &["✅ <b>web-1</b> is paired.", "System: Debian GNU/Linux 12 (bookworm)", "Address: <code>203.0.113.7</code>"]);
    says(&card, &["Key fingerprint: <code>SHA256:uNiV", "<code>osm-agent status</code>"]);
}

#[test]
fn the_pairing_line_is_shown_and_copied() {
    let card = pairing(Family::Short, open());
    let line = format!("printf %s {TOKEN} | sudo osm-agent pair --api https://osm.example.org --token-file -");
    let block = format!("<pre><code class=\"language-bash\">{line}</code></pre>");
    says(&card, &[&block, "Valid 15 minutes, until 14:17 UTC. It works once", "Add a server: web &lt;1&gt;"]);
    assert_eq!(copied(&card), Some(line));
    for family in [Family::Apt, Family::Dnf] {
        assert!(asks(&card, &Intent::PairingSteps { pairing_id: id(), family }));
    }
}

#[test]
fn the_steps_of_a_family_come_before_the_line_and_lead_back() {
    for (family, install) in [(Family::Apt, "sudo apt install osm-agent"), (Family::Dnf, "sudo dnf install osm-agent")] {
        let card = pairing(family, open());
        assert!(card.html.find(install) < card.html.find("printf %s"), "{}", card.html);
        assert!(asks(&card, &Intent::PairingSteps { pairing_id: id(), family: Family::Short }));
    }
}

#[test]
fn the_short_way_carries_what_to_check_by_and_hands_the_token_on_by_standard_input() {
    let card = offered(Family::Short);
    let copied = copies(&card);
    assert_eq!(copied.len(), 2, "{copied:?}");
    assert!(copied[0].contains("https://osm.example.org/install.sh") && copied[0].contains(&"cd".repeat(32)), "{copied:?}");
    assert_eq!(copied[1], format!("printf %s {TOKEN} | sudo sh osm-install.sh --fingerprint {} --token-file -", "AB".repeat(20)));
    for family in [Family::Apt, Family::Dnf] {
        assert!(asks(&card, &Intent::PairingSteps { pairing_id: id(), family }));
    }
}

#[test]
fn the_long_way_can_be_copied_step_by_step() {
    for (family, source, only) in [
        (Family::Apt, "Signed-By: /usr/share/keyrings/osm-agent.asc", "Pin: origin \"osm.example.org\""),
        (Family::Dnf, "repo_gpgcheck=1", "includepkgs=osm-agent"),
    ] {
        let card = offered(family);
        let copied = copies(&card);
        assert_eq!(copied.len(), 5, "{copied:?}");
        assert!(copied[0].contains("/packages/key.asc") && copied[1].contains(source) && copied[2].contains(only), "{copied:?}");
        assert!(copied[4].contains(TOKEN), "{copied:?}");
        says(&card, &[&"AB".repeat(20)]);
        assert!(asks(&card, &Intent::PairingSteps { pairing_id: id(), family: Family::Short }));
    }
}

#[test]
fn a_dead_token_is_no_longer_in_its_message() {
    let used = pairing(Family::Apt, PairingState::Used { server_name: "web-1".to_owned() });
    says(&used, &["✅ Used: <b>web-1</b> is paired."]);
    let expired = pairing(Family::Dnf, PairingState::Expired);
    says(&expired, &["Expired"]);
    assert!(asks(&expired, &Intent::AddServer { name: None }));
    for card in [used, expired] {
        assert!(!card.html.contains("OSM1-") && copied(&card).is_none());
    }
}

#[test]
fn a_line_that_is_too_long_to_copy_is_still_shown() {
    let api_url = format!("https://{}.example.org", "x".repeat(200));
    let pairing = Pairing { id: id(), name: String::new(), state: open() };
    let source = Source { api_url: api_url.clone(), host: String::new(), offer: None };
    let card = show(|words| pairing::pairing(words, &pairing, Family::Short, &source));
    says(&card, &[&api_url, TOKEN]);
    assert_eq!(copied(&card), None);
}

#[test]
fn a_list_shows_state_and_worst_figure_and_opens_each_server() {
    let servers = vec![server(), Server { latest: None, name: "db-1".to_owned(), ..server() }];
    let card = show(|words| lists::servers(words, &page(servers, 1, 3)));
    says(&card, &["🟢 <b>web-1</b> · online · 1 unit failed · disk / 91 %", "⚪ <b>db-1</b> · waiting", "Page 2 of 3"]);
    assert!(asks(&card, &Intent::ShowServer { server_id: id() }));
    assert!(asks(&card, &Intent::Servers { page: 0 }) && asks(&card, &Intent::Servers { page: 2 }));
}

#[test]
fn a_service_is_picked_by_a_button_that_says_its_state() {
    let services = report().services;
    let card = show(|words| lists::services(words, &server(), &page(services, 0, 1)));
    let restart = Intent::AskRestart { server_id: id(), unit: unit_tag("nginx.service") };
    assert!(intents(&card).contains(&("🔴 nginx.service — failed".to_owned(), restart)));
    assert!(asks(&card, &Intent::Refresh { server_id: id(), page: 0 }), "the way back");
}

#[test]
fn many_servers_to_choose_from_end_in_how_to_name_one() {
    let card = show(|words| lists::choose(words, Purpose::Remove, &vec![server(); 200]));
    says(&card, &["… and 140 more", "/remove_server NAME"]);
    assert!(asks(&card, &Intent::AskRemove { server_id: id() }));
    assert!(asks(&show(|words| lists::choose(words, Purpose::Status, &[])), &Intent::AddServer { name: None }));
}

#[test]
fn a_question_names_who_may_answer_and_closes() {
    let question = |asks, state| {
        let confirmation = Confirmation {
            id: id(),
            chat_id: ChatId(1),
            user_id: UserId(1),
            actor_name: "Anna".to_owned(),
            server_id: id(),
            asks,
            expires_at: NOW,
            state,
            message_id: id(),
        };
        let question = Question { confirmation, server_name: "web-1".to_owned() };
        show(|words| command::confirmation(words, &question))
    };
    let restart = || Asks::Restart { unit: "nginx.service".to_owned() };
    let card = question(restart(), confirmation::State::Open);
    says(&card, &["Restart <code>nginx.service</code> on <b>web-1</b>?\nOnly Anna can confirm, within 60 s."]);
    assert!(asks(&card, &Intent::Confirm { confirmation_id: id() }));
    assert!(asks(&card, &Intent::Decline { confirmation_id: id() }));
    for (chore, what, yes) in [
        (Chore::CleanJournal, "vacuumed, oldest first, to the amounts in the host’s <code>agent.toml</code>", "✅ Clean"),
        (Chore::RunLogrotate, "with the system’s own configuration", "✅ Rotate"),
        (Chore::Reboot, "60 s after the host has taken this up, and can be cancelled until then", "✅ Reboot"),
    ] {
        let card = question(Asks::Chore { chore }, confirmation::State::Open);
        says(&card, &["<b>web-1</b>?", what, "Only Anna can confirm"]);
        assert_eq!(intents(&card)[0], (yes.to_owned(), Intent::Confirm { confirmation_id: id() }));
    }
    says(&question(Asks::Remove {}, confirmation::State::Open), &["all that is stored about it is deleted"]);
    for (state, words) in [(confirmation::State::Declined, "Cancelled by Anna"), (confirmation::State::Expired, "Not confirmed")]
    {
        let card = question(restart(), state);
        says(&card, &[words, "nothing was done"]);
        assert_eq!(intents(&card), []);
    }
}

fn command(state: State, reason: Option<Rejection>) -> Rendered {
    command_to(Action::RestartService { unit: "nginx.service".to_owned() }, state, reason)
}

fn command_to(action: Action, state: State, reason: Option<Rejection>) -> Rendered {
    let command = Command {
        id: id(),
        server_id: id(),
        server_name: "web-1".to_owned(),
        action,
        state,
        requested_by: "Anna (@anna)".to_owned(),
        reason,
        detail: "active (running)".to_owned(),
        created_at: NOW - 3000,
        finished_at: Some(NOW),
    };
    show(|words| command::command(words, &command))
}

#[test]
fn a_command_shows_its_course() {
    let done = command(State::Succeeded, None);
    says(
        &done,
        &["🔁 Restart <code>nginx.service</code> on <b>web-1</b>\n✅ Done, in 3 s.", "The host says: <i>active (running)</i>"],
    );
    says(&done, &["Asked by Anna (@anna), 2026-11-22 14:02 UTC"]);
    assert!(asks(&done, &Intent::ShowServer { server_id: id() }));
    assert_eq!(intents(&command(State::Queued, None)), [], "while it runs there is nothing to tap");
    let mut all: Vec<String> = State::ALL.map(|state| command(state, None).html).to_vec();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), State::ALL.len(), "every state has its own words");
}

#[test]
fn a_reboot_can_be_cancelled_while_it_is_on_its_way() {
    let cancel = Intent::CancelReboot { command_id: id() };
    for state in State::ALL {
        let on_its_way = matches!(state, State::Queued | State::Delivered);
        assert_eq!(asks(&command_to(Action::Reboot {}, state, None), &cancel), on_its_way, "{state:?}");
        let other = command_to(Action::CancelReboot { of: id() }, state, None);
        assert!(!asks(&other, &cancel), "{state:?}");
    }
    says(&command_to(Action::Reboot {}, State::Delivered, None), &["60 s after it took this up, and answers once it is back"]);
    says(
        &command_to(Action::Reboot {}, State::Cancelled, None),
        &["⚡ Reboot <b>web-1</b>", "Cancelled in time; nothing was done"],
    );
}

#[test]
fn a_limit_of_the_host_is_told_as_it_is_for_that_action() {
    let told = |action| command_to(action, State::Rejected, Some(Rejection::Rate));
    says(&told(Action::CleanJournal {}), &["logs are cleaned, at most once in 30 s and 6 times an hour"]);
    says(&told(Action::Reboot {}), &["3 times a day"]);
}

#[test]
fn a_refusal_says_why_and_what_helps() {
    for (reason, fix) in [
        (Rejection::Clock, "timedatectl set-ntp true"),
        (Rejection::Expired, "Ask again"),
        (Rejection::Policy, "agent.toml"),
        (Rejection::Rate, "Wait"),
        (Rejection::UnitNotListed, "osm-agent policy allow"),
        (Rejection::Unsupported, "osm-agent doctor"),
        (Rejection::Unknown, "Update it"),
    ] {
        says(&command(State::Rejected, Some(reason)), &["⛔ The host refused it", fix]);
    }
}

#[test]
fn help_names_every_command() {
    let card = show(chat::help);
    for (name, _) in crate::telegram::receive::update::COMMANDS {
        says(&card, &[&format!("/{name} — ")]);
    }
}

#[test]
fn limits_and_refusals_say_what_helps() {
    says(&show(|words| chat::limit_reached(words, Limit::Servers)), &["200 servers", "/remove_server"]);
    says(&show(|words| chat::limit_reached(words, Limit::PairingTokens)), &["wait 15 minutes"]);
    says(&show(|words| chat::limit_reached(words, Limit::Commands)), &["nothing was done"]);
    says(&line("not-allowed"), &["administrators can"]);
    says(&show(|words| access::private_bot(words, UserId(1002))), &["private bot", "ask the owner", "1002"]);
    says(&line("unknown-command"), &["/help"]);
    says(&show(|words| chat::set_aside(words, UpdateId(892_252_934))), &["update 892252934"]);
}

#[test]
fn the_asker_in_a_group_gets_a_way_to_the_private_chat() {
    let card = show(|words| pairing::needs_private_chat(words, "https://t.me/osm_bot?start=add"));
    let url = card.keyboard.inline_keyboard.iter().flatten().find_map(|button| match &button.kind {
        InlineKeyboardButtonKind::Url(url) => Some(url.to_string()),
        _ => None,
    });
    assert_eq!(url.as_deref(), Some("https://t.me/osm_bot?start=add"));
}
