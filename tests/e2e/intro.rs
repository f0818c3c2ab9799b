//! What is heard before and after a stream.

use std::time::Duration;

use crate::kit::frames::frames;
use crate::kit::server::{Server, Setup};
use crate::kit::source::Source;
use crate::kit::tune::Tune;
use crate::wait;

/// First frame of the intro, and of the outro: far from what sources send.
const INTRO: u64 = 1_000_000;
const OUTRO: u64 = 2_000_000;

/// The first frame that a newcomer hears.
fn begins(server: &Server) -> u64 {
    let mut tune = Tune::to(server, "/live");
    tune.hear(1);
    tune.ear.checker.range.expect("it heard a frame").0
}

/// A source on air whose stream every core knows to fit the intro: before its first bytes nobody
/// can tell, and nobody hears one.
fn source(server: &Server) -> Source {
    let source = Source::start(server, "/live");
    wait::until_true("every core has the intro", || (0..8).all(|_| begins(server) >= INTRO));
    source
}

#[test]
fn each_newcomer_hears_the_intro_first_and_then_the_stream() {
    let server = Setup::new()
        .file("intro.mp3", frames(INTRO, 50))
        .mount("/live", "intro = \"intro.mp3\"\nburst = \"500ms\"")
        .start();
    let source = source(&server);
    for _ in 0..2 {
        let mut tune = Tune::to(&server, "/live");
        tune.hear(150);
        let checker = &tune.ear.checker;
        assert_eq!(checker.range.map(|(first, _)| first), Some(INTRO));
        let [(last, live)] = checker.jumps[..] else { panic!("one jump: {:?}", checker.jumps) };
        assert_eq!((last, checker.tears), (INTRO + 49, 0));
        assert!(live <= source.next(), "{live}");
    }
}

#[test]
fn titles_keep_their_grid_through_an_intro() {
    let server = Setup::new()
        .file("intro.mp3", frames(INTRO, 50))
        .mount("/live", "intro = \"intro.mp3\"\nmetadata_interval = 1000")
        .start();
    let _source = source(&server);
    let mut tune = Tune::with_titles(&server, "/live");
    tune.hear(150);
    assert_eq!(tune.ear.checker.jumps.len(), 1);
    assert!(tune.ear.blocks >= 50, "{} blocks", tune.ear.blocks);
}

#[test]
fn newcomers_share_a_place_in_the_intro() {
    let server = Setup::new()
        .file("intro.mp3", frames(INTRO, 2_000))
        .mount("/live", "intro = \"intro.mp3\"\nintro_position = \"shared\"")
        .start();
    let _source = source(&server);
    let early = begins(&server);
    wait::pause(Duration::from_millis(600));
    let late = begins(&server);
    // 600 ms are 25 frames; start points are a tenth of a second apart.
    assert!((INTRO..INTRO + 2_000).contains(&early), "{early}");
    assert!((early + 20..INTRO + 2_000).contains(&late), "{early}, then {late}");
}

#[test]
fn the_outro_is_heard_last() {
    let server = Setup::new()
        .file("outro.mp3", frames(OUTRO, 40))
        .mount("/live", "outro = \"outro.mp3\"\nlinger = \"0s\"")
        .start();
    let source = Source::start(&server, "/live");
    let mut tune = Tune::to(&server, "/live");
    tune.hear(50);
    let sent = source.end();
    tune.hear_out();
    let checker = &tune.ear.checker;
    assert_eq!(checker.jumps, [(sent - 1, OUTRO)], "all of the stream, then all of the outro");
    assert_eq!(checker.range.map(|(_, last)| last), Some(OUTRO + 39));
}
