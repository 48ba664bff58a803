//! Servers that are paired already, without a conversation for each.

use ed25519_dalek::SigningKey;
use osm_api::{
    domain::ids::{ChatId, UserId},
    store::{Result, Tx, reports, servers},
};
use osm_protocol::{ids::ServerId, key::PublicKey, messages::Report};

use crate::{
    agent::{Agent, fresh_key, host},
    world::World,
};

/// One that is to be.
pub struct New<'a> {
    pub id: ServerId,
    pub chat_id: ChatId,
    pub name: &'a str,
    pub key: &'a SigningKey,
    /// It has reported before: no first card is sent.
    pub report: &'a Report,
}

/// As pairing and a first report leave it.
pub async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<()> {
    let (key, os) = (PublicKey::from(new.key), host().os);
    let server = servers::New {
        id: new.id,
        chat_id: new.chat_id,
        name: new.name,
        agent_key: &key,
        machine: &"c".repeat(64),
        os: &os,
        address: "127.0.0.1",
        paired_at: new.report.at,
        paired_by: UserId(new.chat_id.0),
        topic: None,
    };
    servers::insert(tx, &server).await?;
    let state = reports::State {
        server_id: new.id,
        at: new.report.at,
        received_at: new.report.at,
        interval_s: i64::from(new.report.interval_s),
        address: "127.0.0.1".to_owned(),
        agent_version: "0.1.0".to_owned(),
        boot: new.report.boot.clone(),
        previous_boot: String::new(),
        report: new.report,
    };
    reports::put_states(tx, &[state]).await
}

impl World {
    /// Servers `web-1` to `web-…` of a chat, paired and heard of just now.
    pub async fn enlist(&self, chat: impl Into<i64>, count: usize) -> Vec<Agent> {
        let chat_id = ChatId(chat.into());
        let mut tx = self.core.store.begin().await.expect("a transaction");
        // One client for all: each has its own connections and certificates.
        let like = Agent::new(self);
        let mut agents = Vec::with_capacity(count);
        for number in 1..=count {
            let agent = Agent { server_id: self.clock.id(), key: fresh_key(), ..like.clone() };
            let (name, report) = (format!("web-{number}"), agent.report());
            let new = New { id: agent.server_id, chat_id, name: &name, key: &agent.key, report: &report };
            insert(&mut tx, &new).await.expect("a server");
            agents.push(agent);
        }
        tx.commit("enlist").await.expect("a commit");
        agents
    }
}
