//! The limits that are in force, and how often others would have fired lately.

use crate::{
    domain::{
        DAY, Millis, SECOND,
        alert::{self, Limits, Rule, Sample, Setting, longest_gap},
        figures::worst_of,
        ids::{ChatId, ServerId},
        server::{Presence, Server},
    },
    query::servers::all,
    store::{
        self, Tx, reports,
        thresholds::{self, Thresholds},
    },
};

/// How far back a change is tried on what was.
pub const HISTORY: Millis = 7 * DAY;
/// Servers of a chat on which a change is tried: a person waits for the answer.
const TRIED_SERVERS: i64 = 10;
/// One every five seconds, the shortest interval.
const TRIED_FIGURES: i64 = HISTORY / (5 * SECOND);

/// What limits are about.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// `None`: all servers of the chat that have none of their own.
    pub server: Option<Server>,
    /// All of the chat.
    pub servers: Vec<Server>,
}

/// A rule's limits, and another setting of them that is being tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub scope: Scope,
    pub rule: Rule,
    pub present: Limits,
    /// What the buttons have come to, if that is another.
    pub tried: Option<Setting>,
    /// This very scope has set it.
    pub is_set: bool,
    /// The highest figure now.
    pub worst: Option<Worst>,
    pub history: History,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    pub server: String,
    /// The mount point; empty for what a server has one of.
    pub subject: String,
    pub value: f64,
}

/// How often limits would have fired lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// None is kept of that figure.
    Unknown,
    /// More servers than a person would wait for; so many can be tried.
    TooMany { most: i64 },
    /// The present limits, and the tried ones.
    Fired(Vec<u32>),
}

/// Gives what limits are about; `None`: the server is gone.
pub async fn scope(tx: &mut Tx, chat_id: ChatId, server_id: Option<ServerId>) -> store::Result<Option<Scope>> {
    let servers = all(tx, chat_id).await?;
    Ok(match server_id {
        None => Some(Scope { server: None, servers }),
        Some(id) => servers.iter().find(|server| server.id == id).cloned().map(|server| Scope { server: Some(server), servers }),
    })
}

/// Lists the limits in force for a scope, of every rule; `None`: the server is gone.
pub async fn in_force(
    tx: &mut Tx,
    chat_id: ChatId,
    server_id: Option<ServerId>,
) -> store::Result<Option<(Scope, Vec<(Rule, Limits)>)>> {
    let Some(scope) = scope(tx, chat_id, server_id).await? else { return Ok(None) };
    let set = thresholds::of_chats(tx, &[chat_id]).await?;
    Ok(Some((scope, Rule::ALL.map(|rule| (rule, set.of(chat_id, server_id, rule))).to_vec())))
}

/// Which limit is looked at: a rule's, of a chat or of one of its servers.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    pub chat_id: ChatId,
    pub server_id: Option<ServerId>,
    pub rule: Rule,
}

/// Gives a rule's limits and what another setting would have done; `None`: the server is gone.
pub async fn threshold(tx: &mut Tx, looked: Looked, tried: Option<Setting>, now: Millis) -> store::Result<Option<Threshold>> {
    let Looked { chat_id, server_id, rule } = looked;
    let Some(scope) = scope(tx, chat_id, server_id).await? else { return Ok(None) };
    let set = thresholds::of_chats(tx, &[chat_id]).await?;
    let present = set.of(chat_id, server_id, rule);
    let tried = tried.filter(|tried| tried.fits(rule) && *tried != Setting::from(present));
    let compared: Vec<Limits> = std::iter::once(present).chain(tried.map(Setting::limits)).collect();
    let history = history(tx, looked, affected(&scope, &set, looked), &compared, now).await?;
    let is_set = set.is_set(chat_id, server_id, rule);
    let worst = worst(&scope, rule, now);
    Ok(Some(Threshold { scope, rule, present, tried, is_set, worst, history }))
}

/// The servers that a limit is for: one, or all that have none of their own.
fn affected<'s>(scope: &'s Scope, set: &Thresholds, looked: Looked) -> Vec<&'s Server> {
    if let Some(server) = &scope.server {
        return vec![server];
    }
    let has_own = |server: &Server| set.is_set(looked.chat_id, Some(server.id), looked.rule);
    scope.servers.iter().filter(|server| !has_own(server)).collect()
}

fn worst(scope: &Scope, rule: Rule, now: Millis) -> Option<Worst> {
    let servers = match &scope.server {
        Some(server) => std::slice::from_ref(server),
        None => scope.servers.as_slice(),
    };
    let figures = servers.iter().filter(|server| server.presence(now) == Presence::Online).filter_map(|server| {
        let (subject, value) = worst_of(rule, &server.latest.as_ref()?.report)?;
        Some(Worst { server: server.name.clone(), subject: subject.to_owned(), value })
    });
    figures.max_by(|a, b| a.value.total_cmp(&b.value))
}

/// Counts how often each of these limits would have fired lately, together on all servers that they are for.
async fn history(tx: &mut Tx, looked: Looked, servers: Vec<&Server>, settings: &[Limits], now: Millis) -> store::Result<History> {
    if servers.len() > usize::try_from(TRIED_SERVERS).unwrap_or_default() {
        return Ok(History::TooMany { most: TRIED_SERVERS });
    }
    let mut fired = vec![0; settings.len()];
    let mut is_known = false;
    for server in servers {
        let interval_s = server.latest.as_ref().map_or(30, |latest| latest.report.interval_s);
        let figures = reports::history(tx, server.id, looked.rule, now - HISTORY, TRIED_FIGURES).await?;
        is_known |= !figures.is_empty();
        for (fired, limits) in fired.iter_mut().zip(settings) {
            let samples =
                figures.iter().rev().map(|(at, value)| Sample { at: *at, value: *value, longest_gap: longest_gap(interval_s) });
            *fired += alert::replay(looked.rule, limits, samples);
        }
    }
    Ok(if is_known { History::Fired(fired) } else { History::Unknown })
}
