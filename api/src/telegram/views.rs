//! Loads what a notice is about, at the moment it is sent.

use osm_protocol::messages::Service;

use crate::{
    domain::{
        intent::Family,
        notice::Notice,
        server::PER_CHAT,
        view::{Asks, Confirmation, ConfirmationState, Pairing, PairingState, View},
    },
    store::{self, Tx, commands, confirmations, pairings, servers},
    usecase::Core,
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
    Ok(View::Pairing(Pairing { id: row.id, name: row.name, family, api_url: core.config.public_url.text.clone(), state }))
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
