//! The server that is paired: this machine, or a booted container with a real systemd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{
    container::Container,
    programs::{self, Programs},
    settings::program,
};

/// Far longer than the agent itself tries.
const PAIRING: Duration = Duration::from_mins(1);

pub enum Host {
    Here(Here),
    Container(Container),
}

/// The agent as a program beside us, in a folder of its own: nothing is installed and nobody's state is touched.
pub struct Here {
    agent: PathBuf,
    state_dir: PathBuf,
    config: PathBuf,
}

/// `printf %s TOKEN | sudo osm-agent ARGUMENTS`: what the bot says to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingLine {
    pub text: String,
    token: String,
    arguments: Vec<String>,
}

impl PairingLine {
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.trim().strip_prefix("printf %s ").and_then(|rest| rest.split_once(" | sudo osm-agent "));
        let (token, arguments) = parts.with_context(|| format!("the bot's line is not as expected: {text:?}"))?;
        // The shell would make something else of these than we do.
        ensure!(!text.contains(['\'', '"', '\\', '$', '`', ';', '&']), "the bot's line has to be quoted: {text:?}");
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Ok(Self { text: text.trim().to_owned(), token: token.to_owned(), arguments })
    }
}

impl Host {
    pub fn here(dir: &Path) -> Result<Self> {
        let (state_dir, config) = (dir.join("agent"), dir.join("agent.toml"));
        // Fresher figures than by default, for whoever looks at them in the web chat.
        let settings = format!("interval = 10\npolicy_file = {:?}\n", dir.join("units.json").display().to_string());
        fs::write(&config, settings).with_context(|| config.display().to_string())?;
        Ok(Self::Here(Here { agent: program("osm-agent")?, state_dir, config }))
    }

    pub async fn container() -> Result<Self> {
        Ok(Self::Container(Container::boot().await?))
    }

    /// What is about to be done with the bot's line, and the command as one would type it.
    pub fn describe(&self, line: &PairingLine) -> (&'static str, String) {
        match self {
            Self::Here(here) => (
                "On the server, which is this machine: the line above, without sudo and with a folder of its own, for nothing is installed.",
                format!("printf %s {} | osm-agent {} {}", line.token, line.arguments.join(" "), here.folders().join(" ")),
            ),
            Self::Container(_) => ("On the server, which is the container: the line above, as it stands.", line.text.clone()),
        }
    }

    /// Pairs, and gives what the agent printed.
    pub async fn pair(&self, line: &PairingLine) -> Result<String> {
        match self {
            Self::Here(here) => here.pair(line).await,
            Self::Container(container) => container.pair(line).await,
        }
    }

    pub fn start_command(&self) -> String {
        match self {
            Self::Here(here) => format!("osm-agent run {}", here.folders().join(" ")),
            Self::Container(_) => "sudo systemctl enable --now osm-agent".to_owned(),
        }
    }

    /// Starts the agent, which is paired.
    pub async fn start(&self, programs: &mut Programs) -> Result<()> {
        match self {
            Self::Here(here) => {
                let mut command = programs::command(&here.agent);
                command.arg("run").args(here.folders());
                let mut lines = programs.start("osm-agent", command).await?;
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok(())
            }
            Self::Container(container) => container.start().await,
        }
    }

    /// Why the status card has no restart buttons, if it has none.
    pub fn no_buttons(&self) -> Option<&'static str> {
        let Self::Here(_) = self else { return None };
        Some(if Path::new("/run/systemd/system").exists() {
            "The card has no restart buttons, because root has not granted this agent any service here. `make run-systemd` shows them: \
             the agent in a booted container, with nginx and a button that really restarts it."
        } else {
            "The card has no restart buttons, because this machine does not run systemd (there is no /run/systemd/system). \
             `make run-systemd` shows them: the agent in a booted container, with nginx and a button that really restarts it."
        })
    }

    /// Waits until the server itself is gone; this machine never is.
    pub async fn died(&self) -> anyhow::Error {
        match self {
            Self::Here(_) => std::future::pending().await,
            Self::Container(container) => container.died().await,
        }
    }

    pub async fn end(self) {
        if let Self::Container(container) = self {
            container.end().await;
        }
    }
}

impl Here {
    async fn pair(&self, line: &PairingLine) -> Result<String> {
        let mut command: Command = programs::command(&self.agent);
        command.args(&line.arguments).args(self.folders()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // An agent that ends without reading says why in its own words.
            let _ = stdin.write_all(line.token.as_bytes()).await;
        }
        let output = timeout(PAIRING, child.wait_with_output()).await.context("osm-agent pair took too long")??;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if !output.status.success() {
            bail!("osm-agent pair has failed ({}): {}", output.status, said(&output.stderr));
        }
        Ok([said(&output.stderr), said(&output.stdout)]
            .iter()
            .filter(|text| !text.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join("\n"))
    }

    fn folders(&self) -> [String; 4] {
        let text = |path: &Path| path.display().to_string();
        ["--state-dir".to_owned(), text(&self.state_dir), "--config".to_owned(), text(&self.config)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bots_line_is_taken_apart_and_another_is_refused() {
        let line = PairingLine::parse("printf %s OSM1-A | sudo osm-agent pair --api http://h:1 --token-file -").unwrap();
        assert_eq!((line.token.as_str(), line.arguments.join(" ").as_str()), ("OSM1-A", "pair --api http://h:1 --token-file -"));
        for other in ["osm-agent pair", "printf %s T | sudo sh -c x", "printf %s T | sudo osm-agent pair --api 'http://h'"] {
            assert!(PairingLine::parse(other).is_err(), "{other}");
        }
    }
}
