//! What the wire grammars cost: one request head, one stream head, one metadata block, one status
//! document of 1,000 mounts, and de-chunking. A listener that joins costs the first two once.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use floe::base::WallTime;
use floe::proto::chunked::{ChunkStep, ChunkedDecoder};
use floe::proto::http::{Protocol, RequestHead, head_end};
use floe::proto::icecast::{
    LiveRange, SERVER_ID, SourceHeaders, StreamHeadParts, StreamLines, StreamNames, stream_head,
};
use floe::proto::icy::meta_block;
use floe::proto::status::{ServerStatus, SourceStatus, StatusDocument};
use floe::proto::title::Title;

const REQUEST: &[u8] = b"GET /live?x=1 HTTP/1.1\r\nHost: localhost:8000\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Accept: */*\r\nAccept-Encoding: identity;q=1, *;q=0\r\nRange: bytes=0-\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: audio\r\n\
    Icy-MetaData: 1\r\nConnection: keep-alive\r\n\r\n";

fn main() {
    divan::main();
}

#[divan::bench]
fn request_head(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(REQUEST)).with_inputs(|| REQUEST.to_vec()).bench_refs(
        |buf| {
            assert!(head_end(buf, 0).is_some());
            RequestHead::parse(buf).map(|head| (head.wants_icy(), head.keep_alive()))
        },
    );
}

#[divan::bench]
fn listener_head(bencher: Bencher<'_, '_>) {
    let source = SourceHeaders {
        name: Some("Example".to_owned()),
        description: Some("A stream of examples".to_owned()),
        audio_info: Some("bitrate=128;channels=2".to_owned()),
        ..SourceHeaders::default()
    };
    let parts = StreamHeadParts {
        server: SERVER_ID,
        date: WallTime(784_111_777),
        content_type: "audio/mpeg",
        stream: &StreamLines::rewrite(&source, &StreamNames::default()),
        headers: &[],
        cors: None,
    };
    bencher
        .bench(|| stream_head(black_box(&parts), Protocol::Http11, Some(16_000), LiveRange::Whole));
}

#[divan::bench]
fn icy_block(bencher: Bencher<'_, '_>) {
    let title = Title {
        text: "Sigur Rós - Sæglópur (live at 'Ásbyrgi')".to_owned(),
        url: Some("https://radio.example/now".to_owned()),
        ..Title::default()
    };
    bencher.bench(|| meta_block(black_box(&title)));
}

#[divan::bench]
fn status_json_of_1000_mounts(bencher: Bencher<'_, '_>) {
    let server = ServerStatus {
        admin: "icemaster@localhost",
        host: "localhost",
        location: "Earth",
        server_id: SERVER_ID,
        started: WallTime(784_111_777),
    };
    let mounts: Vec<String> = (0..1_000).map(|index| format!("/radio/{index}")).collect();
    bencher.bench(|| {
        let render = |mount: &String| {
            let source = SourceStatus {
                name: Some("Example"),
                artist: Some("Sigur Rós"),
                title: Some("Sæglópur"),
                playing: Some("Sigur Rós - Sæglópur"),
                listen_url: mount,
                content_type: "audio/mpeg",
                bitrate_kbps: Some(128),
                listeners: 17,
                public: true,
                ..SourceStatus::default()
            };
            (mount.clone(), source.render())
        };
        StatusDocument::new(black_box(&server), mounts.iter().map(render).collect())
    });
}

#[divan::bench]
fn chunked_body(bencher: Bencher<'_, '_>) {
    let mut wire = Vec::new();
    for _ in 0..16 {
        wire.extend_from_slice(b"400\r\n");
        wire.resize(wire.len() + 1024, 0xaa);
        wire.extend_from_slice(b"\r\n");
    }
    bencher.counter(BytesCount::of_slice(&wire)).bench(|| {
        let mut decoder = ChunkedDecoder::new();
        let (mut at, mut bytes) = (0, 0);
        while let ChunkStep::Data(range) = decoder.step(black_box(&wire[at..])) {
            bytes += range.len();
            at += range.end;
        }
        bytes
    });
}
