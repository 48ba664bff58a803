//! The polkit rule: the agent's user may `restart` exactly the listed units.
//!
//! Never `start`: newer systemd checks `StartTransientUnit` with the verb `start`, and a rule that allows it for a name that
//! does not exist lets that user run anything as root. `restart` starts an inactive unit too.

use osm_protocol::action::Chore;

use super::{JOURNAL_UNIT, LOGROTATE_UNIT, USER};

/// Rules folders that polkitd with JavaScript rules reads everywhere.
pub const RULES_DIR: &str = "/etc/polkit-1/rules.d";
pub const RULES_FILE: &str = "50-osm-agent.rules";

/// Writes the rule file, in ES5. Unit names are written as JSON strings, which are JavaScript strings: [`super::rules::is_name`]
/// lets no character through that the two read differently.
pub fn rule(units: &[String], chores: &[Chore]) -> String {
    let oneshots = chores.iter().filter_map(|chore| match chore {
        Chore::CleanJournal => Some(JOURNAL_UNIT),
        Chore::RunLogrotate => Some(LOGROTATE_UNIT),
        Chore::Reboot => None,
    });
    let units: Vec<String> = units.iter().map(String::as_str).chain(oneshots).map(quoted).collect();
    let units = units.join(",\n    ");
    let reboot = chores.contains(&Chore::Reboot);
    let user = quoted(USER);
    format!(
        r#"// Written by `osm-agent policy apply`; changes are overwritten. See `osm-agent policy allow|deny UNIT`.
// Only the verb "restart": "start" would let this user run transient units as root.
var osmAgentUnits = [
    {units}
];

// Also what schedules a reboot a minute ahead, and calls it off: logind has no narrower permission.
var osmAgentReboots = {reboot};

polkit.addRule(function (action, subject) {{
    if (subject.user !== {user}) {{
        return;
    }}
    // Filled by newer polkit only: where it is, the request must come from the service itself, in its sandbox.
    if (subject.system_unit && (subject.system_unit !== "osm-agent.service" || subject.no_new_privileges === false)) {{
        return;
    }}
    if (osmAgentReboots && (action.id === "org.freedesktop.login1.reboot" ||
        action.id === "org.freedesktop.login1.reboot-multiple-sessions")) {{
        return polkit.Result.YES;
    }}
    if (action.id === "org.freedesktop.systemd1.manage-units" && action.lookup("verb") === "restart" &&
        osmAgentUnits.indexOf(action.lookup("unit")) !== -1) {{
        return polkit.Result.YES;
    }}
}});
"#
    )
}

/// Writes a string literal.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string has a JSON form")
}

/// Says whether this polkit reads JavaScript rules: versions before 0.106 do not, and theirs cannot tell units apart.
pub fn has_rules(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    match (numbers.next(), numbers.next()) {
        (Some(0), Some(minor)) => minor >= 106,
        (Some(major), _) => major > 0,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_names_exactly_the_units_and_only_restart() {
        let rule = rule(&["nginx.service".to_owned(), "a\\x2db.service".to_owned()], &[]);
        assert!(rule.contains("[\n    \"nginx.service\",\n    \"a\\\\x2db.service\"\n]"), "{rule}");
        assert!(rule.contains("=== \"restart\"") && !rule.contains("=== \"start\""));
        assert!(rule.contains("subject.user !== \"osm-agent\""));
        assert!(rule.contains("osmAgentReboots = false") && !rule.contains(JOURNAL_UNIT));
    }

    #[test]
    fn chores_are_granted_by_name() {
        let all = rule(&[], &Chore::ALL);
        assert!(all.contains("osmAgentReboots = true") && all.contains(JOURNAL_UNIT) && all.contains(LOGROTATE_UNIT));
        let one = rule(&[], &[Chore::CleanJournal]);
        assert!(one.contains("osmAgentReboots = false") && one.contains(JOURNAL_UNIT) && !one.contains(LOGROTATE_UNIT));
        assert!(!all.contains("power-off") && !all.contains("ignore-inhibit") && !all.contains("halt"));
    }

    #[test]
    fn an_empty_list_grants_nothing() {
        assert!(rule(&[], &[]).contains("var osmAgentUnits = [\n    \n];"));
    }

    #[test]
    fn old_polkit_is_known_by_its_version() {
        for (version, rules) in
            [("0.105", false), ("0.106", true), ("0.115", true), ("0.120", true), ("121", true), ("126", true), ("", false)]
        {
            assert_eq!(has_rules(version), rules, "{version}");
        }
    }
}
