//! A mount's life: who holds it, what happens when its source falls silent, ends, comes back or is
//! taken over. Runs on the source core, one machine a mount.

use std::time::Duration;

use crate::base::{CloseReason, Moment, SourceId};

/// The mount's rules, from its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether a second publisher may take the mount.
    pub takeover: bool,
    /// How long listeners are held after the source ended.
    pub linger: Duration,
    /// How long a source may be silent.
    pub source_timeout: Duration,
}

/// Who holds the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Live { source: SourceId, heard: Moment },
    Lingering { until: Moment },
}

/// What a mount can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A source that proved itself wants the mount.
    Claim(SourceId),
    /// The source sent bytes.
    Bytes(SourceId),
    /// The source's connection ended.
    Ended(SourceId),
    /// An administrator ends the source.
    Kill,
    /// What the source sends cannot be served.
    Object,
    /// The mount without a source is held for so long more: its listeners hear its outro.
    Hold(Duration),
    /// Time passed.
    Tick,
}

/// What follows from an input, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The claim is granted: its bytes are the mount's from now on.
    Grant(SourceId),
    /// The claim is refused.
    Refuse(SourceId, CloseReason),
    /// The source must be told to end.
    Stop(SourceId, CloseReason),
    /// The mount is gone, with everyone who still listens.
    Down(CloseReason),
}

/// One mount.
#[derive(Clone, Debug)]
pub struct MountMachine {
    rules: Rules,
    phase: Phase,
}

impl MountMachine {
    /// A mount that comes into being because `source` was the first to claim it.
    pub fn new(rules: Rules, source: SourceId, now: Moment) -> Self {
        Self { rules, phase: Phase::Live { source, heard: now } }
    }

    /// The source that holds the mount, if it is not lingering.
    pub fn source(&self) -> Option<SourceId> {
        match self.phase {
            Phase::Live { source, .. } => Some(source),
            Phase::Lingering { .. } => None,
        }
    }

    /// When the mount's listeners are let go, if it has no source.
    pub fn lingers_until(&self) -> Option<Moment> {
        match self.phase {
            Phase::Live { .. } => None,
            Phase::Lingering { until } => Some(until),
        }
    }

    /// Takes an input at `now` and appends what follows to `outputs`.
    pub fn handle(&mut self, input: Input, now: Moment, outputs: &mut Vec<Output>) {
        match (input, self.phase) {
            (Input::Claim(source), phase) => self.claim(source, phase, now, outputs),
            (Input::Bytes(from), Phase::Live { source, .. }) if from == source => {
                self.phase = Phase::Live { source, heard: now };
            }
            (Input::Ended(from), Phase::Live { source, .. }) if from == source => {
                self.release(CloseReason::SourceGone, now, outputs);
            }
            (Input::Kill, Phase::Live { source, .. }) => {
                outputs.push(Output::Stop(source, CloseReason::Killed));
                self.release(CloseReason::SourceGone, now, outputs);
            }
            (Input::Object, Phase::Live { source, .. }) => {
                outputs.push(Output::Stop(source, CloseReason::Unplayable));
                self.release(CloseReason::SourceGone, now, outputs);
            }
            (Input::Hold(span), Phase::Lingering { .. }) => {
                self.phase = Phase::Lingering { until: now + span };
            }
            (Input::Kill, Phase::Lingering { .. }) => {
                outputs.push(Output::Down(CloseReason::Killed));
            }
            (Input::Tick, Phase::Live { source, heard }) => {
                if now.since(heard) >= self.rules.source_timeout {
                    outputs.push(Output::Stop(source, CloseReason::SourceSilent));
                    self.release(CloseReason::SourceGone, now, outputs);
                }
            }
            (Input::Tick, Phase::Lingering { until }) => {
                if now >= until {
                    outputs.push(Output::Down(CloseReason::SourceGone));
                }
            }
            // Late words of a source that no longer holds the mount.
            (Input::Bytes(_) | Input::Ended(_) | Input::Object | Input::Hold(_), _) => {}
        }
    }

    fn claim(&mut self, source: SourceId, phase: Phase, now: Moment, outputs: &mut Vec<Output>) {
        if let Phase::Live { source: holder, heard } = phase {
            let silent = now.since(heard) >= self.rules.source_timeout;
            if !silent && !self.rules.takeover {
                outputs.push(Output::Refuse(source, CloseReason::MountInUse));
                return;
            }
            let reason = if silent { CloseReason::SourceSilent } else { CloseReason::TakenOver };
            outputs.push(Output::Stop(holder, reason));
        }
        self.phase = Phase::Live { source, heard: now };
        outputs.push(Output::Grant(source));
    }

    /// The source is gone: hold the listeners, or end at once if the mount holds nobody.
    fn release(&mut self, reason: CloseReason, now: Moment, outputs: &mut Vec<Output>) {
        self.phase = Phase::Lingering { until: now + self.rules.linger };
        if self.rules.linger.is_zero() {
            outputs.push(Output::Down(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, CoreIndex};

    fn source(serial: u32) -> SourceId {
        SourceId(ConnId { core: CoreIndex(0), serial })
    }

    fn second(count: u64) -> Moment {
        Moment(count * 1_000_000)
    }

    fn mount(takeover: bool) -> MountMachine {
        let rules = Rules {
            takeover,
            linger: Duration::from_secs(10),
            source_timeout: Duration::from_secs(10),
        };
        MountMachine::new(rules, source(1), second(0))
    }

    fn told(mount: &mut MountMachine, input: Input, at: u64) -> Vec<Output> {
        let mut outputs = Vec::new();
        mount.handle(input, second(at), &mut outputs);
        outputs
    }

    fn claim(serial: u32) -> Input {
        Input::Claim(source(serial))
    }

    #[test]
    fn a_second_publisher_is_refused_while_the_first_sends() {
        let mut mount = mount(false);
        let refused = told(&mut mount, claim(2), 5);
        assert_eq!(refused, [Output::Refuse(source(2), CloseReason::MountInUse)]);
        assert_eq!(mount.source(), Some(source(1)));
    }

    #[test]
    fn a_silent_source_loses_the_mount_to_the_next_claim() {
        let mut mount = mount(false);
        let outputs = told(&mut mount, claim(2), 10);
        let stop = Output::Stop(source(1), CloseReason::SourceSilent);
        assert_eq!(outputs, [stop, Output::Grant(source(2))]);
        assert!(told(&mut mount, Input::Ended(source(1)), 11).is_empty());
        assert_eq!(mount.source(), Some(source(2)));
    }

    #[test]
    fn takeover_ends_the_first_source_and_keeps_the_listeners() {
        let mut mount = mount(true);
        let outputs = told(&mut mount, claim(2), 1);
        let stop = Output::Stop(source(1), CloseReason::TakenOver);
        assert_eq!(outputs, [stop, Output::Grant(source(2))]);
    }

    #[test]
    fn a_source_that_cannot_be_served_is_let_go_and_may_come_back_mended() {
        let mut mount = mount(false);
        let outputs = told(&mut mount, Input::Object, 1);
        assert_eq!(outputs, [Output::Stop(source(1), CloseReason::Unplayable)]);
        assert!(told(&mut mount, Input::Object, 1).is_empty());
        assert_eq!(told(&mut mount, claim(2), 2), [Output::Grant(source(2))]);
    }

    #[test]
    fn a_mount_whose_time_is_over_can_be_held_for_its_outro() {
        let mut mount = mount(false);
        told(&mut mount, Input::Ended(source(1)), 0);
        assert_eq!(told(&mut mount, Input::Tick, 10), [Output::Down(CloseReason::SourceGone)]);
        assert!(told(&mut mount, Input::Hold(Duration::from_secs(3)), 10).is_empty());
        assert!(told(&mut mount, Input::Tick, 12).is_empty());
        assert_eq!(told(&mut mount, Input::Tick, 13), [Output::Down(CloseReason::SourceGone)]);
    }

    #[test]
    fn listeners_are_held_for_linger_and_no_longer() {
        let mut mount = mount(false);
        assert!(told(&mut mount, Input::Ended(source(1)), 3).is_empty());
        assert!(told(&mut mount, Input::Tick, 12).is_empty());
        assert_eq!(told(&mut mount, Input::Tick, 13), [Output::Down(CloseReason::SourceGone)]);
        assert_eq!(told(&mut mount, claim(2), 12), [Output::Grant(source(2))]);
    }

    #[test]
    fn silence_is_measured_from_the_last_bytes() {
        let mut mount = mount(false);
        told(&mut mount, Input::Bytes(source(1)), 8);
        told(&mut mount, Input::Bytes(source(9)), 17);
        assert!(told(&mut mount, Input::Tick, 17).is_empty());
        let outputs = told(&mut mount, Input::Tick, 18);
        assert_eq!(outputs, [Output::Stop(source(1), CloseReason::SourceSilent)]);
        assert_eq!(mount.source(), None);
    }

    #[test]
    fn killing_a_lingering_mount_ends_it() {
        let mut mount = mount(false);
        let outputs = told(&mut mount, Input::Kill, 1);
        assert_eq!(outputs, [Output::Stop(source(1), CloseReason::Killed)]);
        assert_eq!(told(&mut mount, Input::Kill, 2), [Output::Down(CloseReason::Killed)]);
    }
}
