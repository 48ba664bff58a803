//! The real agent against backends it must not trust, hosts that fail it, and the real backend.

mod envelopes;
mod hostile;
mod machine;
mod pairing;
mod together;
