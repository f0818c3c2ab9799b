//! Randomness that a printed number replays.
#![allow(clippy::print_stdout, reason = "the seed is printed to be replayed")]

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

/// Steele, Lea and Flood's SplitMix64: every seed is as good as any other, zero included.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// True `times` out of `of`.
    pub fn chance(&mut self, times: u64, of: u64) -> bool {
        self.next() % of < times
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u64 - 1) as usize]
    }

    /// A seed for something whose own draws shall not shift ours.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// The seed of this run, the same for all its tests: `FLOE_SIM_SEED`, or one that the system draws
/// for each process.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let draw = || RandomState::new().hash_one("floe") & 0xFFFF_FFFF;
    *SEED.get_or_init(|| match std::env::var("FLOE_SIM_SEED") {
        Ok(text) => text.trim().parse().expect("FLOE_SIM_SEED is a whole number"),
        Err(_) => draw(),
    })
}

/// Runs `simulate` with `count` seeds, the first of which is the run's. A failure tells the seed
/// that a next run has to begin with to fail at once.
pub fn over_seeds(count: u64, simulate: impl Fn(u64)) {
    let first = seed();
    println!("FLOE_SIM_SEED={first}");
    for number in 0..count {
        let seed = first.wrapping_add(number);
        let run = AssertUnwindSafe(|| simulate(seed));
        if let Err(panic) = catch_unwind(run) {
            println!("FLOE_SIM_SEED={seed} replays this");
            resume_unwind(panic);
        }
    }
}
