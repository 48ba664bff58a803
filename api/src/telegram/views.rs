//! Loads what a notice is about, at the moment it is sent.

use osm_protocol::{action::Action, messages::Service};

use crate::{
    domain::{
        alert::{Limits, Rule, Setting},
        incident::{Incident, by_urgency},
        intent::Family,
        notice::Notice,
        server::{PER_CHAT, Presence},
        view::{
            Asks, Confirmation, ConfirmationState, Incident as IncidentView, Pairing, PairingState, Scope,
            Threshold as ThresholdView, View, Worst,
        },
    },
    store::{self, Tx, commands, confirmations, incidents, messages, mutes, pairings, servers, thresholds},
    usecase::{Core, alert, mute::Mutes, threshold},
};

/// Servers or services on one page.
const PER_PAGE: u32 = 8;

pub async fn load(tx: &mut Tx, core: &Core, bot_username: &str, chat_id: i64, notice: &Notice) -> store::Result<View> {
    Ok(match notice {
        Notice::Welcome { claimed } => View::Welcome { servers: servers::count(tx, chat_id).await?, claimed: *claimed },
        Notice::PrivateBot => View::PrivateBot,
        Notice::Help => View::Help,
        Notice::Pairing { pairing_id, family } => pairing(tx, core, chat_id, pairing_id, *family).await?,
        Notice::PairingSentPrivately { name } => View::PairingSentPrivately { name: name.clone() },
        Notice::PairingNeedsPrivateChat => {
            View::PairingNeedsPrivateChat { link: format!("https://t.me/{bot_username}?start=hello") }
        }
        Notice::Paired { server_id } => server(tx, chat_id, server_id, |server| View::Paired { server }).await?,
        Notice::Cloned { server_id } => server(tx, chat_id, server_id, |server| View::Cloned { server }).await?,
        Notice::Unpaired { name } => View::Unpaired { name: name.clone() },
        Notice::Servers { page } => list(tx, chat_id, *page).await?,
        Notice::Status { server_id, page } => {
            let page = *page;
            server(tx, chat_id, server_id, |server| View::Status { server, page }).await?
        }
        Notice::Services { server_id, page } => services(tx, chat_id, server_id, *page).await?,
        Notice::Choose { purpose } => View::Choose { purpose: *purpose, servers: servers::list(tx, chat_id, 0, PER_CHAT).await? },
        Notice::NoSuchServer { name } => View::NoSuchServer { name: name.clone() },
        Notice::Confirmation { confirmation_id } => confirmation(tx, chat_id, confirmation_id).await?,
        Notice::Command { command_id } => commands::get(tx, chat_id, command_id).await?.map_or(View::Gone, View::Command),
        Notice::Removed { name } => View::Removed { name: name.clone() },
        Notice::NotAllowed => View::NotAllowed,
        Notice::LimitReached { limit } => View::LimitReached { limit: *limit },
        Notice::UnknownCommand => View::UnknownCommand,
        Notice::Alert { message_id } => {
            let shown = incidents::of_message(tx, chat_id, message_id).await?;
            match messages::telegram_id(tx, message_id).await? {
                // Its server was removed before anybody heard of it.
                None if shown.is_empty() => View::Nothing,
                _ => alerts(tx, chat_id, shown).await?,
            }
        }
        Notice::Recovered { recovery_id } => {
            let over = incidents::of_recovery(tx, chat_id, recovery_id).await?;
            if over.is_empty() { View::Nothing } else { View::Recovered { over, open: open(tx, chat_id).await? } }
        }
        Notice::Reminder => {
            let now = core.clock.now();
            let mutes = Mutes::of_chat(tx, chat_id, now).await?;
            let mut unseen = open(tx, chat_id).await?;
            unseen.retain(|incident| incident.is_unseen(now) && !mutes.cover(&incident.server_id));
            if unseen.is_empty() { View::Nothing } else { View::Reminder { open: unseen } }
        }
        Notice::Incident { incident_id } => {
            let shown = incidents::get(tx, chat_id, incident_id).await?;
            alerts(tx, chat_id, shown.into_iter().collect()).await?
        }
        Notice::Alerts { page } => {
            let open = open(tx, chat_id).await?;
            let (page, pages) = turn(*page, u32::try_from(open.len()).unwrap_or(u32::MAX));
            let count = open.len();
            let shown = open.into_iter().skip((page * PER_PAGE) as usize).take(PER_PAGE as usize).collect();
            View::Alerts { open: shown, count, page, pages }
        }
        Notice::TestAlert => View::TestAlert,
        Notice::Thresholds { server_id } => thresholds(tx, chat_id, server_id.as_deref()).await?,
        Notice::Threshold { server_id, rule, tried } => threshold(tx, core, chat_id, server_id.as_deref(), *rule, *tried).await?,
        Notice::Mutes => {
            let servers = servers::list(tx, chat_id, 0, PER_CHAT).await?;
            View::Mutes { mutes: mutes::of_chat(tx, chat_id, core.clock.now()).await?, servers }
        }
        Notice::NotUnderstood { usage } => View::NotUnderstood { usage: *usage },
        Notice::TimeZone => View::TimeZone,
        Notice::SetAside { update_id } => View::SetAside { update_id: *update_id },
    })
}

async fn server(
    tx: &mut Tx,
    chat_id: i64,
    id: &str,
    view: impl FnOnce(crate::domain::server::Server) -> View,
) -> store::Result<View> {
    Ok(servers::get(tx, chat_id, id).await?.map_or(View::Gone, view))
}

/// The message stands in the private chat of the person who asked, whose chat id is his own.
async fn pairing(tx: &mut Tx, core: &Core, user_id: i64, id: &str, family: Family) -> store::Result<View> {
    let Some(row) = pairings::get(tx, user_id, id).await? else { return Ok(View::Gone) };
    let state = if let Some(server_id) = &row.server_id {
        let server = servers::by_id(tx, server_id).await?;
        PairingState::Used { server_name: server.map_or(row.name.clone(), |server| server.name) }
    } else if row.expires_at <= core.clock.now() {
        PairingState::Expired
    } else {
        PairingState::Open { token: core.keys.pairing_token(id).text(), until: row.expires_at }
    };
    let offer = core.packages.as_ref().map(|packages| packages.offer.clone());
    Ok(View::Pairing(Pairing { id: row.id, name: row.name, family, api_url: core.config.public_url.text.clone(), offer, state }))
}

/// Open alerts, most urgent first.
async fn open(tx: &mut Tx, chat_id: i64) -> store::Result<Vec<Incident>> {
    let mut open = incidents::open_in_chat(tx, chat_id).await?;
    open.sort_by(by_urgency);
    Ok(open)
}

/// One alert with what can be done about it, or several in a list.
async fn alerts(tx: &mut Tx, chat_id: i64, mut incidents: Vec<Incident>) -> store::Result<View> {
    incidents.sort_by(by_urgency);
    let servers = servers::count(tx, chat_id).await?;
    let Some(first) = incidents.first().filter(|_| incidents.len() == 1) else {
        return Ok(if incidents.is_empty() { View::Gone } else { View::Digest { incidents, servers } });
    };
    let Some(server) = servers::get(tx, chat_id, &first.server_id).await? else { return Ok(View::Gone) };
    let action = match first.rule {
        Rule::Service => Some(Action::RestartService { unit: first.subject.clone() }),
        Rule::Disk => Some(Action::CleanJournal {}),
        _ => None,
    };
    let command = match action {
        Some(action) => commands::newest(tx, &first.server_id, &action, first.opened_at).await?,
        None => None,
    };
    let command = match command {
        Some(id) => commands::get(tx, chat_id, &id).await?,
        None => None,
    };
    Ok(View::Incident(Box::new(IncidentView { incident: first.clone(), server, command })))
}

async fn thresholds(tx: &mut Tx, chat_id: i64, server_id: Option<&str>) -> store::Result<View> {
    let Some(scope) = scope(tx, chat_id, server_id).await? else { return Ok(View::Gone) };
    let set = thresholds::of_chats(tx, &[chat_id]).await?;
    let limits = Rule::ALL.map(|rule| (rule, threshold::in_force(&set, chat_id, server_id, rule))).to_vec();
    Ok(View::Thresholds { scope, limits })
}

async fn threshold(
    tx: &mut Tx,
    core: &Core,
    chat_id: i64,
    server_id: Option<&str>,
    rule: Rule,
    tried: Option<Setting>,
) -> store::Result<View> {
    let Some(scope) = scope(tx, chat_id, server_id).await? else { return Ok(View::Gone) };
    let set = thresholds::of_chats(tx, &[chat_id]).await?;
    let present = threshold::in_force(&set, chat_id, server_id, rule);
    let tried = tried.filter(|tried| tried.fits(rule) && *tried != Setting::from(present));
    let compared: Vec<Limits> = std::iter::once(present).chain(tried.map(Setting::limits)).collect();
    let now = core.clock.now();
    let history = threshold::replay(tx, &set, chat_id, server_id, rule, &compared, now).await?;
    let is_set = set.is_set(chat_id, server_id.unwrap_or_default(), rule);
    let servers = match &scope.server {
        Some(server) => vec![server.clone()],
        None => servers::list(tx, chat_id, 0, PER_CHAT).await?,
    };
    let figures = servers.iter().filter(|server| server.presence(now) == Presence::Online).filter_map(|server| {
        let (subject, value) = alert::figure(rule, &server.latest.as_ref()?.report)?;
        Some(Worst { server: server.name.clone(), subject: subject.to_owned(), value })
    });
    let worst = figures.max_by(|a, b| a.value.total_cmp(&b.value));
    Ok(View::Threshold(Box::new(ThresholdView { scope, rule, present, tried, is_set, worst, history })))
}

/// What limits are about; `None`: the server is gone.
async fn scope(tx: &mut Tx, chat_id: i64, server_id: Option<&str>) -> store::Result<Option<Scope>> {
    let servers = servers::list(tx, chat_id, 0, PER_CHAT).await?;
    Ok(match server_id {
        None => Some(Scope { server: None, servers }),
        Some(id) => servers.iter().find(|server| server.id == id).cloned().map(|server| Scope { server: Some(server), servers }),
    })
}

async fn list(tx: &mut Tx, chat_id: i64, page: u32) -> store::Result<View> {
    let count = u32::try_from(servers::count(tx, chat_id).await?).unwrap_or(u32::MAX);
    let (page, pages) = turn(page, count);
    let servers = servers::list(tx, chat_id, i64::from(page * PER_PAGE), i64::from(PER_PAGE)).await?;
    Ok(View::Servers { servers, page, pages })
}

async fn services(tx: &mut Tx, chat_id: i64, server_id: &str, page: u32) -> store::Result<View> {
    let Some(server) = servers::get(tx, chat_id, server_id).await? else { return Ok(View::Gone) };
    let reported = server.latest.as_ref().map(|latest| latest.report.services.as_slice()).unwrap_or_default();
    let mut services: Vec<Service> = reported.iter().filter(|service| service.restartable).cloned().collect();
    // Failed ones first: they are what a person comes for.
    services.sort_by(|a, b| (a.active_state != "failed", &a.unit).cmp(&(b.active_state != "failed", &b.unit)));
    let (page, pages) = turn(page, u32::try_from(services.len()).unwrap_or(u32::MAX));
    let services = services.into_iter().skip((page * PER_PAGE) as usize).take(PER_PAGE as usize).collect();
    Ok(View::Services { server, services, page, pages })
}

async fn confirmation(tx: &mut Tx, chat_id: i64, id: &str) -> store::Result<View> {
    let Some(row) = confirmations::get(tx, chat_id, id).await? else { return Ok(View::Gone) };
    let server = servers::by_id(tx, &row.server_id).await?.filter(|server| server.chat_id == chat_id);
    let Some(server) = server else { return Ok(View::Gone) };
    let state = match row.state.as_str() {
        confirmations::OPEN => ConfirmationState::Open,
        confirmations::DECLINED => ConfirmationState::Declined,
        _ => ConfirmationState::Expired,
    };
    let asks = match row.asks {
        confirmations::Asks::Restart { unit } => Asks::Restart { unit },
        confirmations::Asks::Chore { chore } => Asks::Chore { chore },
        confirmations::Asks::Remove {} => Asks::Remove,
    };
    Ok(View::Confirmation(Confirmation { id: row.id, asks, server_name: server.name, actor_name: row.actor_name, state }))
}

/// The page that exists, and how many there are: a list may have become shorter since its buttons were made.
fn turn(page: u32, count: u32) -> (u32, u32) {
    let pages = count.div_ceil(PER_PAGE).max(1);
    (page.min(pages - 1), pages)
}
