//! Real players and browsers hear a stream and show its titles.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::kit::audio;
use crate::kit::clients::{Client, decodes, first_installed, program};
use crate::kit::frames::{Checker, FRAME_BYTES};
use crate::kit::http::{get, get_as};
use crate::kit::server::{Server, Setup};
use crate::kit::source::{Reel, Source};
use crate::wait;

/// A server with a mount whose title goes around soon: no burst of bytes from before it.
fn with_titles() -> Server {
    Setup::new().mount("/live", "burst = \"0s\"\nmetadata_interval = 4000").start()
}

/// Sets a title as the source of `/live` would.
#[track_caller]
fn set(server: &Server, query: &str) {
    let target = format!("/admin/metadata?mode=updinfo&mount=/live&{query}");
    let answer = get_as(server, &target, "source", &server.source_password);
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// ffmpeg publishes the sound to `/live`.
fn encoder(server: &Server) -> Client {
    let mut command = program("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-re", "-i"]).arg(audio::mp3());
    command.args(["-c", "copy", "-f", "mp3", "-id3v2_version", "0", "-write_xing", "0"]);
    let password = &server.source_password;
    command.arg(format!("icecast://source:{password}@{}/live", server.address()));
    let encoder = Client::spawn(command);
    wait::until_true("the source is live", || {
        get(server, "/status-json.xsl").text().contains("/live\"")
    });
    encoder
}

#[test]
fn ffmpeg_reads_a_song() {
    let server = with_titles();
    let _encoder = encoder(&server);
    set(&server, "song=Sigur+R%C3%B3s+-+Hopp%C3%ADpolla");
    let url = server.url("/live");
    let words = ["-v", "verbose", "-nostdin", "-i", &url, "-t", "3", "-f", "null", "-"];
    let output = Client::start("ffmpeg", &words).succeed();
    assert!(output.contains("Metadata update for StreamTitle: Sigur Rós - Hoppípolla"), "{output}");
}

#[test]
fn mpv_plays_and_shows_a_title_in_latin_1_as_what_it_means() {
    let server = with_titles();
    let _encoder = encoder(&server);
    set(&server, "artist=Bj%F6rk&title=J%F3ga&charset=ISO-8859-1");
    let url = server.url("/live");
    let words = ["--no-config", "--no-video", "--ao=null", "--length=3", &url];
    let output = Client::start("mpv", &words).succeed();
    assert!(output.contains("icy-title: Björk - Jóga"), "{output}");
}

#[test]
fn mplayer_reads_artist_and_title() {
    let server = with_titles();
    let _encoder = encoder(&server);
    set(&server, "artist=Nina+Simone&title=Sinnerman");
    let url = server.url("/live");
    let words = ["-noconfig", "all", "-ao", "null", "-nolirc", "-endpos", "3", &url];
    let output = Client::start("mplayer", &words).succeed();
    assert!(output.contains("StreamTitle='Nina Simone - Sinnerman'"), "{output}");
}

#[test]
fn streamripper_cuts_a_stream_at_its_titles() {
    let server = with_titles();
    let _encoder = encoder(&server);
    set(&server, "song=First+-+One");
    let folder = server.folder().join("ripped");
    let url = server.url("/live");
    let words = [&url, "-d", &folder.display().to_string(), "-l", "40", "-s"];
    let _ripper = Client::start("streamripper", &words);
    // It writes each song to a file of its name; the first is incomplete, for it came in its
    // middle.
    let first = folder.join("incomplete").join("First - One.mp3");
    wait::until_true("the first song has a file", || first.is_file());
    set(&server, "song=Second+-+Two");
    let second = folder.join("incomplete").join("Second - Two.mp3");
    wait::until_true("the second song has a file", || second.is_file());
}

#[test]
fn curl_gets_the_bytes_of_the_source_and_nothing_else() {
    let server = Server::start();
    let _source = Source::play(&server, "/live", Reel { speed: 4.0, ..Reel::default() });
    let output = program("curl")
        .args(["-sS", "--max-time", "3", &server.url("/live")])
        .output()
        .expect("curl runs");
    let mut checker = Checker::default();
    checker.feed(&output.stdout).and_then(|()| checker.finish()).expect("what was sent");
    assert!(output.stdout.len() > 100 * FRAME_BYTES && checker.jumps.is_empty(), "{checker:?}");
}

#[test]
fn the_demo_can_be_heard() {
    let server = Setup::new().server("demo = true").start();
    decodes(&server, "/demo", 3);
    // The loop's end joins its beginning: it is 12.8 s long, and the burst is 5 s.
    decodes(&server, "/demo", 14);
}

#[test]
fn a_browser_plays_the_stream_in_a_page_of_another_site() {
    let server = Setup::new().server("demo = true").start();
    let site = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = site.local_addr().expect("it is bound");
    site.set_nonblocking(true).expect("a TCP socket");
    // The page asks its own site for a path that says how far the player has come.
    let page = format!(
        "<!doctype html><audio id=a autoplay muted crossorigin src=\"{}\"></audio><script>\
         setInterval(()=>{{if(a.currentTime>0.5)fetch('/plays')}},100);\
         a.onerror=()=>fetch('/fails?'+a.error.message)</script>",
        server.url("/demo")
    );
    let _browser = chromium(&server, &["--remote-debugging-port=0", &format!("http://{address}/")]);
    let asked = wait::until("the page says that its player plays", || {
        let (stream, _) = site.accept().ok()?;
        stream.set_nonblocking(false).expect("a TCP socket");
        let request = serve_page(stream, &page);
        ["/plays", "/fails"].iter().any(|path| request.contains(path)).then_some(request)
    });
    assert!(asked.starts_with("GET /plays "), "{asked}");
}

/// Answers one request of a browser with a page; gives the request.
fn serve_page(mut stream: TcpStream, page: &str) -> String {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).unwrap_or(0);
    let length = page.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
    // A browser that has gone away meanwhile asks again.
    let _ = stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{page}").as_bytes());
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[test]
fn the_landing_page_has_a_player_for_each_mount() {
    let server = Setup::new().server("demo = true").mount("/hidden", "hidden = true").start();
    let _source = Source::start(&server, "/live & <well>.mp3".replace(' ', "%20").as_str());
    let _hidden = Source::start(&server, "/hidden");
    wait::until_true("both mounts are on the page", || get(&server, "/").text().contains("well"));
    let dom = chromium(&server, &["--dump-dom", &server.url("/")]).succeed();
    for path in ["/demo", "/live%20&amp;%20%3Cwell%3E.mp3"] {
        let player = dom.split("<audio").find(|part| part.contains(&format!("src=\"{path}\"")));
        assert!(player.is_some_and(|part| part.contains("controls")), "{path}: {dom}");
    }
    assert!(dom.contains("Floe demo") && !dom.contains("/hidden"), "{dom}");
}

/// Chromium without a window.
fn chromium(server: &Server, words: &[&str]) -> Client {
    let profile = format!("--user-data-dir={}", server.folder().join("chromium").display());
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut command = program(first_installed(&names));
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--autoplay-policy=no-user-gesture-required", "--no-first-run", &profile]);
    command.args(words).env("TMPDIR", server.folder());
    Client::spawn(command)
}

#[test]
fn a_listener_is_heard_within_the_first_beat() {
    let server = Server::start();
    let source = Source::start(&server, "/live");
    let mut tune = crate::kit::tune::Tune::to(&server, "/live");
    tune.hear(40);
    let began = std::time::Instant::now();
    let sent = source.next();
    tune.hear_number(sent + 40);
    // 40 frames are 0.96 s of sound; the rest is delay, on a machine that runs other tests too.
    let delay = began.elapsed().saturating_sub(Duration::from_millis(960));
    assert!(delay < Duration::from_secs(2), "{delay:?} behind the source");
}
