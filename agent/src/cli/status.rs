//! `osm-agent status` and `osm-agent services`, and the file in which `run` says how it goes.

use std::fs;

use anyhow::Result;
use osm_protocol::messages;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{
    backend::client::ClientError,
    command::execute::duration,
    config::Settings,
    host::{
        clock,
        systemd::{Systemd, Unavailable, is_booted},
    },
    policy::list::UnitList,
    report::collect,
    state::dir::StateDir,
};

const FILE: &str = "status.json";
/// Below this nobody needs to hear of the clock.
const CLOCK_WORTH_SAYING_MS: u64 = 5_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// By the backend's clock.
    pub last_accepted: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_at: Option<i64>,
    pub spooled: usize,
    pub open_outcomes: usize,
    pub clock_ahead_ms: i64,
    pub removed: bool,
    /// Processes are to be reported, and this one's sandbox hides them.
    #[serde(default)]
    pub processes_hidden: bool,
}

impl Status {
    pub fn new() -> Self {
        Self::default()
    }

    /// What `run` wrote last; `None` where it never ran.
    pub fn read(dir: &StateDir) -> Option<Self> {
        dir.read(FILE).ok().flatten()
    }

    pub fn accepted(&mut self, now: i64) {
        self.last_accepted = Some(now);
        self.last_error = None;
        self.last_error_at = None;
        self.removed = false;
    }

    /// Whether this is news: the same error again is not.
    pub fn failed(&mut self, error: &ClientError, now: i64) -> bool {
        let text = error.to_string();
        let news = self.last_error.as_ref() != Some(&text);
        self.last_error = Some(text);
        self.last_error_at = Some(now);
        self.removed = matches!(error, ClientError::Removed);
        news
    }

    /// For `systemctl status`.
    pub fn line(&self, now: i64) -> String {
        match (&self.last_error, self.last_accepted) {
            (Some(error), _) => format!("{error}; {} reports kept", self.spooled),
            (None, Some(at)) => format!("Last report {} ago; {} kept", duration(now - at), self.spooled),
            (None, None) => "Starting".to_owned(),
        }
    }

    /// A view for people: not worth a sync, and no harm if it is lost.
    pub fn write(&self, dir: &StateDir) {
        let beside = dir.file(".status.json.new");
        let written = serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .and_then(|bytes| fs::write(&beside, bytes))
            .and_then(|()| fs::rename(&beside, dir.file(FILE)));
        if let Err(error) = written {
            log::debug!("{FILE} cannot be written: {error}");
        }
    }
}

/// Prints how this agent is doing.
pub async fn status(settings: &Settings, dir: &StateDir, systemd: &impl Systemd) -> Result<()> {
    let now = clock::host_now();
    match dir.pairing()? {
        Some(pairing) => {
            println!("Paired with  {} as {} ({})", pairing.api, pairing.name, pairing.server_id);
            println!("Agent's key  {}", pairing.fingerprint()?);
            println!("Command keys version {}", dir.trusted_keys(&pairing)?.version);
        }
        None => println!("Not paired. Get a line with /add_server in the chat, and run it here."),
    }
    let running = is_running(dir);
    println!("Agent        {}", if running { "running" } else { "not running (systemctl start osm-agent)" });
    if let Some(status) = Status::read(dir) {
        if status.removed {
            println!("Removed      the backend no longer knows this server; pair it again, or: osm-agent unpair --local");
        }
        let corrected = now - status.clock_ahead_ms;
        match status.last_accepted {
            Some(at) => println!("Last report  {} ago", duration(corrected - at)),
            None => println!("Last report  none accepted since the agent started"),
        }
        if let Some(error) = &status.last_error {
            println!("Last error   {error}");
        }
        println!("Kept here    {} reports, {} outcomes of commands", status.spooled, status.open_outcomes);
        if status.clock_ahead_ms.unsigned_abs() > CLOCK_WORTH_SAYING_MS {
            let direction = if status.clock_ahead_ms > 0 { "ahead of" } else { "behind" };
            println!(
                "Clock        {} {direction} the backend's: set it right (timedatectl set-ntp true)",
                duration(status.clock_ahead_ms)
            );
        }
    }
    match systemd.services().await {
        Ok(units) => println!("Services     {} loaded", units.len()),
        Err(error) => println!("Services     not seen: {error}"),
    }
    println!("Restarts     {}", restarts(settings));
    Ok(())
}

/// Prints the services that would be reported.
pub async fn services(settings: &Settings, systemd: &impl Systemd) -> Result<()> {
    let found = collect::services::collect(settings, systemd).await;
    match found.systemd {
        messages::Systemd::Available => {}
        messages::Systemd::Absent => println!("systemd is not the init of this machine: there are no services to see."),
        messages::Systemd::Unreachable => println!("The system bus does not answer: services cannot be seen (osm-agent doctor)."),
    }
    let width = found.services.iter().map(|service| service.unit.chars().count()).max().unwrap_or(0);
    for service in found.services {
        let state = format!("{} ({})", service.active_state, service.sub_state);
        let result = service.result.map(|result| format!(" {result}")).unwrap_or_default();
        let restartable = if service.restartable { "  may be restarted from the chat" } else { "" };
        println!("{:width$}  {state}{result}{restartable}", service.unit);
    }
    println!("Restarts: {}", restarts(settings));
    Ok(())
}

fn restarts(settings: &Settings) -> String {
    if !settings.actions.restart_service {
        return "not allowed by agent.toml (actions.restart_service)".to_owned();
    }
    if !is_booted() {
        return format!("none: {}", Unavailable::Absent);
    }
    match UnitList::read(&settings.policy_file) {
        Ok(UnitList { unavailable: Some(why), .. }) => format!("none: {why}"),
        Ok(list) if list.units.is_empty() => "no service is listed; add one as root: osm-agent policy allow UNIT".to_owned(),
        Ok(list) => format!("{} services may be restarted from the chat", list.units.len()),
        Err(error) => error.to_string(),
    }
}

fn is_running(dir: &StateDir) -> bool {
    fs::File::open(dir.file("lock")).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_is_news_once_and_gone_after_a_success() {
        let mut status = Status::new();
        let error = ClientError::Network("x".to_owned());
        assert!(status.failed(&error, 1));
        assert!(!status.failed(&error, 2));
        assert!(status.failed(&ClientError::Removed, 3));
        assert!(status.removed && status.line(3).contains("removed"));
        status.accepted(4);
        assert_eq!((status.last_error.clone(), status.removed), (None, false));
        assert!(status.line(5_004).contains("5 s ago"));
    }
}
