//! The backend as a bot in real Telegram, with what a first try needs as defaults.

use std::{
    convert::Infallible,
    env,
    fs::DirBuilder,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};
use osm_api::config::Config;

use crate::settings::{program, set, url};

/// Becomes the backend, or says why not.
pub fn become_backend() -> Result<Infallible> {
    let (api, agent) = (program("osm-api")?, program("osm-agent")?);
    let state_dir = state_dir()?;
    let state = state_dir.display().to_string();
    // What the backend would refuse is refused before anything is promised.
    let config = Config::load(None, |key| if key == "OSM_STATE_DIR" { Some(state.clone()) } else { set(key) })?;
    DirBuilder::new().recursive(true).mode(0o700).create(&state_dir).with_context(|| state_dir.display().to_string())?;
    let url = set("OSM_PUBLIC_URL").unwrap_or_else(|| url(config.listen));
    let (agent, own) = (agent.display(), state_dir.join("agent"));
    println!(
        "Starting the backend as your bot in real Telegram; what it stores is in {} (OSM_STATE_DIR).\n\
         Next: open the link that it prints below, then tap \"Add a server\" in the chat.\n\
         To pair this machine without installing anything, run the bot's line with the agent just built and a folder of its own:\n\
         \n    printf %s TOKEN | {agent} pair --api {url} --token-file - --state-dir {own}\
         \n    {agent} run --state-dir {own}\n",
        state_dir.display(),
        own = own.display(),
    );
    Err(Command::new(&api).arg("serve").env("OSM_STATE_DIR", &state_dir).exec()).with_context(|| api.display().to_string())
}

fn state_dir() -> Result<PathBuf> {
    let of_user = || {
        let base = set("XDG_STATE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".local/state")))?;
        Some(base.join("osm-demo"))
    };
    set("OSM_STATE_DIR").map(PathBuf::from).or_else(of_user).context("set OSM_STATE_DIR to a folder for what the backend stores")
}
