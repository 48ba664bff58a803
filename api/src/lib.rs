//! The backend of Online Server Monitor. [`App`] opens everything, [`App::serve`] runs it on a listener until it is told to
//! stop: the seam that the stories of `tests/` use too.

pub mod cli;
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
mod state;
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
    state::lock::Lock,
    store::{Store, leases, wake},
    telegram::{
        receive::Receiver,
        send::{asides, bot::Bot},
    },
    usecase::{
        Core,
        readiness::Readiness,
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
    lock: Lock,
}

impl App {
    pub async fn open(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let keys = Keys::load(&config.state_dir, config.telegram.webhook_secret.clone(), clock.now())?;
        let lock = Lock::take(&config.state_dir)?;
        if Keys::has_root_key(&config.state_dir) {
            tracing::warn!(
                "keys/root.pem lies in the state directory, where whoever steals this backend gets hold of the agents for good: \
                 `osm-api keys detach FILE` moves it"
            );
        }
        let store = Store::open(config.database_url.expose()).await?;
        if store.is_embedded()
            && let Err(error) = store.hear(&config.state_dir.join(wake::SOCKET))
        {
            tracing::warn!(%error, "what the operator's commands change is seen within a second, not at once");
        }
        let bot = Arc::new(Bot::new(&config.telegram)?);
        let (reports, writer) = Reports::new();
        let instance = clock.id();
        let url = &config.public_url;
        let packages = config.packages_dir.as_deref().map(|dir| Packages::open(dir, &url.text, url.host())).transpose()?;
        Ok(Self {
            core: Arc::new(Core {
                config,
                clock,
                store,
                keys,
                packages,
                refusals: Refusals::default(),
                readiness: Readiness::default(),
                instance,
            }),
            bot,
            reports,
            writer,
            lock,
        })
    }

    /// Runs until `shutdown`. `announce` gets the claim link, if the bot still needs an owner.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
        announce: impl FnOnce(&str) + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { core, bot, reports, writer, lock } = self;
        start::start(&core).await?;
        let database = if core.store.is_embedded() { "SQLite" } else { "PostgreSQL" };
        let mode = match core.config.telegram.mode {
            config::Mode::Webhook => "webhook",
            config::Mode::Polling => "polling",
        };
        tracing::info!("osm-api {} starts: database {database}, Telegram by {mode}", env!("CARGO_PKG_VERSION"));
        let (asides, aside) = asides::queue();
        let receiver = Arc::new(Receiver::new(&core, &bot, asides));
        let http = http::Http::new(core.clone(), reports);
        http.load().await?;
        let mut routes = Route::new();
        if core.config.telegram.mode == config::Mode::Webhook {
            routes = routes.at(telegram::receive::webhook::PATH, telegram::receive::webhook::endpoint(&http, &receiver));
        }
        let routes = http::edge(&http, routes.nest("/", http::routes(&http)));
        drop(http);
        let (failed, failure) = oneshot::channel();
        let mut outward = outward(&core, receiver, failed, announce);
        let mut inward = inward(&core, &bot);
        inward.spawn({
            let (core, bot) = (core.clone(), bot.clone());
            async move { asides::run(&core, &bot, aside).await }
        });
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
        // What is under way is finished, so that no message goes out twice for a restart. The routes are gone, and with them
        // the last sender of reports: what was accepted is written.
        let _ = tokio::time::timeout(GRACE, async { while inward.join_next().await.is_some() {} }).await;
        inward.shutdown().await;
        let mut tx = core.store.begin().await?;
        leases::release(&mut tx, core.instance).await?;
        tx.commit("stop").await?;
        core.store.close().await;
        drop(lock);
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
    receiver: Arc<Receiver>,
    failed: oneshot::Sender<anyhow::Error>,
    announce: impl FnOnce(&str) + Send + 'static,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let bot = receiver.clone();
    tasks.spawn(async move { telegram::setup::offer_commands(bot.bot()).await });
    let core_in = core.clone();
    tasks.spawn(async move {
        match telegram::setup::run(&core_in, receiver.bot()).await {
            Ok(link) => {
                if let Some(link) = link {
                    announce(&link);
                }
                if core_in.config.telegram.mode == config::Mode::Polling {
                    telegram::receive::polling::run(&receiver).await;
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
    if core.packages.is_some() {
        let core_in = core.clone();
        tasks.spawn(async move {
            if let Some(packages) = &core_in.packages {
                jobs::packages::run(&core_in, packages).await;
            }
        });
    }
    tasks
}
