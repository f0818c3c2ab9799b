//! One run: two ways to send, side by side in one loop, each with its own sockets and its own
//! times. It owns the clocks and the count; how a slot's bytes leave is the way's.

use std::io;
use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::variants::{BASE, Setting};
use crate::ways::{SEGMENT_BYTES, Tally, Way};
use crate::{Load, kernel};

/// What one side of a run has cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU of this process for one send, in us.
    pub send_us: f64,
    /// CPU of this process for one listener and second of stream, in us. With a beat of a second
    /// this is the cost of a send; with other beats it is what may be compared.
    pub second_us: f64,
    /// CPU of the readers for one listener and second of stream, in us.
    pub reader_us: f64,
    pub tally: Tally,
}

/// A run's two costs.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub base: Cost,
    pub tried: Cost,
}

/// The sockets at hand, in two halves.
pub struct Stage {
    pub load: Load,
    reader_cpu: usize,
    halves: [Option<Crowd>; 2],
}

impl Stage {
    /// A stage without sockets. Pins this process.
    pub fn new(load: Load) -> io::Result<Self> {
        Ok(Self { load, reader_cpu: kernel::share_cpus()?, halves: [None, None] })
    }

    /// Runs `setting` on the half called `side` against plain send on the other. After an error the
    /// sockets are not used again: nobody knows what is under way on them.
    pub fn run(&mut self, setting: Setting, side: usize) -> io::Result<Outcome> {
        let mut settings = [BASE; 2];
        settings[side] = setting;
        let [first, second] = settings;
        // Both old halves go before a new one comes: descriptors are few.
        for (half, wanted) in self.halves.iter_mut().zip(settings) {
            if half.as_ref().is_some_and(|crowd| crowd.kind != wanted.sockets) {
                half.take().map_or(Ok(()), Crowd::end)?;
            }
        }
        let [mut left, mut right] = [self.half(0, first)?, self.half(1, second)?];
        let sides =
            [Side::new(&mut left, first, &self.load)?, Side::new(&mut right, second, &self.load)?];
        let costs = fight(sides, &self.load)?;
        self.halves = [Some(left), Some(right)];
        Ok(Outcome { base: costs[1 - side], tried: costs[side] })
    }

    /// Ends the sockets, and holds what arrived against what was sent.
    pub fn clear(&mut self) -> io::Result<()> {
        self.halves.iter_mut().filter_map(Option::take).try_for_each(Crowd::end)
    }

    fn half(&mut self, side: usize, setting: Setting) -> io::Result<Crowd> {
        match self.halves[side].take() {
            Some(crowd) => Ok(crowd),
            None => Crowd::gather(&self.load, setting.sockets, self.reader_cpu),
        }
    }
}

/// Sends both sides their slots as they fall due, measures all but a first beat, which finds cold
/// sockets, and says what each has cost.
fn fight(mut sides: [Side; 2], load: &Load) -> io::Result<[Cost; 2]> {
    // The longer beat is a multiple of the shorter, so that both sides send whole beats.
    let beat = sides[0].beat.max(sides[1].beat);
    let beats = load.span.as_nanos().div_ceil(beat.as_nanos()).max(1) as u32;
    let end = beat * (1 + beats);
    let began = Instant::now();
    loop {
        let next = usize::from(sides[1].due() < sides[0].due());
        let due = sides[next].due();
        if due >= end {
            break;
        }
        kernel::sleep(due.saturating_sub(began.elapsed()));
        sides[next].step(due >= beat)?;
    }
    // The last slot's time belongs to the run: readers are still at it.
    kernel::sleep(end.saturating_sub(began.elapsed()));
    let listener_seconds = (beat * beats).as_secs_f64() * load.listeners as f64;
    let [first, second] = &sides;
    Ok([first.cost(listener_seconds)?, second.cost(listener_seconds)?])
}

/// One side of a run.
struct Side<'c> {
    crowd: &'c mut Crowd,
    way: Way,
    listeners: usize,
    beat: Duration,
    slots: u32,
    /// Bytes of one send.
    bytes: usize,
    /// Slots that have been sent.
    done: u32,
    cpu: Duration,
    /// The reader's clock when measuring began.
    reader_from: Option<Duration>,
    tally: Tally,
}

impl<'c> Side<'c> {
    fn new(crowd: &'c mut Crowd, setting: Setting, load: &Load) -> io::Result<Self> {
        let beat = load.beat * setting.beat_percent / 100;
        let bytes = (beat.as_secs_f64() * f64::from(load.bytes_per_s)).round() as usize;
        let way = Way::open(&setting, crowd.descriptors(setting.order), bytes)?;
        Ok(Self {
            crowd,
            way,
            listeners: load.listeners,
            beat,
            slots: setting.slots,
            bytes,
            done: 0,
            cpu: Duration::ZERO,
            reader_from: None,
            tally: Tally::default(),
        })
    }

    /// When the next slot is to be sent, counted from the beginning.
    fn due(&self) -> Duration {
        self.beat * self.done / self.slots
    }

    /// Sends the next slot.
    fn step(&mut self, measured: bool) -> io::Result<()> {
        let (index, slots) = ((self.done % self.slots) as usize, self.slots as usize);
        let places = self.listeners * index / slots..self.listeners * (index + 1) / slots;
        let from = self.done as usize * SLOT_STEP % (SEGMENT_BYTES - self.bytes);
        if measured && self.reader_from.is_none() {
            self.reader_from = Some(self.crowd.reader_cpu()?);
        }
        let mut tally = Tally::default();
        let before = kernel::process_cpu()?;
        self.way.visit(places, from..from + self.bytes, &mut tally)?;
        let cpu = kernel::process_cpu()?.saturating_sub(before);
        self.crowd.sent += tally.bytes;
        self.done += 1;
        if measured {
            self.cpu += cpu;
            self.tally.add(tally);
        }
        Ok(())
    }

    fn cost(&self, listener_seconds: f64) -> io::Result<Cost> {
        let reader_from = self.reader_from.unwrap_or_default();
        let reader_cpu = self.crowd.reader_cpu()?.saturating_sub(reader_from);
        let us = |cpu: Duration| cpu.as_secs_f64() * 1e6;
        Ok(Cost {
            send_us: us(self.cpu) / self.tally.sends.max(1) as f64,
            second_us: us(self.cpu) / listener_seconds,
            reader_us: us(reader_cpu) / listener_seconds,
            tally: self.tally,
        })
    }
}

/// How far the range that is sent moves from slot to slot: 20 ms of stream, and odd, because frames
/// begin anywhere.
const SLOT_STEP: usize = 321;
