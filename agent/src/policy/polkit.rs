//! The polkit rule: the agent's user may `restart` exactly the listed units.
//!
//! Never `start`: newer systemd checks `StartTransientUnit` with the verb `start`, and a rule that allows it for a name that
//! does not exist lets that user run anything as root. `restart` starts an inactive unit too.

use super::USER;

/// Rules folders that polkitd with JavaScript rules reads everywhere.
pub const RULES_DIR: &str = "/etc/polkit-1/rules.d";
pub const RULES_FILE: &str = "50-osm-agent.rules";

/// The rule file, ES5. Unit names are written as JSON strings, which are JavaScript strings: [`super::rules::is_name`] lets
/// no character through that the two read differently.
pub fn rule(units: &[String]) -> String {
    let units: Vec<String> = units.iter().map(|unit| serde_json::to_string(unit).expect("a string has a JSON form")).collect();
    let units = units.join(",\n    ");
    let user = serde_json::to_string(USER).expect("a string has a JSON form");
    format!(
        r#"// Written by `osm-agent policy apply`; changes are overwritten. See `osm-agent policy allow|deny UNIT`.
// Only the verb "restart": "start" would let this user run transient units as root.
var osmAgentUnits = [
    {units}
];

polkit.addRule(function (action, subject) {{
    if (action.id !== "org.freedesktop.systemd1.manage-units" || subject.user !== {user}) {{
        return;
    }}
    // Filled by newer polkit only: where it is, the request must come from the service itself.
    if (subject.system_unit && subject.system_unit !== "osm-agent.service") {{
        return;
    }}
    if (action.lookup("verb") === "restart" && osmAgentUnits.indexOf(action.lookup("unit")) !== -1) {{
        return polkit.Result.YES;
    }}
}});
"#
    )
}

/// Whether this polkit reads JavaScript rules: versions before 0.106 do not, and theirs cannot tell units apart.
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
        let rule = rule(&["nginx.service".to_owned(), "a\\x2db.service".to_owned()]);
        assert!(rule.contains("[\n    \"nginx.service\",\n    \"a\\\\x2db.service\"\n]"), "{rule}");
        assert!(rule.contains("=== \"restart\"") && !rule.contains("=== \"start\""));
        assert!(rule.contains("subject.user !== \"osm-agent\""));
        assert_eq!(rule.matches("polkit.Result").count(), 1);
    }

    #[test]
    fn an_empty_list_grants_nothing() {
        assert!(rule(&[]).contains("var osmAgentUnits = [\n    \n];"));
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
