//! What the control thread knows of mounts, and the documents made of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{MountId, WallTime};
use crate::config::Config;
use crate::domain::bus::{IngestToControl, MountInfo, Pages, StreamFacts, TitleBlock};
use crate::domain::stats::ServerCounters;
use crate::proto::icecast::{Measured, SERVER_ID};
use crate::proto::playlist::listen_url;
use crate::proto::status::{Health, ParserStatus, ServerStatus, SourceStatus, StatusDocument};
use crate::proto::title::Title;
use crate::rt::clock::Clock;

use super::pages;

/// A mount that is up.
pub(super) struct Entry {
    pub(super) info: Arc<MountInfo>,
    pub(super) title: Option<Arc<TitleBlock>>,
    facts: StreamFacts,
}

/// The mounts that are up.
pub(super) struct Roster {
    config: Arc<Config>,
    counters: Arc<ServerCounters>,
    clock: Clock,
    started: WallTime,
    entries: HashMap<MountId, Entry>,
}

impl Roster {
    pub(super) fn new(
        config: Arc<Config>,
        counters: Arc<ServerCounters>,
        clock: Clock,
        started: WallTime,
    ) -> Self {
        Self { config, counters, clock, started, entries: HashMap::new() }
    }

    /// Takes note of what the source core says.
    pub(super) fn told(&mut self, message: IngestToControl) {
        match message {
            IngestToControl::MountUp(info) => {
                let id = info.id;
                let title = self.entries.remove(&id).and_then(|entry| entry.title);
                self.entries.insert(id, Entry { info, title, facts: StreamFacts::default() });
            }
            IngestToControl::MountDown(id) => {
                self.entries.remove(&id);
            }
            IngestToControl::Title(id, title) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.title = Some(title);
                }
            }
            IngestToControl::Facts(id, facts) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.facts = facts;
                }
            }
        }
    }

    /// The documents as of now; `stuck` names the cores that make no progress.
    pub(super) fn render(&self, draining: bool, stuck: &[&str]) -> Arc<Pages> {
        let server = &self.config.server;
        let status = ServerStatus {
            admin: &server.admin_contact,
            host: &server.hostname,
            location: &server.location,
            server_id: SERVER_ID,
            started: self.started,
        };
        let mut shown: Vec<&Entry> =
            self.entries.values().filter(|entry| !entry.info.settings.hidden).collect();
        shown.sort_by(|one, other| one.info.path.cmp(&other.info.path));
        let host = server.authority();
        let sources = shown
            .iter()
            .map(|entry| (entry.info.path.to_string(), self.source(entry, &host)))
            .collect();
        let health = Health {
            draining,
            stuck,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.clock.now().0 / 1_000_000,
            listeners: self.counters.listeners.now().into(),
            sources: self.counters.sources.now().into(),
        };
        Arc::new(Pages {
            landing: pages::landing(server, &shown),
            health: health.render(),
            degraded: !stuck.is_empty(),
            status: StatusDocument::new(&status, sources),
        })
    }

    fn source(&self, entry: &Entry, host: &str) -> String {
        let Entry { info, title, facts } = entry;
        let (settings, headers) = (&info.settings, &info.headers);
        let audio = headers.audio_info();
        let measured = Measured {
            bitrate_kbps: facts.bitrate_kbps,
            sample_rate: facts.sample_rate,
            channels: facts.channels.map(u32::from),
        };
        let url = listen_url(false, host, &info.path);
        let title = title.as_ref().map(|block| &block.title);
        let (artist, alone) = title.map(Title::parts).unzip();
        SourceStatus {
            artist: artist.flatten(),
            artwork: title.and_then(|title| title.artwork.as_deref()),
            audio_info: headers.audio_info_corrected(&measured).as_deref(),
            bitrate_kbps: facts.bitrate_kbps.or(headers.bitrate_kbps()),
            channels: measured.channels.or(audio.channels),
            format_mismatch: facts.mismatch,
            genre: settings.genre.as_deref().or(headers.genre.as_deref()),
            listener_peak: info.counters.listeners.peak(),
            listeners: info.counters.listeners.now(),
            listen_url: &url,
            metadata_url: title.and_then(|title| title.url.as_deref()),
            parser: parser_status(facts),
            sample_rate: facts.sample_rate.or(audio.sample_rate),
            description: settings.description.as_deref().or(headers.description.as_deref()),
            name: settings.name.as_deref().or(headers.name.as_deref()),
            content_type: info.content_type(),
            url: settings.url.as_deref().or(headers.url.as_deref()),
            started: info.since,
            subtype: subtype(facts).as_deref(),
            title: alone,
            playing: title.map(|title| title.text.as_str()),
            public: settings.public.or(headers.public).unwrap_or(false),
        }
        .render()
    }
}

/// The codecs of a stream in one word, as Icecast joins them.
fn subtype(facts: &StreamFacts) -> Option<Cow<'static, str>> {
    match (facts.video_codec, facts.codec) {
        (Some(video), Some(audio)) => Some(format!("{video}/{audio}").into()),
        (one, other) => one.or(other).map(Cow::Borrowed),
    }
}

/// The parser's figures, where the stream has a parser.
fn parser_status(facts: &StreamFacts) -> Option<ParserStatus<'static>> {
    let counters = &facts.counters;
    facts.format.map(|format| ParserStatus {
        format,
        frame_us: facts.frame_us,
        frames: counters.frames,
        junk_bytes: counters.junk_bytes,
        resyncs: counters.resyncs,
        tag_bytes: counters.tag_bytes,
        crc_errors: counters.crc_errors,
        gaps: counters.gaps,
    })
}
