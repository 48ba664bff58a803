//! The stand-in as a program: a Bot API server with a chat page, for trying the product by hand.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use osm_telegram_sim::{Options, Sim};
use tokio::signal::unix::{SignalKind, signal};

/// A Telegram Bot API stand-in with a chat page in the browser. It is not Telegram: nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(version, after_help = "Start the product with OSM_TELEGRAM_API_URL set to the address printed, and the same token.")]
struct Args {
    /// Address to listen on; the page has no login, so keep it to yourself.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The token the product must use.
    #[arg(long, default_value_t = Options::default().token)]
    token: String,
    /// The bot's username, without @.
    #[arg(long, default_value_t = Options::default().bot_username)]
    bot_username: String,
    /// The bot's display name.
    #[arg(long, default_value_t = Options::default().bot_name)]
    bot_name: String,
    /// A person who can use the page, as ID:NAME; may be repeated. The first owns the group.
    #[arg(long = "user", value_parser = person, default_values = ["1001:Anna", "1002:Bob"])]
    users: Vec<(i64, String)>,
    /// Name of a group in which everybody is, and the bot; empty for none.
    #[arg(long, default_value = "Ops")]
    group: String,
    /// Do not answer 429 when the bot sends more than Telegram allows.
    #[arg(long)]
    no_budgets: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let sim = Sim::start(Options {
        token: args.token,
        listen: args.listen,
        bot_username: args.bot_username,
        bot_name: args.bot_name,
        enforce_budgets: !args.no_budgets,
        ..Options::default()
    })
    .await?;
    let people: Vec<_> = args.users.iter().map(|(id, name)| sim.user(*id, name)).collect();
    if !args.group.is_empty() && !people.is_empty() {
        let members = people.iter().enumerate().map(|(i, user)| if i == 0 { user.owner() } else { user.member() });
        sim.group(-1_001_234_567_890, &args.group, &members.collect::<Vec<_>>());
    }
    println!("Chat page and Bot API: {}", sim.api_url());
    println!("For the product:       OSM_TELEGRAM_API_URL={} OSM_TELEGRAM_TOKEN={}", sim.api_url(), sim.token());
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("cannot wait for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    sim.shutdown().await;
    Ok(())
}

fn person(text: &str) -> Result<(i64, String), String> {
    let (id, name) = text.split_once(':').ok_or("expected ID:NAME, for example 1001:Anna")?;
    match id.parse() {
        Ok(id) if id > 0 && !name.is_empty() => Ok((id, name.to_owned())),
        _ => Err("expected a positive number and a name, for example 1001:Anna".into()),
    }
}
