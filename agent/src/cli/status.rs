//! `osm-agent status`: how this agent is doing.

use std::fs;

use anyhow::Result;
use rustix::fs::{FlockOperation, flock};

use super::services::restarts;
use crate::{
    host::systemd::Systemd,
    machine::Machine,
    state::{dir::StateDir, status::Status},
    text::{duration, say},
};

/// Below this nobody needs to hear of the clock.
const CLOCK_WORTH_SAYING_MS: u64 = 5_000;

/// Prints how this agent is doing.
pub async fn status(here: &Machine<'_>, systemd: &impl Systemd) -> Result<()> {
    let Machine { settings, dir, clock, .. } = here;
    let now = clock.moment().host;
    match dir.pairing()? {
        Some(pairing) => {
            say!("Paired with  {} as {} ({})", pairing.api, pairing.name, pairing.server_id);
            say!("Agent's key  {}", pairing.fingerprint()?);
            say!("Command keys version {}", dir.trusted_keys(&pairing)?.version);
        }
        None => say!("Not paired. Get a line with /add_server in the chat, and run it here."),
    }
    let running = is_running(dir);
    say!("Agent        {}", if running { "running" } else { "not running (systemctl start osm-agent)" });
    if let Some(status) = Status::read(dir) {
        if status.removed {
            say!("Removed      the backend no longer knows this server; pair it again, or: osm-agent unpair --local");
        }
        let corrected = now - status.clock_ahead_ms;
        match status.last_accepted {
            Some(at) => say!("Last report  {} ago", duration(corrected - at)),
            None => say!("Last report  none accepted since the agent started"),
        }
        if let Some(error) = &status.last_error {
            say!("Last error   {error}");
        }
        say!("Kept here    {} reports, {} outcomes of commands", status.spooled, status.open_outcomes);
        if let Some(trouble) = &status.commands_off {
            say!("Commands     refused: {trouble}");
        }
        if let Some(why) = &status.commands_unreachable {
            say!("Commands     do not reach this machine: {why}");
        }
        if status.clock_ahead_ms.unsigned_abs() > CLOCK_WORTH_SAYING_MS {
            let direction = if status.clock_ahead_ms > 0 { "ahead of" } else { "behind" };
            say!(
                "Clock        {} {direction} the backend's: set it right (timedatectl set-ntp true)",
                duration(status.clock_ahead_ms)
            );
        }
    }
    match systemd.services().await {
        Ok(units) => say!("Services     {} loaded", units.len()),
        Err(error) => say!("Services     not seen: {error}"),
    }
    say!("Restarts     {}", restarts(settings));
    Ok(())
}

fn is_running(dir: &StateDir) -> bool {
    fs::File::open(dir.file("lock")).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}
