//! The real programs as child processes, and a host for the agent to run on.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::until::found_in_time;

/// How long a program may take to do what ends by itself.
pub const ENDS: Duration = Duration::from_mins(1);

/// A program of this workspace, built beside the tests.
///
/// # Panics
/// When it was not built: no story can be told then.
pub fn program(name: &str) -> PathBuf {
    let tests = env::current_exe().expect("the tests' own file");
    // target/debug/deps/agent-0123456789abcdef → target/debug/osm-agent
    let built = tests.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    built.unwrap_or_else(|| panic!("{name} was not built beside {}: run `make test`, which builds it first", tests.display()))
}

/// A program that gets `signal` when the thread that starts it ends, however that ends. It sees none of our configuration, no
/// proxy, and no journal.
pub fn bound_to_us(program: &Path, signal: &str) -> Command {
    let setpriv =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).map(|dir| dir.join("setpriv")).find(|path| path.is_file());
    let mut command = match setpriv {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", signal, "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(|key| key.starts_with("OSM_") && key != "OSM_LOG") {
            command.env_remove(key);
        }
    }
    for variable in ["JOURNAL_STREAM", "INVOCATION_ID", "NOTIFY_SOCKET"] {
        command.env_remove(variable);
    }
    command.env("NO_PROXY", "*").env("no_proxy", "*").stdin(Stdio::null());
    command
}

/// A program under test. It sees no system bus either: whatever a test says, no service of this machine is touched.
pub fn command(program: &Path) -> Command {
    let mut command = bound_to_us(program, "KILL");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    command
}

/// A program under test, as `inner` describes it, in a mount namespace of its own after `script` has prepared that; for it root
/// or user namespaces are needed.
pub fn in_namespace(inner: &Command, script: &str) -> Command {
    let mut namespace = command(Path::new("unshare"));
    if !rustix::process::geteuid().is_root() {
        namespace.args(["--user", "--map-root-user"]);
    }
    namespace.args(["--mount", "--", "sh", "-c", &format!("set -e; {script}; exec \"$@\""), "sh"]);
    namespace.arg(inner.get_program()).args(inner.get_args());
    for (key, value) in inner.get_envs() {
        match value {
            Some(value) => namespace.env(key, value),
            None => namespace.env_remove(key),
        };
    }
    namespace
}

/// A running program; what it says goes into files. It ends with this value.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// What it printed.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Its one line of complaint.
    ///
    /// # Panics
    /// When it succeeded, or when it was killed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(self.status.code().is_some_and(|code| code != 0), "{}\n{}{}", self.status, self.stdout, self.stderr);
        self.stderr
    }

    /// Whether it died of `abort`.
    pub fn crashed(&self) -> bool {
        aborted(self.status)
    }
}

/// Whether a program died of `abort`, as crash points do.
pub fn aborted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(Signal::ABORT.as_raw())
}

impl Process {
    /// Starts a program; its output is appended to `NAME.out` and `NAME.err` in `logs`.
    pub fn start(command: &mut Command, logs: &Path, name: &str) -> Result<Self> {
        let (stdout, stderr) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
        let open = |path: &Path| File::options().create(true).append(true).open(path).with_context(|| path.display().to_string());
        let child =
            command.stdout(open(&stdout)?).stderr(open(&stderr)?).spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Self { child, stdout, stderr })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub fn terminate(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Waits until it has said this, on standard output or standard error.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let said = || self.stdout() + &self.stderr();
        let heard = found_in_time(ENDS, || said().contains(text).then_some(()));
        assert!(heard.is_some(), "not said: {text:?}; but:\n{}", said());
    }

    /// Waits for its end.
    pub fn end(mut self, limit: Duration) -> Result<Ended> {
        let status = found_in_time(limit, || self.has_ended().transpose()).transpose()?;
        let Some(status) = status else {
            bail!("it still runs after {limit:?}; it said:\n{}{}", self.stdout(), self.stderr());
        };
        Ok(Ended { status, stdout: self.stdout(), stderr: self.stderr() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A machine with the real agent on it: a configuration, a list of units that may be restarted, a state directory.
pub struct Host {
    folder: TempDir,
    runs: std::cell::Cell<u32>,
}

/// A unit that stands on the host's list, and that no machine has.
pub const LISTED: &str = "osm-test-listed.service";

impl Default for Host {
    fn default() -> Self {
        Self::new("")
    }
}

impl Host {
    /// `configuration` goes into agent.toml beside the shortest interval and the list of units.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn new(configuration: &str) -> Self {
        let host = Self { folder: tempfile::tempdir().expect("a folder"), runs: std::cell::Cell::new(0) };
        let list = host.path("units.json");
        let toml = format!("interval = 5\npolicy_file = \"{}\"\n{configuration}\n", list.display());
        fs::write(host.path("agent.toml"), toml).expect("agent.toml");
        fs::write(&list, format!(r#"{{"version":1,"units":["{LISTED}"]}}"#)).expect("units.json");
        fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).expect("units.json");
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// The agent with this configuration and state directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&program("osm-agent"));
        command.arg("--config").arg(self.path("agent.toml")).arg("--state-dir").arg(self.state_dir()).args(arguments);
        command
    }

    /// Starts a command of the agent.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, command: &mut Command) -> Process {
        self.runs.set(self.runs.get() + 1);
        Process::start(command, self.folder.path(), &format!("agent-{}", self.runs.get())).expect("the agent")
    }

    /// Runs a command of the agent to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn output(&self, command: &mut Command) -> Ended {
        self.start(command).end(ENDS).expect("an end")
    }

    pub fn run(&self) -> Process {
        self.start(&mut self.command(&["run"]))
    }

    /// `printf %s TOKEN | osm-agent pair --api URL --token-file -`.
    pub fn pair(&self, api: &str, token: &str) -> Ended {
        self.pair_with(api, token, |_| {})
    }

    /// As [`Host::pair`], with a change to the command.
    ///
    /// # Panics
    /// When the token cannot be written down, or the command does not end.
    pub fn pair_with(&self, api: &str, token: &str, change: impl FnOnce(&mut Command)) -> Ended {
        let file = self.path("token");
        fs::write(&file, token).expect("the token");
        let mut command = self.command(&["pair", "--api", api, "--token-file", "-"]);
        command.stdin(File::open(&file).expect("the token"));
        change(&mut command);
        let ended = self.output(&mut command);
        fs::remove_file(file).expect("the token");
        ended
    }

    /// The facts in the agent's ledger, one a line.
    pub fn ledger(&self) -> String {
        text(&self.state_dir().join("ledger.jsonl"))
    }

    /// Names of the reports that wait in its spool.
    pub fn spooled(&self) -> Vec<String> {
        let files = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let names = |folder: fs::DirEntry| {
            files(folder.path()).filter_map(|file| file.file_name().into_string().ok()).collect::<Vec<_>>()
        };
        let spools = files(self.state_dir()).filter(|folder| folder.file_name().to_string_lossy().starts_with("spool-"));
        spools.flat_map(names).filter(|name| name.rsplit('.').next() == Some("json")).collect()
    }
}

/// Ends a program as systemd does.
///
/// # Panics
/// When it does not end well.
#[track_caller]
pub fn terminate(process: Process) -> Ended {
    process.terminate().expect("a signal");
    let ended = process.end(Duration::from_secs(20)).expect("an end after SIGTERM");
    assert!(ended.status.success(), "{}\n{}{}", ended.status, ended.stdout, ended.stderr);
    ended
}
