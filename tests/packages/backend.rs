//! The backend's package: set up by the README's steps behind nginx and behind Caddy, with their shipped examples, and a server
//! that it serves the agent's package to.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use osm_telegram_sim::{BotMessage, ButtonKind, Options, Sim, User};
use osm_tests::{
    machine::Machine,
    server::AGENT,
    world::{ANNA, SOON},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde::Deserialize;

use crate::site::{self, apt, free_port, package, packages};

const API: &str = "osm-api.service";
const NAME: &str = "osm.example.com";
const DOCS: &str = "/usr/share/doc/osm-api/examples";
/// An agent's poll waits for 25 s.
const A_WHOLE_POLL: f64 = 24.5;
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_lives_behind_nginx_and_caddy() -> Result<()> {
    let sim = Sim::start(Options::default()).await?;
    let anna = sim.user(ANNA, "Anna");
    let site = Site { machine: site::machine("trixie", "backend")?, sim, anna, https: free_port()?, http: free_port()? };
    site.it_is_installed_and_waits_for_its_token()?;
    site.certificates_are_there()?;
    site.nginx_is_in_front()?;
    site.it_is_set_up()?;
    site.its_sandbox_and_files_are_closed()?;
    site.who_opens_the_link_is_the_owner().await?;
    site.a_server_is_added().await?;
    site.a_poll_passes_whole("/var/log/nginx/times.log")?;
    site.the_proxy_is_restarted_from_the_chat("nginx.service").await?;
    site.caddy_is_in_front()?;
    site.a_poll_passes_whole("/var/log/caddy/times.log")?;
    site.the_proxy_is_restarted_from_the_chat("caddy.service").await?;
    site.an_upgrade_keeps_everything().await?;
    site.purged_nothing_is_left()
}

struct Site {
    machine: Machine,
    sim: Sim,
    anna: User,
    /// Where the proxy listens, and where the backend does: the host's ports are shared by all machines.
    https: u16,
    http: u16,
}

/// A line of a proxy's log.
#[derive(Deserialize)]
struct Answer {
    request: Request,
    status: u16,
    duration: f64,
}

#[derive(Deserialize)]
struct Request {
    uri: String,
}

impl Site {
    fn it_is_installed_and_waits_for_its_token(&self) -> Result<()> {
        let machine = &self.machine;
        apt(machine, &["update"])?;
        machine.copy_in(&package(&packages()?, "osm-api_", ".deb")?, "/root/osm-api.deb", 0o644)?;
        apt(machine, &["install", "/root/osm-api.deb"])?;
        assert_eq!(machine.unit_property(API, "ActiveState")?, "inactive");
        assert_eq!(machine.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"])?, "");
        Ok(())
    }

    /// Of a CA that this machine trusts.
    fn certificates_are_there(&self) -> Result<()> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than the server's, or OpenSSL takes that one's certificate for one that has signed itself.
        params.distinguished_name.push(DnType::CommonName, "Own CA");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.signed_by(&key, &ca)?;
        let machine = &self.machine;
        machine.write("/usr/local/share/ca-certificates/own.crt", ca.pem(), 0o644, "root")?;
        machine.ok(&["update-ca-certificates"])?;
        machine.write(&format!("/etc/ssl/{NAME}.pem"), certificate.pem(), 0o644, "root")?;
        machine.write(&format!("/etc/ssl/{NAME}.key"), key.serialize_pem(), 0o600, "root")?;
        machine.ok(&["sh", "-c", &format!("echo 127.0.0.1 {NAME} >>/etc/hosts")])?;
        Ok(())
    }

    fn nginx_is_in_front(&self) -> Result<()> {
        let machine = &self.machine;
        // As Caddy writes it.
        let times = "log_format times escape=json '{\"request\":{\"uri\":\"$request_uri\"},\"status\":$status,\"duration\":$request_time}';\n\
                     access_log /var/log/nginx/times.log times;\n";
        machine.write("/etc/nginx/conf.d/times.conf", times, 0o644, "root")?;
        let ports = [("443 ssl", format!("{} ssl", self.https)), ("127.0.0.1:8080", format!("127.0.0.1:{}", self.http))];
        machine.write("/etc/nginx/sites-available/default", self.example("nginx.conf.example", &ports)?, 0o644, "root")?;
        apt(machine, &["install", "nginx"])?;
        assert_eq!(machine.unit_property("nginx.service", "ActiveState")?, "active");
        Ok(())
    }

    fn caddy_is_in_front(&self) -> Result<()> {
        let machine = &self.machine;
        machine.ok(&["systemctl", "--quiet", "disable", "--now", "nginx.service"])?;
        // Its certificate is not Let's Encrypt's here, its ports are others, and it notes how long requests took.
        let global = format!("{{\n\thttp_port {}\n\thttps_port {}\n\tadmin off\n\tservers {{\n", free_port()?, self.https);
        let own = "tls /etc/caddy/own.pem /etc/caddy/own.key\n\tlog {\n\t\toutput file /var/log/caddy/times.log\n\t}";
        let site = format!("{NAME} {{\n\t{own}\n");
        let backend = format!("127.0.0.1:{}", self.http);
        let changes = [("{\n\tservers {\n", global), ("127.0.0.1:8080", backend), (&*format!("{NAME} {{\n"), site)];
        let caddyfile = self.example("Caddyfile.example", &changes)?;
        machine.write("/etc/caddy/Caddyfile", caddyfile, 0o644, "root")?;
        apt(machine, &["install", "caddy"])?;
        for (from, to) in [("pem", "own.pem"), ("key", "own.key")] {
            let (from, to) = (format!("/etc/ssl/{NAME}.{from}"), format!("/etc/caddy/{to}"));
            machine.ok(&["install", "-m", "0640", "-g", "caddy", &from, &to])?;
        }
        machine.ok(&["install", "-d", "-o", "caddy", "/var/log/caddy"])?;
        machine.ok(&["systemctl", "restart", "caddy.service"])?;
        Ok(())
    }

    /// A shipped example, with what has to be another here.
    fn example(&self, name: &str, changes: &[(&str, String)]) -> Result<String> {
        let mut example = self.machine.ok(&["cat", &format!("{DOCS}/{name}")])?;
        for (from, to) in changes {
            ensure!(example.contains(from), "{name} has no {from:?}");
            example = example.replace(from, to);
        }
        Ok(example)
    }

    fn it_is_set_up(&self) -> Result<()> {
        let machine = &self.machine;
        let folder = tempfile::tempdir()?;
        let archive = folder.path().join("packages.tar");
        let packed = Command::new("tar").arg("-C").arg(packages()?).arg("-cf").arg(&archive).arg("repository").status()?;
        ensure!(packed.success(), "tar: {packed}");
        machine.copy_in(&archive, "/root/packages.tar", 0o644)?;
        machine.ok(&[
            "sh",
            "-c",
            "mkdir /srv/osm-packages && tar -C /srv/osm-packages --strip-components=1 -xf /root/packages.tar",
        ])?;
        machine.write("/etc/osm-api/telegram-token", format!("{}\n", self.sim.token()), 0o600, "root")?;
        let shipped = machine.ok(&["cat", "/etc/osm-api/api.toml"])?;
        let own = format!(
            "public_url = \"https://{NAME}:{}\"\nlisten = \"127.0.0.1:{}\"\ntrusted_proxies = \"127.0.0.1, ::1\"\n\
             telegram_mode = \"polling\"\ntelegram_api_url = \"{}\"\npackages_dir = \"/srv/osm-packages\"\n",
            self.https,
            self.http,
            self.sim.api_url()
        );
        machine.write("/etc/osm-api/api.toml", shipped + &own, 0o644, "root")?;
        machine.ok(&["systemctl", "--quiet", "enable", "--now", API])?;
        Ok(())
    }

    fn its_sandbox_and_files_are_closed(&self) -> Result<()> {
        let machine = &self.machine;
        let exposure = machine.ok(&["systemd-analyze", "--no-pager", "security", API])?;
        let level =
            exposure.lines().find_map(|line| line.split_once("exposure level for osm-api.service: ")).context("no level")?.1;
        println!("systemd-analyze security {API}: {level}");
        assert!(level.split(' ').next().unwrap_or_default().parse::<f64>()? <= 1.5, "{exposure}");
        let pid = machine.unit_property(API, "MainPID")?;
        assert_eq!(machine.ok(&["ps", "-o", "user=", "-p", &pid])?, "osm-api\n");
        assert_eq!(machine.ok(&["stat", "-c", "%U %a", "/var/lib/osm-api"])?, "osm-api 700\n");
        let token = machine.as_user("osm-api", &["cat", "/etc/osm-api/telegram-token"])?;
        assert!(token.status != 0 && token.stderr.contains("Permission denied"), "{token:?}");
        Ok(())
    }

    async fn who_opens_the_link_is_the_owner(&self) -> Result<()> {
        let machine = &self.machine;
        let code = machine.wait_for("link", PATIENCE, || {
            let journal = machine.journal(API);
            let link = journal.lines().rev().find_map(|line| line.split_once("?start=")).map(|(_, rest)| rest.to_owned());
            Ok(link.and_then(|rest| rest.split_whitespace().next().map(str::to_owned)))
        })?;
        self.ask(&format!("/start {code}"), "owner").await?;
        // As README.md says it, beside the sandboxed service and without its token.
        assert_eq!(machine.ok(&["stat", "-c", "%U %a", "/var/lib/osm-api/wake.sock"])?, "osm-api 600\n");
        let list = machine.as_user("osm-api", &["osm-api", "--config", "/etc/osm-api/api.toml", "access", "list"])?;
        assert!(list.status == 0 && list.stdout.contains("the owner"), "{list:?}");
        Ok(())
    }

    /// By the two lines of the bot, all of it through the proxy.
    async fn a_server_is_added(&self) -> Result<()> {
        let machine = &self.machine;
        let message = self.ask("/add_server backend", "OSM1-").await?;
        let lines: Vec<String> = message
            .buttons
            .iter()
            .flatten()
            .filter_map(|button| match &button.kind {
                ButtonKind::CopyText(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        site::run_ok(machine, &lines)?;
        self.see("backend", |message| message.plain.contains("online")).await?;
        machine.write("/etc/osm-agent/agent.toml", "interval = 5\n", 0o644, "root")?;
        machine.ok(&["systemctl", "restart", AGENT])?;
        Ok(())
    }

    /// One that nobody has cut: an answer after all of the time that the agent waits.
    fn a_poll_passes_whole(&self, log: &str) -> Result<()> {
        self.machine.wait_for("whole poll", PATIENCE, || {
            let answers = self.machine.ok(&["cat", log])?;
            let whole = answers.lines().filter_map(|line| serde_json::from_str::<Answer>(line).ok()).find(|answer| {
                answer.request.uri.starts_with("/agent/v1/commands") && answer.status == 200 && answer.duration >= A_WHOLE_POLL
            });
            Ok(whole.map(drop))
        })
    }

    async fn the_proxy_is_restarted_from_the_chat(&self, unit: &str) -> Result<()> {
        let pid = || self.machine.unit_property(unit, "MainPID");
        let before = pid()?;
        let services = self.services_with(unit).await?;
        self.tap(&services, unit).await?;
        let question =
            self.see("question", |message| message.message_id > services.message_id && message.plain.contains(unit)).await?;
        self.tap(&question, "✅ Restart").await?;
        self.see("outcome", |message| message.message_id == question.message_id && message.plain.contains("active (running)"))
            .await?;
        assert_ne!(pid()?, before);
        Ok(())
    }

    /// The list of services, once the agent has reported this one.
    async fn services_with(&self, unit: &str) -> Result<BotMessage> {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let card = self.ask("/status", "online").await?;
            if card.button("Restart a service").is_some() {
                self.tap(&card, "Restart a service").await?;
                let list =
                    self.see("list", |message| message.message_id == card.message_id && message.edits > card.edits).await?;
                if list.button(unit).is_some() {
                    return Ok(list);
                }
            }
            ensure!(std::time::Instant::now() < deadline, "{unit} is not offered:\n{}", card.plain);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn an_upgrade_keeps_everything(&self) -> Result<()> {
        let machine = &self.machine;
        let kept = || machine.ok(&["sh", "-c", "sha256sum /var/lib/osm-api/keys/* /var/lib/osm-api/keyset.json /etc/osm-api/*"]);
        let before = kept()?;
        for folder in [packages()?.join("previous"), packages()?] {
            machine.copy_in(&package(&folder, "osm-api_", ".deb")?, "/root/osm-api.deb", 0o644)?;
            apt(machine, &["install", "--allow-downgrades", "/root/osm-api.deb"])?;
            assert_eq!(machine.unit_property(API, "ActiveState")?, "active");
        }
        assert_eq!(kept()?, before);
        self.ask("/status", "online").await?;
        Ok(())
    }

    fn purged_nothing_is_left(&self) -> Result<()> {
        let machine = &self.machine;
        apt(machine, &["purge", "osm-api"])?;
        let find = ["find", "/etc", "/usr", "/var/lib", "/run", "-name", "*osm-api*", "-not", "-path", "/var/lib/apt/*"];
        assert_eq!(machine.ok(&find)?, "");
        assert_ne!(machine.run(&["getent", "passwd", "osm-api"])?.status, 0);
        // nginx itself counts as failed when it is stopped with polls under way.
        assert_eq!(machine.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend", "osm-*"])?, "");
        Ok(())
    }

    async fn ask(&self, text: &str, expected: &str) -> Result<BotMessage> {
        let said = self.sim.say(&self.anna, &self.anna, text);
        self.see(expected, |message| message.message_id > said.message_id && message.plain.contains(expected)).await
    }

    async fn see(&self, what: &str, is_it: impl Fn(&BotMessage) -> bool) -> Result<BotMessage> {
        let seen = self.sim.wait(&self.anna, PATIENCE, is_it).await;
        seen.with_context(|| format!("{what}:\n{}\n{}", self.machine.journal(API), self.machine.journal(AGENT)))
    }

    async fn tap(&self, message: &BotMessage, button: &str) -> Result<()> {
        let press = self.sim.press(&self.anna, &self.anna, message.message_id, button)?;
        self.sim.wait_toast(&press, SOON).await?;
        Ok(())
    }
}
