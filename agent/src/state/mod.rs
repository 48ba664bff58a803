//! What the agent remembers from one start to the next.
//!
//! | module | what |
//! |---|---|
//! | [`dir`] | the state directory: who may use it, who is using it, its files |
//! | [`pairing`] | the pairing, and one under way |
//! | [`status`] | how it goes, for people |

pub mod dir;
pub mod pairing;
pub mod status;
