//! The mount machine under sources that claim, send, end, fall silent and are killed in any order.
//! It is held against rules told in other words than the machine's own.

use std::time::Duration;

use floe::base::{CloseReason, ConnId, CoreIndex, Moment, SourceId};
use floe::domain::mount::{Input, MountMachine, Output, Rules};

use crate::random::Random;

/// What an onlooker knows who sees inputs and outputs alone.
struct Onlooker {
    rules: Rules,
    holder: Option<SourceId>,
    /// When the holder was last heard.
    heard: Moment,
    /// When the last holder's time ended.
    free_since: Moment,
}

fn source(serial: u64) -> SourceId {
    SourceId(ConnId { core: CoreIndex(0), serial: serial as u32 })
}

pub fn simulate(random: &mut Random, steps: usize) {
    let rules = Rules {
        takeover: random.chance(1, 3),
        linger: Duration::from_millis(random.pick(&[0, 10, 5_000])),
        source_timeout: Duration::from_millis(random.between(1_000, 10_000)),
    };
    let mut now = Moment(0);
    let mut machine = MountMachine::new(rules, source(0), now);
    let mut onlooker = Onlooker { rules, holder: Some(source(0)), heard: now, free_since: now };
    let mut outputs = Vec::new();
    for _ in 0..steps {
        let pause_us = random.pick(&[0, 1_000, 250_000, 1_000_000, 12_000_000]);
        now = now + Duration::from_micros(random.between(0, pause_us));
        let who = source(random.between(0, 4));
        let input = match random.between(0, 9) {
            0 | 1 => Input::Claim(who),
            2..=5 => Input::Bytes(who),
            6 => Input::Ended(who),
            7 if random.chance(1, 4) => Input::Kill,
            8 if random.chance(1, 4) => Input::Object,
            _ => Input::Tick,
        };
        // A source claims once: the machine is never asked by the one that holds it.
        if matches!(input, Input::Claim(source) if onlooker.holder == Some(source)) {
            continue;
        }
        outputs.clear();
        machine.handle(input, now, &mut outputs);
        let is_down = onlooker.judge(input, now, &outputs);
        if is_down {
            machine = MountMachine::new(rules, source(0), now);
            onlooker = Onlooker { rules, holder: Some(source(0)), heard: now, free_since: now };
        }
        assert_eq!(machine.source(), onlooker.holder, "after {input:?}");
    }
}

impl Onlooker {
    /// Judges what followed from an input; says whether the mount is gone.
    fn judge(&mut self, input: Input, now: Moment, outputs: &[Output]) -> bool {
        let silent = now.since(self.heard) >= self.rules.source_timeout;
        if let Input::Bytes(from) = input
            && self.holder == Some(from)
        {
            self.heard = now;
        }
        if let Input::Ended(from) = input
            && self.holder == Some(from)
        {
            self.let_go(now);
        }
        let mut is_down = false;
        for output in outputs {
            assert!(!is_down, "nothing follows the end: {outputs:?}");
            match *output {
                Output::Stop(who, reason) => {
                    assert_eq!(self.holder, Some(who), "only the holder is stopped");
                    self.judge_stop(input, reason, silent);
                    self.let_go(now);
                }
                Output::Grant(who) => {
                    assert_eq!(self.holder, None, "one source at a time");
                    let asked = input == Input::Claim(who);
                    assert!(asked, "{who:?} did not ask");
                    self.holder = Some(who);
                    self.heard = now;
                }
                Output::Refuse(who, reason) => {
                    assert_eq!(input, Input::Claim(who));
                    assert_eq!(reason, CloseReason::MountInUse);
                    assert!(self.holder.is_some() && !silent && !self.rules.takeover);
                    assert_eq!(outputs.len(), 1);
                }
                Output::Down(_) => {
                    assert_eq!(self.holder, None);
                    let lingered = now.since(self.free_since) >= self.rules.linger;
                    assert!(lingered || input == Input::Kill, "it did not hold its listeners");
                    is_down = true;
                }
            }
        }
        self.judge_what_is_missing(input, now, silent, outputs);
        is_down
    }

    fn judge_stop(&self, input: Input, reason: CloseReason, silent: bool) {
        let is_right = match reason {
            CloseReason::Killed => input == Input::Kill,
            CloseReason::SourceSilent => silent,
            CloseReason::TakenOver => {
                self.rules.takeover && matches!(input, Input::Claim(_)) && !silent
            }
            CloseReason::Unplayable => input == Input::Object,
            _ => false,
        };
        assert!(is_right, "{reason:?} does not follow from {input:?}");
    }

    /// Whoever asks is answered, and nobody keeps a mount by being silent.
    fn judge_what_is_missing(&self, input: Input, now: Moment, silent: bool, outputs: &[Output]) {
        if let Input::Claim(source) = input {
            let answers = outputs.iter().filter(|output| match output {
                Output::Grant(who) | Output::Refuse(who, _) => *who == source,
                _ => false,
            });
            assert_eq!(answers.count(), 1);
        }
        if input == Input::Tick {
            assert!(self.holder.is_none() || !silent, "a silent source keeps the mount");
            let lingered = now.since(self.free_since) >= self.rules.linger;
            let is_down = matches!(outputs.last(), Some(Output::Down(_)));
            assert!(self.holder.is_some() || !lingered || is_down, "it lingers for ever");
        }
    }

    fn let_go(&mut self, now: Moment) {
        self.holder = None;
        self.free_since = now;
    }
}
