//! The status documents monitors and now-playing services fetch: Icecast 2.4's `/status-json.xsl`,
//! and `/health`. A source is rendered once when its figures change; a document joins what was
//! rendered, so that `?mount=` costs nothing more.

use std::borrow::Cow;

use crate::base::WallTime;

use super::json::Object;

/// What the document says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerStatus<'a> {
    /// The operator's contact.
    pub admin: &'a str,
    /// The host name.
    pub host: &'a str,
    /// Where the server is, in the operator's words.
    pub location: &'a str,
    /// See [`super::icecast::SERVER_ID`].
    pub server_id: &'a str,
    /// When the server started.
    pub started: WallTime,
}

/// What the document says about one source. Absent figures have no field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus<'a> {
    /// The artist, where it came apart from the title.
    pub artist: Option<&'a str>,
    /// Where the cover is.
    pub artwork: Option<&'a str>,
    /// `ice-audio-info`: see [`super::icecast::SourceHeaders::audio_info_corrected`].
    pub audio_info: Option<&'a str>,
    /// Nominal bitrate in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// Whether the bytes are of another format than the source says.
    pub format_mismatch: bool,
    /// The genre.
    pub genre: Option<&'a str>,
    /// The most listeners at once since the source began.
    pub listener_peak: u32,
    /// Listeners now.
    pub listeners: u32,
    /// The mount's URL; consumers take the mount from its path.
    pub listen_url: &'a str,
    /// Where to read more of what is playing.
    pub metadata_url: Option<&'a str>,
    /// What the parser has seen; `None` for a stream without one.
    pub parser: Option<ParserStatus<'a>>,
    /// Samples a second.
    pub sample_rate: Option<u32>,
    /// The description.
    pub description: Option<&'a str>,
    /// The stream's name.
    pub name: Option<&'a str>,
    /// The content type.
    pub content_type: &'a str,
    /// The station's page.
    pub url: Option<&'a str>,
    /// When the source began.
    pub started: WallTime,
    /// The codecs, that of the video first: `Theora/Vorbis`.
    pub subtype: Option<&'a str>,
    /// What is playing, without the artist where that is apart.
    pub title: Option<&'a str>,
    /// What is playing in one line, said again for a stream that directories list.
    pub playing: Option<&'a str>,
    /// Whether directories list the stream; then what is playing is said once more under the name
    /// that AzuraCast reads first.
    pub public: bool,
}

/// What the parser of a stream has seen since its source came. Icecast has no such figures, so
/// they stand apart in an object of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParserStatus<'a> {
    /// The format the bytes are parsed as.
    pub format: &'a str,
    /// Microseconds that the last unit plays.
    pub frame_us: Option<u32>,
    /// Units delivered.
    pub frames: u64,
    /// Bytes left out because they belonged to nothing known.
    pub junk_bytes: u64,
    /// Times the parser had to look for the next unit.
    pub resyncs: u64,
    /// Bytes of tags and structure left out.
    pub tag_bytes: u64,
    /// Units left out because their checksum was wrong.
    pub crc_errors: u64,
    /// Units that the source's own numbering says are missing.
    pub gaps: u64,
}

impl ParserStatus<'_> {
    fn render(&self) -> String {
        let mut object = Object::new();
        object.number("crc_errors", self.crc_errors);
        object.text("format", self.format);
        object.number_if("frame_us", self.frame_us);
        object.number("frames", self.frames);
        object.number("gaps", self.gaps);
        object.number("junk_bytes", self.junk_bytes);
        object.number("resyncs", self.resyncs);
        object.number("tag_bytes", self.tag_bytes);
        object.close()
    }
}

impl SourceStatus<'_> {
    /// One source as a JSON object, its fields in Icecast's order, which is that of their names.
    /// `artwork` and `metadata_url` are icecast-kh's, `format_mismatch` and `parser` this server's
    /// own.
    ///
    /// Text is always a string: Icecast 2.4 turns a title `42` into a number and `-` into invalid
    /// JSON. Counts are numbers, as exporters decode them.
    ///
    /// Where Icecast's last field is one its style sheet hides, the object ends with
    /// `"dummy":null`. That is so unless `yp_currently_playing` is there. Nothing reads it, yet
    /// scripts that cut JSON with regular expressions were made for it.
    pub fn render(&self) -> String {
        let mut object = Object::new();
        object.text_if("artist", self.artist);
        object.text_if("artwork", self.artwork);
        object.text_if("audio_info", self.audio_info);
        object.number_if("bitrate", self.bitrate_kbps);
        object.number_if("channels", self.channels);
        if self.format_mismatch {
            object.raw("format_mismatch", "true");
        }
        object.text("genre", self.genre.unwrap_or("various"));
        object.number("listener_peak", self.listener_peak.into());
        object.number("listeners", self.listeners.into());
        object.text("listenurl", self.listen_url);
        object.text_if("metadata_url", self.metadata_url);
        if let Some(parser) = &self.parser {
            object.raw("parser", &parser.render());
        }
        object.number_if("samplerate", self.sample_rate);
        object.text("server_description", self.description.unwrap_or("Unspecified description"));
        object.text("server_name", self.name.unwrap_or("Unspecified name"));
        object.text("server_type", self.content_type);
        object.text_if("server_url", self.url);
        object.text("stream_start", &self.started.icecast_date());
        object.text("stream_start_iso8601", &self.started.icecast_iso8601());
        object.text_if("subtype", self.subtype);
        object.text_if("title", self.title);
        match self.playing.filter(|_| self.public) {
            Some(playing) => object.text("yp_currently_playing", playing),
            None => object.raw("dummy", "null"),
        }
        object.close()
    }
}

/// `/status-json.xsl`: every source as [`SourceStatus::render`] gave it, under its mount's path,
/// ready to be handed out whole or for one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusDocument {
    /// The fields of the server, without the object's end.
    server: String,
    /// The whole document.
    whole: String,
    /// Mount paths and sources, sorted by path.
    sources: Vec<(String, String)>,
}

impl StatusDocument {
    /// The document over `sources`, each a mount's path and its rendered status.
    pub fn new(server: &ServerStatus<'_>, mut sources: Vec<(String, String)>) -> Self {
        sources.sort_unstable();
        let mut stats = Object::new();
        stats.text("admin", server.admin);
        stats.text("host", server.host);
        stats.text("location", server.location);
        stats.text("server_id", server.server_id);
        stats.text("server_start", &server.started.icecast_date());
        stats.text("server_start_iso8601", &server.started.icecast_iso8601());
        let server = stats.open();
        let whole = joined(&server, sources.iter().map(|(_, source)| source.as_str()));
        Self { server, whole, sources }
    }

    /// The document as text: of all mounts, or of one for `?mount=`. A mount that is not there
    /// gives the document without sources, as Icecast does.
    pub fn text(&self, mount: Option<&str>) -> Cow<'_, str> {
        let Some(mount) = mount else { return Cow::Borrowed(&self.whole) };
        let found = self.sources.binary_search_by(|(path, _)| path.as_str().cmp(mount));
        let source = found.ok().map(|index| self.sources[index].1.as_str());
        Cow::Owned(joined(&self.server, source.into_iter()))
    }
}

/// Closes the document over its sources. One source is an object, more are an array, none is no
/// field, and then the document ends with `"dummy":null`: consumers were written against all three.
fn joined<'a>(server: &str, sources: impl Iterator<Item = &'a str> + Clone) -> String {
    let bytes: usize = sources.clone().map(|source| source.len() + 1).sum();
    let mut out = String::with_capacity(server.len() + bytes + 32);
    out.push_str("{\"icestats\":");
    out.push_str(server);
    let many = sources.clone().nth(1).is_some();
    let mut empty = true;
    for source in sources {
        out.push_str(match (empty, many) {
            (true, false) => ",\"source\":",
            (true, true) => ",\"source\":[",
            (false, _) => ",",
        });
        out.push_str(source);
        empty = false;
    }
    out.push_str(match (empty, many) {
        (true, _) => ",\"dummy\":null}}",
        (false, true) => "]}}",
        (false, false) => "}}",
    });
    out
}

/// What `/health` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health<'a> {
    /// Whether the server is shutting down; a balancer should send nobody new.
    pub draining: bool,
    /// The names of cores that are stuck; a balancer should send nobody new either.
    pub stuck: &'a [&'a str],
    /// The server's version.
    pub version: &'a str,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Listeners now.
    pub listeners: u64,
    /// Sources now.
    pub sources: u64,
}

impl Health<'_> {
    /// The document; the names of its totals are those of RSAS, the one server of the family that
    /// has such a page. `stuck_cores` is there only if there are some.
    pub fn render(&self) -> String {
        let status = match self {
            Self { draining: true, .. } => "draining",
            Self { stuck: [], .. } => "ok",
            _ => "degraded",
        };
        let mut object = Object::new();
        object.text("status", status);
        object.text("version", self.version);
        object.number("uptime_seconds", self.uptime_s);
        object.number("total_listener_count", self.listeners);
        object.number("total_source_count", self.sources);
        if !self.stuck.is_empty() {
            object.texts("stuck_cores", self.stuck);
        }
        object.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    const SERVER: ServerStatus<'_> = ServerStatus {
        admin: "icemaster@localhost",
        host: "localhost",
        location: "Earth",
        server_id: "Icecast 2.4.4",
        started: WallTime(784_111_777),
    };

    fn source<'a>() -> SourceStatus<'a> {
        SourceStatus {
            listen_url: "http://localhost:8000/live",
            content_type: "audio/mpeg",
            listeners: 3,
            listener_peak: 5,
            started: WallTime(784_111_777),
            ..SourceStatus::default()
        }
    }

    fn parsed(json: &str) -> Value {
        serde_json::from_str(json).expect("valid JSON")
    }

    #[test]
    fn a_source_has_icecasts_fields_in_icecasts_order() {
        assert_eq!(
            source().render(),
            "{\"genre\":\"various\",\"listener_peak\":5,\"listeners\":3,\
             \"listenurl\":\"http://localhost:8000/live\",\
             \"server_description\":\"Unspecified description\",\
             \"server_name\":\"Unspecified name\",\"server_type\":\"audio/mpeg\",\
             \"stream_start\":\"Sun, 06 Nov 1994 08:49:37 +0000\",\
             \"stream_start_iso8601\":\"1994-11-06T08:49:37+0000\",\"dummy\":null}"
        );
    }

    #[test]
    fn text_stays_text_and_counts_stay_numbers() {
        for title in ["42", "-", "true", "\"\\\n</script>", ""] {
            let full = SourceStatus {
                title: Some(title),
                playing: Some(title),
                bitrate_kbps: Some(128),
                public: true,
                ..source()
            };
            let json = parsed(&full.render());
            assert_eq!(json["title"], title);
            assert_eq!(json["yp_currently_playing"], title);
            assert_eq!(json["bitrate"], 128);
            assert!(json.get("dummy").is_none());
        }
    }

    #[test]
    fn artist_and_title_are_apart_and_said_together_once_more() {
        let full = SourceStatus {
            artist: Some("A"),
            title: Some("B"),
            playing: Some("A - B"),
            artwork: Some("http://a/c.jpg"),
            metadata_url: Some("http://a/"),
            public: true,
            ..source()
        };
        let json = parsed(&full.render());
        assert_eq!((&json["artist"], &json["title"]), (&"A".into(), &"B".into()));
        assert_eq!(json["yp_currently_playing"], "A - B");
        assert_eq!(json["artwork"], "http://a/c.jpg");
        assert_eq!(json["metadata_url"], "http://a/");
        let json = parsed(&SourceStatus { public: false, ..full }.render());
        assert!(json.get("yp_currently_playing").is_none() && json.get("dummy").is_some());
    }

    #[test]
    fn facts_of_the_parser_stand_apart_and_a_mismatch_only_where_there_is_one() {
        let parser = ParserStatus {
            format: "MPEG audio",
            frame_us: Some(26_122),
            frames: 3,
            junk_bytes: 7,
            ..ParserStatus::default()
        };
        let full = SourceStatus {
            parser: Some(parser),
            subtype: Some("MP3"),
            format_mismatch: true,
            ..source()
        };
        let text = full.render();
        let json = parsed(&text);
        assert_eq!(json["parser"]["format"], "MPEG audio");
        assert_eq!(json["parser"]["junk_bytes"], 7);
        assert_eq!((&json["parser"]["gaps"], &json["subtype"]), (&0.into(), &"MP3".into()));
        assert_eq!(json["format_mismatch"], true);
        let names = ["format_mismatch", "genre", "parser", "server_name", "subtype", "dummy"];
        let at = names.map(|name| text.find(&format!("\"{name}\":")).expect(name));
        assert!(at.is_sorted(), "{text}");
        assert!(parsed(&source().render()).get("format_mismatch").is_none());
    }

    fn document(count: usize) -> StatusDocument {
        let sources = (0..count).map(|index| (format!("/{index}"), source().render())).collect();
        StatusDocument::new(&SERVER, sources)
    }

    #[test]
    fn none_one_and_many_sources_have_icecasts_three_shapes() {
        let stats = |count| parsed(&document(count).text(None))["icestats"].clone();
        assert!(stats(0).get("source").is_none() && stats(0).get("dummy").is_some());
        assert_eq!(stats(1)["source"]["listeners"], 3);
        assert!(stats(1).get("dummy").is_none());
        assert_eq!(stats(2)["source"].as_array().map(Vec::len), Some(2));
        assert_eq!(stats(5)["source"].as_array().map(Vec::len), Some(5));
        assert_eq!(stats(1)["server_start_iso8601"], "1994-11-06T08:49:37+0000");
    }

    #[test]
    fn one_mount_can_be_asked_for() {
        let document = document(3);
        assert_eq!(document.text(Some("/1")), self::document(1).text(None));
        assert_eq!(document.text(Some("/absent")), self::document(0).text(None));
    }

    #[test]
    fn health_says_what_is_wrong() {
        let health = Health { version: "0.1.0", listeners: 7, ..Health::default() };
        let fine = parsed(&health.render());
        assert_eq!((&fine["status"], &fine["total_listener_count"]), (&"ok".into(), &7.into()));
        assert_eq!(fine.get("stuck_cores"), None);
        let health = Health { stuck: &["floe-core-1"], ..health };
        let degraded = parsed(&health.render());
        assert_eq!(degraded["status"], "degraded");
        assert_eq!(degraded["stuck_cores"], Value::from(["floe-core-1"].as_slice()));
        let health = Health { draining: true, ..health };
        assert_eq!(parsed(&health.render())["status"], "draining");
    }

    proptest! {
        #[test]
        fn any_words_make_valid_json(words: String) {
            let source = SourceStatus {
                name: Some(&words), title: Some(&words), listen_url: &words, ..source()
            };
            let sources = vec![("/live".to_owned(), source.render())];
            let document = StatusDocument::new(&SERVER, sources);
            let json = parsed(&document.text(None));
            prop_assert_eq!(json["icestats"]["source"]["title"].as_str(), Some(words.as_str()));
        }
    }
}
