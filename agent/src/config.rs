//! `agent.toml`: what root on this host decides. In three stages: what was written (all optional) → merged with the
//! environment and the defaults → validated settings. An error names the key, the problem and the fix.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use osm_protocol::action::{Action, Chore};

/// Read when `--config` is not given; it may be missing.
pub const DEFAULT_PATH: &str = "/etc/osm-agent/agent.toml";
/// Written by root's oneshot, `osm-agent policy apply`.
pub const DEFAULT_POLICY_FILE: &str = "/var/lib/osm-agent-policy/units.json";

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} cannot be read: {source}. Give the right file with --config, and let the user of the agent read it")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: {problem}")]
    Syntax { path: PathBuf, problem: String },
    #[error("{key}: {problem}; {fix}")]
    Value { key: &'static str, problem: String, fix: &'static str },
}

/// What the agent goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Certificates of a private CA, trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Between two reports.
    pub interval: Duration,
    pub policy_file: PathBuf,
    /// Whether enabled units that the administrator wrote into /etc/systemd/system count as services of this host.
    pub detect_local_units: bool,
    /// Whether reports name the biggest processes.
    pub top_processes: bool,
    pub actions: Actions,
    pub rates: Rates,
    pub spool: SpoolLimits,
    pub journal: JournalLimits,
    /// Folder of `allow.d` and `deny.d`: where agent.toml lies.
    pub folder: PathBuf,
}

/// Which actions this host allows at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one switch an action, as they stand in the file")]
pub struct Actions {
    pub restart_service: bool,
    pub clean_journal: bool,
    pub run_logrotate: bool,
    pub reboot: bool,
}

impl Actions {
    pub fn allow_chore(self, chore: Chore) -> bool {
        self.allow(&chore.action())
    }

    pub fn allow(self, action: &Action) -> bool {
        match action {
            Action::RestartService { .. } => self.restart_service,
            Action::CleanJournal {} => self.clean_journal,
            Action::RunLogrotate {} => self.run_logrotate,
            Action::Reboot {} | Action::CancelReboot { .. } => self.reboot,
        }
    }
}

/// How often is too often. A few quick restarts leave a healthy service dead by systemd's own start limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub restart_gap: Duration,
    pub restarts_per_hour: u32,
    pub reboots_per_day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    pub age: Duration,
    pub bytes: u64,
}

/// What is kept when the journal is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    pub megabytes: u32,
    pub days: u32,
}

/// Stage 1: exactly what the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fragment {
    ca_file: Option<PathBuf>,
    interval: Option<i64>,
    policy_file: Option<PathBuf>,
    detect_local_units: Option<bool>,
    top_processes: Option<bool>,
    #[serde(default)]
    actions: ActionsFragment,
    #[serde(default)]
    rates: RatesFragment,
    #[serde(default)]
    spool: SpoolFragment,
    #[serde(default)]
    journal: JournalFragment,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionsFragment {
    restart_service: Option<bool>,
    clean_journal: Option<bool>,
    run_logrotate: Option<bool>,
    reboot: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesFragment {
    restart_gap_seconds: Option<i64>,
    restarts_per_hour: Option<i64>,
    reboots_per_day: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpoolFragment {
    hours: Option<i64>,
    megabytes: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalFragment {
    keep_megabytes: Option<i64>,
    keep_days: Option<i64>,
}

/// Stage 2: file, environment and defaults are one.
#[derive(Debug)]
struct Merged {
    ca_file: Option<PathBuf>,
    interval: i64,
    policy_file: PathBuf,
    detect_local_units: bool,
    top_processes: bool,
    actions: Actions,
    restart_gap_seconds: i64,
    restarts_per_hour: i64,
    reboots_per_day: i64,
    spool_hours: i64,
    spool_megabytes: i64,
    journal_megabytes: i64,
    journal_days: i64,
}

impl Settings {
    /// Reads `path`; `None` is the default path, whose absence means the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let (path, must_exist) = path.map_or((Path::new(DEFAULT_PATH), false), |path| (path, true));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => String::new(),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        Self::from_text(&text, path, |name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub fn from_text(text: &str, path: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let fragment: Fragment = toml::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), problem: error.to_string().trim_end().to_owned() })?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        merge(fragment, environment)?.validate(folder)
    }
}

fn merge(file: Fragment, environment: impl Fn(&str) -> Option<String>) -> Result<Merged, ConfigError> {
    let interval = match environment("OSM_AGENT_INTERVAL") {
        Some(text) => Some(text.trim().parse().map_err(|_| ConfigError::Value {
            key: "OSM_AGENT_INTERVAL",
            problem: format!("{text:?} is not a number"),
            fix: "give seconds, 5 to 3600",
        })?),
        None => file.interval,
    };
    Ok(Merged {
        ca_file: environment("OSM_AGENT_CA_FILE").map(PathBuf::from).or(file.ca_file),
        interval: interval.unwrap_or(30),
        policy_file: file.policy_file.unwrap_or_else(|| DEFAULT_POLICY_FILE.into()),
        detect_local_units: file.detect_local_units.unwrap_or(true),
        top_processes: file.top_processes.unwrap_or(false),
        actions: Actions {
            restart_service: file.actions.restart_service.unwrap_or(true),
            clean_journal: file.actions.clean_journal.unwrap_or(true),
            run_logrotate: file.actions.run_logrotate.unwrap_or(true),
            reboot: file.actions.reboot.unwrap_or(true),
        },
        restart_gap_seconds: file.rates.restart_gap_seconds.unwrap_or(30),
        restarts_per_hour: file.rates.restarts_per_hour.unwrap_or(6),
        reboots_per_day: file.rates.reboots_per_day.unwrap_or(3),
        spool_hours: file.spool.hours.unwrap_or(24),
        spool_megabytes: file.spool.megabytes.unwrap_or(64),
        journal_megabytes: file.journal.keep_megabytes.unwrap_or(200),
        journal_days: file.journal.keep_days.unwrap_or(14),
    })
}

impl Merged {
    fn validate(self, folder: PathBuf) -> Result<Settings, ConfigError> {
        if !self.policy_file.is_absolute() {
            return Err(not_absolute("policy_file", &self.policy_file));
        }
        if let Some(ca_file) = &self.ca_file
            && !ca_file.is_absolute()
        {
            return Err(not_absolute("ca_file", ca_file));
        }
        let seconds = |value: u64| Duration::from_secs(value);
        let age = seconds(3600 * within("spool.hours", self.spool_hours, 1, 24, "the backend takes nothing older than a day")?);
        Ok(Settings {
            ca_file: self.ca_file,
            interval: seconds(within("interval", self.interval, 5, 3600, "give seconds, 5 to 3600 (default 30)")?),
            policy_file: self.policy_file,
            detect_local_units: self.detect_local_units,
            top_processes: self.top_processes,
            actions: self.actions,
            rates: Rates {
                restart_gap: seconds(within(
                    "rates.restart_gap_seconds",
                    self.restart_gap_seconds,
                    0,
                    86_400,
                    "give seconds, 0 to 86400 (default 30)",
                )?),
                restarts_per_hour: small(within(
                    "rates.restarts_per_hour",
                    self.restarts_per_hour,
                    0,
                    3600,
                    "give 0 to 3600 (default 6)",
                )?),
                reboots_per_day: small(within(
                    "rates.reboots_per_day",
                    self.reboots_per_day,
                    0,
                    100,
                    "give 0 to 100 (default 3)",
                )?),
            },
            spool: SpoolLimits {
                age,
                bytes: 1024 * 1024 * within("spool.megabytes", self.spool_megabytes, 1, 1024, "give 1 to 1024 (default 64)")?,
            },
            journal: JournalLimits {
                megabytes: small(within(
                    "journal.keep_megabytes",
                    self.journal_megabytes,
                    1,
                    1_048_576,
                    "give 1 to 1048576 (default 200)",
                )?),
                days: small(within("journal.keep_days", self.journal_days, 1, 3650, "give 1 to 3650 (default 14)")?),
            },
            folder,
        })
    }
}

fn within(key: &'static str, value: i64, min: u64, max: u64, fix: &'static str) -> Result<u64, ConfigError> {
    u64::try_from(value).ok().filter(|value| (min..=max).contains(value)).ok_or_else(|| ConfigError::Value {
        key,
        problem: format!("{value} is not within {min} to {max}"),
        fix,
    })
}

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn not_absolute(key: &'static str, path: &Path) -> ConfigError {
    ConfigError::Value { key, problem: format!("{} is not an absolute path", path.display()), fix: "start it with /" }
}

#[cfg(test)]
impl Settings {
    /// Gives the defaults, for tests of other modules.
    pub fn for_test() -> Self {
        Self::from_text("", Path::new("/etc/osm-agent/agent.toml"), |_| None).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, String> {
        Settings::from_text(text, Path::new("/etc/osm-agent/agent.toml"), |_| None).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let settings = load("").unwrap();
        assert_eq!(settings.interval, Duration::from_secs(30));
        assert_eq!(settings.rates.restarts_per_hour, 6);
        assert_eq!(settings.spool, SpoolLimits { age: Duration::from_hours(24), bytes: 64 << 20 });
        assert_eq!(settings.folder, Path::new("/etc/osm-agent"));
        assert!(settings.actions.restart_service && settings.detect_local_units && !settings.top_processes);
    }

    #[test]
    fn the_shipped_file_is_valid_and_every_key_in_it_exists() {
        let shipped = include_str!("../dist/agent.toml");
        assert_eq!(load(shipped).unwrap(), load("").unwrap());
        // The commented-out values are the defaults too: taking the comment marks off changes nothing but the CA.
        let uncommented: String = shipped
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        let mut settings = load(&uncommented).unwrap();
        assert_eq!(settings.ca_file.take(), Some(PathBuf::from("/etc/osm-agent/ca.pem")));
        assert_eq!(settings, load("").unwrap());
    }

    #[test]
    fn an_error_names_the_key_the_problem_and_the_fix() {
        let error = load("interval = 2").unwrap_err();
        assert!(error.contains("interval: 2 is not within 5 to 3600"), "{error}");
        assert!(error.contains("give seconds"), "{error}");
        let error = load("[actions]\nrestart_servce = true").unwrap_err();
        assert!(error.contains("restart_servce") && error.contains("restart_service") && error.contains("agent.toml"), "{error}");
        assert!(load("spool.hours = 48").unwrap_err().contains("spool.hours"));
        assert!(load("rates.restarts_per_hour = -1").unwrap_err().contains("rates.restarts_per_hour"));
        assert!(load("policy_file = \"units.json\"").unwrap_err().contains("absolute"));
        assert!(load("interval = \"30\"").unwrap_err().contains("interval"));
        assert!(load("command = \"id\"").unwrap_err().contains("command"));
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let environment = |name: &str| (name == "OSM_AGENT_INTERVAL").then(|| "7".to_owned());
        let path = Path::new("/etc/osm-agent/agent.toml");
        assert_eq!(Settings::from_text("interval = 60", path, environment).unwrap().interval, Duration::from_secs(7));
        assert!(
            Settings::from_text("", path, |_| Some("soon".to_owned())).unwrap_err().to_string().contains("OSM_AGENT_INTERVAL")
        );
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = Settings::load(Some(Path::new("/nonexistent/agent.toml"))).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/agent.toml") && error.contains("--config"), "{error}");
    }
}
