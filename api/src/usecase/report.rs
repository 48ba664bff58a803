//! Agents report. Batches of many agents are written in one transaction (a group commit); each is answered after the commit,
//! so that an accepted report is a durable one.

use std::collections::{HashMap, HashSet};

use osm_protocol::messages::{Report, ReportBatch, limits::AHEAD_MS};
use tokio::sync::{mpsc, oneshot};

use crate::{
    domain::{
        Millis,
        alert::Rule,
        event::{By, Event, Happened},
        figures::highest,
        ids::ServerId,
        notice::{Notice, Urgency},
    },
    error::{Refusal, Result},
    store::{
        self,
        reports::{self, Figures, Known, State},
        servers,
    },
    usecase::{
        Core,
        alert::judge::{self, Clock, Judge},
        work::Work,
    },
};

/// Batches that may wait for a commit; beyond it agents are told to come again.
const QUEUE: usize = 4096;
/// Batches in one transaction.
const GROUP: usize = 512;

/// One agent's batch, validated.
pub struct Submission {
    pub server_id: ServerId,
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
            waiting.into_iter().partition(|waiting| servers.insert(waiting.submission.server_id));
        self.held_over = held_over;
        // Two writers that lock rows in the same order do not wait for each other in a circle.
        group.sort_unstable_by_key(|waiting| waiting.submission.server_id);
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
                        tracing::warn!(server = %waiting.submission.server_id, %error, "a report could not be stored");
                        Err(error.into())
                    }
                };
                let _ = waiting.answer.send(result);
            }
        }
    }
}

/// Writes all in one transaction; the results stand in the order of the submissions.
async fn commit(core: &Core, submissions: &[&Submission]) -> store::Result<Vec<Result<()>>> {
    let mut work = Work::begin(core, By::System {}).await?;
    let ids: Vec<ServerId> = submissions.iter().map(|submission| submission.server_id).collect();
    servers::hold(&mut work.tx, &ids).await?;
    let known = reports::known(&mut work.tx, &ids).await?;
    let known: HashMap<ServerId, &Known> = known.iter().map(|known| (known.id, known)).collect();

    let mut judge = Judge::load(&mut work, &known.values().copied().collect::<Vec<_>>()).await?;
    let mut written = Written::default();
    let mut results = Vec::with_capacity(submissions.len());
    for submission in submissions {
        let Some(known) = known.get(&submission.server_id) else {
            results.push(Err(Refusal::Removed(None).into()));
            continue;
        };
        written.figures.extend(submission.batch.reports.iter().map(|report| figures_of(submission, report)));
        // The newest is the live one, unless it is old: then all of it is history, and judges nothing.
        let newest = submission.batch.reports.iter().max_by_key(|report| report.at);
        if let Some(fresh) = newest.filter(|newest| judge::is_fresh(newest, submission.received_at)) {
            match standing(known, fresh, submission.received_at) {
                Some(clock) => {
                    notice_changes(&mut work, known, fresh).await?;
                    judge.report(&mut work, known, fresh, clock).await?;
                    written.states.push(state_of(submission, known, fresh));
                }
                // Nothing new, but a sign of life.
                None => written.heard_again.push(known.id),
            }
        }
        results.push(Ok(()));
    }
    judge.finish(&mut work).await?;
    reports::put_states(&mut work.tx, &written.states).await?;
    reports::touch(&mut work.tx, &written.heard_again, work.now).await?;
    reports::put_figures(&mut work.tx, &written.figures).await?;
    work.commit("reports").await?;
    Ok(results)
}

/// What a group of reports comes to.
#[derive(Default)]
struct Written<'a> {
    states: Vec<State<'a>>,
    figures: Vec<Figures>,
    heard_again: Vec<ServerId>,
}

/// Judges whether a report is newer than what is known, and by which clock; `None`: it is not.
fn standing(known: &Known, fresh: &Report, received_at: Millis) -> Option<Clock> {
    match known.at {
        // No report may lie that far ahead: what is known came by a clock of ours that was set back since.
        Some(at) if at > received_at + AHEAD_MS => Some(Clock::SetBack),
        Some(at) if fresh.at <= at => None,
        Some(_) | None => Some(Clock::Steady),
    }
}

/// Sends the first card with the first report; suspends commands where two boot ids come in turn: two hosts report with one
/// key.
async fn notice_changes(work: &mut Work<'_>, known: &Known, live: &Report) -> store::Result<()> {
    let server_id = known.id;
    match &known.boot {
        None => work.send_of(server_id, known.chat_id, &Notice::Status { server_id, page: 0 }, Urgency::Answer).await,
        Some(boot) if *boot != live.boot && known.previous_boot.as_deref() == Some(&live.boot) => {
            if servers::suspend(&mut work.tx, server_id).await? {
                work.record(Happened::to_server(known.chat_id, server_id, &known.name, Event::Cloned {}));
                work.send_of(server_id, known.chat_id, &Notice::Cloned { server_id }, Urgency::Background).await?;
            }
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

fn state_of<'a>(submission: &Submission, known: &Known, live: &'a Report) -> State<'a> {
    let same_boot = known.boot.as_deref() == Some(&live.boot);
    let previous_boot = if same_boot { known.previous_boot.clone() } else { known.boot.clone() };
    State {
        server_id: submission.server_id,
        at: live.at,
        received_at: submission.received_at,
        interval_s: i64::from(live.interval_s),
        address: submission.address.clone(),
        agent_version: submission.batch.agent_version.clone(),
        boot: live.boot.clone(),
        previous_boot: previous_boot.unwrap_or_default(),
        report: live,
    }
}

fn figures_of(submission: &Submission, report: &Report) -> Figures {
    let highest = highest(report);
    Figures {
        server_id: submission.server_id,
        at: report.at,
        received_at: submission.received_at,
        cpu: highest(Rule::Cpu),
        memory: highest(Rule::Memory),
        swap: highest(Rule::Swap),
        load: highest(Rule::Load),
        disk: highest(Rule::Disk),
        inodes: highest(Rule::Inodes),
    }
}
