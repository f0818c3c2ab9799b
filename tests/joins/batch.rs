//! Some formats on air at both servers at once, and all joins to them: recorded ones at random
//! moments, players in a few places that are taken again and again, and a page of a browser.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::broadcast::Broadcast;
use crate::browser::{Browser, Element};
use crate::decode::{decode, is_heard_at_once, judge};
use crate::formats::Format;
use crate::kit::random::Random;
use crate::listen::{Hears, Recording, record};
use crate::plan::Plan;
use crate::players::{Player, mpv, vlc};
use crate::station::{Station, Who};
use crate::table::{Joined, Table};
use crate::tail::Whole;
use crate::wait;

/// Sources are on air for so long before anybody joins.
const LEAD: Duration = Duration::from_secs(1);
/// How long recorded listeners stay, in milliseconds.
const STAY_MS: (u64, u64) = (2_000, 3_000);
/// Players that run at once: they need much more of the machine than a recorded listener.
const PLAYERS_AT_ONCE: usize = 5;
/// Decoders that run at once.
const DECODERS_AT_ONCE: usize = 2;
/// How long the browser may be silent before it is given up: longer than the page's own patience.
const BROWSER_PATIENCE: Duration = Duration::from_secs(40);

/// Where recordings of joins of ours that failed are kept until the next run.
pub const KEPT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/joins");

/// One recorded join.
struct Join {
    format: &'static Format,
    station: Station,
    at: Duration,
    hears: Hears,
}

/// One join of a player.
struct Play {
    format: &'static Format,
    station: Station,
    player: Player,
}

/// Puts `formats` on air at the stations, joins them as the plan says, and counts.
pub fn run(
    plan: &Plan,
    formats: &[&'static Format],
    stations: &[Station],
    random: &mut Random,
    table: &mut Table,
) {
    let on_air: Vec<_> =
        formats.iter().map(|format| Broadcast::start(format, format.mount, stations)).collect();
    wait::pause(LEAD);
    let joins = recorded_joins(plan, formats, stations, random);
    let plays = Mutex::new(plays(plan, formats, stations));
    let counted = Mutex::new(std::mem::take(table));
    let recordings = std::thread::scope(|scope| {
        for _ in 0..PLAYERS_AT_ONCE {
            scope.spawn(|| play_all(&plays, &counted));
        }
        scope.spawn(|| browse(plan, formats, stations, &counted));
        record_all(joins)
    });
    *table = counted.into_inner().expect("nobody panics with the table");
    for (format, mut broadcast) in formats.iter().zip(on_air) {
        broadcast.check().unwrap_or_else(|said| panic!("{}: {said}", format.mount));
        let sent = broadcast.end();
        for (who, words) in &sent.lost {
            println!("{who:?} {}: the source was lost: {words}", format.mount);
        }
        has_no_fault_of_its_own(format, &sent.bytes);
    }
    decode_all(plan, recordings, table);
}

/// Checks that what the encoder wrote decodes from its beginning, or no join could be judged by it.
fn has_no_fault_of_its_own(format: &Format, bytes: &[u8]) {
    let scratch = tempfile::tempdir().expect("a writable temporary folder");
    let whole = Whole::of(format.content_type, bytes);
    let said = decode(scratch.path(), format, &whole.bytes).said;
    assert!(said.is_empty(), "{}: the encoder's own stream: {said}", format.mount);
}

/// Every recorded join, in the order of time.
fn recorded_joins(
    plan: &Plan,
    formats: &[&'static Format],
    stations: &[Station],
    random: &mut Random,
) -> Vec<Join> {
    let window = plan.window.as_millis() as u64;
    let mut joins = Vec::new();
    for format in formats {
        for index in 0..plan.recorded {
            // Both servers are joined at the same moment, for the same time.
            let at = Duration::from_millis(random.between(0, window));
            let span = Duration::from_millis(random.between(STAY_MS.0, STAY_MS.1));
            let hears = Hears { span, with_titles: index % 4 == 3 };
            let join = |station: &Station| Join { format, station: station.clone(), at, hears };
            joins.extend(stations.iter().map(join));
        }
    }
    joins.sort_by_key(|join| join.at);
    joins
}

/// Makes the joins, each on a thread of its own from its moment on.
fn record_all(joins: Vec<Join>) -> Vec<(Join, Recording)> {
    let began = Instant::now();
    let listeners = joins.into_iter().map(|join| {
        wait::pause(join.at.saturating_sub(began.elapsed()));
        std::thread::spawn(move || {
            let recording = record(&join.station, join.format, join.format.mount, join.hears);
            (join, recording)
        })
    });
    let listeners: Vec<_> = listeners.collect();
    let heard = |listener: std::thread::JoinHandle<_>| listener.join().expect("it only listens");
    listeners.into_iter().map(heard).collect()
}

/// Judges recordings, several at once, and counts them.
fn decode_all(plan: &Plan, recordings: Vec<(Join, Recording)>, table: &mut Table) {
    let todo = Mutex::new(recordings.into_iter().enumerate());
    let counted = Mutex::new(table);
    std::thread::scope(|scope| {
        for _ in 0..DECODERS_AT_ONCE {
            scope.spawn(|| {
                let scratch = tempfile::tempdir().expect("a writable temporary folder");
                loop {
                    let next = todo.lock().expect("nobody panics with the list").next();
                    let Some((index, (join, recording))) = next else { break };
                    let format = join.format;
                    let joined = judge(scratch.path(), format, &recording);
                    let is_asked = (index / 2).is_multiple_of(plan.asked_every);
                    let heard =
                        is_asked.then(|| is_heard_at_once(scratch.path(), format, &recording));
                    let mut table = counted.lock().expect("nobody panics with the table");
                    let who = join.station.who;
                    let joined = joined.map_err(|why| told(&join, &recording, &why));
                    table.count(format, Player::Ffmpeg, who, joined);
                    if let Some(heard) = heard {
                        let tally = table.of(format, Player::Ffmpeg, who);
                        tally.at_once.0 += usize::from(heard);
                        tally.at_once.1 += 1;
                    }
                }
            });
        }
    });
}

/// What failed, with a copy of our listener's recording for whoever looks into it.
fn told(join: &Join, recording: &Recording, why: &str) -> String {
    let at_ms = join.at.as_millis();
    let titles = if recording.with_titles { ", with titles" } else { "" };
    let mut text = format!("joined after {at_ms} ms, {} bytes{titles}", recording.bytes.len());
    if join.station.who == Who::Floe {
        let name = format!("{}-{at_ms}", join.format.mount);
        keep(&name, &recording.bytes);
        text.push_str(&format!(", kept as {name}"));
    }
    format!("{text}: {why}")
}

/// Keeps a recording for whoever looks into a failure.
pub fn keep(name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(KEPT).expect("the folder of this build is writable");
    std::fs::write(Path::new(KEPT).join(name), bytes).expect("the folder of this build has room");
}

/// Every join of players that run by themselves, formats in turn.
fn plays(plan: &Plan, formats: &[&'static Format], stations: &[Station]) -> Vec<Play> {
    let mut plays = Vec::new();
    for _ in 0..plan.played {
        for format in formats {
            for station in stations {
                for player in [Player::Mpv, Player::Vlc] {
                    plays.push(Play { format, station: station.clone(), player });
                }
            }
        }
    }
    plays
}

/// Plays what is on the list until it is empty.
fn play_all(plays: &Mutex<Vec<Play>>, counted: &Mutex<Table>) {
    let scratch = tempfile::tempdir().expect("a writable temporary folder");
    loop {
        let next = plays.lock().expect("nobody panics with the list").pop();
        let Some(Play { format, station, player }) = next else { break };
        let url = station.url(format.mount);
        let joined: Joined = match player {
            Player::Vlc => vlc(&url, scratch.path()),
            _ => mpv(&url, scratch.path()),
        };
        let mut table = counted.lock().expect("nobody panics with the table");
        table.count(format, player, station.who, joined);
    }
}

/// Joins what browsers play from a page, and counts what it reports.
fn browse(plan: &Plan, formats: &[&'static Format], stations: &[Station], counted: &Mutex<Table>) {
    let mut joins = Vec::new();
    for _ in 0..plan.browsed {
        for format in formats.iter().filter(|format| format.in_browsers) {
            joins.extend(stations.iter().map(|station| (*format, station)));
        }
    }
    let element = |(index, (format, station)): (usize, &(&Format, &Station))| {
        let url = station.url_for_browser(index, format.mount);
        Element { url, has_picture: format.carries.has_picture() }
    };
    let elements: Vec<_> = joins.iter().enumerate().map(element).collect();
    if elements.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let browser = Browser::open(folder.path(), &elements);
    let mut reported = vec![false; joins.len()];
    while reported.contains(&false) {
        let Some(report) = browser.report(BROWSER_PATIENCE) else { break };
        let Some((format, station)) = joins.get(report.index) else { continue };
        reported[report.index] = true;
        let first = report.first_ms.map_or_else(|| "never".into(), |ms| format!("after {ms} ms"));
        let joined =
            if report.said.is_empty() { Ok(()) } else { Err(format!("{} ({first})", report.said)) };
        let mut table = counted.lock().expect("nobody panics with the table");
        table.count(format, Player::Chromium, station.who, joined);
    }
    let silent = joins.iter().zip(reported).filter(|(_, reported)| !reported);
    for ((format, station), _) in silent {
        let mut table = counted.lock().expect("nobody panics with the table");
        table.count(format, Player::Chromium, station.who, Err("the page reported nothing".into()));
    }
}
