//! The keys that sign commands. All of it needs the state directory only, and the user of the service.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use osm_protocol::keyset::TrustedKeys;

use crate::{
    clock::Clock,
    keys::{Keys, Old, Rotation},
};

#[derive(Subcommand)]
pub enum Command {
    /// Show the root key's fingerprint and the command keys in use.
    Show,
    /// Make a new command key; the old one stays trusted until the next rotation, so that commands on their way still hold. Is
    /// run as the user of the service. Restart the backend afterwards.
    Rotate {
        /// The old key may be stolen: leave it out of the key set at once. Commands on their way are lost.
        #[arg(long)]
        revoke: bool,
        /// Where the root key is, if it was detached.
        #[arg(long, value_name = "FILE")]
        root_key: Option<PathBuf>,
    },
    /// Move the root key out of the state directory, so that a thief of the backend cannot sign key sets. Take the file to
    /// another machine then; `rotate` wants it back.
    Detach {
        /// A file that is not there yet.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

pub fn run(state_dir: &Path, command: &Command, clock: &Clock) -> anyhow::Result<()> {
    match command {
        Command::Show => show(&Keys::show(state_dir)?),
        Command::Rotate { revoke, root_key } => {
            let old = if *revoke { Old::Revoked } else { Old::Trusted };
            show(&Keys::rotate(state_dir, &Rotation { old, root: root_key.as_deref() }, clock.now())?);
            println!("Restart the backend; agents fetch the new key set with their next report.");
        }
        Command::Detach { file } => {
            let root = Keys::detach(state_dir, file)?;
            println!("root     {}", root.fingerprint());
            println!(
                "{} holds the root key now. Take it to another machine; `osm-api keys rotate --root-key FILE` needs it.",
                file.display()
            );
        }
    }
    Ok(())
}

fn show(trusted: &TrustedKeys) {
    println!("key set  version {}", trusted.version);
    println!("root     {}", trusted.root.fingerprint());
    for key in &trusted.command_keys {
        println!("command  {}", key.fingerprint());
    }
}
