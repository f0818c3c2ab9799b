//! Random numbers with a seed that is printed, so that a failing run can be repeated.

/// Names the seed of a run: `FLOE_E2E_SEED=7 cargo test --test e2e`.
const SEED_VARIABLE: &str = "FLOE_E2E_SEED";

/// A small generator (xorshift64); good enough to scatter behaviour.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by the environment, else by what the standard library draws; says which seed it is.
    pub fn seeded() -> Self {
        let named = std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok());
        let seed = named.unwrap_or_else(drawn);
        println!("seed: {SEED_VARIABLE}={seed}");
        Self(seed | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }
}

/// A number nobody can foresee: passwords and seeds are made of it.
pub fn drawn() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one("floe")
}
