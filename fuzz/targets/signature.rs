#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| osm_protocol::fuzz::signature(bytes));
