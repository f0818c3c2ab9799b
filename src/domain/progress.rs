//! Whether every core still makes progress. Each core counts the turns of its own loop, and the
//! control thread watches the counts: a core that is stuck or starved stops counting. It decides
//! only who is stuck; what follows from it is said by who looks.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Moment;
use crate::base::limits::WATCH_LOOK_MAX;
use crate::ring::Total;

/// The turns of one core's loop: counted by that core, read by the control thread.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Total>);

impl Progress {
    /// Counts one turn.
    pub fn count(&self) {
        self.0.add(1);
    }

    fn turns(&self) -> u64 {
        self.0.now()
    }
}

/// What a look at the cores found to be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This core, by its index in the watch, has made no progress for the span given to the watch.
    Stuck(usize),
    /// This core was stuck and goes on.
    GoesOn(usize),
}

/// The watch over all cores.
#[derive(Debug)]
pub struct Watch {
    cores: Vec<Watched>,
    stuck_after: Duration,
    looked: Moment,
}

#[derive(Debug)]
struct Watched {
    name: String,
    progress: Progress,
    /// Turns at the last look.
    turns: u64,
    /// How long it has been seen to stand still.
    still: Duration,
    /// Whether it has moved since the watchdog was fed.
    moved: bool,
    is_stuck: bool,
    has_ended: bool,
}

impl Watch {
    /// A watch over cores by their names. A core that stands still for `stuck_after` is stuck.
    pub fn new(cores: Vec<(String, Progress)>, stuck_after: Duration, now: Moment) -> Self {
        let watched = |(name, progress): (String, Progress)| Watched {
            name,
            turns: progress.turns(),
            progress,
            still: Duration::ZERO,
            moved: false,
            is_stuck: false,
            has_ended: false,
        };
        Self { cores: cores.into_iter().map(watched).collect(), stuck_after, looked: now }
    }

    /// Looks at every core and says what has changed.
    ///
    /// Time in which nobody looked counts for little: when the whole process was stopped or
    /// starved, its cores are not to blame for having stood still.
    pub fn look(&mut self, now: Moment) -> Vec<Change> {
        let span = now.since(self.looked).min(WATCH_LOOK_MAX);
        self.looked = now;
        let mut changes = Vec::new();
        for (index, core) in self.cores.iter_mut().enumerate() {
            if core.look(span, self.stuck_after) {
                let change = if core.is_stuck { Change::Stuck } else { Change::GoesOn };
                changes.push(change(index));
            }
        }
        changes
    }

    /// This core has ended in order and counts no more.
    pub fn ended(&mut self, index: usize) {
        if let Some(core) = self.cores.get_mut(index) {
            core.has_ended = true;
        }
    }

    /// Whether every core that has not ended has moved since the watchdog was fed last, as far as
    /// has been looked.
    pub fn all_moved(&self) -> bool {
        self.cores.iter().all(|core| core.moved || core.has_ended)
    }

    /// The watchdog was fed: from now on every core has to move again.
    pub fn fed(&mut self) {
        self.cores.iter_mut().for_each(|core| core.moved = false);
    }

    /// The name of a core.
    pub fn name(&self, index: usize) -> &str {
        self.cores.get(index).map_or("", |core| &core.name)
    }

    /// The names of the cores that are stuck.
    pub fn stuck(&self) -> Vec<&str> {
        let stuck = self.cores.iter().filter(|core| core.is_stuck);
        stuck.map(|core| core.name.as_str()).collect()
    }
}

impl Watched {
    /// Takes note of what `span` brought; says whether the core became stuck or goes on.
    fn look(&mut self, span: Duration, stuck_after: Duration) -> bool {
        let turns = self.progress.turns();
        if turns != self.turns || self.has_ended {
            self.turns = turns;
            self.still = Duration::ZERO;
            self.moved = true;
        } else {
            self.still += span;
        }
        let was_stuck = std::mem::replace(&mut self.is_stuck, self.still >= stuck_after);
        was_stuck != self.is_stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Stand {
        cores: [Progress; 2],
        watch: Watch,
        now: Moment,
    }

    impl Stand {
        fn new() -> Self {
            let cores = [Progress::default(), Progress::default()];
            let named = ["one", "two"].map(str::to_owned).into_iter().zip(cores.clone());
            let watch = Watch::new(named.collect(), 5 * SECOND, Moment::ZERO);
            Self { cores, watch, now: Moment::ZERO }
        }

        /// A second passes in which these cores move; what the look says.
        fn second(&mut self, moving: &[usize]) -> Vec<Change> {
            self.now = self.now + SECOND;
            moving.iter().for_each(|&core| self.cores[core].count());
            self.watch.look(self.now)
        }
    }

    #[test]
    fn a_core_that_stands_still_is_stuck_once_and_named_until_it_goes_on() {
        let mut stand = Stand::new();
        for _ in 0..4 {
            assert_eq!(stand.second(&[0]), []);
        }
        assert_eq!(stand.second(&[0]), [Change::Stuck(1)]);
        assert_eq!(stand.second(&[0]), [], "it is told once");
        assert_eq!((stand.watch.stuck(), stand.watch.name(1)), (vec!["two"], "two"));
        assert_eq!(stand.second(&[0, 1]), [Change::GoesOn(1)]);
        assert_eq!(stand.watch.stuck(), Vec::<&str>::new());
    }

    #[test]
    fn a_watchdog_is_not_fed_until_every_core_has_moved_again() {
        let mut stand = Stand::new();
        assert!(!stand.watch.all_moved(), "nobody has moved yet");
        stand.second(&[0]);
        assert!(!stand.watch.all_moved());
        stand.second(&[1]);
        assert!(stand.watch.all_moved(), "one after the other counts");
        stand.watch.fed();
        assert!(!stand.watch.all_moved());
        for _ in 0..60 {
            stand.second(&[0]);
            assert!(!stand.watch.all_moved(), "a stuck core stops the feeding");
        }
        stand.second(&[1]);
        assert!(stand.watch.all_moved());
    }

    #[test]
    fn a_core_that_has_ended_is_not_stuck_and_holds_up_nothing() {
        let mut stand = Stand::new();
        stand.watch.ended(1);
        for _ in 0..10 {
            assert_eq!(stand.second(&[0]), []);
            assert!(stand.watch.all_moved());
            stand.watch.fed();
        }
    }

    #[test]
    fn a_process_that_was_stopped_as_a_whole_accuses_no_core() {
        let mut stand = Stand::new();
        stand.now = stand.now + 3_600 * SECOND;
        assert_eq!(stand.second(&[]), []);
        assert_eq!(stand.second(&[0, 1]), []);
    }
}
