//! The first conversation: Anna claims the bot, adds a server, pairs it as the bot says and asks how it is.

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use osm_telegram_sim::{BotMessage, Options, Sim, User};
use tempfile::TempDir;
use tokio::{
    io::{BufReader, Lines},
    net::TcpListener,
    pin,
    process::ChildStdout,
    time::{interval, timeout},
};

use crate::{
    host::{Host, PairingLine},
    programs::{self, Programs},
    screen::Screen,
    settings::{self, Settings},
};

const ANNA: i64 = 1001;
const BOB: i64 = 1002;
const GROUP: i64 = -1_001_234_567_890;
/// How long anything that must happen may take; all of it takes a few seconds on an idle machine.
const SOON: Duration = Duration::from_mins(1);

pub struct Demo {
    sim: Sim,
    anna: User,
    api: SocketAddr,
    /// Address of the stand-in and its web chat.
    chat: String,
    screen: Screen,
    programs: Programs,
    host: Option<Arc<Host>>,
    /// Databases, keys and logs; gone with us.
    dir: TempDir,
}

impl Demo {
    pub fn new(settings: Settings) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("osm-demo-").tempdir().context("no folder for a state directory")?;
        // As strict as Telegram, which is the point of trying it.
        let options = Options { enforce_budgets: true, ..Options::default() };
        let chat = settings::url(settings.chat.local_addr()?);
        let sim = Sim::serve(TcpListener::from_std(settings.chat)?, options)?;
        let (anna, bob) = (sim.user(ANNA, "Anna"), sim.user(BOB, "Bob"));
        sim.group(GROUP, "Ops", &[anna.owner(), bob.member()]);
        Ok(Self {
            anna,
            api: settings.api,
            chat,
            screen: Screen::new(),
            programs: Programs::new(dir.path()),
            host: None,
            sim,
            dir,
        })
    }

    /// Plays it; then stays, unless it was only to be played `once`, until a program dies.
    pub async fn play(&mut self, in_container: bool, once: bool) -> Result<()> {
        if in_container && settings::telegram_token() {
            self.screen.note("OSM_TELEGRAM_TOKEN is set, but this is played in the Bot API stand-in.");
        }
        let api = settings::program("osm-api")?;
        let host = if in_container {
            self.screen.note("Booting a Debian container (the first time it is built, which takes a minute or two) …");
            self.during(Host::container()).await?
        } else {
            Host::here(self.dir.path())?
        };
        self.host = Some(Arc::new(host));
        self.claim(&api).await?;
        let line = self.add_server().await?;
        self.pair(&line).await?;
        self.status().await?;
        match self.server()?.no_buttons() {
            Some(why) => self.screen.note(&format!("\n{why}")),
            None => self.restart().await?,
        }
        self.screen.note(
            "\nThis chat is a stand-in on this machine, not Telegram: nothing left it. With a bot's token in OSM_TELEGRAM_TOKEN, \
             `make run` talks to Telegram.",
        );
        if once {
            return Ok(());
        }
        self.screen.note(&format!("The programs' logs are in {}.", self.dir.path().display()));
        let chat = &self.chat;
        self.screen.say(&format!("Open {chat}/#user={ANNA}&chat={ANNA} to go on in the web chat. Ctrl-C ends everything."));
        self.stay().await
    }

    /// Shows the chat until something dies.
    async fn stay(&mut self) -> Result<()> {
        let host = self.server()?;
        self.during(async { Err(host.died().await) }).await
    }

    /// Ends all that was started.
    pub async fn end(mut self) {
        self.screen.note("\nEnding …");
        if let Some(host) = self.host.take().and_then(Arc::into_inner) {
            host.end().await;
        }
        self.programs.end().await;
        self.sim.shutdown().await;
    }

    /// Starts the backend and makes Anna its owner.
    async fn claim(&mut self, api: &Path) -> Result<()> {
        self.screen.run("osm-api serve");
        let mut command = programs::command(api);
        command.arg("serve").envs([
            ("OSM_LISTEN", self.api.to_string()),
            ("OSM_PUBLIC_URL", settings::url(self.api)),
            ("OSM_STATE_DIR", self.dir.path().join("api").display().to_string()),
            ("OSM_TELEGRAM_API_URL", self.chat.clone()),
            ("OSM_TELEGRAM_TOKEN", self.sim.token().to_owned()),
            ("OSM_TELEGRAM_MODE", "webhook".to_owned()),
        ]);
        let mut lines = self.programs.start("osm-api", command).await?;
        let code = loop {
            let line = next(&mut lines, &mut self.programs).await?;
            Screen::output(&line);
            if let Some((_, code)) = line.split_once("?start=") {
                break code.split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        // Read on, or the backend would stop at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.ask(&format!("/start {code}"), "owner of this bot").await?;
        Ok(())
    }

    async fn add_server(&mut self) -> Result<PairingLine> {
        let welcome = self.bot_offers("Add a server").await?;
        self.tap(&welcome, "Add a server")?;
        let offer = self.bot_says("osm-agent pair", welcome.message_id).await?;
        let line = offer.plain.lines().find(|line| line.contains("osm-agent pair")).unwrap_or_default();
        PairingLine::parse(line)
    }

    /// Does on the server what the bot's message says.
    async fn pair(&mut self, line: &PairingLine) -> Result<()> {
        let host = self.server()?;
        let (title, command) = host.describe(line);
        self.screen.note(&format!("\n{title}"));
        self.screen.run(&command);
        let printed = self.during(host.pair(line)).await?;
        Screen::output(&printed);
        self.screen.run(&host.start_command());
        host.start(&mut self.programs).await
    }

    async fn status(&mut self) -> Result<()> {
        // The first card comes unasked.
        self.bot_says("online", 0).await?;
        self.ask("/status", "online").await?;
        Ok(())
    }

    /// Restarts nginx from its card, and shows that it was.
    async fn restart(&mut self) -> Result<()> {
        let before = self.nginx().await?;
        let card = self.bot_offers("Restart a service").await?;
        self.tap(&card, "Restart a service")?;
        let services = self.bot_offers("nginx.service").await?;
        self.tap(&services, "nginx.service")?;
        let question = self.bot_says("Restart nginx.service", 0).await?;
        self.tap(&question, "Restart")?;
        self.bot_says("Done", 0).await?;
        let after = self.nginx().await?;
        if before == after {
            bail!("nginx was not restarted: its process is still {before}");
        }
        self.screen.note(&format!("\nIn the container nginx was process {before}, and is {after} now."));
        Ok(())
    }

    async fn nginx(&self) -> Result<String> {
        match &*self.server()? {
            Host::Container(container) => container.nginx().await,
            Host::Here(_) => bail!("there is no nginx here"),
        }
    }

    fn server(&self) -> Result<Arc<Host>> {
        self.host.clone().context("there is no server yet")
    }

    /// Anna taps the button whose label holds `label`.
    fn tap(&self, message: &BotMessage, label: &str) -> Result<()> {
        let button =
            message.button(label).with_context(|| format!("the bot's message has no button {label:?}:\n{}", message.plain))?;
        self.screen.tap("Anna", &button.label);
        self.sim.press(&self.anna, &self.anna, message.message_id, &button.label)?;
        Ok(())
    }

    /// Anna writes, and gets a new message that holds `expected`.
    async fn ask(&mut self, text: &str, expected: &str) -> Result<BotMessage> {
        let said = self.sim.say(&self.anna, &self.anna, text);
        self.bot_says(expected, said.message_id).await
    }

    /// Waits for a message after `after` that holds `expected`.
    async fn bot_says(&mut self, expected: &str, after: i32) -> Result<BotMessage> {
        self.bot(expected, move |message| message.message_id > after && message.plain.contains(expected)).await
    }

    /// Waits for a message with a button whose label holds `label`.
    async fn bot_offers(&mut self, label: &str) -> Result<BotMessage> {
        self.bot(label, |message| message.button(label).is_some()).await
    }

    async fn bot(&mut self, expected: &str, wanted: impl Fn(&BotMessage) -> bool) -> Result<BotMessage> {
        let (sim, anna) = (self.sim.clone(), self.anna.clone());
        let found = async { sim.wait(&anna, SOON, wanted).await.ok() };
        self.during(async { found.await.with_context(|| format!("the bot did not answer with {expected:?} within {SOON:?}")) })
            .await
    }

    /// Shows the chat as it goes until `work` is done, or a program has died.
    async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        pin!(work);
        let mut look = interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                done = &mut work => {
                    self.screen.catch_up(&self.sim.transcript(&self.anna));
                    return done;
                }
                end = self.programs.died() => return Err(end.into()),
                _ = look.tick() => self.screen.catch_up(&self.sim.transcript(&self.anna)),
            }
        }
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>, programs: &mut Programs) -> Result<String> {
    match timeout(SOON, lines.next_line()).await {
        Ok(Ok(Some(line))) => Ok(line),
        // It printed its last line: its end follows.
        Ok(_) => Err(programs.died().await.into()),
        Err(_) => bail!("the backend has printed no claim link within {SOON:?}"),
    }
}
