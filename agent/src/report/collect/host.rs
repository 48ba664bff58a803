//! Name, operating system, kernel, uptime.

use std::fs;

use osm_protocol::messages::{Host, limits};
use rustix::system::uname;

use crate::text::{clean, clean_or};

/// Collects what is known of the host, `uptime_ms` after it booted.
pub fn collect(uptime_ms: i64) -> Host {
    let system = uname();
    Host {
        hostname: clean_or(&system.nodename().to_string_lossy(), limits::NAME, "unnamed"),
        os: clean(&os(), limits::NAME),
        kernel: clean(&system.release().to_string_lossy(), limits::NAME),
        arch: clean(&system.machine().to_string_lossy(), 64),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
        uptime_s: u64::try_from(uptime_ms / 1000).unwrap_or(0),
    }
}

fn os() -> String {
    ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .and_then(|text| pretty_name(&text))
        .unwrap_or_else(|| "Linux".to_owned())
}

/// Reads `PRETTY_NAME` of an os-release(5), without its shell quoting.
fn pretty_name(text: &str) -> Option<String> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?.trim();
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = match (quoted('"'), quoted('\'')) {
        (Some(inside), _) => {
            let mut unescaped = String::with_capacity(inside.len());
            let mut characters = inside.chars();
            while let Some(character) = characters.next() {
                unescaped.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
            }
            unescaped
        }
        (None, Some(inside)) => inside.to_owned(),
        (None, None) => value.to_owned(),
    };
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pretty_name_is_read_as_a_shell_would() {
        for (text, name) in [
            (
                "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n",
                Some("Debian GNU/Linux 12 (bookworm)"),
            ),
            ("PRETTY_NAME='Fedora Linux 42'", Some("Fedora Linux 42")),
            ("PRETTY_NAME=Alpine", Some("Alpine")),
            (r#"PRETTY_NAME="Bob\"s \$OS""#, Some("Bob\"s $OS")),
            ("PRETTY_NAME=\"\"", None),
            ("PRETTY_NAME=\"", Some("\"")),
            ("", None),
        ] {
            assert_eq!(pretty_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn this_host_passes_the_contract() {
        assert_eq!(collect(93_784_000).validate(), Ok(()));
    }
}
