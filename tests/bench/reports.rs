//! Reports accepted and committed. All requests are signed before the clock starts, and sent by one thread, so that the load
//! generator takes little of the cores it shares with the backend.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use osm_protocol::{
    messages::ReportBatch,
    request_signature::{Target, sign},
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::sleep_until,
};

use crate::{
    backend::Backend,
    figures::{self, Latencies, Table},
    fleet::{AGENT_VERSION, Fleet, Server, now},
    proc,
    wire::{self, Connection},
};

const PATH: &str = "/agent/v1/reports";
const WARM_UP: Duration = Duration::from_secs(3);
/// Signed ahead for this rate; a faster backend ends the measurement earlier.
const RATE_MAX: u64 = 8000;
/// Signatures are good for a minute either way: made for a time ahead, they outlast their own making.
const SIGNED_AHEAD_S: i64 = 40;
const SIGNED_WITHIN: Duration = Duration::from_mins(1);
/// Stands where the time of a report is written in. No other number of a report looks like it.
const AT: i64 = 1_111_111_111_111;

#[derive(Clone, Copy)]
pub struct Plan {
    pub seconds: Duration,
    pub connections: u32,
    /// Reports a second; without one, each connection sends its next report as soon as the last was answered.
    pub rate: Option<u32>,
}

pub struct Measured {
    latencies: Latencies,
    elapsed: Duration,
    /// CPU time of the backend, and of this process, while it was measured.
    backend_cpu: Duration,
    own_cpu: Duration,
    written: u64,
    body: usize,
    /// With those of the warm-up.
    pub accepted_in_all: i64,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    pub fn rows(&mut self, table: &mut Table, what: &str, target: &str) {
        let (count, elapsed) = (self.latencies.len() as f64, self.elapsed.as_secs_f64());
        table.row(what, format!("{:.0} /s in {elapsed:.0} s, {} bytes each", count / elapsed, self.body), target);
        table.row("  latency", self.latencies.summary(), "p99 < 100 ms");
        let each = Duration::from_secs_f64(self.backend_cpu.as_secs_f64() / count.max(1.0));
        table.row(
            "  CPU",
            format!(
                "osm-api {:.2} cores, {} a report; load generator {:.2} cores",
                self.backend_cpu.as_secs_f64() / elapsed,
                figures::us(each),
                self.own_cpu.as_secs_f64() / elapsed
            ),
            "",
        );
        table.row("  written to disk", format!("{:.1} KiB a report", self.written as f64 / 1024.0 / count.max(1.0)), "");
    }
}

pub async fn run(backend: &Backend, fleet: &Fleet, plan: &Plan) -> Result<Measured> {
    let templates = fleet.servers.iter().map(Template::new).collect::<Result<Vec<_>>>()?;
    let rate = plan.rate.map_or(RATE_MAX, u64::from);
    let count = usize::try_from(rate * (WARM_UP + plan.seconds).as_secs())?;
    let signing = Instant::now();
    let signed = sign_all(&fleet.servers, &templates, &backend.authority, count)?;
    ensure!(signing.elapsed() < SIGNED_WITHIN, "signing {count} requests took {:?}: they are stale", signing.elapsed());
    let body = templates[0].body.len();
    let load = Arc::new(Load { templates, signed, next: AtomicUsize::new(0), address: backend.address });

    let start = Instant::now();
    let measure_from = start + WARM_UP;
    let end = measure_from + plan.seconds;
    let plan = *plan;
    let sending = spawn_blocking(move || {
        // One thread: what it takes is known, and the rest is the backend's.
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(load.send(plan, start, measure_from, end))
    });
    sleep_until(measure_from.into()).await;
    let before = (proc::cpu(backend.pid)?, proc::cpu(std::process::id())?, proc::written(backend.pid)?);
    let (latencies, accepted_in_all) = sending.await??;
    let elapsed = measure_from.elapsed();
    Ok(Measured {
        latencies,
        elapsed,
        backend_cpu: proc::cpu(backend.pid)?.saturating_sub(before.0),
        own_cpu: proc::cpu(std::process::id())?.saturating_sub(before.1),
        written: proc::written(backend.pid)? - before.2,
        body,
        accepted_in_all,
    })
}

/// A body but for its time.
struct Template {
    body: Vec<u8>,
    at: usize,
}

impl Template {
    fn new(server: &Server) -> Result<Self> {
        let batch = ReportBatch { agent_version: AGENT_VERSION.to_owned(), reports: vec![server.report(AT)] };
        let body = serde_json::to_vec(&batch)?;
        let digits = AT.to_string();
        let at = body.windows(digits.len()).position(|window| window == digits.as_bytes()).context("no time in the body")?;
        Ok(Self { body, at })
    }

    /// Appends the body as of this time: 13 digits until the year 2286.
    fn write(&self, at: i64, to: &mut Vec<u8>) {
        let start = to.len() + self.at;
        to.extend_from_slice(&self.body);
        let digits = at.to_string();
        to[start..start + digits.len()].copy_from_slice(digits.as_bytes());
    }
}

struct SignedReport {
    server: usize,
    at: i64,
    head: Vec<u8>,
}

/// In turn of each server, so that one server's reports are far apart.
fn sign_all(servers: &[Server], templates: &[Template], authority: &str, count: usize) -> Result<Vec<SignedReport>> {
    let now = now();
    let one = |index: usize| {
        let server = index % servers.len();
        let at = now + i64::try_from(index / servers.len()).unwrap_or_default();
        let mut body = Vec::with_capacity(4096);
        templates[server].write(at, &mut body);
        let target = Target { method: "POST", authority, path: PATH, query: None };
        let headers = sign(target, &body, &servers[server].key, now / 1000 + SIGNED_AHEAD_S, &index.to_string());
        SignedReport { server, at, head: wire::head("POST", PATH, authority, &headers, body.len()) }
    };
    let share = count.div_ceil(thread::available_parallelism()?.get());
    let signed = thread::scope(|scope| {
        let shares: Vec<_> = (0..count)
            .step_by(share)
            .map(|from| scope.spawn(move || (from..count.min(from + share)).map(one).collect::<Vec<_>>()))
            .collect();
        shares.into_iter().flat_map(|share| share.join().expect("signing does not panic")).collect()
    });
    Ok(signed)
}

struct Load {
    templates: Vec<Template>,
    signed: Vec<SignedReport>,
    next: AtomicUsize,
    address: SocketAddr,
}

impl Load {
    async fn send(self: Arc<Self>, plan: Plan, start: Instant, from: Instant, end: Instant) -> Result<(Latencies, i64)> {
        let mut senders = JoinSet::new();
        for _ in 0..plan.connections {
            senders.spawn(self.clone().one_connection(plan.rate, start, from, end));
        }
        let (mut latencies, mut accepted) = (Latencies::default(), 0);
        while let Some(sent) = senders.join_next().await {
            let (its_latencies, its_accepted) = sent??;
            latencies.extend(its_latencies);
            accepted += its_accepted;
        }
        Ok((latencies, accepted))
    }

    async fn one_connection(
        self: Arc<Self>,
        rate: Option<u32>,
        start: Instant,
        from: Instant,
        end: Instant,
    ) -> Result<(Latencies, i64)> {
        let mut connection = Connection::open(self.address).await?;
        let (mut latencies, mut accepted) = (Latencies::default(), 0);
        let mut request = Vec::with_capacity(8192);
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(signed) = self.signed.get(index) else { break };
            // Measured from when it was due: what waits for a connection counts as waiting.
            let due = rate.map_or_else(Instant::now, |rate| start + due_after(index, rate));
            if due >= end {
                break;
            }
            sleep_until(due.into()).await;
            request.clear();
            request.extend_from_slice(&signed.head);
            self.templates[signed.server].write(signed.at, &mut request);
            let reply = connection.exchange(&request).await?;
            if reply.status != 200 {
                bail!("a report was answered {}: {}", reply.status, String::from_utf8_lossy(reply.body));
            }
            accepted += 1;
            if due >= from {
                latencies.push(due.elapsed());
            }
        }
        Ok((latencies, accepted))
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 reports")]
fn due_after(index: usize, rate: u32) -> Duration {
    Duration::from_secs_f64(index as f64 / f64::from(rate))
}
