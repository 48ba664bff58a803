//! What the backends of a story logged as errors. Stories run side by side in one process, each on a runtime of its own: that is
//! how their errors are told apart.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Mutex, Once, PoisonError},
};

use tokio::runtime::{Handle, Id};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::Context, prelude::*};

static ERRORS: Mutex<Option<HashMap<Id, Vec<String>>>> = Mutex::new(None);

/// Begins to note errors, once a process. `OSM_LOG=debug` shows what the backend says besides.
pub fn note() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = EnvFilter::try_from_env("OSM_LOG").ok().map(|filter| fmt::layer().with_test_writer().with_filter(filter));
        let _ = tracing_subscriber::registry().with(Noted.with_filter(LevelFilter::ERROR)).with(shown).try_init();
    });
}

/// Gives the errors of this story so far, and forgets them: a runtime's id is used again.
pub fn take(story: Id) -> Vec<String> {
    let mut errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
    errors.as_mut().and_then(|errors| errors.remove(&story)).unwrap_or_default()
}

struct Noted;

impl<S: Subscriber> Layer<S> for Noted {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if *event.metadata().level() != Level::ERROR || !event.metadata().target().starts_with("osm_api") {
            return;
        }
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        let mut errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
        errors.get_or_insert_default().entry(runtime.id()).or_default().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
