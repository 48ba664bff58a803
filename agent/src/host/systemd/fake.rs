//! A systemd for tests: it says what it was told to say, and remembers what it was asked to do.

use std::{cell::RefCell, collections::HashMap};

use super::{ActError, JobResult, ServiceState, Shutdown, Standing, Systemd, Unavailable, Unit, UnitFacts};

pub struct Fake {
    pub units: Result<Vec<Unit>, Unavailable>,
    pub facts: Vec<UnitFacts>,
    pub states: RefCell<Vec<ServiceState>>,
    pub job: Result<JobResult, ActError>,
    /// What systemd has restarted by itself, and how often.
    pub restarts: RefCell<HashMap<String, u32>>,
    /// Of units that are enabled.
    pub standings: HashMap<String, Standing>,
    /// How often one unit alone was asked about.
    pub asked: std::cell::Cell<u32>,
    pub restarted: RefCell<Vec<String>>,
    pub init: std::cell::Cell<u64>,
    pub shutdown: RefCell<Option<Shutdown>>,
    pub polkit: Option<String>,
    /// What somebody does once, while the units are being listed.
    pub meanwhile: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            units: Ok(Vec::new()),
            facts: Vec::new(),
            states: RefCell::default(),
            job: Ok(JobResult::Done),
            restarts: RefCell::default(),
            standings: HashMap::new(),
            asked: std::cell::Cell::default(),
            restarted: RefCell::default(),
            init: std::cell::Cell::default(),
            shutdown: RefCell::default(),
            polkit: Some("126".to_owned()),
            meanwhile: RefCell::default(),
        }
    }
}

pub fn unit(name: &str, active_state: &str) -> Unit {
    Unit {
        name: name.to_owned(),
        load_state: "loaded".to_owned(),
        active_state: active_state.to_owned(),
        sub_state: if active_state == "active" { "running" } else { "dead" }.to_owned(),
        has_job: false,
        path: String::new(),
    }
}

/// Makes the state of a simple service.
pub fn state(active_state: &str, sub_state: &str, result: &str) -> ServiceState {
    ServiceState {
        active_state: active_state.to_owned(),
        sub_state: sub_state.to_owned(),
        kind: "simple".to_owned(),
        result: result.to_owned(),
        ..ServiceState::default()
    }
}

impl Systemd for Fake {
    async fn services(&self) -> Result<Vec<Unit>, Unavailable> {
        if let Some(act) = self.meanwhile.take() {
            act();
        }
        self.units.clone()
    }

    async fn named(&self, names: &[String]) -> Result<Vec<Unit>, Unavailable> {
        Ok(self.units.clone()?.into_iter().filter(|unit| names.contains(&unit.name)).collect())
    }

    async fn units(&self) -> Result<Vec<Unit>, Unavailable> {
        self.units.clone()
    }

    async fn restarts(&self, services: &[&Unit]) -> Result<Vec<Option<u32>>, Unavailable> {
        let restarts = self.restarts.borrow();
        Ok(services.iter().map(|unit| Some(restarts.get(&unit.name).copied().unwrap_or(0))).collect())
    }

    async fn standing(&self, unit: &Unit) -> Result<Standing, Unavailable> {
        self.asked.update(|asked| asked + 1);
        Ok(self.standings.get(&unit.name).cloned().unwrap_or_default())
    }

    /// Takes one from the list with each call; the last one stays.
    async fn state(&self, _: &str) -> Result<ServiceState, Unavailable> {
        self.asked.update(|asked| asked + 1);
        let mut states = self.states.borrow_mut();
        let state = states.first().cloned().ok_or_else(|| Unavailable::Unreachable("no state".to_owned()))?;
        if states.len() > 1 {
            states.remove(0);
        }
        Ok(state)
    }

    async fn facts(&self, unit: &str) -> Result<UnitFacts, Unavailable> {
        let known = self.facts.iter().find(|facts| facts.names.iter().any(|name| name == unit));
        Ok(known.cloned().unwrap_or_else(|| UnitFacts { load_state: "not-found".to_owned(), ..UnitFacts::default() }))
    }

    async fn restart(&self, unit: &str) -> Result<JobResult, ActError> {
        self.restarted.borrow_mut().push(unit.to_owned());
        self.job.clone()
    }

    async fn init_started(&self) -> Result<u64, Unavailable> {
        Ok(self.init.get())
    }

    async fn scheduled_shutdown(&self) -> Result<Option<Shutdown>, Unavailable> {
        Ok(self.shutdown.borrow().clone())
    }

    async fn schedule_reboot(&self, at: i64) -> Result<(), ActError> {
        self.job.clone()?;
        *self.shutdown.borrow_mut() = Some(Shutdown { kind: "reboot".to_owned(), at });
        Ok(())
    }

    async fn cancel_shutdown(&self) -> Result<(), ActError> {
        self.job.clone()?;
        *self.shutdown.borrow_mut() = None;
        Ok(())
    }

    async fn polkit_version(&self) -> Result<Option<String>, Unavailable> {
        Ok(self.polkit.clone())
    }
}
