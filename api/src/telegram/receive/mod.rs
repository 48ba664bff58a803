//! Updates in.
//!
//! | module | what |
//! |---|---|
//! | [`webhook`], [`polling`] | the two ways in which they come; both hand them to the [`Receiver`] |
//! | [`wire`] | what is read of an update |
//! | [`update`] | an update becomes a parsed request, pure |
//! | [`strangers`] | who is nobody here, and is told so at most once an hour |
//! | [`inbox`] | applies requests, a chat's oldest first, chats side by side |

pub mod inbox;
pub mod polling;
mod strangers;
pub mod update;
pub mod webhook;
mod wire;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    domain::ids::UpdateId,
    error::Result,
    telegram::{
        receive::{
            strangers::Strangers,
            update::{Incoming, Parsed},
        },
        send::{asides::Asides, bot::Bot},
    },
    usecase::{
        Core,
        update::{Received, receive},
    },
};

/// Stores what updates ask for, by whichever way they come.
pub struct Receiver {
    core: Arc<Core>,
    bot: Arc<Bot>,
    strangers: Strangers,
}

impl Receiver {
    pub fn new(core: &Arc<Core>, bot: &Arc<Bot>, asides: Asides) -> Self {
        Self { core: core.clone(), bot: bot.clone(), strangers: Strangers::new(asides) }
    }

    pub fn bot(&self) -> &Bot {
        &self.bot
    }

    /// Stores what an update asks for, and returns when that is durable. What asks for nothing, and what cannot be read, is
    /// dropped: Telegram would send it for ever, and hold back what follows in its chat. What strangers ask for costs no
    /// write.
    async fn take(&self, incoming: Incoming) -> Result<()> {
        // Telegram would send what makes us panic for ever, and a poller would end by it.
        let parse = || incoming.update.map(|update| update::parse(&update, self.bot.username()));
        let parsed =
            catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| Err("one that makes this version panic".to_owned()));
        match (incoming.id, parsed) {
            (Some(id), Ok(Parsed::Request(request))) => {
                if receive(&self.core, id, &request).await? == Received::OfStranger {
                    self.strangers.refuse(&request, self.core.clock.steady());
                }
            }
            (id, Ok(Parsed::Ignored(kind))) if update::is_talk(kind) => tracing::debug!(?id, kind, "an update was dropped"),
            (id, Ok(Parsed::Ignored(kind))) => dropped(id, kind),
            (id, Err(kind)) => dropped(id, &kind),
            (None, Ok(Parsed::Request(_))) => dropped(None, "no update"),
        }
        Ok(())
    }
}

fn dropped(update: Option<UpdateId>, kind: &str) {
    tracing::info!(update = update.map(|id| id.0), kind, "an update that cannot be used was dropped");
}
