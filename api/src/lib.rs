//! The backend of Online Server Monitor. [`App`] opens everything, [`App::serve`] runs it on a listener until it is told to stop:
//! the seam that the stories of `tests/` use too.

pub mod clock;
pub mod config;
mod crash;
pub mod domain;
pub mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
#[cfg(test)]
mod golden;
mod http;
mod jobs;
pub mod keys;
pub mod packages;
mod query;
pub mod store;
mod telegram;
pub mod usecase;
mod zone;

use std::{future::Future, sync::Arc, time::Duration};

use poem::Route;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

use crate::{
    clock::Clock,
    config::Config,
    keys::Keys,
    packages::Packages,
    store::{Store, leases},
    telegram::send::bot::Bot,
    usecase::{
        Core,
        report::{Reports, Writer},
        start,
        tally::Refusals,
    },
};

/// How long what is under way outwards has after the signal to stop.
const GRACE: Duration = Duration::from_secs(5);

pub struct App {
    pub core: Arc<Core>,
    bot: Arc<Bot>,
    reports: Reports,
    writer: Writer,
}

impl App {
    pub async fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let keys = Keys::load(&config.state_dir, config.telegram.webhook_secret.clone(), clock.now())?;
        let store = Store::open(config.database_url.expose()).await?;
        let bot = Arc::new(Bot::new(&config.telegram)?);
        let (reports, writer) = Reports::new();
        let instance = clock.id();
        let packages = config.packages_dir.as_deref().map(|dir| Packages::open(dir, &config.public_url.text)).transpose()?;
        Ok(Self {
            core: Arc::new(Core { config, clock, store, keys, packages, refusals: Refusals::default(), instance }),
            bot,
            reports,
            writer,
        })
    }

    /// Runs until `shutdown`. `announce` gets the claim link, if the bot still needs an owner.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
        announce: impl FnOnce(&str) + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { core, bot, reports, writer } = self;
        start::start(&core).await?;
        let database = if core.store.is_embedded() { "SQLite" } else { "PostgreSQL" };
        let mode = match core.config.telegram.mode {
            config::Mode::Webhook => "webhook",
            config::Mode::Polling => "polling",
        };
        tracing::info!("osm-api {} starts: database {database}, Telegram by {mode}", env!("CARGO_PKG_VERSION"));
        let http = http::Http::new(core.clone(), reports);
        http.load().await?;
        let mut routes = Route::new();
        if core.config.telegram.mode == config::Mode::Webhook {
            routes = routes.at(telegram::receive::webhook::PATH, telegram::receive::webhook::endpoint(&http, &bot));
        }
        let routes = http::edge(&http, routes.nest("/", http::routes(&http)));
        drop(http);
        let (failed, failure) = oneshot::channel();
        let mut outward = outward(&core, &bot, failed, announce);
        let mut inward = inward(&core, &bot);
        inward.spawn({
            let core = core.clone();
            async move { writer.run(&core).await }
        });

        let mut fatal = None;
        let stop = async {
            tokio::select! {
                () = shutdown => {}
                Ok(error) = failure => fatal = Some(error),
                // None ends before the backend does, unless it panicked: better to be started anew than to fall silent.
                Some(ended) = inward.join_next() => fatal = Some(anyhow::anyhow!("a worker ended: {ended:?}")),
            }
            // Long polls answer now instead of holding the shutdown up.
            core.store.hub.stop();
        };
        http::serve(core.clone(), listener, routes, stop).await?;

        outward.shutdown().await;
        // What is under way is finished, so that no message goes out twice for a restart. The routes are gone, and with them the
        // last sender of reports: what was accepted is written.
        let _ = tokio::time::timeout(GRACE, async { while inward.join_next().await.is_some() {} }).await;
        inward.shutdown().await;
        let mut tx = core.store.begin().await?;
        leases::release(&mut tx, core.instance).await?;
        tx.commit("stop").await?;
        core.store.close().await;
        tracing::info!("osm-api stops");
        fatal.map_or(Ok(()), Err)
    }
}

/// Gives the OpenAPI document, as `openapi/openapi.json` holds it.
pub fn document() -> String {
    http::document()
}

/// Sets the bot up, then polls where there is no webhook.
fn outward(
    core: &Arc<Core>,
    bot: &Arc<Bot>,
    failed: oneshot::Sender<anyhow::Error>,
    announce: impl FnOnce(&str) + Send + 'static,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (core_in, bot_in) = (core.clone(), bot.clone());
    tasks.spawn(async move {
        match telegram::setup::run(&core_in, &bot_in).await {
            Ok(link) => {
                if let Some(link) = link {
                    announce(&link);
                }
                if core_in.config.telegram.mode == config::Mode::Polling {
                    telegram::receive::polling::run(&core_in, &bot_in).await;
                }
            }
            Err(error) => {
                let _ = failed.send(error);
            }
        }
    });
    let core_in = core.clone();
    tasks.spawn(async move { jobs::heartbeat::run(&core_in).await });
    tasks
}

/// Starts what works on the database: it ends by itself when the backend stops.
fn inward(core: &Arc<Core>, bot: &Arc<Bot>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (core_in, bot_in) = (core.clone(), bot.clone());
    tasks.spawn(async move { telegram::receive::inbox::run(&core_in, &bot_in).await });
    let (core_in, bot_in) = (core.clone(), bot.clone());
    tasks.spawn(async move { telegram::send::outbox::run(&core_in, &bot_in).await });
    let core_in = core.clone();
    tasks.spawn(async move { jobs::housekeeping::run(&core_in).await });
    let core_in = core.clone();
    tasks.spawn(async move { jobs::offline::run(&core_in).await });
    let core_in = core.clone();
    tasks.spawn(async move { jobs::numbering::run(&core_in).await });
    let core_in = core.clone();
    tasks.spawn(async move { jobs::refusals::run(&core_in).await });
    tasks
}
