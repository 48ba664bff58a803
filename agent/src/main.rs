//! `osm-agent`; everything is in the library, so that the fuzz targets reach the parsers.

use std::process::ExitCode;

fn main() -> ExitCode {
    osm_agent::main()
}
