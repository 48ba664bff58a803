//! For how long package managers take what the backend serves.

use crate::domain::Millis;

/// As whoever signed the repositories has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Millis,
    pub until: Millis,
}

impl Validity {
    /// Tells whether it is time to sign them anew: less than a third of it is left.
    pub fn runs_out(self, now: Millis) -> bool {
        now > self.until - (self.until - self.from) / 3
    }

    pub fn is_over(self, now: Millis) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_third_is_when_to_sign_anew() {
        let validity = Validity { from: 1_000, until: 1_090 };
        let told = [1_000, 1_060, 1_061, 1_089, 1_090].map(|now| (validity.runs_out(now), validity.is_over(now)));
        assert_eq!(told, [(false, false), (false, false), (true, false), (true, false), (true, true)]);
    }
}
