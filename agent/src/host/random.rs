//! The only place that asks for randomness. What needs it is given a [`Random`].

use std::io;

#[derive(Clone, Copy, Debug)]
pub struct Random {
    fill: fn(&mut [u8]) -> io::Result<()>,
}

impl Random {
    /// Asks the system, getrandom(2).
    pub const fn system() -> Self {
        Self { fill: from_the_system }
    }

    /// Gives the least there is.
    #[cfg(test)]
    pub const fn zeros() -> Self {
        Self {
            fill: |bytes| {
                bytes.fill(0);
                Ok(())
            },
        }
    }

    /// Gives the most there is.
    #[cfg(test)]
    pub const fn ones() -> Self {
        Self {
            fill: |bytes| {
                bytes.fill(0xff);
                Ok(())
            },
        }
    }

    pub fn bytes<const N: usize>(self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        (self.fill)(&mut bytes)?;
        Ok(bytes)
    }

    /// Gives a share of 0 to 1, for jitter; a half where the system gives nothing.
    pub fn share(self) -> f64 {
        self.bytes().map_or(0.5, |bytes| f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the owner of randomness")]
fn from_the_system(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(format!("the system gives no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_draws_are_the_same_and_a_share_is_one() {
        let random = Random::system();
        assert_ne!(random.bytes::<16>().unwrap(), random.bytes::<16>().unwrap());
        assert!((0.0..=1.0).contains(&random.share()));
        assert!(Random::zeros().share() < f64::EPSILON);
    }
}
