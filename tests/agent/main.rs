//! The real agent against backends it must not trust, hosts that fail it, and the real backend.

mod at_once;
mod backend;
mod between;
mod completions;
mod crash;
mod disks;
mod doctor;
mod envelopes;
mod escapes;
mod machine;
mod pairing;
mod service;
mod terminal;
mod theft;
mod tls;
mod together;
