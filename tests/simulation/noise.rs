//! Noise that is the same in every run.

/// `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform, 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }

    /// Normal with mean 0 and deviation 1, as nearly as a sum of twelve is.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// A figure that hovers around a limit: a slow part that keeps its sign for about ten minutes of half-minute steps, and a fast
/// one.
pub struct Figure {
    limit: f64,
    slow: f64,
    slow_spread: f64,
    fast_spread: f64,
    is_above: bool,
    /// How often it crossed the limit.
    pub crossings: u32,
}

impl Figure {
    pub fn around(limit: f64, slow_spread: f64, fast_spread: f64) -> Self {
        Self { limit, slow: 0.0, slow_spread, fast_spread, is_above: false, crossings: 0 }
    }

    pub fn next(&mut self, noise: &mut Noise) -> f64 {
        const KEPT: f64 = 0.95;
        self.slow = KEPT * self.slow + (1.0 - KEPT * KEPT).sqrt() * self.slow_spread * noise.normal();
        let value = self.limit + self.slow + self.fast_spread * noise.normal();
        if (value >= self.limit) != self.is_above {
            self.is_above = !self.is_above;
            self.crossings += 1;
        }
        value
    }
}
