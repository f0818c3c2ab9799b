//! Byte-exactness: what listeners get, metadata taken out, are whole frames in order as they were
//! sent, whatever their habits. Every fan checks each byte as it comes; here stands what must be
//! true of the whole.

use std::time::Duration;

use crate::kit::crowd::{Crowd, Fan, Habit};
use crate::kit::frames::FRAME_BYTES;
use crate::kit::http::End;
use crate::kit::random::Random;
use crate::kit::server::Setup;
use crate::kit::source::{Reel, Source};
use crate::kit::tune::Tune;

/// Twice real time: a stream of 256 kbit/s.
const SPEED: f64 = 2.0;
const BYTES_PER_SECOND: u64 = 32_000;

/// What must be true of every fan once its stream is over.
#[track_caller]
fn judge(fan: &Fan, sent: std::ops::Range<u64>) {
    let ear = fan.ear.as_ref().expect("every fan was answered");
    ear.checker.finish().expect("the stream ends within what was sent");
    let (first, last) = ear.checker.range.expect("every fan heard something");
    assert!(sent.contains(&first) && sent.contains(&last), "{first}..={last} of {sent:?}");
    for (before, after) in &ear.checker.jumps {
        assert!(after > before, "a listener is never moved back: {before} to {after}");
    }
}

#[test]
fn two_thousand_listeners_each_hear_a_contiguous_piece() {
    let server = Setup::new().mount("/live", "linger = \"0s\"").start();
    let source = Source::play(&server, "/live", Reel { speed: SPEED, ..Reel::default() });
    let mut crowd = Crowd::new(Random::seeded());
    for _ in 0..8 {
        crowd.join(&server, "/live", 250, |random| {
            Habit::of_one_who_keeps_up(random, BYTES_PER_SECOND)
        });
        crowd.listen_for(Duration::from_millis(200));
    }
    let from = source.next();
    crowd.listen_until("all heard five seconds more", |fans| {
        fans.iter().all(|fan| fan.last() >= from + 400)
    });
    let sent = source.end();
    crowd.listen_until("all were let go", |fans| fans.iter().all(|fan| fan.end.is_some()));
    for fan in &crowd.fans {
        judge(fan, 0..sent);
        let ear = fan.ear.as_ref().expect("judged");
        assert_eq!((fan.end, ear.checker.jumps.len()), (Some(End::Closed), 0), "{ear:?}");
    }
    let blocks = crowd.fans.iter().filter_map(|fan| fan.ear.as_ref()).filter(|ear| ear.blocks > 0);
    assert!(blocks.count() > 500, "about half of them asked for metadata");
}

#[test]
fn three_cores_on_two_cpus_serve_as_well() {
    let server = Setup::new().cores(&[0, 0, 1]).mount("/live", "linger = \"0s\"").start();
    let source = Source::play(&server, "/live", Reel { speed: SPEED, ..Reel::default() });
    let mut crowd = Crowd::new(Random::seeded());
    crowd
        .join(&server, "/live", 300, |random| Habit::of_one_who_keeps_up(random, BYTES_PER_SECOND));
    crowd.listen_until("all heard five seconds", |fans| fans.iter().all(|fan| fan.frames() >= 400));
    let sent = source.end();
    crowd.listen_until("all were let go", |fans| fans.iter().all(|fan| fan.end.is_some()));
    for fan in &crowd.fans {
        judge(fan, 0..sent);
        assert_eq!(fan.ear.as_ref().map(|ear| ear.checker.jumps.len()), Some(0));
    }
}

/// One that reads half of what comes at most, and hides little in its socket.
fn slow(random: &mut Random) -> Habit {
    let pause_ms = random.between(60, 400);
    // Half of the longest pause goes by on average.
    let bytes = 640 * pause_ms / 2;
    Habit {
        sip_bytes: random.between(bytes / 4, bytes / 2) as usize,
        pause_max: Duration::from_millis(pause_ms),
        window_bytes: 16 * 1024,
        titles: random.between(0, 1) == 1,
    }
}

/// 5 Mbit/s: it takes a second to fill what the kernel holds for a slow reader.
const FAST: Reel = Reel { first: 0, speed: 40.0, content_type: "audio/mpeg" };

#[test]
fn laggards_are_moved_forward_at_frames_and_nobody_else_notices() {
    let server = Setup::new()
        .limits("lag_bytes = \"64KiB\"")
        .mount("/live", "lag = \"skip\"\nburst = \"16KiB\"\nmetadata_interval = 5000")
        .start();
    let source = Source::play(&server, "/live", FAST);
    let mut crowd = Crowd::new(Random::seeded());
    crowd.join(&server, "/live", 60, slow);
    crowd.listen_until("every laggard was moved twice", |fans| {
        let jumps = |fan: &Fan| fan.ear.as_ref().map_or(0, |ear| ear.checker.jumps.len());
        fans.iter().all(|fan| jumps(fan) >= 2)
    });
    let mut near = Tune::with_titles(&server, "/live");
    near.hear(2_000);
    assert!(near.ear.checker.jumps.is_empty(), "{:?}", near.ear.checker.jumps);
    assert_eq!(crowd.present(), 60, "a laggard under this policy stays");
    let (mut jumps, mut tears) = (0, 0);
    for fan in &crowd.fans {
        judge(fan, 0..source.next());
        let checker = &fan.ear.as_ref().expect("judged").checker;
        jumps += checker.jumps.len();
        tears += checker.tears;
    }
    // A laggard is moved once its frame is out, unless its socket stays full until those bytes are
    // gone. With windows as small as these that happens to one in twenty.
    assert!(tears * 4 < jumps as u64, "{tears} of {jumps} jumps tear a frame");
}

#[test]
fn laggards_are_dropped_where_the_mount_says_so() {
    let server = Setup::new()
        .limits("lag_bytes = \"64KiB\"")
        .mount("/live", "lag = \"drop\"\nburst = \"16KiB\"")
        .start();
    let source = Source::play(&server, "/live", FAST);
    let mut crowd = Crowd::new(Random::seeded());
    crowd.join(&server, "/live", 30, slow);
    crowd.join(&server, "/live", 30, |_| Habit::greedy(false));
    crowd.listen_until("the slow half is gone", |fans| {
        fans[..30].iter().all(|fan| fan.end.is_some())
    });
    server.wait_line(&["kind=\"listener\"", "reason=\"too_slow\""]);
    let heard = crowd.fans[59].frames();
    crowd.listen_until("the others hear on", |fans| fans[59].frames() > heard + 500);
    assert_eq!(crowd.present(), 30);
    for fan in &crowd.fans {
        judge(fan, 0..source.next());
        let ear = fan.ear.as_ref().expect("judged");
        assert!(ear.checker.jumps.is_empty(), "who is dropped is not moved first: {ear:?}");
    }
}

#[test]
fn one_who_stops_reading_is_dropped_when_its_time_is_over() {
    let server =
        Setup::new().limits("stall_timeout = \"1s\"").limits("lag_bytes = \"64MiB\"").start();
    let source = Source::play(&server, "/live", FAST);
    let mut crowd = Crowd::new(Random::seeded());
    let never = Duration::from_secs(3_600);
    crowd.join(&server, "/live", 5, |_| Habit {
        sip_bytes: 1,
        pause_max: never,
        window_bytes: 16 * 1024,
        titles: false,
    });
    let mut near = Tune::to(&server, "/live");
    near.hear_number(source.next() + 4_000);
    server.wait_line(&["kind=\"listener\"", "reason=\"stalled\"", "culprit=Peer"]);
    near.hear(100);
    assert!(near.ear.checker.jumps.is_empty());
}

#[test]
fn a_newcomer_gets_its_burst_at_once_from_a_frame_on() {
    let server = Setup::new().mount("/live", "burst = \"32KiB\"").start();
    let source = Source::play(&server, "/live", Reel { speed: 10.0, ..Reel::default() });
    let mut first = Tune::to(&server, "/live");
    first.hear(200);
    let sent = source.next();
    let mut tune = Tune::to(&server, "/live");
    tune.hear(10);
    let began = tune.ear.checker.range.expect("it heard frames").0;
    let burst = (sent - began) as usize * FRAME_BYTES;
    // More than was asked for by what lies between two start points and what has come meanwhile.
    assert!((30_000..100_000).contains(&burst), "{burst} bytes");
}
