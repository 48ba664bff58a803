//! A pairing token is made and shown in the asker's private chat; a dead one is taken out of its message.

use crate::{
    domain::{
        MINUTE, Millis,
        event::Event,
        ids::{ChatId, PairingId},
        intent::{Chat, ChatKind, Family},
        notice::{Limit, Notice, Toast, Urgency},
        server,
    },
    store::{self, chats, outbox::Shown, pairings, servers},
    usecase::{scene::Scene, work::Work},
};

const VALID: Millis = 15 * MINUTE;
/// Tokens a person may have open at a time.
const OPEN_MAX: i64 = 10;

/// `/add_server [name]`: makes a token and shows it in the asker's private chat.
pub async fn start(scene: &mut Scene<'_>, chat: &Chat, name: Option<&str>) -> store::Result<()> {
    scene.toast(Toast::Done).await?;
    if let Some(limit) = limit_reached(scene).await? {
        return scene.say(&Notice::LimitReached { limit }).await;
    }
    let private = scene.actor.id.private_chat();
    let in_group = chat.kind == ChatKind::Group;
    // A bot cannot write to a person first.
    if in_group && !chats::get(&mut scene.work.tx, private).await?.is_some_and(|private| private.reachable) {
        return scene.say(&Notice::PairingNeedsPrivateChat).await;
    }
    let name = name.unwrap_or_default();
    make(scene, private, name).await?;
    scene.record(Event::PairingAsked { name: name.to_owned() });
    if in_group {
        scene.say(&Notice::PairingSentPrivately { name: scene.actor.name.clone() }).await?;
    }
    Ok(())
}

async fn limit_reached(scene: &mut Scene<'_>) -> store::Result<Option<Limit>> {
    let tx = &mut scene.work.tx;
    Ok(if servers::count(tx, scene.chat_id).await? >= server::PER_CHAT {
        Some(Limit::Servers)
    } else if pairings::count_open(tx, scene.actor.id, scene.work.now).await? >= OPEN_MAX {
        Some(Limit::PairingTokens)
    } else {
        None
    })
}

async fn make(scene: &mut Scene<'_>, private: ChatId, name: &str) -> store::Result<()> {
    let work = &mut scene.work;
    let (pairing_id, message_id) = (work.id::<PairingId>(), work.id());
    let new = pairings::New {
        id: pairing_id,
        chat_id: scene.chat_id,
        user_id: scene.actor.id,
        name,
        token_hash: &work.core.keys.pairing_token(pairing_id).hash(),
        created_at: work.now,
        expires_at: work.now + VALID,
        message_id,
        topic: scene.topic,
    };
    pairings::insert(&mut work.tx, &new).await?;
    let notice = Notice::Pairing { pairing_id, family: Family::Short };
    work.send_as(&Shown { chat_id: private, message_id, notice: &notice, urgency: Urgency::Answer }).await
}

/// Edits the messages of used and expired tokens, so that no chat keeps one.
pub async fn close_messages(work: &mut Work<'_>) -> store::Result<()> {
    for pairing in pairings::close_dead(&mut work.tx, work.now).await? {
        let notice = Notice::Pairing { pairing_id: pairing.id, family: Family::Short };
        let chat_id = pairing.user_id.private_chat();
        let shown = Shown { chat_id, message_id: pairing.message_id, notice: &notice, urgency: Urgency::Answer };
        work.edit(&shown).await?;
    }
    Ok(())
}
