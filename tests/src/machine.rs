//! Debian machines with a real systemd, for tests: a [`Root`] is built once by debootstrap and kept,
//! a [`Machine`] is a booted throw-away copy of it in `systemd-nspawn`.
//!
//! Needs root, debootstrap and systemd-container. The host itself needs no systemd, and any cgroup
//! layout will do. Everything here blocks: from async code use `spawn_blocking`, or the runtime that
//! also serves the backend stands still. A machine shares the host's network, so what runs inside
//! reaches a backend at `127.0.0.1:PORT`, and every service inside needs a port of its own.
//!
//! Nothing outlives a test. The launcher is killed when its thread dies (however the test process
//! ended), its PID namespace takes all processes along, its mount namespace all mounts. What only a
//! `Drop` can remove, the copied tree and an empty cgroup, the next boot sweeps up after a kill.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::until::found_in_time;

mod root;

pub use root::Root;
use root::store;

/// How long [`Machine::run`] lets a command run.
pub const RUN_LIMIT: Duration = Duration::from_mins(1);
/// Seen: under 1 s on an idle machine with two cores; a busy one deserves patience.
const BOOT_LIMIT: Duration = Duration::from_mins(2);
/// How nspawn ends with `--keep-unit` when the guest reboots (systemd-nspawn(1), "EXIT STATUS").
const REBOOT: i32 = 133;

/// What a command inside a machine left behind. `status` is 128 + N for a command killed by signal N.
#[derive(Debug, Clone)]
pub struct Output {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running Debian; dropping it kills every process in it and removes its files.
pub struct Machine {
    // Removed when dropped, after `Drop::drop` has emptied it of processes. Holds the tree, the console log and a lock.
    dir: TempDir,
    // Held as long as this machine lives: tells a sweep that the directory is in use.
    _lock: File,
    launcher: Arc<Launcher>,
    supervisor: Option<JoinHandle<()>>,
}

impl Machine {
    /// Boots a copy of `root` with `name` as its hostname; fails if a unit fails at boot.
    pub fn boot(root: &Root, name: &str) -> Result<Self> {
        Self::boot_with(root, name, |_| Ok(()))
    }

    /// Like [`Machine::boot`], after `prepare` has changed the tree (given as a path on the host):
    /// the place for what must be there before the first boot, such as a service's port.
    pub fn boot_with(root: &Root, name: &str, prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let (dir, lock) = new_machine_dir(name)?;
        let tree = dir.path().join("root");
        let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(&root.path).arg(&tree).status()?;
        ensure!(copied.success(), "cp of {}: {copied}", root.path.display());
        fs::write(tree.join("etc/hostname"), format!("{name}\n"))?;
        fs::write(tree.join("etc/hosts"), format!("127.0.0.1 localhost {name}\n"))?;
        // Copies with one machine-id would pass for clones of one server. An empty file would be a "first boot" with presets.
        fs::write(tree.join("etc/machine-id"), fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', ""))?;
        prepare(&tree)?;

        let launcher = Arc::new(Launcher::default());
        let supervisor = thread::Builder::new().name(format!("machine {name}")).spawn({
            let (launcher, dir) = (Arc::clone(&launcher), dir.path().to_owned());
            move || launcher.supervise(&dir)
        })?;
        let machine = Self { dir, _lock: lock, launcher, supervisor: Some(supervisor) };
        let failed = machine.wait_until_up()?;
        ensure!(failed.is_empty(), "{name}: failed at boot: {failed:?}\n{}", machine.console());
        Ok(machine)
    }

    /// Runs `argv` inside as root with a clean environment and no input, for at most [`RUN_LIMIT`].
    /// The process is in the machine's namespaces but in no unit: neither logind nor polkit see a session.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        self.run_within(RUN_LIMIT, argv)
    }

    pub fn run_within(&self, limit: Duration, argv: &[&str]) -> Result<Output> {
        self.exec(limit, argv, Stdio::null(), None)
    }

    /// Like [`Machine::run`], for commands that must succeed: gives back standard output.
    pub fn ok(&self, argv: &[&str]) -> Result<String> {
        let output = self.run(argv)?;
        ensure!(output.status == 0, "{argv:?} ended with {}\n{}{}", output.status, output.stdout, output.stderr);
        Ok(output.stdout)
    }

    /// Like [`Machine::run`], as another user with that user's groups.
    pub fn as_user(&self, user: &str, argv: &[&str]) -> Result<Output> {
        self.run(&[&["runuser", "-u", user, "--"], argv].concat())
    }

    /// Writes a file inside; missing folders are made. `owner` is `USER` or `USER:GROUP`.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>, mode: u32, owner: &str) -> Result<()> {
        self.install(path, Stdio::piped(), Some(contents.as_ref()), mode, owner)
    }

    /// Copies a file of the host to `path` inside, owned by root.
    pub fn copy_in(&self, host_path: &Path, path: &str, mode: u32) -> Result<()> {
        let file = File::open(host_path).with_context(|| host_path.display().to_string())?;
        self.install(path, file.into(), None, mode, "root")
    }

    /// One property as `systemctl show` prints it, empty for an unset one.
    pub fn unit_property(&self, unit: &str, property: &str) -> Result<String> {
        Ok(self.ok(&["systemctl", "show", "-P", property, "--", unit])?.trim_end().to_owned())
    }

    /// Asks `probe` until it gives a value; after `limit` the error says `what` was awaited and why the last answer was none.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let mut last = None;
        let found = found_in_time(limit, || match probe() {
            Ok(found) => found,
            Err(error) => {
                last = Some(error);
                None
            }
        });
        found.ok_or_else(|| last.unwrap_or_else(|| anyhow!("not yet")).context(format!("no {what} within {limit:?}")))
    }

    /// What `unit` has logged; an empty text where there is no journal, since this mostly explains another failure.
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit]).map(|output| output.stdout).unwrap_or_default()
    }

    /// How often the guest has rebooted itself. Each reboot is a real one: a new boot id, the same tree.
    pub fn reboots(&self) -> u32 {
        self.launcher.reboots.load(Ordering::SeqCst)
    }

    /// Waits until the guest has rebooted `count` times in all and is up again; gives the failed units.
    pub fn wait_for_reboot(&self, count: u32, limit: Duration) -> Result<Vec<String>> {
        self.wait_for("reboot", limit, || Ok((self.reboots() >= count).then_some(())))?;
        self.wait_until_up()
    }

    /// Waits until systemd has finished booting, and gives the units that failed.
    pub fn wait_until_up(&self) -> Result<Vec<String>> {
        let up = self.wait_for("booted system", BOOT_LIMIT, || {
            if let Guest::Down(why) = &*self.launcher.guest() {
                return Ok(Some(Err(anyhow!("systemd-nspawn: {why}"))));
            }
            let state = self.run_within(Duration::from_secs(10), &["systemctl", "is-system-running"])?;
            match state.stdout.trim_end() {
                "running" | "degraded" => Ok(Some(Ok(()))),
                _ => bail!("{state:?}"),
            }
        });
        up.and_then(|up| up).with_context(|| self.console())?;
        let failed = self.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"])?;
        Ok(failed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Powers off in good order, for tests of what a service does then; a mere `drop` kills.
    pub fn shutdown(self) -> Result<()> {
        // The answer may be cut off by the power-off itself.
        let _ = self.run(&["systemctl", "poweroff"]);
        let ended = self.wait_for("power-off", Duration::from_mins(1), || match &*self.launcher.guest() {
            Guest::Down(why) => Ok(Some(why.clone())),
            _ => Ok(None),
        });
        let ended = ended.with_context(|| self.console())?;
        ensure!(ended == "exit status: 0", "power-off: {ended}\n{}", self.console());
        Ok(())
    }

    /// The host's PID of the guest's PID 1; another one after each reboot.
    pub fn init_pid(&self) -> Result<u32> {
        let Guest::Up(launcher) = &*self.launcher.guest() else { bail!("the machine is not up") };
        let nspawn = children(launcher.id()).first().copied().context("systemd-nspawn has not started")?;
        // nspawn's other, short-lived children prepare the tree, still in nspawn's own PID namespace.
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let outer = namespace(nspawn);
        let init = children(nspawn).into_iter().find(|&pid| namespace(pid).is_some_and(|inner| Some(inner) != outer));
        init.context("systemd has not started")
    }

    /// The end of what the guest printed on its console.
    pub fn console(&self) -> String {
        tail(&self.dir.path().join("console"))
    }

    fn install(&self, path: &str, input: Stdio, contents: Option<&[u8]>, mode: u32, owner: &str) -> Result<()> {
        let mode = format!("{mode:04o}");
        let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
        let argv = ["install", "-D", "-m", &mode, "-o", user, "-g", group, "/dev/stdin", path];
        let output = self.exec(RUN_LIMIT, &argv, input, contents)?;
        ensure!(output.status == 0, "writing {path}: {}", output.stderr);
        Ok(())
    }

    fn exec(&self, limit: Duration, argv: &[&str], input: Stdio, contents: Option<&[u8]>) -> Result<Output> {
        const ENVIRONMENT: [&str; 6] = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LANG=C.UTF-8",
            "TERM=dumb",
            "SYSTEMD_COLORS=0",
            "DEBIAN_FRONTEND=noninteractive",
        ];
        let started = Instant::now();
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init_pid()?.to_string(), "-a", "--", "env", "-i"]).args(ENVIRONMENT);
        // nsenter does not pass a signal on to its child: the limit is kept inside, by timeout(1), which kills the whole group.
        command.args(["timeout", "--signal=KILL", &limit.as_secs_f64().to_string()]).args(argv);
        let mut child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("nsenter")?;
        if let (Some(mut stdin), Some(contents)) = (child.stdin.take(), contents) {
            // A command that ends without reading says why in its own words.
            let _ = stdin.write_all(contents);
        }
        // A daemon that the command left behind may hold the pipes open: do not wait for it for ever.
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output()));
        let late = || anyhow!("{argv:?} took longer than {limit:?}");
        let output = receiver.recv_timeout(limit + Duration::from_secs(5)).map_err(|_| late())??;
        let status = output.status.code().or_else(|| Some(128 + std::os::unix::process::ExitStatusExt::signal(&output.status)?));
        let status = status.context("neither exit code nor signal")?;
        ensure!(status != 137 || started.elapsed() < limit, late());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { status, stdout: text(output.stdout), stderr: text(output.stderr) })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.launcher.stop();
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
        remove_cgroup(self.dir.path());
    }
}

/// The host's side of a running guest.
#[derive(Default)]
struct Launcher {
    guest: Mutex<Guest>,
    reboots: AtomicU32,
}

#[derive(Default)]
enum Guest {
    #[default]
    Starting,
    Up(Child),
    Stopping(Child),
    Down(String),
}

impl Launcher {
    fn guest(&self) -> MutexGuard<'_, Guest> {
        self.guest.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs in a thread of its own for the machine's whole life: the kernel sends `PR_SET_PDEATHSIG` when the *thread*
    /// that started a process ends, and a test's thread, or one of tokio's, may end early.
    fn supervise(&self, dir: &Path) {
        loop {
            match launch(dir) {
                Ok(child) => *self.guest() = Guest::Up(child),
                Err(error) => return *self.guest() = Guest::Down(format!("{error:#}")),
            }
            loop {
                thread::sleep(Duration::from_millis(20));
                let mut guest = self.guest();
                let (Guest::Up(child) | Guest::Stopping(child)) = &mut *guest else { return };
                let Ok(Some(status)) = child.try_wait() else { continue };
                if status.code() != Some(REBOOT) || matches!(*guest, Guest::Stopping(_)) {
                    return *guest = Guest::Down(status.to_string());
                }
                *guest = Guest::Starting;
                self.reboots.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
    }

    fn stop(&self) {
        loop {
            let mut guest = self.guest();
            match std::mem::take(&mut *guest) {
                Guest::Up(mut child) | Guest::Stopping(mut child) => {
                    let _ = child.kill();
                    return *guest = Guest::Stopping(child);
                }
                Guest::Down(why) => return *guest = Guest::Down(why),
                Guest::Starting => {}
            }
            drop(guest);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn launch(dir: &Path) -> Result<Child> {
    // A cgroup of its own, or two machines would share /payload and end each other's services. A fresh cgroup2 mount
    // in the private mount namespace hides the host's layout: Debian 13's systemd refuses cgroup v1. nspawn
    // would leave folders in the host's /run, and on a /run that is no tmpfs it complains.
    const SCRIPT: &str = r#"set -e
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir -p "/sys/fs/cgroup/$1" /run/systemd/nspawn
        echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
        mount -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn
        exec systemd-nspawn --quiet --directory="$2" --machine="$1" --boot --register=no --keep-unit \
            --private-users=no --console=read-only --link-journal=no --resolv-conf=copy-host --timezone=off"#;
    let console = File::options().create(true).append(true).open(dir.join("console"))?;
    let mut command = isolated("sh");
    command.args([OsStr::new("-c"), OsStr::new(SCRIPT), OsStr::new("sh"), name_of(dir)]).arg(dir.join("root"));
    // A group of its own: Ctrl-C is for the test, whose end then ends this.
    command.process_group(0).stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
    command.spawn().context("setpriv")
}

/// `program` with mounts and PIDs of its own that end with it, and it with the thread that starts it.
fn isolated(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", program]);
    command
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// A locked folder for a new machine, beside the roots so that a copy may share their blocks.
fn new_machine_dir(name: &str) -> Result<(TempDir, File)> {
    let machines = store()?.join("machines");
    fs::create_dir_all(&machines)?;
    let _sweeping = locked(&machines.join(".lock"))?;
    remove_where(&machines, |entry| {
        let dir = machines.join(entry);
        let stale = entry != ".lock" && File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if stale {
            remove_cgroup(&dir);
        }
        stale
    })?;
    let dir = tempfile::Builder::new().prefix(&format!("osm-{name}-")).tempdir_in(&machines)?;
    let lock = locked(&dir.path().join("lock"))?;
    Ok((dir, lock))
}

/// Ends what may still run in a machine's cgroup and returns when nothing does: only then is its tree at rest.
fn remove_cgroup(machine_dir: &Path) {
    const SCRIPT: &str = r#"mount -t cgroup2 cgroup2 /sys/fs/cgroup && cd /sys/fs/cgroup || exit
        for _ in $(seq 100); do
            [ -d "$1" ] || exit 0
            echo 1 >"$1/cgroup.kill"
            find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null
            sleep 0.1
        done
        echo "cgroup $1 is still in use" >&2"#;
    let _ = isolated("sh").args([OsStr::new("-c"), OsStr::new(SCRIPT), OsStr::new("sh"), name_of(machine_dir)]).status();
}

fn remove_where(dir: &Path, unwanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if unwanted(&entry.file_name().to_string_lossy()) {
            let remove = if entry.file_type()?.is_dir() { fs::remove_dir_all } else { fs::remove_file };
            remove(&entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

fn locked(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}

fn name_of(dir: &Path) -> &OsStr {
    dir.file_name().unwrap_or_default()
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
