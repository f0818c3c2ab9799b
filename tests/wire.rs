//! Talks of real clients, replayed against the wire grammars: what each request is understood as,
//! and the exact bytes it is answered with. The talks stand in `tests/wire/*.txt`:
//!
//! - `== …` begins a talk and says what it shows,
//! - `> …` is a line of the request, `< …` of the answer, line ends and odd bytes escaped,
//! - `? key value` is something the request must be understood as,
//! - `! kind` is the decision whose answer follows.

use floe::base::{CloseReason, WallTime};
use floe::proto::answer::{Answer, AnswerContext};
use floe::proto::cors::CorsGrant;
use floe::proto::http::{BodyKind, HeadFault, RequestHead, head_end};
use floe::proto::icecast::{
    AdminReply, Handshake, LiveRange, Place, RefusalContext, SERVER_ID, SourceHeaders,
    StreamHeadParts, StreamLines, StreamNames, options, refusal, stream_head,
};
use floe::proto::title::{Title, TitleUpdate};
use floe::proto::{credentials, query};

const TALKS: &[(&str, &str)] = &[
    ("libshout", include_str!("wire/libshout.txt")),
    ("encoders", include_str!("wire/encoders.txt")),
    ("listeners", include_str!("wire/listeners.txt")),
];

const DATE: WallTime = WallTime(784_111_777);

/// One request with what is expected of it.
#[derive(Default)]
struct Talk {
    name: String,
    request: Vec<u8>,
    facts: Vec<(String, String)>,
    answers: Vec<(String, Vec<u8>)>,
}

fn talks() -> Vec<Talk> {
    let mut talks: Vec<Talk> = Vec::new();
    for (file, text) in TALKS {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (mark, rest) = line.split_once(' ').expect("a mark and what it marks");
            if mark == "==" {
                talks.push(Talk { name: format!("{file}: {rest}"), ..Talk::default() });
                continue;
            }
            let talk = talks.last_mut().expect("a talk begins with ==");
            match mark {
                ">" => talk.request.extend(unescaped(rest)),
                "?" => {
                    let (key, value) = rest.split_once(' ').expect("a key and its value");
                    talk.facts.push((key.to_owned(), value.to_owned()));
                }
                "!" => talk.answers.push((rest.to_owned(), Vec::new())),
                "<" => {
                    let answer = talk.answers.last_mut().expect("an answer follows its kind");
                    answer.1.extend(unescaped(&rest.replace("{server}", SERVER_ID)));
                }
                other => panic!("{}: unknown mark {other}", talk.name),
            }
        }
    }
    assert!(talks.iter().all(|talk| !talk.request.is_empty()));
    talks
}

/// `\r`, `\n` and `\xhh` as the bytes they stand for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = text.split('\\');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let taken = match part.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b'x', ..] => (u8::from_str_radix(&part[1..3], 16).expect("two hexadecimal digits"), 3),
            _ => panic!("unknown escape in {text}"),
        };
        bytes.push(taken.0);
        bytes.extend(part[taken.1..].bytes());
    }
    bytes
}

/// What a request is understood as, under the key of a talk's fact.
fn fact(head: &RequestHead<'_>, key: &str) -> String {
    let yes = |flag: bool| (if flag { "yes" } else { "no" }).to_owned();
    let source = SourceHeaders::from_head(head);
    let parameter = |name: &str| query::value(head.query.unwrap_or_default().as_bytes(), name);
    match key {
        "method" => head.method.name().to_owned(),
        "protocol" => head.protocol.name().to_owned(),
        "path" => head.path.clone(),
        "body" => match head.body() {
            Ok(BodyKind::Chunked) => "chunked".to_owned(),
            Ok(BodyKind::Length(bytes)) => bytes.to_string(),
            Ok(BodyKind::UntilClose) => "until-close".to_owned(),
            Err(fault) => format!("{fault:?}"),
        },
        "expects" => yes(head.expects_continue()),
        "keep-alive" => yes(head.keep_alive()),
        "icy" => yes(head.wants_icy()),
        "user" => {
            let named = head.header("authorization").map(credentials::basic);
            named.map_or("-".to_owned(), |named| named.expect("valid credentials").user)
        }
        "type" => source.content_type,
        "name" => source.name.unwrap_or_default(),
        "genre" => source.genre.unwrap_or_default(),
        "public" => source.public.map_or("-".to_owned(), yes),
        "bitrate" => source.bitrate_kbps().map_or("-".to_owned(), |kbps| kbps.to_string()),
        "quality" => source.audio_info().quality.unwrap_or_default(),
        "mount" => String::from_utf8(parameter("mount").expect("a mount").into()).expect("UTF-8"),
        "title" => {
            let (song, charset) = (parameter("song"), parameter("charset"));
            let (song, charset) = (song.as_deref(), charset.as_deref());
            Title::from_update(&TitleUpdate { song, charset, ..TitleUpdate::default() }).text
        }
        other => panic!("unknown fact {other}"),
    }
}

fn answer(head: &RequestHead<'_>, kind: &str) -> Vec<u8> {
    let (kind, detail) = kind.split_once(' ').unwrap_or((kind, ""));
    match kind {
        "source" => Handshake::of(head).welcome().to_vec(),
        "source-end" => Handshake::of(head).farewell().to_vec(),
        "listen" => listener_head(head),
        "metadata" => written(head, &AdminReply::MetadataUpdated.answer()),
        "options" if detail == "free" => written(head, &options(head, Place::FreeMount)),
        "options" => written(head, &options(head, Place::LiveMount)),
        "refuse" => {
            let mut reasons = CloseReason::ALL.iter();
            let reason = reasons.find(|reason| reason.label() == detail).expect("a close reason");
            written(head, &refusal(*reason, &RefusalContext::default()))
        }
        other => panic!("unknown answer {other}"),
    }
}

fn written(head: &RequestHead<'_>, answer: &Answer) -> Vec<u8> {
    answer.to_bytes(&AnswerContext {
        protocol: head.protocol,
        server: SERVER_ID,
        date: DATE,
        keep_alive: head.keep_alive(),
        head_only: false,
        cors: CorsGrant::decide(head.header("origin"), &["*"]),
    })
}

fn listener_head(head: &RequestHead<'_>) -> Vec<u8> {
    let source = SourceHeaders {
        name: Some("Example".to_owned()),
        genre: Some("Various".to_owned()),
        public: Some(true),
        audio_info: Some("bitrate=128;channels=2".to_owned()),
        ..SourceHeaders::default()
    };
    let parts = StreamHeadParts {
        server: SERVER_ID,
        date: DATE,
        content_type: "audio/mpeg",
        stream: &StreamLines::rewrite(&source, &StreamNames::default()),
        headers: &[],
        cors: CorsGrant::decide(head.header("origin"), &["*"]),
    };
    let icy_interval = head.wants_icy().then_some(16_000);
    stream_head(&parts, head.protocol, icy_interval, LiveRange::of(head))
}

#[test]
fn every_client_is_understood_and_answered_in_its_own_way() {
    for talk in talks() {
        let mut request = talk.request.clone();
        let head = RequestHead::parse(&mut request).expect(&talk.name);
        for (key, value) in &talk.facts {
            assert_eq!(&fact(&head, key), value, "{} ({key})", talk.name);
        }
        for (kind, expected) in &talk.answers {
            let answer = answer(&head, kind);
            let (seen, expected) = (answer.escape_ascii(), expected.escape_ascii());
            assert_eq!(seen.to_string(), expected.to_string(), "{} ({kind})", talk.name);
        }
    }
}

#[test]
fn every_line_of_an_answer_has_a_colon() {
    // VLC gives a stream up at a header line without one.
    for talk in talks() {
        for (_, answer) in &talk.answers {
            let end = head_end(answer, 0).expect("an answer has a head");
            let head = std::str::from_utf8(&answer[..end]).expect("UTF-8");
            let lines = head.trim_end().split("\r\n").skip(1);
            assert!(lines.into_iter().all(|line| line.contains(':')), "{}", talk.name);
        }
    }
}

#[test]
fn a_request_cut_at_any_byte_is_no_request_yet() {
    for talk in talks() {
        for cut in 0..talk.request.len() {
            let mut part = talk.request[..cut].to_vec();
            assert_eq!(head_end(&part, 0), None, "{} cut at {cut}", talk.name);
            assert_eq!(RequestHead::parse(&mut part).err(), Some(HeadFault::Line));
        }
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_ends_where_it_ends_at_once() {
    for talk in talks() {
        let mut wire = talk.request.clone();
        wire.extend_from_slice(b"\xff\xfb\x90\x64\r\n\r\n");
        let grown = (1..=wire.len()).find_map(|end| head_end(&wire[..end], end - 1));
        assert_eq!(grown, Some(talk.request.len()), "{}", talk.name);
        assert_eq!(head_end(&wire, 0), grown, "{}", talk.name);
    }
}
