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
    /// `ice-audio-info` as sent.
    pub audio_info: Option<&'a str>,
    /// Nominal bitrate in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Channels.
    pub channels: Option<u32>,
    /// The genre.
    pub genre: Option<&'a str>,
    /// The most listeners at once since the source began.
    pub listener_peak: u32,
    /// Listeners now.
    pub listeners: u32,
    /// The mount's URL; consumers take the mount from its path.
    pub listen_url: &'a str,
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
    /// What is playing.
    pub title: Option<&'a str>,
    /// Whether directories list the stream; then what is playing is said once more under the name
    /// that AzuraCast reads first.
    pub public: bool,
}

impl SourceStatus<'_> {
    /// One source as a JSON object, its fields in Icecast's order, which is that of their names.
    /// Text is always a string: Icecast 2.4 turns a title `42` into a number and `-` into invalid
    /// JSON. Counts are numbers, as exporters decode them.
    ///
    /// Where Icecast's last field is one its style sheet hides, the object ends with
    /// `"dummy":null`. That is so unless `yp_currently_playing` is there. Nothing reads it, yet
    /// scripts that cut JSON with regular expressions were made for it.
    pub fn render(&self) -> String {
        let mut object = Object::new();
        object.text_if("artist", self.artist);
        object.text_if("audio_info", self.audio_info);
        object.number_if("bitrate", self.bitrate_kbps);
        object.number_if("channels", self.channels);
        object.text("genre", self.genre.unwrap_or("various"));
        object.number("listener_peak", self.listener_peak.into());
        object.number("listeners", self.listeners.into());
        object.text("listenurl", self.listen_url);
        object.number_if("samplerate", self.sample_rate);
        object.text("server_description", self.description.unwrap_or("Unspecified description"));
        object.text("server_name", self.name.unwrap_or("Unspecified name"));
        object.text("server_type", self.content_type);
        object.text_if("server_url", self.url);
        object.text("stream_start", &self.started.icecast_date());
        object.text("stream_start_iso8601", &self.started.icecast_iso8601());
        object.text_if("title", self.title);
        match self.title.filter(|_| self.public) {
            Some(title) => object.text("yp_currently_playing", title),
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
