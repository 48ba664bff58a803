//! Where the pairing token comes from: a file, standard input, or the terminal without echo. Never an argument, which
//! everybody on the machine could read.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read, Write as _},
    path::Path,
};

use crate::text::complain;
use anyhow::{Context as _, Result, bail};
use osm_protocol::pairing_token::PairingToken;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A token has 57 characters; hyphens and blanks may be added by people.
const TOKEN_MAX: u64 = 512;

pub fn read(file: Option<&Path>) -> Result<PairingToken> {
    let text = match file {
        Some(path) if path == Path::new("-") => bounded(io::stdin().lock())?,
        Some(path) => bounded(File::open(path).with_context(|| format!("the token file {} cannot be opened", path.display()))?)?,
        None if io::stdin().is_terminal() => ask()?,
        None => bail!("no token: give --token-file FILE, or --token-file - to read it from standard input"),
    };
    Ok(PairingToken::parse(&text)?)
}

fn bounded(reader: impl Read) -> Result<String> {
    let mut text = String::new();
    reader.take(TOKEN_MAX + 1).read_to_string(&mut text).context("the token cannot be read")?;
    if text.len() as u64 > TOKEN_MAX {
        bail!("that is too long for a pairing token; copy it again from the chat");
    }
    Ok(text)
}

fn ask() -> Result<String> {
    // First of all: what is typed before it is thrown away, not shown.
    let quiet = Quiet::new();
    #[expect(clippy::print_stderr, reason = "a question without an end of the line")]
    {
        eprint!("Pairing token (not shown): ");
    }
    io::stderr().flush().ok();
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    drop(quiet);
    complain!("");
    read.context("the token cannot be read from the terminal")?;
    Ok(line)
}

/// The terminal without echo, until dropped.
struct Quiet(Option<Termios>);

impl Quiet {
    fn new() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &quiet);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_with_its_line_end_and_a_flood_is_refused() {
        assert_eq!(bounded(&b"OSM1-X\n"[..]).unwrap(), "OSM1-X\n");
        assert!(bounded(io::repeat(b'a')).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn an_error_never_shows_what_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "OSM1-SECRETSECRET").unwrap();
        let error = format!("{:#}", read(Some(&path)).unwrap_err());
        assert!(!error.contains("SECRETSECRET"), "{error}");
    }
}
