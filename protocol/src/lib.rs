//! What backend and agent say to each other, and how each proves who it is. No I/O, no clock, no randomness:
//! bytes, times and nonces are arguments.
//!
//! | module | what | source |
//! |---|---|---|
//! | [`messages`] | bodies of the agent's requests and their answers, with the limits on every field | |
//! | [`action`] | the closed list of what an agent can be asked to do, and what came of it | |
//! | [`ids`] | ids as types of their own | RFC 9562 |
//! | [`key`] | Ed25519 public keys as text, strict verification, key ids | RFC 8032, RFC 7638 |
//! | [`envelope`] | signed documents: a payload, its type, exactly one signature | DSSE v1 |
//! | [`command`] | the payload of a command envelope | |
//! | [`keyset`] | which keys may sign commands, and the binding of a server to its agent | |
//! | [`objects`] | JSON whose objects are objects | |
//! | [`request_signature`] | the agent's signature on each HTTP request | RFC 9421, RFC 9530 |
//! | [`pairing_token`] | the one-time secret that travels through the chat | |

pub mod action;
pub mod command;
pub mod envelope;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod ids;
pub mod key;
pub mod keyset;
pub mod messages;
pub mod objects;
pub mod pairing_token;
pub mod request_signature;
