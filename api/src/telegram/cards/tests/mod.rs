//! An honest server to start from, and how a test reads a message.

mod behaviour;
mod hostile;
mod hostile_alerts;
mod units;

use std::{fmt::Debug, str::FromStr};

use osm_protocol::messages::{Disk, Host, Load, Memory, Report, Service, Systemd, Trouble};
use teloxide::types::{InlineKeyboardButton, InlineKeyboardButtonKind};

use super::*;
use crate::{
    domain::{
        MINUTE,
        intent::Intent,
        server::{Latest, Server},
    },
    query::Page,
    telegram::keyboards,
};

/// 2026-11-22 14:02:07 UTC.
const NOW: Millis = 1_795_356_127_000;
const ID: &str = "019aab1c-7e1f-7c3a-9f00-ffffffffffff";

fn id<I: FromStr<Err: Debug>>() -> I {
    ID.parse().unwrap()
}

/// Gives the words of a reader in English and UTC.
fn in_words<T>(read: impl FnOnce(&Words<'_>) -> T) -> T {
    read(&Words { text: &Text::new(None), zone: &Zone::utc(), now: NOW })
}

fn show(card: impl FnOnce(&Words<'_>) -> Card) -> Rendered {
    in_words(|words| card(words).render(words, None))
}

/// Gives a page of a list.
fn page<T>(items: Vec<T>, number: u32, pages: u32) -> Page<T> {
    let count = items.len();
    Page { items, number, pages, count }
}

/// Gives every button with what it asks for.
fn intents(rendered: &Rendered) -> Vec<(String, Intent)> {
    let buttons = rendered.keyboard.inline_keyboard.iter().flatten();
    let tapped = buttons.filter_map(|button| match &button.kind {
        InlineKeyboardButtonKind::CallbackData(data) => Some((button.text.clone(), keyboards::parse(data))),
        _ => None,
    });
    tapped.collect()
}

fn asks(rendered: &Rendered, intent: &Intent) -> bool {
    intents(rendered).iter().any(|(_, asked)| asked == intent)
}

fn copies(rendered: &Rendered) -> Vec<String> {
    let copied = |button: &InlineKeyboardButton| match &button.kind {
        InlineKeyboardButtonKind::CopyText(copy) => Some(copy.text.clone()),
        _ => None,
    };
    rendered.keyboard.inline_keyboard.iter().flatten().filter_map(copied).collect()
}

fn copied(rendered: &Rendered) -> Option<String> {
    copies(rendered).into_iter().next()
}

fn server() -> Server {
    Server {
        id: id(),
        name: "web-1".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        paired_from: "203.0.113.7".to_owned(),
        paired_at: NOW - 60 * MINUTE,
        unpaired_at: None,
        fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGLmCcOvR6Gx".to_owned(),
        suspended: false,
        open_alerts: 0,
        latest: Some(Latest {
            report: report(),
            received_at: NOW - 12_000,
            address: "203.0.113.7".to_owned(),
            agent_version: "0.1.0".to_owned(),
        }),
    }
}

fn with_report(change: impl FnOnce(&mut Report)) -> Server {
    let mut server = server();
    if let Some(latest) = &mut server.latest {
        change(&mut latest.report);
    }
    server
}

fn report() -> Report {
    Report {
        at: NOW - 12_000,
        interval_s: 30,
        boot: "a".repeat(64),
        clock_ahead_ms: 12,
        host: Host {
            hostname: "web-1".to_owned(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-18-amd64".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 4,
            uptime_s: 12 * 86_400 + 3 * 3600,
        },
        cpu: Some(12.4),
        memory: Some(Memory { total: 8 << 30, available: 6 << 30, swap_total: 2 << 30, swap_free: 2 << 30 }),
        load: Some(Load { one: 0.5, five: 0.25, fifteen: 0.125 }),
        disks: vec![disk("/srv", 40), disk("/", 91)],
        systemd: Systemd::Available,
        chores: vec![],
        monitored_only: None,
        unread_disks: Vec::new(),
        disks_left_out: 0,
        commands_unreachable: None,
        processes: vec![],
        services: vec![service("ssh.service", "active"), service("nginx.service", "failed"), service("cron.service", "inactive")],
    }
}

fn disk(mount: &str, percent: u64) -> Disk {
    Disk {
        mount: mount.to_owned(),
        fs_type: "ext4".to_owned(),
        total: 100 << 30,
        used: percent << 30,
        available: (100 - percent) << 30,
        inodes_total: 1000,
        inodes_free: 880,
        read_only: false,
        went_read_only: false,
    }
}

fn service(unit: &str, active_state: &str) -> Service {
    let (sub_state, result) = match active_state {
        "active" => ("running", None),
        "failed" => ("failed", Some("exit-code".to_owned())),
        _ => ("dead", None),
    };
    Service {
        unit: unit.to_owned(),
        active_state: active_state.to_owned(),
        sub_state: sub_state.to_owned(),
        result,
        restartable: true,
        ..Service::default()
    }
}
