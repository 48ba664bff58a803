//! The parsers of what comes from outside, for the fuzz targets: each takes any bytes, and returns if nothing panicked.

use std::str::from_utf8;

use crate::{
    config::Config,
    telegram::{keyboards, receive::update},
};

/// Reads the data of a tapped button, and writes what it means.
pub fn callback(bytes: &[u8]) {
    if let Ok(data) = from_utf8(bytes) {
        let _ = keyboards::data(&keyboards::parse(data));
    }
}

/// Reads an update of the Bot API.
pub fn update(bytes: &[u8]) {
    if let Ok(read) = update::read(bytes).update {
        let _ = update::parse(&read, "osm_bot");
    }
}

/// Reads a configuration file, with an empty environment.
pub fn configuration(bytes: &[u8]) {
    if let Ok(text) = from_utf8(bytes) {
        let _ = Config::from_text(text);
    }
}
