//! HOT PATH. Where a player can start: at a marked unit of the leading stream, or at one that shows
//! it, or, when neither ever comes, anywhere. Source core.

use super::pes::Head;
use super::program::Program;
use super::seen::Seen;

/// What is known of the start points of a source.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// Whether the leading video marks them.
    are_marked: bool,
    /// Playing time since the last one.
    waited_us: u64,
}

impl Starts {
    /// Playing time passes.
    pub(super) fn wait(&mut self, told_us: u32) {
        self.waited_us += u64::from(told_us);
    }

    /// Whether a player can start with a packet, which starts a unit.
    pub(super) fn judge(&mut self, seen: &Seen<'_>, program: &Program) -> bool {
        let is_late = self.waited_us > PATIENCE_US && matches!(seen.head, Head::Pes(_));
        let starts = seen.leads && self.leads_in(seen, program) || is_late;
        if starts {
            self.waited_us = 0;
        }
        starts
    }

    /// The same of the leading stream alone. Video is looked into only as long as nothing in it is
    /// marked: what is marked is what the encoder means.
    fn leads_in(&mut self, seen: &Seen<'_>, program: &Program) -> bool {
        if seen.packet.is_random_access() {
            self.are_marked = program.video.is_some();
            return true;
        }
        match (seen.head, program.leading()) {
            _ if self.are_marked => false,
            (Head::Pes(pes), leading) => leading.is_none_or(|it| it.codec.starts_with(pes.body)),
            (Head::Cut, _) => false,
            // Nobody can look into it, and only the player has the key.
            (Head::Other, _) => seen.packet.is_scrambled(),
        }
    }
}

/// Playing time without a start point after which any PES packet is taken for one: the leading
/// video is announced and does not come, or its starts cannot be told. Shorter, and streams of long
/// pauses between key frames would be joined at broken pictures; longer, and nobody gets to hear
/// the sound of such a stream.
const PATIENCE_US: u64 = 30_000_000;
