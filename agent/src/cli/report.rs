//! `osm-agent report --print`: exactly what would be sent about this machine.

use std::time::Duration;

use anyhow::Result;

use crate::text::say;
use crate::{
    config::Settings,
    host::{clock::Clock, identity, systemd::Systemd},
    report::measure::{Reporter, batch},
};

/// Prints the bytes of one report, with the CPUs watched for a second first.
pub async fn print(settings: &Settings, clock: &Clock, systemd: &impl Systemd) -> Result<()> {
    let mut reporter = Reporter::new(settings);
    reporter.warm_up();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let measured = reporter.measure(settings, clock, &identity::boot()?, systemd).await;
    say!("{}", serde_json::to_string(&batch(vec![measured.report]))?);
    Ok(())
}
