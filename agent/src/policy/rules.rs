//! Which units can be listed at all. A `restart` of anything else cannot be asked for, whoever asks.

use std::path::Path;

use super::catalog::matches;
use crate::host::systemd::UnitFacts;

/// What the machine needs to stay reachable and whole, and this agent itself.
const NEVER: &[&str] = &[
    "systemd-*",
    "dbus*",
    "polkit*",
    "*getty*",
    "user@*",
    "user-runtime-dir@*",
    "NetworkManager*",
    "networkd*",
    "networking.service",
    "network.service",
    "netplan*",
    "ifup@*",
    "wpa_supplicant*",
    "osm-agent*",
    "osm-api*",
    "emergency.service",
    "rescue.service",
    "init.scope",
    "plymouth*",
    "initrd-*",
    "dracut-*",
    "kexec*",
    "display-manager.service",
    "gdm*",
];

/// A wrong restart of these locks people out: listed only where root names them.
const ROOTS_WORD: &[&str] = &["ssh.service", "sshd.service", "ssh@*", "sshd@*", "ssh-*", "sshd-*"];

/// Where a unit's file may lie: not in /run, where generated and transient ones are.
const FRAGMENTS: &[&str] = &["/usr/lib/systemd/system/", "/lib/systemd/system/", "/etc/systemd/system/"];

/// Why a unit is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("that is not the name of a service (NAME.service)")]
    Name,
    #[error("a template has no process of its own; name an instance (NAME@INSTANCE.service)")]
    Template,
    #[error("units of the system itself are never restarted from the chat")]
    Never,
    #[error("remote access is listed only by root's own word: osm-agent policy allow UNIT")]
    RootsWord,
    #[error("no such unit is loaded on this machine")]
    NotLoaded,
    #[error("it is masked, generated or transient")]
    NotPlain,
    #[error("its unit file is not in /usr/lib/systemd/system or /etc/systemd/system")]
    Fragment,
}

/// Says whether this is the name of a service: `^[A-Za-z0-9:_.\\@-]{1,255}$`, ending in `.service`.
pub fn is_name(unit: &str) -> bool {
    (1..=255).contains(&unit.len())
        && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_.\\@-".contains(&byte))
        && unit.strip_suffix(".service").is_some_and(|name| !name.is_empty())
}

pub fn is_template(unit: &str) -> bool {
    unit.contains("@.")
}

pub fn is_never(unit: &str) -> bool {
    NEVER.iter().any(|pattern| matches(pattern, unit))
}

/// Who named a unit for the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// Detection found it.
    Detection,
    /// Root's own word, or a list that root wrote.
    Root,
}

/// Says whether a unit may be listed, and why not.
pub fn check(facts: &UnitFacts, by: NamedBy) -> Result<(), Refusal> {
    // Any of its names: on Debian sshd is an alias of ssh.service.
    for name in facts.names.iter().chain([&facts.id]) {
        check_name(name, by)?;
    }
    if matches!(facts.load_state.as_str(), "masked" | "merged") || facts.transient {
        return Err(Refusal::NotPlain);
    }
    if facts.load_state != "loaded" {
        return Err(Refusal::NotLoaded);
    }
    if matches!(facts.unit_file_state.as_str(), "masked" | "masked-runtime" | "generated" | "transient" | "bad") {
        return Err(Refusal::NotPlain);
    }
    let path = Path::new(&facts.fragment_path);
    let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    if plain && FRAGMENTS.iter().any(|folder| facts.fragment_path.starts_with(folder)) { Ok(()) } else { Err(Refusal::Fragment) }
}

/// Says whether a unit of this name may be listed, and why not.
pub fn check_name(unit: &str, by: NamedBy) -> Result<(), Refusal> {
    if !is_name(unit) {
        return Err(Refusal::Name);
    }
    if is_template(unit) {
        return Err(Refusal::Template);
    }
    if is_never(unit) {
        return Err(Refusal::Never);
    }
    if by == NamedBy::Detection && ROOTS_WORD.iter().any(|pattern| matches(pattern, unit)) {
        return Err(Refusal::RootsWord);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(id: &str) -> UnitFacts {
        UnitFacts {
            id: id.to_owned(),
            names: vec![id.to_owned()],
            load_state: "loaded".to_owned(),
            active_state: "active".to_owned(),
            fragment_path: format!("/lib/systemd/system/{id}"),
            transient: false,
            unit_file_state: "enabled".to_owned(),
            kind: "simple".to_owned(),
        }
    }

    #[test]
    fn a_plain_service_is_accepted() {
        for id in ["nginx.service", "postgresql@17-main.service", "a\\x2db.service"] {
            assert_eq!(check(&facts(id), NamedBy::Detection), Ok(()), "{id}");
        }
    }

    #[test]
    fn the_system_itself_is_never_listed_even_by_root() {
        for id in [
            "systemd-logind.service",
            "dbus.service",
            "dbus-broker.service",
            "polkit.service",
            "getty@tty1.service",
            "serial-getty@ttyS0.service",
            "user@0.service",
            "NetworkManager.service",
            "networking.service",
            "osm-agent.service",
            "osm-agent-policy.service",
        ] {
            assert_eq!(check(&facts(id), NamedBy::Root), Err(Refusal::Never), "{id}");
        }
    }

    #[test]
    fn remote_access_needs_roots_word_under_any_of_its_names() {
        let mut ssh = facts("custom.service");
        ssh.names.push("sshd.service".to_owned());
        assert_eq!(check(&ssh, NamedBy::Detection), Err(Refusal::RootsWord));
        assert_eq!(check(&ssh, NamedBy::Root), Ok(()));
        ssh.names.push("dbus-org.example.service".to_owned());
        assert_eq!(check(&ssh, NamedBy::Root), Err(Refusal::Never));
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "",
            ".service",
            "nginx",
            "nginx.socket",
            "a b.service",
            "a\".service",
            "a\n.service",
            "é.service",
            "a/b.service",
            "a;reboot.service",
            "*.service",
            "a\u{2028}.service",
        ] {
            assert_eq!(check_name(name, NamedBy::Root), Err(Refusal::Name), "{name:?}");
        }
        assert_eq!(check_name(&format!("{}.service", "a".repeat(248)), NamedBy::Root), Err(Refusal::Name));
        assert_eq!(check_name("foo@.service", NamedBy::Root), Err(Refusal::Template));
    }

    #[test]
    fn only_plain_units_from_the_systems_folders_count() {
        let refused = |change: fn(&mut UnitFacts)| {
            let mut unit = facts("app.service");
            change(&mut unit);
            check(&unit, NamedBy::Root).unwrap_err()
        };
        assert_eq!(refused(|unit| unit.load_state = "not-found".to_owned()), Refusal::NotLoaded);
        assert_eq!(refused(|unit| unit.load_state = "masked".to_owned()), Refusal::NotPlain);
        assert_eq!(refused(|unit| unit.transient = true), Refusal::NotPlain);
        assert_eq!(refused(|unit| unit.unit_file_state = "generated".to_owned()), Refusal::NotPlain);
        for path in ["/run/systemd/system/app.service", "/home/x/app.service", "/etc/systemd/system/../../../tmp/app.service", ""]
        {
            let mut unit = facts("app.service");
            unit.fragment_path = path.to_owned();
            assert_eq!(check(&unit, NamedBy::Root), Err(Refusal::Fragment), "{path}");
        }
    }
}
