//! Memory of the backend while many agents wait for commands.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::{backend::Backend, fleet::Server, proc, wire::Connection};

const WAIT: Duration = Duration::from_secs(50);

/// Resident bytes once all wait.
pub async fn memory(backend: &Backend, servers: &[Server]) -> Result<u64> {
    let mut connections = Vec::with_capacity(servers.len());
    for server in servers {
        let mut connection = Connection::open(backend.address).await?;
        let query = format!("wait={}&after=0", WAIT.as_secs());
        connection.send(&server.get(&backend.authority, "/agent/v1/commands", &query)).await?;
        connections.push(connection);
    }
    sleep(Duration::from_secs(3)).await;
    let memory = proc::rss(backend.pid)?;
    let waiting = connections.iter().filter(|connection| connection.is_waiting()).count();
    ensure!(waiting == servers.len(), "only {waiting} of {} agents wait", servers.len());
    drop(connections);
    sleep(Duration::from_secs(1)).await;
    Ok(memory)
}
