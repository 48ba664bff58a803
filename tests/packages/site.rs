//! A new server that has never heard of us, and a backend that serves the packages.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use osm_telegram_sim::{BotMessage, ButtonKind};
use osm_tests::{
    database::Engine,
    machine::{Machine, Output, Root},
    world::{SOON, World},
};

/// Downloads from the distribution's mirror among it.
pub const INSTALLING: Duration = Duration::from_mins(5);

/// What a small server has: neither polkit nor a web server.
const SYSTEM: [&str; 10] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "ca-certificates",
    "curl",
    "procps",
    "iproute2",
    "openssh-server",
    "sudo",
];

/// What `make packages` built: `target/packages`.
pub fn packages() -> Result<PathBuf> {
    let tests = env::current_exe()?;
    // target/debug/deps/packages-0123456789abcdef
    let target = tests.ancestors().nth(3).context("the tests' own folder")?;
    let packages = target.join("packages");
    ensure!(packages.join("repository/key.asc").is_file(), "{} has no repository: run `make packages`", packages.display());
    Ok(packages)
}

/// The one package in `folder` that is named so.
pub fn package(folder: &Path, start: &str, end: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut named = files.flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(start) && name.ends_with(end)
    });
    let found = named.next().with_context(|| format!("{} has no {start}…{end}", folder.display()))?;
    ensure!(named.next().is_none(), "{} has several {start}…{end}", folder.display());
    Ok(found)
}

pub async fn backend() -> Result<World> {
    backend_with(&packages()?.join("repository")).await
}

pub async fn backend_with(repository: &Path) -> Result<World> {
    let repository = repository.to_str().context("a path in UTF-8")?;
    let world = World::on_system_clock(Engine::Sqlite, &[("OSM_PACKAGES_DIR", repository)]).await;
    world.overlooks("a real machine tells of what it finds");
    Ok(world)
}

/// Boots a server of the suite.
pub fn machine(suite: &str, name: &str) -> Result<Machine> {
    machine_with(suite, name, &[])
}

pub fn machine_with(suite: &str, name: &str, more: &[&str]) -> Result<Machine> {
    let root = Root::ensure(suite, &[&SYSTEM[..], more].concat())?;
    Machine::boot_with(&root, name, |tree| {
        // The host's ports are shared by all machines.
        fs::write(tree.join("etc/ssh/sshd_config.d/port.conf"), format!("Port {}\n", free_port()?))?;
        Ok(())
    })
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Installs from the distribution's mirror or ours, as an administrator does; nothing is asked.
pub fn apt(machine: &Machine, arguments: &[&str]) -> Result<String> {
    let apt = ["apt-get", "-q", "-y", "-o", "Dpkg::Options::=--force-confold"];
    let output = machine.run_within(INSTALLING, &[&apt[..], arguments].concat())?;
    ensure!(output.status == 0, "apt-get {arguments:?}: {}\n{}\n{}", output.status, output.stdout, output.stderr);
    Ok(output.stdout)
}

/// What the bot's `/add_server` gives to copy, in its order; `way` is a button to tap first.
pub async fn lines(world: &World, name: &str, way: Option<&str>) -> Result<Vec<String>> {
    let mut message = world.ask(&world.anna, &format!("/add_server {name}"), "OSM1-").await;
    if let Some(way) = way {
        world.tap(&world.anna, &message, way).await;
        let edited = |edited: &BotMessage| edited.message_id == message.message_id && edited.edits > 0;
        message = world.sim.wait(&world.anna, SOON, edited).await?;
    }
    let copied = message.buttons.iter().flatten().filter_map(|button| match &button.kind {
        ButtonKind::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    Ok(copied.collect())
}

/// Runs a line as it stands, in root's shell. From a file, since an argument would show the token.
pub fn run(machine: &Machine, line: &str) -> Result<Output> {
    machine.write("/root/line", line, 0o600, "root")?;
    machine.run_within(INSTALLING, &["sh", "-eu", "/root/line"])
}

pub fn run_ok(machine: &Machine, lines: &[String]) -> Result<String> {
    let mut printed = String::new();
    for line in lines {
        let output = run(machine, line)?;
        ensure!(output.status == 0, "{line}: {}\n{}\n{}", output.status, output.stdout, output.stderr);
        printed += &output.stdout;
    }
    Ok(printed)
}
