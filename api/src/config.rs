//! Configuration in three stages: a TOML file, then the environment over it, then one validated value. An error names the
//! key, what is wrong with its value, and the fix.

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::domain::{DAY, Millis, access::Allowed};

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub public_url: PublicUrl,
    /// May hold a password.
    pub database_url: Secret,
    pub state_dir: PathBuf,
    pub telegram: Telegram,
    pub allowed_users: Allowed,
    pub trusted_proxies: Vec<IpNet>,
    /// Called every minute while all is well; may hold a secret.
    pub heartbeat_url: Option<Secret>,
    /// The signed package repositories, if this backend serves them.
    pub packages_dir: Option<PathBuf>,
    /// How long what happened is kept.
    pub keep_events: Millis,
}

#[derive(Clone, Debug)]
pub struct Telegram {
    /// `None`: for the operator's commands, which call nobody there.
    pub token: Option<Secret>,
    pub api_url: Url,
    pub mode: Mode,
    /// Chosen by the administrator; otherwise made once and kept in the state directory.
    pub webhook_secret: Option<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Webhook,
    Polling,
}

/// What agents and Telegram call: scheme and authority, no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Without a trailing slash.
    pub text: String,
    /// `@authority` of RFC 9421: lower case, without the scheme's default port.
    pub authority: String,
    pub is_https: bool,
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    key: String,
    problem: String,
}

/// All keys, all optional, as the file or the environment has them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    listen: Option<String>,
    public_url: Option<String>,
    database_url: Option<Secret>,
    database_url_file: Option<String>,
    state_dir: Option<String>,
    telegram_token: Option<Secret>,
    telegram_token_file: Option<String>,
    telegram_api_url: Option<String>,
    telegram_mode: Option<String>,
    telegram_webhook_secret: Option<Secret>,
    telegram_webhook_secret_file: Option<String>,
    allowed_users: Option<String>,
    trusted_proxies: Option<String>,
    heartbeat_url: Option<Secret>,
    heartbeat_url_file: Option<String>,
    packages_dir: Option<String>,
    keep_events_days: Option<String>,
}

impl Config {
    /// Reads the file, if one is named, and lays `environment` over it (`OSM_LISTEN` over `listen`, and so on).
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Self::validate(Raw::load(file, environment)?, token)
    }

    /// Reads the same for a command of the operator beside a running backend. What is for Telegram alone is not looked at:
    /// systemd hands the service copies of those files that nobody else can read.
    pub fn for_operator(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let for_telegram = Raw {
            telegram_token: None,
            telegram_token_file: None,
            telegram_webhook_secret: None,
            telegram_webhook_secret_file: None,
            heartbeat_url: None,
            heartbeat_url_file: None,
            ..Raw::load(file, environment)?
        };
        Self::validate(for_telegram, |_| Ok(None))
    }

    /// Reads a file's text alone.
    #[cfg(feature = "fuzz")]
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        Self::validate(Raw::parse("text", text)?, token)
    }

    /// Gives where the keys are: all that a machine needs to know on which the root key is kept.
    pub fn state_dir(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<PathBuf, ConfigError> {
        Ok(Raw::load(file, environment)?.state_dir())
    }
}

impl Raw {
    fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut raw = match file {
            None => Raw::default(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| problem(&path.display().to_string(), error.to_string()))?;
                Self::parse(&path.display().to_string(), &text)?
            }
        };
        // An empty variable counts as not set.
        let set = |key: &str| environment(key).filter(|set| !set.is_empty());
        for (key, value) in [
            ("OSM_LISTEN", &mut raw.listen),
            ("OSM_PUBLIC_URL", &mut raw.public_url),
            ("OSM_DATABASE_URL_FILE", &mut raw.database_url_file),
            ("OSM_STATE_DIR", &mut raw.state_dir),
            ("OSM_TELEGRAM_TOKEN_FILE", &mut raw.telegram_token_file),
            ("OSM_TELEGRAM_API_URL", &mut raw.telegram_api_url),
            ("OSM_TELEGRAM_MODE", &mut raw.telegram_mode),
            ("OSM_TELEGRAM_WEBHOOK_SECRET_FILE", &mut raw.telegram_webhook_secret_file),
            ("OSM_ALLOWED_USERS", &mut raw.allowed_users),
            ("OSM_TRUSTED_PROXIES", &mut raw.trusted_proxies),
            ("OSM_HEARTBEAT_URL_FILE", &mut raw.heartbeat_url_file),
            ("OSM_PACKAGES_DIR", &mut raw.packages_dir),
            ("OSM_KEEP_EVENTS_DAYS", &mut raw.keep_events_days),
        ] {
            if let Some(set) = set(key) {
                *value = Some(set);
            }
        }
        for (key, value) in [
            ("OSM_DATABASE_URL", &mut raw.database_url),
            ("OSM_TELEGRAM_TOKEN", &mut raw.telegram_token),
            ("OSM_TELEGRAM_WEBHOOK_SECRET", &mut raw.telegram_webhook_secret),
            ("OSM_HEARTBEAT_URL", &mut raw.heartbeat_url),
        ] {
            if let Some(set) = set(key) {
                *value = Some(Secret::new(set));
            }
        }
        Ok(raw)
    }

    fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        // Only the message: the error's own display quotes the line, which may hold a secret.
        toml::from_str(text).map_err(|error| problem(name, error.message()))
    }

    fn state_dir(&self) -> PathBuf {
        PathBuf::from(self.state_dir.as_deref().unwrap_or("/var/lib/osm-api"))
    }
}

impl Config {
    fn validate(raw: Raw, token: impl Fn(Option<Secret>) -> Result<Option<Secret>, ConfigError>) -> Result<Self, ConfigError> {
        let state_dir = raw.state_dir();
        let listen_text = raw.listen.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let listen: SocketAddr = listen_text.parse().map_err(|_| {
            problem("OSM_LISTEN", format!("{listen_text:?} is not an address and a port, such as 127.0.0.1:8080"))
        })?;
        let database_url = secret("OSM_DATABASE_URL", raw.database_url, raw.database_url_file)?
            .unwrap_or_else(|| Secret::new(format!("sqlite://{}/osm.db", state_dir.display())));
        if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| database_url.expose().starts_with(scheme)) {
            return Err(problem("OSM_DATABASE_URL", "must start with sqlite: or postgres:"));
        }
        let public_url = match raw.public_url {
            Some(text) => PublicUrl::parse(&text)?,
            None => PublicUrl::parse(&format!("http://{listen}"))?,
        };
        Ok(Self {
            telegram: Telegram {
                token: token(secret("OSM_TELEGRAM_TOKEN", raw.telegram_token, raw.telegram_token_file)?)?,
                api_url: api_url(raw.telegram_api_url.as_deref().unwrap_or("https://api.telegram.org"))?,
                mode: mode(raw.telegram_mode.as_deref().unwrap_or("auto"), &public_url)?,
                webhook_secret: webhook_secret(secret(
                    "OSM_TELEGRAM_WEBHOOK_SECRET",
                    raw.telegram_webhook_secret,
                    raw.telegram_webhook_secret_file,
                )?)?,
            },
            allowed_users: allowed_users(raw.allowed_users.as_deref().unwrap_or_default())?,
            heartbeat_url: heartbeat_url(secret("OSM_HEARTBEAT_URL", raw.heartbeat_url, raw.heartbeat_url_file)?)?,
            trusted_proxies: trusted_proxies(raw.trusted_proxies.as_deref().unwrap_or_default())?,
            packages_dir: raw.packages_dir.map(PathBuf::from),
            keep_events: days("OSM_KEEP_EVENTS_DAYS", raw.keep_events_days.as_deref().unwrap_or("180"))?,
            listen,
            public_url,
            database_url,
            state_dir,
        })
    }
}

impl PublicUrl {
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |what: &str| problem("OSM_PUBLIC_URL", format!("{text:?} {what}; write it as https://osm.example.com"));
        let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("is neither https nor http"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a path"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user name"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        // `port()` is None for the scheme's default, as RFC 9421 wants it.
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { text: format!("{}://{authority}", url.scheme()), authority, is_https: url.scheme() == "https" })
    }

    /// Gives the host alone, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let host = self.authority.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(&*self.authority, |(host, _)| host);
        host.trim_matches(['[', ']'])
    }
}

fn problem(key: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { key: key.to_owned(), problem: problem.into() }
}

/// Gives the value itself or the first line of a file: never both.
fn secret(key: &str, value: Option<Secret>, file: Option<String>) -> Result<Option<Secret>, ConfigError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(problem(key, format!("set it or {key}_FILE, not both"))),
        (Some(value), None) => Ok(Some(Secret::new(value.expose().trim().to_owned()))),
        (None, Some(file)) => {
            let text = fs::read_to_string(&file).map_err(|error| problem(&format!("{key}_FILE"), format!("{file}: {error}")))?;
            Ok(Some(Secret::new(text.lines().next().unwrap_or_default().trim().to_owned())))
        }
        (None, None) => Ok(None),
    }
}

/// Gives a number of days, from one to ten years.
fn days(key: &str, text: &str) -> Result<Millis, ConfigError> {
    let days = text.parse::<Millis>().ok().filter(|days| (1..=3650).contains(days));
    days.map(|days| days * DAY).ok_or_else(|| problem(key, format!("{text:?} is not a number of days from 1 to 3650")))
}

/// `ID:35 characters`, as `@BotFather` gives it.
fn token(token: Option<Secret>) -> Result<Option<Secret>, ConfigError> {
    const KEY: &str = "OSM_TELEGRAM_TOKEN";
    let token = token.ok_or_else(|| problem(KEY, "not set; ask @BotFather for a bot and set it, or OSM_TELEGRAM_TOKEN_FILE"))?;
    let good = token.expose().split_once(':').is_some_and(|(id, rest)| {
        !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_digit())
            && rest.len() >= 20
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    });
    if good {
        Ok(Some(token))
    } else {
        Err(problem(KEY, "this is not a bot token (digits, a colon, 35 characters); copy it again from @BotFather"))
    }
}

fn api_url(text: &str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| problem("OSM_TELEGRAM_API_URL", format!("{text:?} is not a URL, such as https://api.telegram.org")))
}

fn mode(text: &str, public_url: &PublicUrl) -> Result<Mode, ConfigError> {
    match text {
        "auto" if public_url.is_https => Ok(Mode::Webhook),
        "auto" | "polling" => Ok(Mode::Polling),
        "webhook" => Ok(Mode::Webhook),
        _ => Err(problem("OSM_TELEGRAM_MODE", format!("{text:?} is none of auto, webhook, polling"))),
    }
}

fn webhook_secret(secret: Option<Secret>) -> Result<Option<Secret>, ConfigError> {
    let good = secret.as_ref().is_none_or(|secret| {
        let text = secret.expose();
        (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    });
    if good {
        Ok(secret)
    } else {
        Err(problem("OSM_TELEGRAM_WEBHOOK_SECRET", "must be 16 to 256 characters of A-Z, a-z, 0-9, _ and -"))
    }
}

fn allowed_users(text: &str) -> Result<Allowed, ConfigError> {
    if text.trim() == "*" {
        return Ok(Allowed::Everyone);
    }
    let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(|id| {
        id.parse().map_err(|_| {
            problem("OSM_ALLOWED_USERS", format!("{id:?} is not a Telegram user id; list ids with commas, or write *"))
        })
    });
    Ok(Allowed::Listed(ids.collect::<Result<_, _>>()?))
}

fn trusted_proxies(text: &str) -> Result<Vec<IpNet>, ConfigError> {
    text.split(',')
        .map(str::trim)
        .filter(|net| !net.is_empty())
        .map(|net| {
            net.parse::<IpNet>().or_else(|_| net.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                problem("OSM_TRUSTED_PROXIES", format!("{net:?} is neither an address nor a network such as 10.0.0.0/8"))
            })
        })
        .collect()
}

fn heartbeat_url(url: Option<Secret>) -> Result<Option<Secret>, ConfigError> {
    let good =
        |url: &Secret| Url::parse(url.expose()).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        // Not the value: it may hold a secret.
        Some(url) if !good(&url) => Err(problem("OSM_HEARTBEAT_URL", "is not a URL, such as https://hc-ping.com/UUID")),
        url => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: (&str, &str) = ("OSM_TELEGRAM_TOKEN", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw");

    fn load(set: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(None, |key| set.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
    }

    fn refused(key: &str, value: &str) -> String {
        load(&[TOKEN, (key, value)]).unwrap_err().to_string()
    }

    #[test]
    fn a_token_is_all_it_takes() {
        let config = load(&[TOKEN]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.public_url.text, "http://127.0.0.1:8080");
        assert_eq!(config.database_url.expose(), "sqlite:///var/lib/osm-api/osm.db");
        assert_eq!(config.telegram.mode, Mode::Polling);
        assert_eq!(config.allowed_users, Allowed::Listed(Vec::new()));
    }

    #[test]
    fn https_means_webhook_and_default_ports_are_dropped() {
        let config = load(&[TOKEN, ("OSM_PUBLIC_URL", "https://OSM.example.com:443/")]).unwrap();
        assert_eq!(config.telegram.mode, Mode::Webhook);
        assert_eq!(config.public_url.authority, "osm.example.com");
        assert_eq!(config.public_url.text, "https://osm.example.com");
    }

    #[test]
    fn the_host_of_the_public_url_is_alone() {
        for (url, host) in [
            ("https://osm.example.com", "osm.example.com"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://[::1]", "::1"),
            ("http://[::1]:8080", "::1"),
        ] {
            assert_eq!(PublicUrl::parse(url).unwrap().host(), host);
        }
    }

    #[test]
    fn errors_name_the_key() {
        assert!(load(&[]).unwrap_err().to_string().starts_with("OSM_TELEGRAM_TOKEN: not set"));
        for (key, value) in [
            ("OSM_LISTEN", "8080"),
            ("OSM_PUBLIC_URL", "https://a.example/path"),
            ("OSM_PUBLIC_URL", "ftp://a.example"),
            ("OSM_DATABASE_URL", "mysql://x"),
            ("OSM_TELEGRAM_MODE", "push"),
            ("OSM_TELEGRAM_WEBHOOK_SECRET", "short"),
            ("OSM_ALLOWED_USERS", "anna"),
            ("OSM_TRUSTED_PROXIES", "proxy.local"),
            ("OSM_TELEGRAM_API_URL", "telegram"),
        ] {
            assert!(refused(key, value).starts_with(&format!("{key}: ")), "{key}={value}");
        }
    }

    #[test]
    fn a_secret_is_in_no_error_and_no_debug_output() {
        let error = load(&[("OSM_TELEGRAM_TOKEN", "hunter2")]).unwrap_err().to_string();
        assert!(!error.contains("hunter2"));
        assert!(!format!("{:?}", load(&[TOKEN]).unwrap()).contains("AAHdqT"));
        // Finding 18: what was read and not yet validated showed them.
        let secrets = ["OSM_TELEGRAM_TOKEN", "OSM_TELEGRAM_WEBHOOK_SECRET", "OSM_HEARTBEAT_URL", "OSM_DATABASE_URL"];
        let raw = Raw::load(None, |key| secrets.contains(&key).then(|| "hunter2".to_owned())).unwrap();
        assert!(!format!("{raw:?}").contains("hunter2"), "{raw:?}");
        let raw: Raw = toml::from_str("telegram_token = \"hunter2\"\ndatabase_url = \"hunter2\"").unwrap();
        assert!(!format!("{raw:?}").contains("hunter2"), "{raw:?}");
    }

    #[test]
    fn a_command_of_the_operator_needs_nothing_of_telegrams() {
        let file = tempfile("operator", "telegram_token_file = \"/nonexistent/token\"\nallowed_users = \"7\"\n");
        let config = Config::for_operator(Some(&file), |_| None);
        let serve = Config::load(Some(&file), |_| None).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        let config = config.unwrap();
        assert_eq!((config.telegram.token, config.allowed_users.canonical()), (None, "7".to_owned()));
        assert!(serve.starts_with("OSM_TELEGRAM_TOKEN_FILE: "), "{serve}");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_named_and_a_secret_in_it_is_not() {
        let file = tempfile("unknown", "telegram_tokn = \"hunter2\"\n");
        let error = Config::load(Some(&file), |_| None).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        assert!(error.contains("telegram_tokn") && !error.contains("hunter2"), "{error}");
    }

    /// What the package puts into /etc/osm-api.
    const INSTALLED: &str = include_str!("../dist/api.toml");

    #[test]
    fn the_installed_file_is_one_as_it_comes_and_with_all_its_keys() {
        let parse = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(parse(INSTALLED).keys().collect::<Vec<_>>(), ["telegram_token_file"]);
        // A key that is commented out, unlike prose, has no blank after the hash.
        let all: Vec<&str> = INSTALLED
            .lines()
            .map(|line| {
                line.strip_prefix('#').filter(|key| key.starts_with(|first: char| first.is_ascii_lowercase())).unwrap_or(line)
            })
            .collect();
        let all = all.join("\n");
        let raw: Raw = toml::from_str(&all).unwrap();
        let mut table = parse(&all);
        table.retain(|key, _| !key.ends_with("_file"));
        let config = Config::load(None, |name| {
            let key = name.strip_prefix("OSM_")?.to_ascii_lowercase();
            if key == "telegram_token" { Some(TOKEN.1.to_owned()) } else { Some(table.get(&key)?.as_str()?.to_owned()) }
        });
        let config = config.unwrap();
        assert_eq!(config.public_url.text, "https://osm.example.com");
        // What stands there as a default is the default.
        let default = load(&[TOKEN]).unwrap();
        assert_eq!((config.listen, &config.state_dir), (default.listen, &default.state_dir));
        assert_eq!(config.database_url.expose(), default.database_url.expose());
        assert_eq!((&config.telegram.api_url, &config.allowed_users), (&default.telegram.api_url, &default.allowed_users));
        assert_eq!(raw.telegram_mode.as_deref(), Some("auto"));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = tempfile("precedence", "listen = \"127.0.0.1:1\"\nallowed_users = \"7\"\n");
        let environment = |key: &str| match key {
            "OSM_LISTEN" => Some("127.0.0.1:2".to_owned()),
            // An empty variable counts as not set.
            "OSM_ALLOWED_USERS" => Some(String::new()),
            _ => (key == TOKEN.0).then(|| TOKEN.1.to_owned()),
        };
        let config = Config::load(Some(&file), environment).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:2");
        assert_eq!(config.allowed_users, Allowed::Listed(vec![crate::domain::ids::UserId(7)]));
    }

    fn tempfile(name: &str, contents: &str) -> PathBuf {
        let file = std::env::temp_dir().join(format!("osm-config-{name}-{}.toml", std::process::id()));
        fs::write(&file, contents).unwrap();
        file
    }
}
