//! Real encoders publish, and ffmpeg hears each of them without one error.

use std::fmt::Write as _;
use std::process::Command;

use crate::kit::clients::{Client, decodes, program};
use crate::kit::http::{Talk, authorization, get};
use crate::kit::server::Server;
use crate::kit::{audio, frames};
use crate::wait;

/// Where ffmpeg sends a stream to.
fn icecast(server: &Server, path: &str) -> String {
    format!("icecast://source:{}@{}{path}", server.source_password, server.address())
}

/// ffmpeg with more options before the address it sends to.
fn ffmpeg(server: &Server, path: &str, options: &[&str]) -> Client {
    let mut command = program("ffmpeg");
    let file = audio::mp3();
    command.args(["-v", "warning", "-nostdin", "-re", "-i"]).arg(file).args(["-c", "copy"]);
    command.args(["-f", "mp3", "-content_type", "audio/mpeg"]).args(options);
    command.arg(icecast(server, path));
    Client::spawn(command)
}

/// Waits until a mount is on air; gives its object of the status document.
#[track_caller]
fn on_air(server: &Server, path: &str) -> serde_json::Value {
    wait::until(&format!("{path} is on air"), || {
        let status = get(server, &format!("/status-json.xsl?mount={path}")).json();
        status["icestats"].get("source").cloned()
    })
}

#[test]
fn ffmpeg_publishes_by_put_and_names_its_stream() {
    let server = Server::start();
    let names = ["-ice_name", "Süd & Nord", "-ice_genre", "Test", "-ice_description", "A sine"];
    let _encoder = ffmpeg(&server, "/live.mp3", &names);
    let source = on_air(&server, "/live.mp3");
    assert_eq!(source["server_name"], "Süd & Nord");
    assert_eq!(source["genre"], "Test");
    assert_eq!(source["server_description"], "A sine");
    decodes(&server, "/live.mp3", 3);
    let source = on_air(&server, "/live.mp3");
    assert_eq!((&source["bitrate"], &source["samplerate"]), (&128.into(), &44_100.into()));
}

#[test]
fn ffmpeg_publishes_by_the_old_source_method() {
    let server = Server::start();
    let _encoder = ffmpeg(&server, "/old", &["-legacy_icecast", "1"]);
    on_air(&server, "/old");
    decodes(&server, "/old", 3);
}

#[test]
fn ffmpeg_is_told_why_it_may_not_publish() {
    let server = Server::start();
    let mut command = program("ffmpeg");
    command.args(["-nostdin", "-re", "-i"]).arg(audio::mp3()).args(["-c", "copy", "-f", "mp3"]);
    command.arg(format!("icecast://source:wrong-password@{}/live", server.address()));
    let mut encoder = Client::spawn(command);
    assert!(!encoder.wait_end().success());
    assert!(encoder.output().contains("401"), "{}", encoder.output());
}

#[test]
fn ogg_passes_through_as_it_is() {
    let server = Server::start();
    let mut command = program("ffmpeg");
    command.args(["-v", "warning", "-nostdin", "-re", "-i"]).arg(audio::ogg());
    command.args(["-c", "copy", "-f", "ogg", "-content_type", "application/ogg"]);
    command.arg(icecast(&server, "/live.ogg"));
    let _encoder = Client::spawn(command);
    let source = on_air(&server, "/live.ogg");
    assert_eq!(source["server_type"], "application/ogg");
    let mut talk = Talk::to(&server);
    let head = talk.send("GET /live.ogg HTTP/1.1\r\nIcy-MetaData: 1\r\n\r\n").head();
    assert_eq!(head.header("content-type"), Some("application/ogg"));
    assert_eq!(head.header("icy-metaint"), None, "Ogg carries its titles in its own pages");
    assert_eq!(talk.bytes(4), b"OggS");
}

#[test]
fn ezstream_publishes_over_libshout() {
    let server = Server::start();
    let port = server.address().port();
    let mut config = String::from("<ezstream><servers><server><protocol>HTTP</protocol>");
    let password = &server.source_password;
    let _ = write!(
        config,
        "<hostname>127.0.0.1</hostname><port>{port}</port><user>source</user>\
         <password>{password}</password><tls>None</tls><reconnect_attempts>1</reconnect_attempts>\
         </server></servers><streams><stream><mountpoint>/ez</mountpoint><format>MP3</format>\
         <stream_name>Over libshout</stream_name><stream_bitrate>128</stream_bitrate></stream>\
         </streams><intakes><intake><type>file</type><filename>{file}</filename></intake></intakes>\
         </ezstream>",
        file = audio::mp3().display(),
    );
    let path = server.folder().join("ezstream.xml");
    write_private(&path, &config);
    let _encoder = Client::start("ezstream", &["-c", &path.display().to_string()]);
    let source = on_air(&server, "/ez");
    assert_eq!(source["server_name"], "Over libshout");
    decodes(&server, "/ez", 3);
    let title = || on_air(&server, "/ez")["title"].as_str().map(str::to_owned);
    wait::until_true("the title from the file's tags has come", || {
        title().is_some_and(|title| title.contains(audio::TITLE.1))
    });
}

/// ezstream refuses a file with passwords that others may read.
fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut opened.expect("a new file"), text.as_bytes()).expect("room");
}

/// Liquidsoap with one output and more arguments for it.
fn liquidsoap(server: &Server, mount: &str, arguments: &str) -> Client {
    let script = format!(
        "settings.init.allow_root.set(true)\nsettings.log.stdout.set(true)\n\
         output.icecast(%mp3(bitrate=128), host=\"127.0.0.1\", port={port}, mount=\"{mount}\", \
         password=\"{password}\", name=\"From Liquidsoap\"{arguments}, single(\"{file}\"))\n",
        port = server.address().port(),
        password = server.source_password,
        file = audio::mp3().display(),
    );
    let path = server.folder().join("radio.liq");
    std::fs::write(&path, script).expect("the folder is writable");
    let mut command = program("liquidsoap");
    command.arg(&path).current_dir(server.folder());
    Client::spawn(command)
}

#[test]
fn liquidsoap_publishes_and_sends_its_titles() {
    let server = Server::start();
    let _encoder = liquidsoap(&server, "liq", "");
    assert_eq!(on_air(&server, "/liq")["server_name"], "From Liquidsoap");
    wait::until_true("the title from the file's tags has come", || {
        on_air(&server, "/liq")["title"] == format!("{} - {}", audio::TITLE.0, audio::TITLE.1)
    });
    decodes(&server, "/liq", 3);
}

#[test]
fn liquidsoap_publishes_in_chunks() {
    let server = Server::start();
    let _encoder = liquidsoap(&server, "chunks", ", chunked=true");
    on_air(&server, "/chunks");
    decodes(&server, "/chunks", 3);
}

#[test]
fn butt_publishes_from_a_sound_card_of_silence() {
    let server = Server::start();
    let folder = server.folder();
    let (port, password) = (server.address().port(), &server.source_password);
    let config = format!(
        "[main]\nserver = floe\nsrv_ent = floe\nnum_of_srv = 1\nnum_of_icy = 0\n\
         check_for_update = 0\nconnect_at_startup = 1\nforce_reconnecting = 1\n\
         [audio]\ndevice = -1\ndevice2 = -1\nsamplerate = 44100\nbitrate = 128\nchannel = 2\n\
         codec = mp3\nbuffer_ms = 50\n[record]\nbitrate = 128\ncodec = mp3\n\
         [floe]\naddress = 127.0.0.1\nport = {port}\npassword = {password}\ntype = 1\ntls = 0\n\
         mount = butt\nusr = source\n"
    );
    std::fs::write(folder.join("butt.cfg"), config).expect("the folder is writable");
    // A machine without a sound card: ALSA's own null device plays one.
    let alsa = "</usr/share/alsa/alsa.conf>\npcm.!default { type null }\n";
    std::fs::write(folder.join("asound.conf"), alsa).expect("the folder is writable");
    program("butt");
    let mut command: Command = program("xvfb-run");
    command.args(["-a", "butt", "-x", "-c"]).arg(folder.join("butt.cfg"));
    command
        .env("TMPDIR", folder)
        .env("HOME", folder)
        .env("ALSA_CONFIG_PATH", folder.join("asound.conf"));
    let _encoder = Client::spawn(command);
    assert_eq!(on_air(&server, "/butt")["server_type"], "audio/mpeg");
    decodes(&server, "/butt", 3);
}

/// curl with `-T`, at about the rate of the stream.
fn curl(server: &Server, path: &str, lines: &[&str]) -> Client {
    let mut command = program("curl");
    command.args(["-sS", "-v", "-H", "Content-Type: audio/mpeg", "--limit-rate", "24k", "-T"]);
    command.arg(audio::mp3()).args(["-u", &format!("source:{}", server.source_password)]);
    for line in lines {
        command.args(["-H", line]);
    }
    command.arg(server.url(path));
    Client::spawn(command)
}

#[test]
fn curl_publishes_in_chunks_after_100_continue() {
    let server = Server::start();
    let lines = ["Transfer-Encoding: chunked", "Expect: 100-continue"];
    let encoder = curl(&server, "/curl", &lines);
    on_air(&server, "/curl");
    decodes(&server, "/curl", 3);
    encoder.wait_output("< HTTP/1.1 100 Continue");
    assert!(!encoder.output().contains(" 200 OK"), "the 200 comes when the stream is over");
}

#[test]
fn curl_publishes_without_expect() {
    let server = Server::start();
    let encoder = curl(&server, "/curl", &["Expect:", "Transfer-Encoding: chunked"]);
    on_air(&server, "/curl");
    decodes(&server, "/curl", 3);
    encoder.wait_output("< HTTP/1.0 200 OK");
}

#[test]
fn an_upload_of_known_length_gets_its_200_at_the_end() {
    let server = Server::start();
    let line = authorization("source", &server.source_password);
    let body = frames::frames(0, 100);
    let mut talk = Talk::to(&server);
    talk.send(format!(
        "PUT /upload HTTP/1.1\r\n{line}Content-Type: audio/mpeg\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    ));
    assert_eq!(talk.head().status, 100);
    let answer = talk.send(body).head();
    assert_eq!(answer.start, "HTTP/1.1 200 OK");
}

#[test]
fn every_old_handshake_is_answered_with_http_1_0() {
    let server = Server::start();
    let line = authorization("source", &server.source_password);
    for (number, protocol) in ["HTTP/1.0", "HTTP/1.1", "ICE/1.0"].iter().enumerate() {
        let path = format!("/old{number}");
        let mut talk = Talk::to(&server);
        talk.send(format!("SOURCE {path} {protocol}\r\n{line}\r\n"));
        let answer = talk.head();
        assert_eq!(answer.start, "HTTP/1.0 200 OK", "{protocol}");
        assert!(answer.headers.is_empty(), "some clients read one line: {answer:?}");
        talk.send(frames::frames(0, 50));
        assert_eq!(on_air(&server, &path)["server_type"], "audio/mpeg", "{protocol}");
    }
}

#[test]
fn a_source_without_credentials_may_ask_again_on_the_same_connection() {
    // libshout asks so first, to learn what the server wants, and does not connect anew.
    let server = Server::start();
    let mut talk = Talk::to(&server);
    talk.send("SOURCE /live HTTP/1.0\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n");
    let refused = talk.answer();
    assert_eq!((refused.status, refused.header("connection")), (401, Some("Keep-Alive")));
    let line = authorization("source", &server.source_password);
    let answer = talk.send(format!("SOURCE /live HTTP/1.0\r\n{line}\r\n")).head();
    assert_eq!(answer.status, 200);
}
