//! `osm-agent services`: what is reported of them, and which may be restarted.

use anyhow::Result;
use osm_protocol::messages::{self, Trouble};

use crate::text::say;
use crate::{
    config::Settings,
    host::{
        clock::Clock,
        systemd::{Systemd, Unavailable, is_booted},
    },
    policy::list::UnitList,
    report::collect,
};

/// Prints the services that would be reported.
pub async fn services(settings: &Settings, clock: &Clock, systemd: &impl Systemd) -> Result<()> {
    let found = collect::services::Services::default().collect(settings, systemd, clock.moment()).await;
    match found.systemd {
        messages::Systemd::Available => {}
        messages::Systemd::Absent => say!("systemd is not the init of this machine: there are no services to see."),
        messages::Systemd::Unreachable => say!("The system bus does not answer: services cannot be seen (osm-agent doctor)."),
    }
    let width = found.services.iter().map(|service| service.unit.chars().count()).max().unwrap_or(0);
    for service in found.services {
        let state = format!("{} ({})", service.active_state, service.sub_state);
        let result = service.result.map(|result| format!(" {result}")).unwrap_or_default();
        let trouble = match service.trouble {
            Some(Trouble::NotReady) => "  not ready",
            Some(Trouble::Down) => "  down since boot",
            None => "",
        };
        let waits_for = service.waits_for.map(|unit| format!(", for {unit} failed")).unwrap_or_default();
        let restartable = if service.restartable { "  may be restarted from the chat" } else { "" };
        say!("{:width$}  {state}{result}{trouble}{waits_for}{restartable}", service.unit);
    }
    say!("Restarts: {}", restarts(settings));
    Ok(())
}

/// Says how many services may be restarted, or why none.
pub fn restarts(settings: &Settings) -> String {
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
