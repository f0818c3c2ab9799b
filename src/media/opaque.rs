//! A format this room has no parser for: every byte is passed on as it came. Source core.

use super::{Counters, Facts, Parser, Signature, Step};

/// Passes everything on.
#[derive(Debug, Default)]
pub(super) struct Opaque;

impl Parser for Opaque {
    fn step(&mut self, input: &[u8]) -> Step {
        Step::pass(input)
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Nothing is known of such a stream, so nothing is known to differ.
    fn signature(&self) -> Option<Signature> {
        None
    }

    fn next_source(&mut self) {}
}
