//! Who may use the bot.

use clap::Subcommand;
use serde::Serialize;

use crate::{
    cli::{
        print::{Answer, moment, shown, table},
        typed::{person, refused},
    },
    domain::{
        access::{Admission, Allowed},
        ids::{ChatId, UserId},
    },
    query::access::{self, Left},
    usecase::{
        Core,
        access::people::{self, Ended, OwnerSet, Revoked},
    },
};

#[derive(Subcommand)]
pub enum Command {
    /// List who may use the bot and who is kept out, and by what.
    List,
    /// Let a person use the bot, whatever the configuration says.
    Grant {
        /// The person's number at Telegram.
        #[arg(value_parser = person)]
        user: UserId,
    },
    /// Keep a person out, whatever the configuration says. Their open pairing tokens die, and nothing more is sent to them.
    Revoke {
        /// The person's number at Telegram.
        #[arg(value_parser = person)]
        user: UserId,
    },
    /// Make a person the owner. Whoever was it before is kept out from then on, until they are granted access again.
    SetOwner {
        /// The person's number at Telegram.
        #[arg(value_parser = person)]
        user: UserId,
    },
}

pub async fn run(core: &Core, command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::List => list(core).await,
        Command::Grant { user } => grant(core, *user).await,
        Command::Revoke { user } => revoke(core, *user).await,
        Command::SetOwner { user } => set_owner(core, *user).await,
    }
}

#[derive(Serialize)]
struct List {
    /// `OSM_ALLOWED_USERS` is `*`.
    everyone: bool,
    people: Vec<Person>,
}

#[derive(Serialize)]
struct Person {
    user_id: UserId,
    admitted: bool,
    admission: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

async fn list(core: &Core) -> anyhow::Result<Answer> {
    let allowed = &core.config.allowed_users;
    let people = access::people(&mut core.store.read().await?, allowed).await?;
    let everyone = *allowed == Allowed::Everyone;
    let rows: Vec<Vec<String>> = people
        .iter()
        .map(|person| {
            let by = match person.admission {
                Admission::Owner => "the owner".to_owned(),
                Admission::Listed | Admission::Everyone => "OSM_ALLOWED_USERS".to_owned(),
                Admission::Granted | Admission::Revoked | Admission::Stranger => {
                    person.since.map_or_else(String::new, |since| format!("osm-api access, {}", shown(since)))
                }
            };
            vec![person.user_id.to_string(), person.admission.as_str().to_owned(), by]
        })
        .collect();
    let mut lines = if rows.is_empty() { Vec::new() } else { table(&["USER", "ADMISSION", "BY"], &rows) };
    if everyone {
        lines.push("Everybody else may use the bot (OSM_ALLOWED_USERS is *).".to_owned());
    } else if rows.is_empty() {
        lines.push(
            "Nobody may use the bot yet: name an owner by `osm-api access set-owner USER`, or open the link in its log."
                .to_owned(),
        );
    }
    let people = people.into_iter().map(|person| Person {
        user_id: person.user_id,
        admitted: person.admission.is_admitted(),
        admission: person.admission.as_str(),
        since: person.since.map(moment),
    });
    Answer::new(&List { everyone, people: people.collect() }, lines)
}

#[derive(Serialize)]
struct Said {
    user_id: UserId,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndedShape>,
}

/// What ended with somebody's admission.
#[derive(Serialize)]
struct EndedShape {
    user_id: UserId,
    tokens: u64,
    left: Vec<LeftShape>,
}

#[derive(Serialize)]
struct LeftShape {
    chat_id: ChatId,
    servers: Vec<String>,
}

impl EndedShape {
    fn new(user_id: UserId, ended: Ended) -> Self {
        let left = ended.left.into_iter().map(|Left { chat_id, servers, .. }| LeftShape { chat_id, servers }).collect();
        Self { user_id, tokens: ended.tokens, left }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.tokens > 0 {
            lines.push(format!("Open pairing tokens that died: {}.", self.tokens));
        }
        for LeftShape { chat_id, servers } in &self.left {
            lines.push(format!("Left in chat {chat_id}: {}.", servers.join(", ")));
        }
        if !self.left.is_empty() {
            lines.push(
                "`osm-api servers move ID CHAT` gives a server to another chat; `osm-api servers remove ID` and `osm-api chats \
                 revoke CHAT` remove them."
                    .to_owned(),
            );
        }
        lines
    }
}

async fn grant(core: &Core, user_id: UserId) -> anyhow::Result<Answer> {
    let changed = people::grant(core, user_id).await?;
    let line = if changed { format!("{user_id} may use the bot.") } else { format!("{user_id} could use the bot before.") };
    Answer::new(&Said { user_id, changed, ended: None }, vec![line])
}

async fn revoke(core: &Core, user_id: UserId) -> anyhow::Result<Answer> {
    match people::revoke(core, user_id).await? {
        Revoked::IsOwner => refused(format!(
            "{user_id} is the owner: make somebody else the owner first, by `osm-api access set-owner USER`; that keeps {user_id} out"
        )),
        Revoked::Already => {
            Answer::new(&Said { user_id, changed: false, ended: None }, vec![format!("{user_id} was kept out before.")])
        }
        Revoked::Done(ended) => {
            let ended = EndedShape::new(user_id, ended);
            let mut lines = vec![format!("{user_id} may no longer use the bot.")];
            lines.extend(ended.lines());
            Answer::new(&Said { user_id, changed: true, ended: Some(ended) }, lines)
        }
    }
}

async fn set_owner(core: &Core, user_id: UserId) -> anyhow::Result<Answer> {
    match people::set_owner(core, user_id).await? {
        OwnerSet::Already => {
            Answer::new(&Said { user_id, changed: false, ended: None }, vec![format!("{user_id} was the owner before.")])
        }
        OwnerSet::Done { before } => {
            let ended = before.map(|(before, ended)| EndedShape::new(before, ended));
            let mut lines = vec![format!("{user_id} is the owner.")];
            if let Some(ended) = &ended {
                let before = ended.user_id;
                lines.push(format!(
                    "{before}, the owner before, may no longer use the bot; `osm-api access grant {before}` undoes it."
                ));
                lines.extend(ended.lines());
            }
            Answer::new(&Said { user_id, changed: true, ended }, lines)
        }
    }
}
