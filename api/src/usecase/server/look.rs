//! Servers are shown.

use crate::{
    domain::{
        ids::ServerId,
        notice::{Notice, Purpose, Toast},
    },
    store::{self, servers},
    usecase::{
        scene::Scene,
        server::find::{Found, find},
    },
};

/// `/status [name]`: shows the card, or asks which server is meant.
pub async fn status(scene: &mut Scene<'_>, name: Option<&str>) -> store::Result<()> {
    let notice = match find(&mut scene.work.tx, scene.chat_id, name, Purpose::Status).await? {
        Found::One(server_id) => Notice::Status { server_id, page: 0 },
        Found::Other(notice) => notice,
    };
    scene.say(&notice).await
}

/// Opens a server's card from a list, as a new message.
pub async fn open(scene: &mut Scene<'_>, server_id: ServerId) -> store::Result<()> {
    if servers::get(&mut scene.work.tx, scene.chat_id, server_id).await?.is_none() {
        return scene.stale().await;
    }
    scene.say(&Notice::Status { server_id, page: 0 }).await?;
    scene.toast(Toast::Done).await
}

/// Shows what a card's own button asks for, in place; the toast says whether the server is still there.
pub async fn turn(scene: &mut Scene<'_>, server_id: ServerId, notice: &Notice, done: Toast) -> store::Result<()> {
    let is_there = servers::get(&mut scene.work.tx, scene.chat_id, server_id).await?.is_some();
    scene.show(notice).await?;
    scene.toast(if is_there { done } else { Toast::Stale }).await
}
