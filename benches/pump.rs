//! What a pass of the pump costs apart from the kernel: rows are visited with a wire that takes all
//! it is offered at once. Guards: below 50 ns a visit, below 100 ns with a metadata block in it,
//! with any number of rows, so that our own part stays below a fiftieth of a send's 5 to 6 us.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use floe::base::{ListenerId, Moment};
use floe::config::{Burst, Lag};
use floe::domain::bus::{TitleAt, TitleBlock, WindowStart};
use floe::domain::listener::{SyncPoint, Timeline};
use floe::domain::preamble::Preambles;
use floe::edge::feed::{Feed, FeedRules};
use floe::edge::row::{Newcomer, Row, Transmit};
use floe::edge::table::Table;
use floe::ingest::publish::Stream;
use floe::proto::icy;
use floe::proto::title::Title;
use floe::ring::SegmentWriter;
use floe::rt::wire::Sent;

#[path = "streams.rs"]
mod streams;

fn main() {
    divan::main();
}

const ROWS: [u64; 3] = [1_000, 10_000, 100_000];
const BEAT: Duration = Duration::from_secs(1);

/// A beat of 1 s at 128 kbit/s.
const BEAT_BYTES: u64 = 16_000;

/// Beats that one stream is published for: more than divan's samples of the smallest table take.
const BEATS: u64 = 4_000;

/// A socket that takes everything; as large as a descriptor, so that rows have their real size.
struct Taker(i32);

impl Transmit for Taker {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        self.0 = self.0.wrapping_add(1);
        Sent::Bytes(black_box(bytes).len())
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>]) -> Sent {
        self.0 = self.0.wrapping_add(1);
        Sent::Bytes(black_box(pieces).iter().map(|piece| piece.len()).sum())
    }

    fn peer_left(&mut self) -> bool {
        false
    }
}

/// A mount's table, and its stream that goes on by a beat's worth of bytes at a time.
struct Mount {
    table: Table<Taker>,
    end: SyncPoint,
    now: Moment,
}

impl Mount {
    fn new() -> Self {
        let rules = FeedRules {
            lag_bytes: u64::MAX,
            lag: Lag::Skip,
            burst: Burst::Time(Duration::from_secs(5)),
            burst_max: Burst::Time(Duration::from_secs(30)),
            stall_timeout: Duration::from_secs(30),
            max_duration: Duration::ZERO,
        };
        // All bytes are there from the beginning: what a bench publishes is only how far they
        // reach.
        let mut writer = SegmentWriter::create(0, (BEAT_BYTES * BEATS) as usize);
        let second = [0x55; BEAT_BYTES as usize];
        (0..BEATS).for_each(|_| assert_eq!(writer.append(&second), second.len()));
        writer.publish();
        let title = Title { text: "Artist - Title".to_owned(), ..Title::default() };
        let block = icy::meta_block(&title);
        let told = TitleAt { at: 0, serial: 1, block: Arc::new(TitleBlock { title, block }) };
        let mut feed = Feed::new(rules);
        feed.start(WindowStart {
            segments: vec![Arc::clone(writer.segment())],
            timeline: Timeline::default(),
            titles: vec![told],
            preambles: Preambles::default(),
        });
        let mut mount =
            Self { table: Table::new(feed), end: SyncPoint::default(), now: Moment(1_000_000) };
        (0..6).for_each(|_| mount.publish());
        mount
    }

    fn with(rows: u64, interval: u32) -> Self {
        let mut mount = Self::new();
        for id in 0..rows {
            mount.join(id, interval);
        }
        mount.pass();
        mount
    }

    fn join(&mut self, id: u64, interval: u32) {
        self.table.join(row(id, interval, self.now), self.now);
    }

    /// A beat passes and its bytes come.
    fn publish(&mut self) {
        self.now = self.now + BEAT;
        self.end.offset += BEAT_BYTES;
        self.end.media_us += 1_000_000;
        assert!(self.end.offset <= BEAT_BYTES * BEATS, "the stream is long enough");
        self.table.feed.advance(self.end, true, 0);
    }

    /// Visits everyone.
    fn pass(&mut self) -> u64 {
        self.table.visit_rows(self.table.len(), self.now, BEAT, &mut Vec::new()).bytes
    }
}

fn row(id: u64, interval: u32, now: Moment) -> Row<Taker> {
    let newcomer = Newcomer { id: ListenerId(id), icy_interval: interval, ..Newcomer::default() };
    Row::new(Taker(0), newcomer, now)
}

fn visits(bencher: Bencher<'_, '_>, rows: u64, interval: u32) {
    let mut mount = Mount::with(rows, interval);
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        mount.publish();
        let bytes = mount.pass();
        assert!(bytes >= rows * BEAT_BYTES);
    });
}

/// A pass without metadata: one plain send a row.
#[divan::bench(args = ROWS, sample_size = 1, sample_count = 200)]
fn pass(bencher: Bencher<'_, '_>, rows: u64) {
    visits(bencher, rows, 0);
}

/// A pass with a metadata block for each row: one gathered send a row.
#[divan::bench(args = ROWS, sample_size = 1, sample_count = 200)]
fn pass_with_metadata(bencher: Bencher<'_, '_>, rows: u64) {
    visits(bencher, rows, 16_000);
}

/// A pass in which nobody has anything to get.
#[divan::bench(args = ROWS, sample_size = 1, sample_count = 200)]
fn pass_caught_up(bencher: Bencher<'_, '_>, rows: u64) {
    let mut mount = Mount::with(rows, 0);
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        mount.table.visit_rows(rows as usize, mount.now, BEAT, &mut Vec::new()).visits
    });
}

/// A pass whose bytes are a real stream's, cut as its mount cuts it: what a format costs its
/// listeners.
#[divan::bench(args = ["mp3", "ogg", "webm"], sample_size = 1, sample_count = 300)]
fn pass_of_a_format(bencher: Bencher<'_, '_>, format: &str) {
    const LISTENERS: u64 = 10_000;
    let (content_type, file) = match format {
        "mp3" => ("audio/mpeg", streams::mp3()),
        "ogg" => ("audio/ogg", streams::ogg()),
        _ => ("audio/webm", streams::sound(60, 320)),
    };
    let mut bytes = file.iter().copied().cycle();
    let mut second = || bytes.by_ref().take(BEAT_BYTES as usize).collect::<Vec<u8>>();
    let mut stream = Stream::new(content_type, 512 * 1024, Burst::Time(Duration::from_secs(5)));
    let mut mount = Mount::new();
    mount.table.feed.stop();
    let mut beat = move |mount: &mut Mount, second: &[u8]| {
        mount.now = mount.now + BEAT;
        stream.take(second, mount.now);
        mount.table.feed.start(WindowStart {
            segments: stream.segments().map(Arc::clone).collect(),
            timeline: stream.timeline().clone(),
            titles: Vec::new(),
            preambles: stream.preambles().clone(),
        });
    };
    (0..6).for_each(|_| beat(&mut mount, &second()));
    (0..LISTENERS).for_each(|id| mount.join(id, 0));
    mount.pass();
    bencher.counter(ItemsCount::new(LISTENERS)).with_inputs(second).bench_local_values(|second| {
        beat(&mut mount, &second);
        let sent = mount.pass();
        assert!(sent >= LISTENERS * BEAT_BYTES / 2, "{sent}");
    });
}

/// A newcomer gets its burst of five seconds.
#[divan::bench(sample_size = 1_000, sample_count = 50)]
fn join(bencher: Bencher<'_, '_>) {
    let mut mount = Mount::new();
    let mut id = 0;
    bencher.bench_local(|| {
        id += 1;
        mount.join(id, 16_000);
    });
}
