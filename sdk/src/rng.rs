//! The random numbers of augmentations: a seeded stream that is the same on every machine and in every release.

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_distr::{Beta, Distribution as _, StandardNormal};
use rand_pcg::Pcg64;

/// A seeded generator (PCG XSL RR 128/64, O'Neill 2014). Equal keys give equal streams.
#[derive(Clone, Debug)]
pub struct Rng(Pcg64);

impl Rng {
    /// A generator for the given key, e.g. `[run seed, epoch, sample index, stage]`.
    #[must_use]
    pub fn from_key(key: &[u64]) -> Self {
        Self::from_seed(Self::mix(key))
    }

    /// A generator for a number, e.g. one that [`mix`](Rng::mix) made of a key.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    /// A key as one number: `from_seed(mix(key))` is `from_key(key)`.
    #[must_use]
    pub fn mix(key: &[u64]) -> u64 {
        key.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, &part| splitmix64(hash ^ splitmix64(part)))
    }

    /// A number from [low, high); `low` where the range is empty.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// True with probability `p` (below 0 never, above 1 always).
    pub fn chance(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    /// A whole number from [0, bound); 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// A number from the Beta(alpha, beta) distribution.
    ///
    /// # Panics
    /// If `alpha` or `beta` is not positive.
    pub fn beta(&mut self, alpha: f64, beta: f64) -> f64 {
        Beta::new(alpha, beta).expect("alpha and beta are positive").sample(&mut self.0)
    }

    /// A number from the normal distribution with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// The numbers 0..len in random order (Fisher-Yates).
    #[must_use]
    pub fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for i in (1..len).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    /// The next 64 bits of the stream.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit moves every output bit.
fn splitmix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
