//! `osm-agent doctor`: one line a check, and what to do where one fails.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Result;
use osm_protocol::command::TOLERANCE_MS;
use tokio::time::timeout;

use crate::{
    backend::{address::Api, client::Client, error::ClientError, removal},
    config::Settings,
    host::{
        durable, identity,
        systemd::{Systemd, Unavailable},
    },
    machine::Machine,
    policy::list::UnitList,
    state::{dir::StateDir, pairing::Pairing, status::Status},
    text::{duration, say},
};

const LIMIT: Duration = Duration::from_secs(10);

struct Report {
    failed: bool,
}

impl Report {
    fn ok(what: &str, detail: &str) {
        say!("ok    {what:<16} {detail}");
    }

    /// Notes what is fine as it is, and worth knowing.
    fn note(what: &str, detail: &str) {
        say!("note  {what:<16} {detail}");
    }

    fn fail(&mut self, what: &str, detail: &str) {
        self.failed = true;
        say!("FAIL  {what:<16} {detail}");
    }
}

pub async fn doctor(settings: &Settings, state_dir: &Path, systemd: &impl Systemd) -> ExitCode {
    let mut report = Report { failed: false };
    let dir = check_state_dir(state_dir, &mut report);
    check_systemd(settings, systemd, &mut report).await;
    if let Some(dir) = &dir {
        check_processes(settings, dir, &mut report);
        check_ledger(dir, &mut report);
        check_commands(dir, &mut report);
        check_disks(dir, &mut report);
    }
    if let Some(dir) = &dir
        && let Err(error) = check_backend(&Machine::real(settings, dir), &mut report).await
    {
        report.fail("backend", &format!("{error:#}"));
    }
    if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn check_state_dir(path: &Path, report: &mut Report) -> Option<StateDir> {
    let dir = match StateDir::open(path) {
        Ok(dir) => dir,
        Err(error) => {
            report.fail("state directory", &format!("{error:#}"));
            return None;
        }
    };
    match durable::replace(&dir.file("doctor"), b"", 0o600).and_then(|()| durable::remove(&dir.file("doctor"))) {
        Ok(()) => Report::ok("state directory", &path.display().to_string()),
        Err(error) => {
            report.fail("state directory", &format!("{} cannot be written ({error}): is the disk full?", path.display()));
        }
    }
    Some(dir)
}

async fn check_systemd(settings: &Settings, systemd: &impl Systemd, report: &mut Report) {
    match systemd.services().await {
        Ok(units) => Report::ok("D-Bus", &format!("systemd shows {} services", units.len())),
        Err(Unavailable::Absent) => {
            Report::note("D-Bus", "systemd is not the init of this machine: services are not seen, everything else is");
            return;
        }
        Err(error) => report.fail("D-Bus", &format!("{error}; look at: systemctl status dbus")),
    }
    if !settings.actions.restart_service {
        Report::note("policy", "agent.toml does not allow restarts (actions.restart_service)");
        return;
    }
    match UnitList::read(&settings.policy_file) {
        Ok(UnitList { unavailable: Some(why), .. }) => Report::note("policy", &format!("no service can be restarted: {why}")),
        Ok(list) => Report::ok("policy", &format!("{} services may be restarted from the chat", list.units.len())),
        Err(error) => report.fail("policy", &error.to_string()),
    }
}

/// Says whether commands arrived of late, by what the running service found.
fn check_commands(dir: &StateDir, report: &mut Report) {
    if let Some(why) = Status::read(dir).and_then(|status| status.commands_unreachable) {
        report.fail("commands", &format!("they do not reach this machine, although the service asks for them: {why}"));
    }
}

/// Looks with the eyes of the running service.
fn check_disks(dir: &StateDir, report: &mut Report) {
    for disk in Status::read(dir).unwrap_or_default().disks_unread {
        report.fail("disks", &disk);
    }
}

/// Says what the running service found.
fn check_ledger(dir: &StateDir, report: &mut Report) {
    match Status::read(dir).and_then(|status| status.commands_off) {
        Some(trouble) => report.fail(
            "ledger",
            &format!("every command is refused: {trouble}. Move it away, and: systemctl restart osm-agent (it then counts anew)"),
        ),
        None => Report::ok("ledger", "commands can be written down"),
    }
}

/// Looks with the eyes of the running service: this command runs outside of its sandbox.
fn check_processes(settings: &Settings, dir: &StateDir, report: &mut Report) {
    if !settings.top_processes {
        return;
    }
    match Status::read(dir) {
        Some(Status { processes_hidden: true, .. }) => report.fail(
            "processes",
            "top_processes is on, and the service's sandbox hides other users' processes. Do: systemctl edit osm-agent, write \
             [Service] and ProtectProc=default on two lines, then: systemctl restart osm-agent",
        ),
        Some(_) => Report::ok("processes", "the biggest ones are named in alerts"),
        None => Report::note("processes", "whether the service sees them shows when it has run"),
    }
}

async fn check_backend(here: &Machine<'_>, report: &mut Report) -> Result<()> {
    let Some(pairing) = here.dir.pairing()? else {
        report.fail("pairing", "not paired: get a line with /add_server in the chat, and run it here");
        return Ok(());
    };
    if identity::machine(here.dir.path(), here.random)? == pairing.machine {
        Report::ok("pairing", &format!("{} at {}", pairing.name, pairing.api));
    } else {
        report.fail("pairing", "this machine is not the one that was paired (a clone?): pair it again");
    }
    let api = Api::parse(&pairing.api)?;
    check_dns(&api, report).await;
    check_answer(here, &pairing, &here.client(api, pairing.key.signing_key()?)?, report).await?;
    check_clock(here, report);
    Ok(())
}

async fn check_dns(api: &Api, report: &mut Report) {
    match timeout(LIMIT, tokio::net::lookup_host((api.host().trim_matches(['[', ']']), api.port()))).await {
        Ok(Ok(mut addresses)) => match addresses.next() {
            Some(address) => Report::ok("DNS", &format!("{} is {}", api.host(), address.ip())),
            None => report.fail("DNS", &format!("{} has no address", api.host())),
        },
        Ok(Err(error)) => {
            report.fail("DNS", &format!("{} cannot be resolved ({error}): check /etc/resolv.conf, or the address", api.host()));
        }
        Err(_) => report.fail("DNS", "no answer within 10 s: check /etc/resolv.conf"),
    }
}

/// Asks for the keys: any answer at all proves the connection; a signed request that was accepted proves the rest.
async fn check_answer(here: &Machine<'_>, pairing: &Pairing, client: &Client, report: &mut Report) -> Result<()> {
    let keys = client.keys().await;
    if client.api().is_plain() {
        Report::note("TLS", "plain http to this very machine");
    } else if let Err(ClientError::Network(error)) = &keys {
        report.fail("TLS", error);
    } else {
        Report::ok("TLS", "the certificate is trusted");
    }
    match keys {
        Ok(_) => Report::ok("API", "the backend knows this server"),
        Err(error) if here.is_removed_by(pairing, &error)? => report.fail("API", removal::SAID),
        Err(error) if error.is_about_the_key() => report.fail("API", &format!("{error}; pair this server again")),
        Err(error) => report.fail("API", &error.to_string()),
    }
    Ok(())
}

/// Judges the clock by what this check's own request measured, else by what `run` measured last.
fn check_clock(here: &Machine<'_>, report: &mut Report) {
    let last = Status::read(here.dir).map_or(0, |status| status.clock_ahead_ms);
    let ahead = if here.clock.ahead() == 0 { last } else { here.clock.ahead() };
    if ahead.unsigned_abs() > TOLERANCE_MS.unsigned_abs() {
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        report.fail(
            "clock",
            &format!("{} {direction} the backend's: commands are refused. Do: timedatectl set-ntp true", duration(ahead)),
        );
    } else {
        Report::ok("clock", &format!("within {} of the backend's", duration(ahead.abs().max(1_000))));
    }
}
