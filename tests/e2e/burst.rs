//! The burst a listener asks for itself, by the URL or by a header.

use crate::kit::http::{Talk, ask, get};
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Reel, Source};
use crate::kit::tune::Tune;
use crate::wait;

/// How many frames before the live edge a newcomer begins.
fn begins_behind(server: &Server, target: &str, lines: &str, end: u64) -> u64 {
    let mut tune = Tune::over(Talk::to(server), target, lines);
    tune.hear_number(end - 1);
    assert!(tune.ear.checker.jumps.is_empty());
    end - tune.ear.checker.range.expect("it heard frames").0
}

#[test]
fn a_listener_gets_the_burst_it_asks_for_up_to_the_ceiling_of_its_mount() {
    let server = Setup::new().mount("/live", "burst = \"1s\"\nburst_max = \"10s\"").start();
    let source = Source::play(&server, "/live", Reel { speed: 20.0, ..Reel::default() });
    let mut first = Tune::to(&server, "/live");
    first.hear_number(1_000);
    source.fall_silent();
    let end = wait::until("the source has sent its last piece", || {
        let last = source.next();
        wait::pause(std::time::Duration::from_millis(100));
        (source.next() == last).then_some(last)
    });
    first.hear_number(end - 1);
    // 24 ms a frame, 384 bytes a frame. The start points are a tenth of a second apart.
    for (target, lines, frames) in [
        ("/live", "", 42),
        ("/live?burst=500ms", "", 21),
        ("/live?burst=5", "", 209),
        ("/live?burst=38400B", "", 100),
        ("/live?burst=1h", "", 417),
        ("/live?burst=50MiB", "", 417),
        ("/live", "X-Floe-Burst: 5s\r\n", 209),
        ("/live?burst=5", "X-Floe-Burst: 1\r\n", 209),
    ] {
        let behind = begins_behind(&server, target, lines, end);
        assert!((frames..frames + 7).contains(&behind), "{target} {lines}: {behind}");
    }
}

#[test]
fn what_is_no_burst_is_refused_with_the_cure_where_it_matters() {
    let server = Server::start();
    let _source = Source::start(&server, "/live");
    for target in ["/live?burst=lots", "/live?burst=", "/live?burst=-1"] {
        let answer = get(&server, target);
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains("?burst=10"), "{}", answer.text());
    }
    let answer = ask(&server, "GET /live HTTP/1.1\r\nX-Floe-Burst: lots\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!(get(&server, "/status-json.xsl?burst=lots").status, 200);
    assert_eq!(get(&server, "/none?burst=lots").status, 404);
}
