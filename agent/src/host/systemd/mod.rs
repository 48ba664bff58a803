//! All that is said to systemd: the trait the rest of the agent uses, its D-Bus implementation ([`bus`]), and the
//! notifications of `sd_notify(3)` ([`notify`]). The fake is compiled for tests only.

use std::path::Path;

pub mod bus;
#[cfg(test)]
pub mod fake;
pub mod notify;

/// Why systemd cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("systemd is not the init of this machine")]
    Absent,
    #[error("the system bus does not answer ({0})")]
    Unreachable(String),
}

/// A loaded unit, as `ListUnits` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    pub load_state: String,
    pub active_state: String,
    pub sub_state: String,
    /// Something is queued or under way for it.
    pub has_job: bool,
    /// Where it is on the bus.
    pub path: String,
}

/// How a service is doing, in the words of org.freedesktop.systemd1.Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceState {
    pub active_state: String,
    pub sub_state: String,
    /// simple, exec, forking, oneshot, notify, …
    pub kind: String,
    pub result: String,
    /// `CLD_EXITED` (1), `CLD_KILLED` (2), `CLD_DUMPED` (3), or 0.
    pub exit_code: i32,
    /// Exit status or signal number.
    pub exit_status: i32,
    /// Automatic restarts since the last start by hand; 0 where systemd does not count them.
    pub restarts: u32,
}

/// What the policy needs to know of a unit before it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// Primary name.
    pub id: String,
    /// All names, aliases included.
    pub names: Vec<String>,
    pub load_state: String,
    pub active_state: String,
    pub fragment_path: String,
    pub transient: bool,
    pub unit_file_state: String,
    /// `Type=` of systemd.service(5).
    pub kind: String,
}

/// Whether a unit that is down should be up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub unit_file_state: String,
    /// `Type=` of systemd.service(5).
    pub kind: String,
    pub result: String,
    /// It was up since the machine booted.
    pub was_active: bool,
    /// A condition of its was looked at and did not hold.
    pub condition_failed: bool,
    /// Sockets, timers and paths that start it when they need it.
    pub triggered_by: Vec<String>,
    /// What wants or requires it.
    pub wanted_by: Vec<String>,
    /// What it cannot be without.
    pub requires: Vec<String>,
    /// Milliseconds of the boot clock at which systemd had started everything; `None`: it has not.
    pub booted: Option<i64>,
}

/// The result systemd gives of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    Done,
    /// canceled, timeout, failed, dependency, skipped, …
    Other(String),
}

/// A shutdown that logind has scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// reboot, poweroff, halt, …
    pub kind: String,
    /// Milliseconds since the Unix epoch, by this host's clock.
    pub at: i64,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Nothing was done.
    #[error("polkit does not let the agent do this")]
    Denied,
    /// Nothing was done.
    #[error("{0}")]
    Refused(String),
    /// The job may have run.
    #[error("the end of the job was not seen: {0}")]
    Lost(String),
}

pub trait Systemd {
    /// Lists all loaded services.
    async fn services(&self) -> Result<Vec<Unit>, Unavailable>;
    /// Lists all loaded units of the kinds that can fail, and targets, at one go.
    async fn units(&self) -> Result<Vec<Unit>, Unavailable>;
    /// Looks at the named units, loading them if need be.
    async fn named(&self, names: &[String]) -> Result<Vec<Unit>, Unavailable>;
    /// Tells how a service is doing.
    async fn state(&self, unit: &str) -> Result<ServiceState, Unavailable>;
    /// Tells how often systemd has restarted each of these services by itself, all questions at once; `None` of one: it does not
    /// say.
    async fn restarts(&self, services: &[&Unit]) -> Result<Vec<Option<u32>>, Unavailable>;
    /// Tells whether a service that is down should be up; of one that is not enabled, only that.
    async fn standing(&self, unit: &Unit) -> Result<Standing, Unavailable>;
    /// Tells what the policy needs to know of a unit.
    async fn facts(&self, unit: &str) -> Result<UnitFacts, Unavailable>;
    /// Restarts and waits for the job's end.
    async fn restart(&self, unit: &str) -> Result<JobResult, ActError>;
    /// Tells when PID 1 began, in microseconds of the boot clock: another figure in each boot, in a container too.
    async fn init_started(&self) -> Result<u64, Unavailable>;
    /// Tells what logind has scheduled, by whomever.
    async fn scheduled_shutdown(&self) -> Result<Option<Shutdown>, Unavailable>;
    /// Schedules a reboot at `at`, milliseconds since the Unix epoch by this host's clock.
    async fn schedule_reboot(&self, at: i64) -> Result<(), ActError>;
    /// Takes back whatever is scheduled: look at it first.
    async fn cancel_shutdown(&self) -> Result<(), ActError>;
    /// Tells the version of the polkit daemon; `None` when there is none.
    async fn polkit_version(&self) -> Result<Option<String>, Unavailable>;
}

/// Says whether systemd is the init here, as `sd_booted(3)` finds out.
pub fn is_booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}
