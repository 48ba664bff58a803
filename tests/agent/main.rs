//! The real agent against backends it must not trust, hosts that fail it, and the real backend.

mod at_once;
mod backend;
mod completions;
mod crash;
mod doctor;
mod envelopes;
mod machine;
mod pairing;
mod service;
mod terminal;
mod theft;
mod tls;
mod together;
