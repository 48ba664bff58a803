//! Where the backend is.

use anyhow::{Result, anyhow, bail};
use reqwest::Url;

/// Where the backend is: scheme, host and port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    pub url: Url,
    /// Host and port as they stand in a request's signature: in lower case, without the scheme's own port.
    pub authority: String,
}

impl Api {
    /// Parses an address as a person gives it; plain http is taken for this very machine only.
    pub fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text.trim())
            .map_err(|error| anyhow!("the API address is not a URL: {error}; it looks like https://osm.example"))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        if host.is_empty() || !matches!(url.scheme(), "https" | "http") {
            bail!("the API address must start with https:// and name a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("the API address must not hold a user name or password");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            bail!("the API address has no path: give scheme, host and port only, as https://osm.example");
        }
        if url.scheme() == "http" && !is_loopback(&host) {
            bail!(
                "{host} over plain http: anybody on the way could read and change it. Use https:// (http is for 127.0.0.1 only)"
            );
        }
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Ok(Self { url, authority })
    }

    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }
}

impl std::fmt::Display for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_only_where_nobody_can_listen() {
        for good in
            ["https://osm.example", "https://osm.example:8443/", "http://127.0.0.1:8080", "http://[::1]:80", "http://localhost:1"]
        {
            Api::parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "http://osm.example",
            "http://10.0.0.1:8080",
            "http://127.0.0.1.evil.example",
            "http://localhost.example",
            "https://user:pass@osm.example",
            "https://osm.example/api",
            "https://osm.example/?x=1",
            "https://osm.example/#x",
            "ftp://osm.example",
            "osm.example",
            "",
        ] {
            assert!(Api::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_authority_is_lower_case_without_the_default_port() {
        assert_eq!(Api::parse("https://OSM.Example:443").unwrap().authority, "osm.example");
        assert_eq!(Api::parse("http://127.0.0.1:8080").unwrap().authority, "127.0.0.1:8080");
        assert_eq!(Api::parse("http://[::1]:8080/").unwrap().authority, "[::1]:8080");
        assert_eq!(Api::parse("https://osm.example/").unwrap().to_string(), "https://osm.example");
    }
}
