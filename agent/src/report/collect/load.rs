//! Load averages.

use osm_protocol::messages::Load;
use sysinfo::System;

pub fn collect() -> Option<Load> {
    let load = System::load_average().ok()?;
    let sane = |value: f64| if value.is_finite() { value.clamp(0.0, 1_000_000.0) } else { 0.0 };
    Some(Load { one: sane(load.one), five: sane(load.five), fifteen: sane(load.fifteen) })
}
