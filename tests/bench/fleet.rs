//! Servers that are paired already: inserted into the database before the backend starts, each with a key of its own and a first
//! report, so that no first cards are sent while something else is measured.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use ed25519_dalek::SigningKey;
use osm_api::{
    domain::ids::ChatId,
    store::{Store, reports},
};
use osm_protocol::{
    ids::ServerId,
    messages::{Disk, Load, Memory, Report, Service, Systemd},
    request_signature::{Target, sign},
};
use osm_tests::{
    agent::{fresh_key, host},
    fleet,
};

use crate::wire;

/// Who owns the reporting servers; nobody of the chat.
const OWNER: i64 = 900;
/// The unit that is restarted.
pub const UNIT: &str = "nginx.service";
pub const AGENT_VERSION: &str = "0.1.0";

pub struct Fleet {
    /// Those that report, and wait for commands.
    pub servers: Vec<Server>,
    /// One for each of the people, in a chat of their own.
    pub of_people: Vec<Server>,
}

pub struct Server {
    pub id: ServerId,
    pub chat_id: i64,
    pub name: String,
    pub key: SigningKey,
}

impl Fleet {
    /// People who confirm restarts: one alone may be sent a message a second, and each restart takes five.
    pub const PEOPLE: i64 = 20;

    pub fn new(servers: u32) -> Self {
        let server = |chat_id: i64, number: i64| Server {
            id: uuid::Uuid::from_u64_pair(chat_id.unsigned_abs(), number.unsigned_abs()).into(),
            chat_id,
            name: format!("web-{number}"),
            key: fresh_key(),
        };
        Self {
            servers: (0..i64::from(servers)).map(|number| server(OWNER, number)).collect(),
            of_people: (0..Self::PEOPLE).map(|number| server(1001 + number, number)).collect(),
        }
    }

    /// Pairs all in a database that no backend uses yet.
    pub async fn pair(&self, database_url: &str) -> Result<()> {
        let store = Store::open(database_url).await?;
        let now = now();
        let mut tx = store.begin().await?;
        for server in self.servers.iter().chain(&self.of_people) {
            let report = server.report(now - 60_000);
            let new = fleet::New {
                id: server.id,
                chat_id: ChatId(server.chat_id),
                name: &server.name,
                key: &server.key,
                report: &report,
            };
            fleet::insert(&mut tx, &new).await?;
        }
        tx.commit("bench").await?;
        store.close().await;
        Ok(())
    }

    /// Reports that are stored of the reporting servers.
    pub async fn count(&self, database_url: &str) -> Result<i64> {
        let store = Store::open(database_url).await?;
        let mut tx = store.read().await?;
        let mut count = 0;
        for server in &self.servers {
            count += reports::count(&mut tx, server.id).await?;
        }
        drop(tx);
        store.close().await;
        Ok(count)
    }
}

impl Server {
    /// What an ordinary server says of itself: 5 filesystems, 20 services.
    pub fn report(&self, at: i64) -> Report {
        let mut host = host();
        host.hostname.clone_from(&self.name);
        Report {
            at,
            interval_s: 30,
            boot: "b".repeat(64),
            clock_ahead_ms: 3,
            host,
            cpu: Some(12.5),
            memory: Some(Memory {
                total: 8_326_320_128,
                available: 6_442_450_944,
                swap_total: 1 << 30,
                swap_free: 1_000_341_504,
            }),
            load: Some(Load { one: 0.42, five: 0.31, fifteen: 0.27 }),
            disks: ["/", "/boot", "/home", "/var", "/srv/backup"].map(disk).to_vec(),
            systemd: Systemd::Available,
            chores: vec![],
            monitored_only: None,
            unread_disks: Vec::new(),
            disks_left_out: 0,
            commands_unreachable: None,
            processes: vec![],
            services: SERVICES.map(service).to_vec(),
        }
    }

    /// A signed request without a body.
    pub fn get(&self, authority: &str, path: &str, query: &str) -> Vec<u8> {
        let target = Target { method: "GET", authority, path, query: Some(query) };
        let headers = sign(target, b"", &self.key, now() / 1000, "bench");
        wire::head("GET", &format!("{path}?{query}"), authority, &headers, 0)
    }

    pub fn post(&self, authority: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let target = Target { method: "POST", authority, path, query: None };
        let headers = sign(target, body, &self.key, now() / 1000, "bench");
        [&wire::head("POST", path, authority, &headers, body.len()), body].concat()
    }
}

#[expect(clippy::disallowed_methods, reason = "a load generator is its own clock's owner")]
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

const SERVICES: [&str; 20] = [
    UNIT,
    "apache2.service",
    "php8.2-fpm.service",
    "mariadb.service",
    "postgresql@15-main.service",
    "redis-server.service",
    "memcached.service",
    "postfix@-.service",
    "dovecot.service",
    "rspamd.service",
    "opendkim.service",
    "fail2ban.service",
    "ssh.service",
    "cron.service",
    "docker.service",
    "containerd.service",
    "prometheus-node-exporter.service",
    "haproxy.service",
    "varnish.service",
    "named.service",
];

fn service(unit: &str) -> Service {
    osm_tests::agent::service(unit, "active", "running")
}

fn disk(mount: &str) -> Disk {
    osm_tests::agent::disk(mount, 41, 54)
}
