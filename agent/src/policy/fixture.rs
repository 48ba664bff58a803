//! A machine with some services, for the tests of this room.

use std::path::Path;

use crate::{
    config::Settings,
    host::systemd::{
        UnitFacts,
        fake::{Fake, unit},
    },
};

/// Makes the facts of a unit whose file the distribution ships.
pub fn facts(id: &str, active_state: &str, unit_file_state: &str) -> UnitFacts {
    UnitFacts {
        id: id.to_owned(),
        names: vec![id.to_owned()],
        load_state: "loaded".to_owned(),
        active_state: active_state.to_owned(),
        fragment_path: format!("/usr/lib/systemd/system/{id}"),
        transient: false,
        unit_file_state: unit_file_state.to_owned(),
        kind: "simple".to_owned(),
    }
}

/// Makes a machine with known software in every state, remote access, the bus, and a service that nobody knows.
pub fn machine() -> Fake {
    let facts = vec![
        facts("nginx.service", "active", "enabled"),
        facts("mariadb.service", "failed", "disabled"),
        facts("apache2.service", "inactive", "disabled"),
        facts("ssh.service", "active", "enabled"),
        facts("dbus.service", "active", "static"),
        facts("own.service", "active", "enabled"),
    ];
    let units = facts.iter().map(|facts| unit(&facts.id, &facts.active_state)).collect();
    Fake { units: Ok(units), facts, ..Fake::default() }
}

/// Gives the defaults, with everything that is written in `folder`.
pub fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::for_test();
    settings.folder = folder.to_owned();
    settings.policy_file = folder.join("units.json");
    settings.detect_local_units = false;
    settings
}
