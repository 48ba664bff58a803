//! systemd over the system bus. One connection, made when first needed and anew when it broke.

use std::{cell::RefCell, time::Duration};

use futures_util::{StreamExt as _, future::join_all};
use zbus::{
    Connection, OwnedObjectPath,
    proxy::{self, CacheProperties, Proxy},
};

use super::{ActError, JobResult, ServiceState, Shutdown, Standing, Systemd, Unavailable, Unit, UnitFacts, is_booted};

/// For connecting and for each call. A bus without a systemd behind it must not stop the reports.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// A job that takes longer is left to systemd; what it comes to is seen in the next reports.
const JOB_LIMIT: Duration = Duration::from_mins(5);
/// polkit may have to start first.
const RESTART_CALL_LIMIT: Duration = Duration::from_secs(30);

const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// Questions that wait for their answers: dbus-daemon refuses more than 128 of a connection (`max_replies_per_connection`).
const AT_ONCE: usize = 64;
/// What can fail; and targets, which say what the machine was asked to be.
const KINDS: [&str; 8] = ["*.service", "*.mount", "*.automount", "*.swap", "*.socket", "*.timer", "*.path", "*.target"];

/// name, description, load state, active state, sub state, followed unit, path, job id, job type, job path
type ListedUnit = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<ListedUnit>>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<ListedUnit>>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn subscribe(&self) -> zbus::Result<()>;
    fn unsubscribe(&self) -> zbus::Result<()>;
    /// 0 until everything that boot asks for has been started.
    #[zbus(property)]
    fn finish_timestamp_monotonic(&self) -> zbus::Result<u64>;
    #[zbus(property)]
    fn userspace_timestamp_monotonic(&self) -> zbus::Result<u64>;

    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Logind {
    fn schedule_shutdown(&self, kind: &str, microseconds: u64) -> zbus::Result<()>;
    fn cancel_scheduled_shutdown(&self) -> zbus::Result<bool>;
    /// Gives kind and microseconds since the epoch; an empty kind where nothing is scheduled.
    #[zbus(property)]
    fn scheduled_shutdown(&self) -> zbus::Result<(String, u64)>;
}

#[derive(Default)]
pub struct Bus {
    connection: RefCell<Option<Connection>>,
}

impl Bus {
    /// Connects if need be; doctor asks this alone.
    pub async fn connect(&self) -> Result<Connection, Unavailable> {
        if !is_booted() {
            return Err(Unavailable::Absent);
        }
        if let Some(connection) = self.connection.borrow().as_ref() {
            return Ok(connection.clone());
        }
        let building = zbus::connection::Builder::system().method_timeout(RESTART_CALL_LIMIT).build();
        let connection = within(CALL_LIMIT, building).await.map_err(Unavailable::Unreachable)?;
        *self.connection.borrow_mut() = Some(connection.clone());
        Ok(connection)
    }

    /// Calls systemd; a broken connection is made anew once, since only questions go this way.
    async fn ask<T>(&self, question: impl AsyncFn(&ManagerProxy<'static>) -> zbus::Result<T>) -> Result<T, Unavailable> {
        let mut failure = String::new();
        for _ in 0..2 {
            let connection = self.connect().await?;
            let answer = within(CALL_LIMIT, async { question(&manager(&connection).await?).await }).await;
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => failure = error,
            }
            self.connection.replace(None);
        }
        Err(Unavailable::Unreachable(failure))
    }

    async fn try_restart(&self, unit: &str) -> Result<JobResult, ActError> {
        // The stored connection may have died unnoticed; a question finds out before anything is done.
        self.ask(async |manager| manager.list_units_by_names(&[unit]).await).await?;
        let connection = self.connect().await?;
        let unreachable = |error: zbus::Error| ActError::Unavailable(Unavailable::Unreachable(error.to_string()));
        let manager = manager(&connection).await.map_err(unreachable)?;
        // The job may end before the call returns: listen first.
        let mut ended = manager.receive_job_removed().await.map_err(unreachable)?;
        within(CALL_LIMIT, manager.subscribe()).await.map_err(|error| ActError::Unavailable(Unavailable::Unreachable(error)))?;
        let job = manager.restart_unit(unit, "replace").await.map_err(refused)?;
        while let Some(signal) = ended.next().await {
            let Ok(args) = signal.args() else { continue };
            if args.job == job {
                return Ok(match args.result.as_str() {
                    "done" => JobResult::Done,
                    other => JobResult::Other(other.to_owned()),
                });
            }
        }
        Err(ActError::Lost("the connection to the system bus ended".to_owned()))
    }
}

impl Systemd for Bus {
    async fn services(&self) -> Result<Vec<Unit>, Unavailable> {
        let listed = self.ask(async |manager| manager.list_units_by_patterns(&[], &["*.service"]).await).await?;
        Ok(listed.into_iter().map(Unit::from).collect())
    }

    async fn named(&self, names: &[String]) -> Result<Vec<Unit>, Unavailable> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let listed = self.ask(async |manager| manager.list_units_by_names(&names).await).await?;
        Ok(listed.into_iter().map(Unit::from).collect())
    }

    async fn units(&self) -> Result<Vec<Unit>, Unavailable> {
        let listed = self.ask(async |manager| manager.list_units_by_patterns(&[], &KINDS).await).await?;
        Ok(listed.into_iter().map(Unit::from).collect())
    }

    async fn state(&self, unit: &str) -> Result<ServiceState, Unavailable> {
        self.ask(async |manager| {
            let path = manager.load_unit(unit).await?;
            let connection = manager.inner().connection();
            let of_unit = properties(connection, path.clone(), "org.freedesktop.systemd1.Unit").await?;
            let of_kind = properties(connection, path, interface(unit)).await?;
            let state = ServiceState {
                active_state: of_unit.get_property("ActiveState").await?,
                sub_state: of_unit.get_property("SubState").await?,
                result: of_kind.get_property("Result").await?,
                ..ServiceState::default()
            };
            if interface(unit) != SERVICE {
                return Ok(state);
            }
            Ok(ServiceState {
                kind: of_kind.get_property("Type").await?,
                exit_code: of_kind.get_property("ExecMainCode").await?,
                exit_status: of_kind.get_property("ExecMainStatus").await?,
                // Since systemd 235.
                restarts: of_kind.get_property("NRestarts").await.unwrap_or(0),
                ..state
            })
        })
        .await
    }

    async fn restarts(&self, services: &[&Unit]) -> Result<Vec<Option<u32>>, Unavailable> {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(async |manager| {
            let connection = manager.inner().connection();
            let mut counts = Vec::with_capacity(services.len());
            for some in services.chunks(AT_ONCE) {
                counts.extend(join_all(some.iter().map(|unit| restarts_of(connection, &unit.path))).await);
            }
            Ok(counts)
        })
        .await
    }

    async fn standing(&self, unit: &Unit) -> Result<Standing, Unavailable> {
        self.ask(async |manager| {
            let path = OwnedObjectPath::try_from(unit.path.as_str())?;
            let connection = manager.inner().connection();
            let of_unit = properties(connection, path.clone(), "org.freedesktop.systemd1.Unit").await?;
            let unit_file_state: String = of_unit.get_property("UnitFileState").await?;
            if !unit_file_state.starts_with("enabled") {
                return Ok(Standing { unit_file_state, ..Standing::default() });
            }
            let of_service = properties(connection, path, SERVICE).await?;
            let names = async |property| of_unit.get_property::<Vec<String>>(property).await;
            let moment = async |property| of_unit.get_property::<u64>(property).await;
            let finished = manager.finish_timestamp_monotonic().await?;
            Ok(Standing {
                unit_file_state,
                kind: of_service.get_property("Type").await?,
                result: of_service.get_property("Result").await?,
                was_active: moment("ActiveEnterTimestampMonotonic").await? != 0,
                condition_failed: moment("ConditionTimestampMonotonic").await? != 0
                    && !of_unit.get_property("ConditionResult").await?,
                triggered_by: names("TriggeredBy").await?,
                wanted_by: [names("WantedBy").await?, names("RequiredBy").await?].concat(),
                requires: [names("Requires").await?, names("Requisite").await?, names("BindsTo").await?].concat(),
                booted: (finished != 0).then(|| i64::try_from(finished / 1000).unwrap_or(i64::MAX)),
            })
        })
        .await
    }

    async fn facts(&self, unit: &str) -> Result<UnitFacts, Unavailable> {
        self.ask(async |manager| {
            let path = manager.load_unit(unit).await?;
            let connection = manager.inner().connection();
            let service = properties(connection, path.clone(), SERVICE).await?;
            let unit = properties(connection, path, "org.freedesktop.systemd1.Unit").await?;
            Ok(UnitFacts {
                kind: service.get_property("Type").await?,
                id: unit.get_property("Id").await?,
                names: unit.get_property("Names").await?,
                load_state: unit.get_property("LoadState").await?,
                active_state: unit.get_property("ActiveState").await?,
                fragment_path: unit.get_property("FragmentPath").await?,
                transient: unit.get_property("Transient").await?,
                unit_file_state: unit.get_property("UnitFileState").await?,
            })
        })
        .await
    }

    async fn restart(&self, unit: &str) -> Result<JobResult, ActError> {
        let result = match tokio::time::timeout(JOB_LIMIT, self.try_restart(unit)).await {
            Ok(result) => result,
            Err(_) => Err(ActError::Lost(format!("systemd is still at it after {} minutes", JOB_LIMIT.as_secs() / 60))),
        };
        // Else systemd would go on sending every unit's changes.
        if let Ok(connection) = self.connect().await
            && let Ok(manager) = manager(&connection).await
        {
            let _ = within(CALL_LIMIT, manager.unsubscribe()).await;
        }
        if matches!(result, Err(ActError::Lost(_) | ActError::Unavailable(_))) {
            self.connection.replace(None);
        }
        result
    }

    async fn init_started(&self) -> Result<u64, Unavailable> {
        self.ask(async |manager| manager.userspace_timestamp_monotonic().await).await
    }

    async fn scheduled_shutdown(&self) -> Result<Option<Shutdown>, Unavailable> {
        let (kind, microseconds) =
            self.ask(async |manager| logind(manager.inner().connection()).await?.scheduled_shutdown().await).await?;
        let at = i64::try_from(microseconds / 1000).unwrap_or(i64::MAX);
        Ok((!kind.is_empty()).then_some(Shutdown { kind, at }))
    }

    async fn schedule_reboot(&self, at: i64) -> Result<(), ActError> {
        // As for a restart: a question first, on a connection that may have died.
        self.scheduled_shutdown().await?;
        let logind = logind(&self.connect().await?).await.map_err(refused)?;
        logind.schedule_shutdown("reboot", u64::try_from(at).unwrap_or_default() * 1000).await.map_err(refused)
    }

    async fn cancel_shutdown(&self) -> Result<(), ActError> {
        let logind = logind(&self.connect().await?).await.map_err(refused)?;
        logind.cancel_scheduled_shutdown().await.map(drop).map_err(refused)
    }

    async fn polkit_version(&self) -> Result<Option<String>, Unavailable> {
        let connection = self.connect().await?;
        let version = async {
            let authority = Proxy::new(
                &connection,
                "org.freedesktop.PolicyKit1",
                "/org/freedesktop/PolicyKit1/Authority",
                "org.freedesktop.PolicyKit1.Authority",
            )
            .await?;
            authority.get_property::<String>("BackendVersion").await
        };
        Ok(within(RESTART_CALL_LIMIT, version).await.inspect_err(|error| log::debug!("polkit: {error}")).ok())
    }
}

impl From<ListedUnit> for Unit {
    fn from((name, _, load_state, active_state, sub_state, _, path, job, ..): ListedUnit) -> Self {
        Self { name, load_state, active_state, sub_state, has_job: job != 0, path: path.to_string() }
    }
}

/// Names the interface that has the `Result` of a unit.
fn interface(unit: &str) -> &'static str {
    match unit.rsplit('.').next().unwrap_or_default() {
        "mount" => "org.freedesktop.systemd1.Mount",
        "automount" => "org.freedesktop.systemd1.Automount",
        "swap" => "org.freedesktop.systemd1.Swap",
        "socket" => "org.freedesktop.systemd1.Socket",
        "timer" => "org.freedesktop.systemd1.Timer",
        "path" => "org.freedesktop.systemd1.Path",
        _ => SERVICE,
    }
}

/// Since systemd 235. A unit that is gone meanwhile says nothing either.
async fn restarts_of(connection: &Connection, path: &str) -> Option<u32> {
    let (systemd, properties) = ("org.freedesktop.systemd1", "org.freedesktop.DBus.Properties");
    let asked = connection.call_method(Some(systemd), path, Some(properties), "Get", &(SERVICE, "NRestarts")).await;
    asked.ok()?.body().deserialize::<zbus::OwnedVariant>().ok()?.try_into().ok()
}

async fn manager(connection: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await
}

async fn logind(connection: &Connection) -> zbus::Result<LogindProxy<'static>> {
    LogindProxy::builder(connection).cache_properties(CacheProperties::No).build().await
}

async fn properties(connection: &Connection, path: OwnedObjectPath, interface: &'static str) -> zbus::Result<Proxy<'static>> {
    proxy::Builder::new(connection)
        .destination("org.freedesktop.systemd1")
        .path(path)
        .interface(interface)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

async fn within<T>(limit: Duration, asking: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
    }
}

/// Says what a refused call means. An answer from systemd says that nothing was done; anything else says nothing.
fn refused(error: zbus::Error) -> ActError {
    let by_name = |name: &str, text: String| match name {
        "org.freedesktop.DBus.Error.AccessDenied"
        | "org.freedesktop.DBus.Error.AuthFailed"
        | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
        | "org.freedesktop.PolicyKit1.Error.NotAuthorized" => ActError::Denied,
        "org.freedesktop.DBus.Error.NoReply"
        | "org.freedesktop.DBus.Error.Timeout"
        | "org.freedesktop.DBus.Error.TimedOut"
        | "org.freedesktop.DBus.Error.Disconnected" => ActError::Lost(text),
        _ => ActError::Refused(text),
    };
    match error {
        zbus::Error::MethodError(name, text, _) => by_name(name.as_str(), text.unwrap_or_else(|| name.to_string())),
        zbus::Error::FDO(error) => {
            use zbus::DBusError as _;
            let text = error.description().unwrap_or_default().to_owned();
            by_name(error.name().as_str(), text)
        }
        other => ActError::Lost(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::fdo;

    #[test]
    fn a_refusal_is_told_from_an_unknown_end() {
        let fdo = |error: fdo::Error| refused(zbus::Error::FDO(Box::new(error)));
        assert_eq!(fdo(fdo::Error::AccessDenied("no".into())), ActError::Denied);
        assert_eq!(fdo(fdo::Error::InteractiveAuthorizationRequired("no".into())), ActError::Denied);
        assert!(matches!(fdo(fdo::Error::NoReply("x".into())), ActError::Lost(_)));
        assert!(matches!(fdo(fdo::Error::InvalidArgs("x".into())), ActError::Refused(_)));
        let broken = zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::TimedOut.into()));
        assert!(matches!(refused(broken), ActError::Lost(_)));
    }
}
