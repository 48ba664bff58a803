//! The backend on a full disk: it takes nothing that it cannot keep, says so, and goes on when there is room again.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use osm_api::clock::Clock;
use osm_protocol::messages::{Report, ReportBatch};
use osm_telegram_sim::{BotMessage, Options, Sim, User};
use osm_tests::{
    agent::{Agent, client},
    database,
    process::{Process, command, in_namespace, program, terminate},
    talk::token_in,
    world::ANNA,
};
use reqwest::header;
use rustix::process::{Pid, Signal, kill_process};

use crate::{SOON, life::free_port, persistently};

/// A backend whose state directory is a small file system of its own.
struct Backend {
    process: Process,
    api: String,
    /// Its state directory, as it sees it.
    state: PathBuf,
}

impl Backend {
    async fn start(sim: &Sim, folder: &Path) -> Self {
        let state = folder.join("state");
        fs::create_dir(&state).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut serve = command(&program("osm-api"));
        serve.arg("serve").env("OSM_LISTEN", &address).env("OSM_STATE_DIR", &state).env("OSM_ALLOWED_USERS", ANNA.to_string());
        serve.env("OSM_TELEGRAM_TOKEN", sim.token()).env("OSM_TELEGRAM_API_URL", sim.api_url());
        serve.env("OSM_TELEGRAM_MODE", "webhook");
        let script = format!("mount -t tmpfs -o size=8m,mode=0700 none '{}'", state.display());
        let process = Process::start(&mut in_namespace(&serve, &script), folder, "backend").unwrap();
        let backend = Self {
            state: format!("/proc/{}/root{}", process.id(), state.display()).into(),
            api: format!("http://{address}"),
            process,
        };
        sim.wait_webhook(SOON)
            .await
            .unwrap_or_else(|error| panic!("{error}; needs root or user namespaces: {}", backend.process.stderr()));
        backend
    }

    fn ballast(&self) -> PathBuf {
        self.state.join("ballast")
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut file = fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Times of the reports that are stored, read from a copy: SQLite would follow the way into its namespace back out of it.
    async fn stored(&self, folder: &Path) -> BTreeSet<i64> {
        let pid = Pid::from_raw(self.process.id().cast_signed()).unwrap();
        // What is copied stands still.
        kill_process(pid, Signal::STOP).unwrap();
        for file in ["osm.db", "osm.db-wal"] {
            fs::copy(self.state.join(file), folder.join(file)).unwrap();
        }
        kill_process(pid, Signal::CONT).unwrap();
        let url = format!("sqlite://{}", folder.join("osm.db").display());
        database::rows(&url, "SELECT at FROM reports").await.unwrap().iter().map(|row| row[0]).collect()
    }
}

/// Sends one report; gives the status and Retry-After.
async fn send(agent: &Agent, report: &Report) -> Result<(u16, Option<String>)> {
    let body = serde_json::to_vec(&ReportBatch { agent_version: "0.1.0".to_owned(), reports: vec![report.clone()] })?;
    let signed = agent.sign("POST", "/agent/v1/reports", None, &body);
    let answer = client()
        .post(format!("{}/agent/v1/reports", agent.api))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Content-Digest", signed.content_digest)
        .header("Signature-Input", signed.signature_input)
        .header("Signature", signed.signature)
        .body(body)
        .send()
        .await?;
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((answer.status().as_u16(), retry_after))
}

async fn ask(sim: &Sim, anna: &User, text: &str, expected: &str) -> BotMessage {
    let said = sim.say(anna, anna, text);
    sim.wait(anna, SOON, |message| message.message_id > said.message_id && message.plain.contains(expected)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_the_backend_refuses_for_now_and_loses_nothing_that_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start(Options::default()).await.unwrap();
    let anna = sim.user(ANNA, "Anna");
    let mut backend = Backend::start(&sim, folder.path()).await;
    let token = token_in(&ask(&sim, &anna, "/add_server web-1", "osm-agent pair").await).unwrap();
    let mut agent = Agent::at(&backend.api, Clock::system());
    agent.pair(&token).await.unwrap();
    let mut taken = BTreeSet::new();
    let mut next = agent.report();
    assert_eq!(send(&agent, &next).await.unwrap().0, 200);
    taken.insert(next.at);
    sim.wait(&anna, SOON, |message| message.plain.contains("online")).await.unwrap();
    sim.wait_delivered(SOON).await.unwrap();

    backend.fill();
    // There may be room left in files that have grown before.
    let refused = persistently("a report that is refused", async || {
        next = Report { at: next.at + 1, ..agent.report() };
        backend.fill();
        match send(&agent, &next).await? {
            (200, _) => {
                taken.insert(next.at);
                Ok(None)
            }
            (status, retry_after) => Ok(Some((status, retry_after))),
        }
    })
    .await
    .unwrap();
    assert_eq!(refused, (503, Some("10".to_owned())));
    let said = sim.say(&anna, &anna, "/status");
    let update_id = said.update_id.unwrap();
    let statuses = persistently("an update that is refused twice", async || {
        let deliveries = sim.deliveries();
        let statuses: Vec<_> =
            deliveries.iter().filter(|delivery| delivery.update_id == update_id).map(|one| one.status).collect();
        Ok((statuses.len() > 1).then_some(statuses))
    })
    .await
    .unwrap();
    assert!(statuses.iter().all(|status| *status == Some(503)), "{statuses:?}");
    assert!(sim.is_pending(update_id) && backend.process.has_ended().unwrap().is_none(), "{}", backend.process.stderr());

    fs::remove_file(backend.ballast()).unwrap();
    // The same report and the same update, as agent and Telegram send them again.
    persistently("the report taken", async || {
        let (status, _) = send(&agent, &next).await?;
        ensure!(status == 200, "{status}");
        Ok(Some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error}: {}", backend.process.stderr()));
    taken.insert(next.at);
    sim.wait_delivered(SOON).await.unwrap();
    let card = |message: &BotMessage| message.message_id > said.message_id && message.plain.contains("Figures of");
    sim.wait(&anna, SOON, card).await.unwrap();
    assert_eq!(backend.stored(folder.path()).await, taken);
    let complaints = backend.process.stderr();
    assert!(complaints.contains("full") && !complaints.contains("panicked"), "{complaints}");
    terminate(backend.process);
}
