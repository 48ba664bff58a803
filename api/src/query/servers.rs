//! A chat's servers and their services, by pages.

use osm_protocol::messages::Service;

use crate::{
    domain::{
        ids::ChatId,
        server::{Condition, PER_CHAT, Server, condition},
    },
    query::{Page, Wanted},
    store::{self, Tx, servers},
};

/// Lists a page of the chat's servers, by name.
pub async fn page(tx: &mut Tx, chat_id: ChatId, wanted: Wanted) -> store::Result<Page<Server>> {
    let count = usize::try_from(servers::count(tx, chat_id).await?).unwrap_or_default();
    let (number, pages) = wanted.of(count);
    let per_page = i64::from(wanted.per_page);
    let items = servers::list(tx, chat_id, i64::from(number) * per_page, per_page).await?;
    Ok(Page { items, number, pages, count })
}

/// Lists all servers of the chat, by name.
pub async fn all(tx: &mut Tx, chat_id: ChatId) -> store::Result<Vec<Server>> {
    servers::list(tx, chat_id, 0, PER_CHAT).await
}

/// Lists a page of the units that may be restarted: those that are not well first, since they are what a person comes for.
pub fn restartable(server: &Server, wanted: Wanted) -> Page<Service> {
    let reported = server.latest.as_ref().map(|latest| latest.report.services.as_slice()).unwrap_or_default();
    let mut services: Vec<Service> = reported.iter().filter(|service| service.restartable).cloned().collect();
    let place = |service: &Service| condition(service).max(Condition::Changing);
    services.sort_by(|a, b| (place(a), &a.unit).cmp(&(place(b), &b.unit)));
    wanted.cut(services)
}
