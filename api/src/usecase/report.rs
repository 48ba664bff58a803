//! Agents report. Batches of many agents are written in one transaction (a group commit); each is answered after the commit, so
//! that an accepted report is a durable one.

use std::collections::{HashMap, HashSet};

use osm_protocol::messages::{Report, ReportBatch, limits::AHEAD_MS};
use tokio::sync::{mpsc, oneshot};

use crate::{
    domain::{
        Millis,
        notice::{Notice, Urgency},
        server::{disk_percent, inode_percent, load_per_cpu, memory_percent, swap_percent},
    },
    error::{Refusal, Result},
    store::{
        self, Tx,
        reports::{self, Figures, Known, State},
        servers,
    },
    usecase::{
        Core,
        alert::{self, Judge},
        tell::Teller,
    },
};

/// Batches that may wait for a commit; beyond it agents are told to come again.
const QUEUE: usize = 4096;
/// Batches in one transaction.
const GROUP: usize = 512;

/// One agent's batch, validated.
pub struct Submission {
    pub server_id: String,
    pub batch: ReportBatch,
    pub address: String,
    pub received_at: Millis,
}

struct Waiting {
    submission: Submission,
    answer: oneshot::Sender<Result<()>>,
}

/// Hands batches to the one writer.
#[derive(Clone)]
pub struct Reports(mpsc::Sender<Waiting>);

impl Reports {
    pub fn new() -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), Writer { receiver, held_over: Vec::new() })
    }

    /// Returns when the batch is durable.
    pub async fn submit(&self, submission: Submission) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Waiting { submission, answer }).map_err(|_| Refusal::Busy { retry_after_s: 5 })?;
        answered.await.map_err(|_| Refusal::Busy { retry_after_s: 5 })?
    }
}

/// Collects what waits and commits it, for as long as somebody may submit.
pub struct Writer {
    receiver: mpsc::Receiver<Waiting>,
    /// A server's second batch waits for the next group: one report a server at a time.
    held_over: Vec<Waiting>,
}

impl Writer {
    pub async fn run(mut self, core: &Core) {
        while let Some(group) = self.next_group().await {
            write(core, group).await;
        }
    }

    async fn next_group(&mut self) -> Option<Vec<Waiting>> {
        let mut waiting = std::mem::take(&mut self.held_over);
        if waiting.is_empty() {
            waiting.push(self.receiver.recv().await?);
        }
        while waiting.len() < GROUP {
            match self.receiver.try_recv() {
                Ok(more) => waiting.push(more),
                Err(_) => break,
            }
        }
        let mut servers = HashSet::new();
        let (mut group, held_over): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiting| servers.insert(waiting.submission.server_id.clone()));
        self.held_over = held_over;
        // Two writers that lock rows in the same order do not wait for each other in a circle.
        group.sort_unstable_by(|a, b| a.submission.server_id.cmp(&b.submission.server_id));
        Some(group)
    }
}

async fn write(core: &Core, group: Vec<Waiting>) {
    let submissions: Vec<&Submission> = group.iter().map(|waiting| &waiting.submission).collect();
    match commit(core, &submissions).await {
        Ok(results) => {
            for (waiting, result) in group.into_iter().zip(results) {
                let _ = waiting.answer.send(result);
            }
        }
        // Somebody's batch is bad, or the database is away: one by one, so that a bad one fails alone.
        Err(_) => {
            for waiting in group {
                let result = match commit(core, &[&waiting.submission]).await {
                    Ok(mut results) => results.pop().unwrap_or(Ok(())),
                    Err(error) => {
                        tracing::warn!(server = waiting.submission.server_id, %error, "a report could not be stored");
                        Err(error.into())
                    }
                };
                let _ = waiting.answer.send(result);
            }
        }
    }
}

/// One transaction for all; the results stand in the order of the submissions.
async fn commit(core: &Core, submissions: &[&Submission]) -> store::Result<Vec<Result<()>>> {
    let mut tx = core.store.begin().await?;
    let ids: Vec<String> = submissions.iter().map(|submission| submission.server_id.clone()).collect();
    servers::hold(&mut tx, &ids).await?;
    let known: HashMap<String, Known> =
        reports::known(&mut tx, &ids).await?.into_iter().map(|known| (known.id.clone(), known)).collect();

    let now = core.clock.now();
    let mut judge = Judge::load(&mut tx, core, &known.values().collect::<Vec<_>>(), now).await?;
    let mut states = Vec::with_capacity(submissions.len());
    let mut figures = Vec::with_capacity(submissions.len());
    let mut results = Vec::with_capacity(submissions.len());
    let mut heard_again = Vec::new();
    for submission in submissions {
        let Some(known) = known.get(&submission.server_id) else {
            results.push(Err(Refusal::Removed.into()));
            continue;
        };
        figures.extend(submission.batch.reports.iter().map(|report| figures_of(submission, report)));
        // The newest is the live one, unless it is old: then all of it is history, and judges nothing.
        let newest = submission.batch.reports.iter().max_by_key(|report| report.at);
        if let Some(fresh) = newest.filter(|newest| alert::is_fresh(newest, submission.received_at)) {
            // No report may lie that far ahead: what is known came by a clock of ours that was set back since.
            let is_clock_back = known.at.is_some_and(|at| at > submission.received_at + AHEAD_MS);
            if is_clock_back || known.at.is_none_or(|at| fresh.at > at) {
                notice_changes(&mut tx, core, known, fresh, submission.received_at).await?;
                judge.report(&mut tx, known, fresh, is_clock_back).await?;
                states.push(state_of(submission, known, fresh));
            } else {
                // Nothing new, but a sign of life.
                heard_again.push(known.id.as_str());
            }
        }
        results.push(Ok(()));
    }
    judge.finish(&mut tx).await?;
    reports::put_states(&mut tx, &states).await?;
    reports::touch(&mut tx, &heard_again, now).await?;
    reports::put_figures(&mut tx, &figures).await?;
    tx.commit("reports").await?;
    Ok(results)
}

/// The first report brings the first card; two boot ids in turn mean that two hosts report with one key.
async fn notice_changes(tx: &mut Tx, core: &Core, known: &Known, live: &Report, now: Millis) -> store::Result<()> {
    let teller = Teller { clock: &core.clock, chat_id: known.chat_id, now };
    match &known.boot {
        None => teller.send(tx, &Notice::Status { server_id: known.id.clone(), page: 0 }, Urgency::Answer).await.map(drop),
        Some(boot) if *boot != live.boot && known.previous_boot.as_deref() == Some(&live.boot) => {
            if servers::suspend(tx, &known.id).await? {
                teller.send(tx, &Notice::Cloned { server_id: known.id.clone() }, Urgency::Background).await?;
            }
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

fn state_of(submission: &Submission, known: &Known, live: &Report) -> State {
    let same_boot = known.boot.as_deref() == Some(&live.boot);
    let previous_boot = if same_boot { known.previous_boot.clone() } else { known.boot.clone() };
    State {
        server_id: submission.server_id.clone(),
        at: live.at,
        received_at: submission.received_at,
        interval_s: i64::from(live.interval_s),
        address: submission.address.clone(),
        agent_version: submission.batch.agent_version.clone(),
        boot: live.boot.clone(),
        previous_boot: previous_boot.unwrap_or_default(),
        report: kept(live),
    }
}

/// Processes are for the alert that they explain, and are kept nowhere else.
fn kept(live: &Report) -> String {
    if live.processes.is_empty() {
        return store::to_json(live);
    }
    store::to_json(&Report { processes: Vec::new(), ..live.clone() })
}

fn figures_of(submission: &Submission, report: &Report) -> Figures {
    Figures {
        server_id: submission.server_id.clone(),
        at: report.at,
        received_at: submission.received_at,
        cpu: report.cpu,
        memory: report.memory.as_ref().map(memory_percent),
        swap: report.memory.as_ref().and_then(swap_percent),
        load: load_per_cpu(report),
        disk: report.disks.iter().map(disk_percent).max_by(f64::total_cmp),
        inodes: report.disks.iter().filter_map(inode_percent).max_by(f64::total_cmp),
    }
}
