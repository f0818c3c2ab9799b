//! One mount on one listener core: a source that sends as it likes, listeners who come, read, stop
//! and go as they like, and the pump's own code between them. After every look each promise is held
//! against what the wires have seen.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use floe::base::limits::{PUMP_BATCH_ROWS, START_POINTS_APART};
use floe::base::{CloseReason, ListenerId, Moment};
use floe::config::{Burst, Lag};
use floe::domain::beat::Beat;
use floe::edge::feed::{Feed, FeedRules};
use floe::edge::row::{JOINING, Newcomer, Row};
use floe::edge::table::{Departure, Table, Tally};

use crate::random::Random;
use crate::studio::Studio;
use crate::truth::Truth;
use crate::wire::{Habit, Wire};

/// How often housekeeping looks at a silent mount.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// What is known of a listener beside its row.
#[derive(Default)]
struct Guest {
    joined: Moment,
    /// Since when published bytes wait for it.
    waits_since: Option<Moment>,
    /// Since when it is to leave.
    leaves_since: Option<Moment>,
    closed_for: Option<CloseReason>,
}

/// How one simulation behaves; drawn from its seed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rules: FeedRules,
    beat_min: Duration,
    beat_max: Duration,
    /// What a visit costs the core.
    visit_cost: Duration,
    bytes_per_second: u64,
    /// Time between two receives of the source.
    chunk: Duration,
    /// How long messages to the core take.
    lane_delay_us: u64,
    /// Most guests who come one by one; 0 if nobody comes but who is asked to.
    pub guests_max: usize,
}

impl Plan {
    pub fn draw(random: &mut Random) -> Self {
        let millis = Duration::from_millis;
        let burst = match random.between(0, 2) {
            0 => Burst::Bytes(random.between(0, 30_000) as usize),
            _ => Burst::Time(millis(random.between(0, 8_000))),
        };
        let beat_min = millis(random.between(5, 60));
        Self {
            rules: FeedRules {
                lag_bytes: random.between(2_000, 80_000),
                lag: random.pick(&[Lag::Skip, Lag::Skip, Lag::Drop]),
                burst,
                burst_max: Burst::Time(Duration::from_secs(30)),
                stall_timeout: Duration::from_secs(random.between(2, 20)),
                max_duration: Duration::from_secs(random.pick(&[0, 0, 0, 5, 20])),
            },
            beat_min,
            beat_max: beat_min + millis(random.between(0, 1_200)),
            visit_cost: Duration::from_micros(random.between(1, 3_000)),
            bytes_per_second: random.between(500, 16_000),
            chunk: millis(random.pick(&[10, 26, 100, 400, 1_500])),
            lane_delay_us: random.pick(&[0, 0, 2_000, 200_000]),
            guests_max: random.pick(&[1, 2, 3, 10, 40]),
        }
    }
}

pub struct Hall {
    plan: Plan,
    truth: Rc<Truth>,
    studio: Studio,
    pub table: Table<Wire>,
    beat: Beat,
    /// Draws of time, of the source, of the crowd, and of the core's turns: apart, so that a guest
    /// more or less changes nothing else.
    clock: Random,
    source: Random,
    crowd: Random,
    core: Random,
    guests: HashMap<u64, Guest>,
    departed: HashMap<u64, CloseReason>,
    departures: Vec<Departure<Wire>>,
    counted: Tally,
    next_guest: u64,
    published_at: Moment,
    silent_until: Moment,
    housekept: Moment,
    longest_beat: Duration,
    longest_look: Duration,
}

impl Hall {
    pub fn new(plan: Plan, random: &mut Random) -> Self {
        let truth = Rc::new(Truth::default());
        let start = Moment(3_000_000);
        truth.now.set(start);
        let mut studio = Studio::new(plan.rules, &mut random.fork(), Rc::clone(&truth));
        studio.subscribe(start + Duration::from_millis(random.between(0, 400)));
        Self {
            plan,
            studio,
            table: Table::new(Feed::new(plan.rules)),
            beat: Beat::new(plan.beat_min, plan.beat_max, 1),
            clock: random.fork(),
            source: random.fork(),
            crowd: random.fork(),
            core: random.fork(),
            guests: HashMap::new(),
            departed: HashMap::new(),
            departures: Vec::new(),
            counted: Tally::default(),
            next_guest: 0,
            published_at: start,
            silent_until: start,
            housekept: start,
            longest_beat: plan.beat_min,
            longest_look: Duration::ZERO,
            truth,
        }
    }

    fn now(&self) -> Moment {
        self.truth.now.get()
    }

    /// Time until the next look, mostly a tick.
    pub fn pass(&mut self) {
        let mut span = self.beat.tick();
        if self.clock.chance(1, 50) {
            span += Duration::from_micros(self.clock.between(1, 90_000));
        }
        self.longest_look = self.longest_look.max(span);
        self.truth.now.set(self.now() + span);
    }

    /// The source sends what it has, falls silent now and then, or changes the title.
    pub fn play(&mut self) {
        let now = self.now();
        if now >= self.silent_until && now.since(self.published_at) >= self.plan.chunk {
            let span = now.since(self.published_at).min(Duration::from_secs(2));
            self.published_at = now;
            // Now and then it sends faster than it plays.
            let span = span * self.source.pick(&[1, 1, 1, 1, 1, 1, 1, 4]);
            let arrives =
                now + Duration::from_micros(self.source.between(0, self.plan.lane_delay_us));
            self.studio.publish(span, self.plan.bytes_per_second, &mut self.source, arrives);
            if self.source.chance(1, 12) {
                // No two are the same, and lengths differ by more than a block's unit of 16.
                let rest = "x".repeat(self.source.between(0, 300) as usize);
                let text = format!("{} {rest}", now.0);
                self.studio.title(&text, arrives);
            }
            if self.source.chance(1, 150) {
                self.silent_until = now + Duration::from_millis(self.source.between(500, 40_000));
            }
        }
        self.hear();
    }

    /// What has arrived at the core is taken in.
    pub fn hear(&mut self) {
        let now = self.now();
        if self.studio.deliver(&mut self.table.feed, now) {
            self.table.feed_started(now);
        }
    }

    /// Listeners come and go.
    pub fn mingle(&mut self) {
        let storm = self.crowd.chance(1, 400);
        if storm || (self.table.len() < self.plan.guests_max && self.crowd.chance(1, 12)) {
            for _ in 0..if storm { self.crowd.between(1, 25) } else { 1 } {
                let habits =
                    [Habit::Fast, Habit::Unsteady, Habit::Unsteady, Habit::Slow, Habit::Stops];
                let habit = self.crowd.pick(&habits);
                let interval = self.crowd.pick(&[0, 0, 256, 1_000, 8_192, 16_000]);
                let random = self.crowd.fork();
                self.join(habit, interval, random);
            }
        }
        if !self.table.is_empty() && self.crowd.chance(1, 80) {
            let index = self.crowd.between(0, self.table.len() as u64 - 1) as usize;
            let row = &self.table.rows()[index];
            if self.crowd.chance(1, 3) {
                let id = row.id;
                self.closes(id.0, CloseReason::Killed);
                self.table.close_one(id, CloseReason::Killed, self.now());
            } else {
                row.wire.broken.set(true);
            }
        }
        if self.crowd.chance(1, 3_000) {
            let ids: Vec<u64> = self.table.rows().iter().map(|row| row.id.0).collect();
            ids.into_iter().for_each(|id| self.closes(id, CloseReason::FormatChanged));
            self.table.close_all(CloseReason::FormatChanged, self.now());
        }
    }

    fn closes(&mut self, id: u64, reason: CloseReason) {
        let now = self.now();
        let guest = self.guests.get_mut(&id).expect("whoever is in the table is a guest");
        guest.leaves_since.get_or_insert(now);
        guest.closed_for.get_or_insert(reason);
    }

    /// One listener more; gives its number.
    pub fn join(&mut self, habit: Habit, interval: u32, random: Random) -> u64 {
        let (now, id) = (self.now(), self.next_guest);
        self.next_guest += 1;
        let wire = Wire::new(&self.truth, random, habit, self.plan.bytes_per_second, interval);
        let newcomer =
            Newcomer { id: ListenerId(id), icy_interval: interval, ..Newcomer::default() };
        let row = Row::new(wire, newcomer, now);
        self.guests.insert(id, Guest { joined: now, ..Guest::default() });
        let tally = self.table.join(row, now);
        self.count(tally);
        if self.table.feed.is_ready() {
            self.judge_burst();
        }
        id
    }

    /// The newest row was given a burst as large as asked, or all there is.
    fn judge_burst(&self) {
        let Some(start) = self.table.feed.start_point(None) else { return };
        let end = self.truth.end.get();
        let enough = match self.plan.rules.burst {
            Burst::Bytes(bytes) => end - start >= bytes as u64,
            Burst::Time(span) => {
                let plays_us = self.truth.media_us(end) - self.truth.media_us(start);
                plays_us >= span.as_micros() as u64
            }
        };
        let oldest = self.truth.oldest_start_at_most(START_POINTS_APART);
        assert!(enough || start <= oldest, "{start} to {end} is no burst; {oldest} is there");
    }

    fn count(&mut self, tally: Tally) {
        self.counted.visits += tally.visits;
        self.counted.bytes += tally.bytes;
        self.counted.slow += tally.slow;
    }

    /// One look of the pump, in batches between which others get their turn.
    pub fn look(&mut self) {
        self.note_who_waits();
        if self.table.is_active() {
            let beat = self.beat.length(self.table.len());
            self.longest_beat = self.longest_beat.max(beat);
            let mut due = self.table.due(self.now(), beat);
            self.beat.measured(due, self.plan.visit_cost * due as u32);
            while due > 0 {
                let batch = due.min(self.core.between(1, PUMP_BATCH_ROWS as u64) as usize);
                due -= batch;
                let now = self.now();
                let tally = self.table.visit_rows(batch, now, beat, &mut self.departures);
                self.count(tally);
                self.part();
                if self.plan.guests_max > 0 && self.core.chance(1, 20) {
                    self.mingle();
                    self.hear();
                }
            }
        }
        let since = self.now().since(self.housekept);
        if since >= HOUSEKEEPING {
            self.housekept = self.now();
            if !self.table.is_active() {
                self.table.sweep(since, self.now());
            }
        }
        self.note_who_waits();
        self.judge_gaps();
    }

    fn part(&mut self) {
        let departures = std::mem::take(&mut self.departures);
        for (row, reason) in departures {
            self.judge_departure(&row, reason);
            assert_eq!(self.departed.insert(row.id.0, reason), None, "it left twice");
        }
    }

    fn judge_departure(&self, row: &Row<Wire>, reason: CloseReason) {
        let (now, rules, wire) = (self.now(), &self.plan.rules, &row.wire);
        let guest = &self.guests[&row.id.0];
        assert_eq!(row.bytes_sent, wire.judge.taken, "its bytes are miscounted");
        let is_right = match reason {
            CloseReason::PeerBroke | CloseReason::PeerLeft => wire.broken.get(),
            CloseReason::TooSlow => {
                let behind = self.truth.end.get() - row.offset;
                rules.lag == Lag::Drop
                    && (behind > rules.lag_bytes || row.offset < self.truth.tail())
            }
            CloseReason::Stalled => now.since(wire.took_at) >= rules.stall_timeout,
            CloseReason::DurationOver => {
                let rounded = Duration::from_secs(1);
                rules.max_duration > Duration::ZERO
                    && now.since(guest.joined) + rounded >= rules.max_duration
            }
            CloseReason::Killed | CloseReason::FormatChanged => guest.closed_for == Some(reason),
            _ => false,
        };
        assert!(is_right, "{reason:?} is no reason for {}", row.id);
    }

    fn note_who_waits(&mut self) {
        let now = self.now();
        for row in self.table.rows() {
            let Some(guest) = self.guests.get_mut(&row.id.0) else { continue };
            if row.offset < self.truth.end.get() || row.block.is_some() {
                guest.waits_since.get_or_insert(now);
            } else {
                guest.waits_since = None;
            }
        }
    }

    /// Nobody for whom bytes wait, or who is to leave, is left alone for longer than two beats.
    fn judge_gaps(&self) {
        let now = self.now();
        let bound = 2 * self.longest_beat + 2 * self.longest_look;
        let rules = &self.plan.rules;
        for row in self.table.rows() {
            let (guest, wire) = (&self.guests[&row.id.0], &row.wire);
            if let Some(since) = guest.leaves_since {
                assert!(now.since(since) <= bound, "{} does not leave", row.id);
            }
            let Some(since) = guest.waits_since else { continue };
            let gap = now.since(since.max(wire.offered_at));
            assert!(
                gap <= bound,
                "{} was not visited for {gap:?}; {bound:?} are two beats",
                row.id
            );
            let quiet = now.since(since.max(wire.took_at));
            let most = rules.stall_timeout + Duration::from_secs(1) + bound;
            assert!(quiet <= most, "{} takes nothing for {quiet:?} and stays", row.id);
            if rules.max_duration > Duration::ZERO {
                // On a silent mount it stays until bytes come, or the sweep comes round to it.
                let over = (guest.joined + rules.max_duration).max(since);
                let most = Duration::from_secs(1) + bound;
                assert!(now.since(over) <= most, "{} stays too long", row.id);
            }
        }
    }

    /// The source ends; everyone gets the rest or leaves, and then the core has nothing to do.
    pub fn finish(&mut self) {
        let patience = self.plan.rules.stall_timeout + Duration::from_secs(60);
        let until = self.now() + patience;
        self.truth.hurries.set(true);
        while self.now() < until && (self.table.is_active() || !self.studio.is_heard()) {
            self.pass();
            self.hear();
            self.look();
        }
        assert!(!self.table.is_active(), "the core works for nobody");
        let end = self.truth.end.get();
        for row in self.table.rows() {
            let waits = row.offset == JOINING && self.table.feed.start_point(None).is_none();
            assert!(waits || row.offset == end, "{} has not got everything", row.id);
            assert_eq!(row.bytes_sent, row.wire.judge.taken);
        }
        assert_eq!(self.counted.bytes, self.truth.taken.get(), "bytes are miscounted");
        assert!(self.truth.lost.get() || self.truth.jumps.get() <= self.counted.slow);
        assert_eq!(self.departed.len() + self.table.len(), self.guests.len());
        assert!(self.table.rows().iter().all(|row| !self.departed.contains_key(&row.id.0)));
    }

    /// What came of the simulation, for the account at the end.
    pub fn account(&self) -> Account {
        Account {
            guests: self.guests.len() as u64,
            bytes: self.counted.bytes,
            slow: self.counted.slow,
            jumps: self.truth.jumps.get(),
            lost: u64::from(self.truth.lost.get()),
            reasons: self.departed.values().copied().collect(),
        }
    }
}

/// What simulations came to.
#[derive(Debug, Default)]
pub struct Account {
    pub guests: u64,
    pub bytes: u64,
    pub slow: u64,
    pub jumps: u64,
    pub lost: u64,
    pub reasons: Vec<CloseReason>,
}
