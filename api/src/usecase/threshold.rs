//! Limits are shown, tried and set: of a chat, or of one of its servers.

use crate::{
    domain::{
        DAY, Millis, SECOND,
        alert::{self, Limits, Rule, Sample, Setting, longest_gap},
        intent::Tap,
        notice::{Notice, Purpose, Toast, Urgency},
        server::PER_CHAT,
        view::History,
    },
    store::{
        self, Tx, reports, servers,
        thresholds::{self, Thresholds},
    },
    usecase::{
        command,
        server::{self, Found},
        tell::Teller,
    },
};

/// How far back a change is tried on what was.
pub const HISTORY: Millis = 7 * DAY;
/// Servers of a chat on which a change is tried: a person waits for the answer.
const TRIED_SERVERS: i64 = 10;
/// One every five seconds, the shortest interval.
const TRIED_FIGURES: i64 = HISTORY / (5 * SECOND);

/// `/thresholds [name]`: the limits, or the way to them.
pub async fn open(tx: &mut Tx, teller: &Teller<'_>, name: Option<&str>) -> store::Result<()> {
    let notice = match name {
        None => Notice::Thresholds { server_id: None },
        Some(name) => match server::find(tx, teller.chat_id, Some(name), Purpose::Thresholds).await? {
            Found::One(server_id) => Notice::Thresholds { server_id: Some(server_id) },
            Found::Other(notice) => notice,
        },
    };
    teller.send(tx, &notice, Urgency::Answer).await.map(drop)
}

/// A page of limits, in place.
pub async fn show(
    tx: &mut Tx,
    teller: &Teller<'_>,
    tap: Option<&Tap>,
    server_id: Option<&str>,
    notice: &Notice,
) -> store::Result<()> {
    if !is_known(tx, teller.chat_id, server_id).await? {
        return command::stale(tx, teller, tap).await;
    }
    teller.show(tx, tap, notice).await?;
    teller.toast(tx, tap, Toast::Done).await
}

/// Sets a limit, or takes back what was set.
pub async fn set(
    tx: &mut Tx,
    teller: &Teller<'_>,
    tap: Option<&Tap>,
    server_id: Option<&str>,
    rule: Rule,
    setting: Option<Setting>,
) -> store::Result<()> {
    if !is_known(tx, teller.chat_id, server_id).await? {
        return command::stale(tx, teller, tap).await;
    }
    let scope = server_id.unwrap_or_default();
    let toast = match setting {
        Some(setting) if !setting.fits(rule) => Toast::OutOfRange,
        Some(setting) => {
            thresholds::set(tx, teller.chat_id, scope, rule, &setting.limits()).await?;
            Toast::Saved
        }
        None => {
            thresholds::reset(tx, teller.chat_id, scope, rule).await?;
            Toast::Saved
        }
    };
    let notice = Notice::Threshold { server_id: server_id.map(str::to_owned), rule, tried: None };
    teller.show(tx, tap, &notice).await?;
    teller.toast(tx, tap, toast).await
}

async fn is_known(tx: &mut Tx, chat_id: i64, server_id: Option<&str>) -> store::Result<bool> {
    Ok(match server_id {
        None => true,
        Some(id) => servers::get(tx, chat_id, id).await?.is_some(),
    })
}

/// How often each of these limits would have fired lately, together on all servers that they are for.
pub async fn replay(
    tx: &mut Tx,
    set: &Thresholds,
    chat_id: i64,
    server_id: Option<&str>,
    rule: Rule,
    settings: &[Limits],
    now: Millis,
) -> store::Result<History> {
    let mut servers = match server_id {
        Some(id) => servers::get(tx, chat_id, id).await?.into_iter().collect(),
        None => servers::list(tx, chat_id, 0, PER_CHAT).await?,
    };
    servers.retain(|server| server_id.is_some() || !set.is_set(chat_id, &server.id, rule));
    if servers.len() > usize::try_from(TRIED_SERVERS).unwrap_or_default() {
        return Ok(History::TooMany { most: TRIED_SERVERS });
    }
    let mut fired = vec![0; settings.len()];
    let mut is_known = false;
    for server in servers {
        let interval_s = server.latest.as_ref().map_or(30, |latest| latest.report.interval_s);
        let figures = reports::history(tx, &server.id, rule, now - HISTORY, TRIED_FIGURES).await?;
        is_known |= !figures.is_empty();
        for (fired, limits) in fired.iter_mut().zip(settings) {
            let samples =
                figures.iter().rev().map(|(at, value)| Sample { at: *at, value: *value, longest_gap: longest_gap(interval_s) });
            *fired += alert::replay(rule, limits, samples);
        }
    }
    Ok(if is_known { History::Fired(fired) } else { History::Unknown })
}

/// The limits that are in force for a scope.
pub fn in_force(thresholds: &Thresholds, chat_id: i64, server_id: Option<&str>, rule: Rule) -> Limits {
    thresholds.of(chat_id, server_id.unwrap_or_default(), rule)
}
