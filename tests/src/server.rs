//! A server with the agent at work, and told about from the chat's side.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use osm_telegram_sim::BotMessage;
use serde::Deserialize;

use crate::{
    database::Engine,
    machine::Machine,
    process::program,
    talk::copied,
    web_server,
    world::{SOON, World},
};

pub const AGENT: &str = "osm-agent.service";
pub const NGINX: &str = "nginx.service";
const STATE: &str = "/var/lib/osm-agent";
/// What a machine under load may take: a restart with its two seconds of watching, the chat's pace of a message a second.
const PATIENCE: Duration = Duration::from_mins(1);
/// `SD_MESSAGE_UNIT_STARTED`: PID 1 writes one such entry for each start that succeeded.
const STARTED: &str = "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf";

const CONFIG: (&str, &str) = ("/etc/osm-agent/agent.toml", include_str!("../../agent/dist/agent.toml"));

/// The agent, not yet running.
pub fn install_agent(machine: &Machine) -> Result<()> {
    web_server::install_agent(machine, &program("osm-agent"))
}

/// The units that root's list, and so the rule, has now.
pub fn listed(machine: &Machine) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct List {
        units: Vec<String>,
    }
    let list: List = serde_json::from_str(&machine.ok(&["cat", "/var/lib/osm-agent-policy/units.json"])?)?;
    Ok(list.units)
}

/// A backend with Anna's chat, and her server with the agent at work in it. The backend is served by the runtime's
/// workers: a test's own future may block on the machine.
pub struct Server {
    pub world: World,
    pub machine: Machine,
}

impl Server {
    /// A server that is installed and not yet paired. `prepare` places what must be there before the list is made, `config`
    /// is written under the shipped agent.toml.
    pub async fn install(engine: Engine, name: &str, config: &str, prepare: impl FnOnce(&Machine) -> Result<()>) -> Result<Self> {
        let world = World::on_system_clock(engine, &[]).await;
        world.overlooks("a real machine tells of what it finds");
        let machine = web_server::boot("bookworm", name)?;
        prepare(&machine)?;
        install_agent(&machine)?;
        let server = Self { world, machine };
        server.configure(config)?;
        server.machine.ok(&["systemctl", "daemon-reload"])?;
        Ok(server)
    }

    /// Installed, paired, started, and its first card is in the chat.
    pub async fn at_work(engine: Engine, name: &str, config: &str, prepare: impl FnOnce(&Machine) -> Result<()>) -> Result<Self> {
        let server = Self::install(engine, name, config, prepare).await?;
        server.pair(name).await?;
        server.machine.ok(&["systemctl", "enable", "--quiet", "--now", AGENT])?;
        server.first_card(name).await?;
        Ok(server)
    }

    pub fn configure(&self, config: &str) -> Result<()> {
        self.machine.write(CONFIG.0, format!("{config}\n"), 0o644, "root")
    }

    /// Runs the bot's line as it stands, in root's shell, where sudo has nothing to do. Gives the token and what was printed.
    pub async fn pair(&self, name: &str) -> Result<(String, String)> {
        let (token, message) = self.world.token(&self.world.anna, name).await;
        let line = copied(&message).context("no line to copy")?;
        let as_root = format!("printf %s {token} | osm-agent pair --api {} --token-file -", self.world.api);
        ensure!(line.replace("| sudo ", "| ") == as_root, "another line: {line}");
        // A file, since an argument would show the token.
        self.machine.write("/run/pair", as_root, 0o600, "root")?;
        let printed = self.machine.ok(&["sh", "/run/pair"])?;
        Ok((token, printed))
    }

    pub async fn first_card(&self, name: &str) -> Result<BotMessage> {
        let card = |message: &BotMessage| message.plain.contains("online") && message.plain.contains(name);
        self.world.sim.wait(&self.world.anna, PATIENCE, card).await.with_context(|| self.machine.journal(AGENT))
    }

    /// Anna taps her way to a restart and confirms it; gives the message that will tell how it goes.
    pub async fn ask_restart(&self, unit: &str) -> Result<BotMessage> {
        let question = self.question(unit).await?;
        self.confirm(&question).await;
        Ok(question)
    }

    /// The question, from a list of services that stands in the chat already, else by way of a card: the chat has its pace.
    async fn question(&self, unit: &str) -> Result<BotMessage> {
        let (world, anna) = (&self.world, &self.world.anna);
        let messages = world.sim.messages(anna);
        let Some(list) = messages.iter().rev().find(|message| message.button(unit).is_some()) else {
            return Ok(world.restart_question(unit).await);
        };
        let last = messages.iter().map(|message| message.message_id).max().unwrap_or_default();
        world.tap(anna, list, unit).await;
        let asked = |message: &BotMessage| message.message_id > last && message.plain.starts_with(&format!("Restart {unit}"));
        world.sim.wait(anna, SOON, asked).await
    }

    pub async fn confirm(&self, question: &BotMessage) {
        self.world.tap(&self.world.anna, question, "✅ Restart").await;
    }

    /// Waits until the very message that asked says `expected`; gives all of what it says.
    pub async fn told(&self, question: &BotMessage, expected: &str) -> Result<String> {
        let said = |message: &BotMessage| message.message_id == question.message_id && message.plain.contains(expected);
        let told = self.world.sim.wait(&self.world.anna, PATIENCE, said).await.with_context(|| self.machine.journal(AGENT))?;
        Ok(told.plain)
    }

    /// A fresh card that says `expected`; several are asked for, since reports have their own pace.
    pub async fn card_with(&self, expected: &str) -> Result<BotMessage> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let card = self.world.ask(&self.world.anna, "/status", "online").await;
            if card.plain.contains(expected) {
                return Ok(card);
            }
            ensure!(Instant::now() < deadline, "no card with {expected:?}; the last one:\n{}", card.plain);
            // Reports come every few seconds, and a chat takes a message a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Waits until the chat offers a restart of this service: the list on the host is made anew, and a report brings it.
    pub async fn offers(&self, unit: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let card = self.card_with(unit).await?;
            let offered = self.offered(&card).await?;
            if offered.iter().any(|offered| offered == unit) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "no restart of {unit} is offered, but of {offered:?}");
        }
    }

    /// A fresh card without this button.
    pub async fn card_without(&self, label: &str) -> Result<BotMessage> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let card = self.world.ask(&self.world.anna, "/status", "online").await;
            if card.button(label).is_none() {
                return Ok(card);
            }
            ensure!(Instant::now() < deadline, "still there: {label}");
            // Reports come every few seconds, and a chat takes a message a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What the chat offers for a restart; nothing where there is no such button.
    pub async fn offered(&self, card: &BotMessage) -> Result<Vec<String>> {
        if card.button("Restart a service").is_none() {
            return Ok(Vec::new());
        }
        self.world.tap(&self.world.anna, card, "Restart a service").await;
        let edited = |message: &BotMessage| message.message_id == card.message_id && message.edits > card.edits;
        let picker = self.world.sim.wait(&self.world.anna, SOON, edited).await?;
        let labels = picker.buttons.iter().flatten().map(|button| button.label.as_str());
        Ok(labels
            .filter_map(|label| label.split_whitespace().find(|word| word.ends_with(".service")))
            .map(str::to_owned)
            .collect())
    }

    pub fn main_pid(&self, unit: &str) -> Result<String> {
        self.machine.unit_property(unit, "MainPID")
    }

    /// How often systemd has started a unit, by its own journal.
    pub fn starts(&self, unit: &str) -> Result<usize> {
        self.machine.ok(&["journalctl", "--sync"])?;
        let entries = self.machine.ok(&["journalctl", "--quiet", "--no-pager", "--output=cat", "--unit", unit, STARTED])?;
        Ok(entries.lines().count())
    }

    /// Kills the agent as a crash or the kernel would.
    pub fn kill_agent(&self) -> Result<()> {
        self.machine.ok(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", AGENT])?;
        Ok(())
    }

    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.machine.wait_for(what, PATIENCE, probe).with_context(|| self.machine.journal(AGENT))
    }

    /// Waits until systemd has brought back an agent that died, `times` since it was started by hand.
    pub fn came_back(&self, times: u32) -> Result<()> {
        self.wait_for("agent that came back", || {
            let restarts = self.machine.unit_property(AGENT, "NRestarts")?;
            let active = self.machine.unit_property(AGENT, "ActiveState")? == "active";
            Ok((active && restarts == times.to_string()).then_some(()))
        })
    }

    /// Names of files in the state directory, under `folder`.
    pub fn state_files(&self, folder: &str) -> Result<Vec<String>> {
        let path = format!("{STATE}/{folder}");
        let found = self.machine.ok(&["find", &path, "-type", "f", "-printf", "%P\\n"])?;
        Ok(found.lines().map(str::to_owned).collect())
    }
}
