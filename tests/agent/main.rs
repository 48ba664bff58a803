//! The real agent against backends it must not trust, hosts that fail it, and the real backend.

mod doctor;
mod envelopes;
mod hostile;
mod machine;
mod pairing;
mod terminal;
mod tls;
mod together;
