//! Backend and agent as processes: their lines are kept in files, their deaths are noticed, and none outlives this program.

use std::{
    collections::VecDeque,
    fmt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use osm_tests::process::bound_to_us;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// How long a program may take to end in good order.
const GRACE: Duration = Duration::from_secs(15);
/// How much of what a dead program said is shown.
const LAST_LINES: usize = 12;

pub struct Programs {
    logs: PathBuf,
    running: Vec<Running>,
    ends: mpsc::UnboundedSender<End>,
    ended: mpsc::UnboundedReceiver<End>,
}

/// A program that ended though nobody told it to.
#[derive(Debug)]
pub struct End {
    name: &'static str,
    status: ExitStatus,
    last_lines: Vec<String>,
}

struct Running {
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

type LastLines = Arc<Mutex<VecDeque<String>>>;

impl Programs {
    /// Programs whose lines go into `logs`.
    pub fn new(logs: &Path) -> Self {
        let (ends, ended) = mpsc::unbounded_channel();
        Self { logs: logs.to_owned(), running: Vec::new(), ends, ended }
    }

    /// Starts a program that is to run until [`Programs::end`]; gives what it prints.
    pub async fn start(&mut self, name: &'static str, mut command: Command) -> Result<Lines<BufReader<ChildStdout>>> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let last_lines = LastLines::default();
        let log = File::create(self.logs.join(format!("{name}.log"))).await?;
        let logging = tokio::spawn(keep(BufReader::new(stderr).lines(), log, last_lines.clone()));
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(name, child, stopped, logging, last_lines, self.ends.clone()));
        self.running.push(Running { stop, supervisor });
        Ok(BufReader::new(stdout).lines())
    }

    /// Waits until a program ends by itself.
    pub async fn died(&mut self) -> End {
        match self.ended.recv().await {
            Some(end) => end,
            None => std::future::pending().await,
        }
    }

    /// Ends all of them, the last one first: the agent takes leave of a backend that is still there.
    pub async fn end(&mut self) {
        while let Some(Running { stop, supervisor }) = self.running.pop() {
            let _ = stop.send(());
            let _ = supervisor.await;
        }
    }
}

/// A program that ends with the thread that starts it, and that Ctrl-C reaches only through us.
pub fn command(program: &Path) -> Command {
    let mut command = Command::from(bound_to_us(program, "TERM"));
    command.env("NO_COLOR", "1").process_group(0);
    command
}

async fn supervise(
    name: &'static str,
    mut child: Child,
    stop: oneshot::Receiver<()>,
    logging: JoinHandle<()>,
    last_lines: LastLines,
    ends: mpsc::UnboundedSender<End>,
) {
    tokio::select! {
        ended = child.wait() => {
            // What it said last may still be in the pipe.
            let _ = timeout(Duration::from_secs(1), logging).await;
            if let Ok(status) = ended {
                let last_lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
                let _ = ends.send(End { name, status, last_lines });
            }
        }
        _ = stop => {
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                let _ = kill_process(pid, Signal::TERM);
            }
            if timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

/// Writes lines to a file and remembers the last ones.
async fn keep(mut lines: Lines<BufReader<impl AsyncRead + Unpin>>, mut file: File, last: LastLines) {
    while let Ok(Some(line)) = lines.next_line().await {
        // A full disk is no reason to stop reading: the program would block.
        let _ = file.write_all(format!("{line}\n").as_bytes()).await;
        let _ = file.flush().await;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has ended ({})", self.name, self.status)?;
        if self.last_lines.is_empty() {
            return f.write_str(" without a word");
        }
        f.write_str("; it said last:")?;
        self.last_lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl std::error::Error for End {}
