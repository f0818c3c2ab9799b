//! The demo mount: a loop of the project's own making, played in real time on `/demo`, so that a
//! first start has something to hear. It is a source like any other, only without a socket.

use std::net::{IpAddr, Ipv4Addr};

use crate::base::{ConnId, CoreIndex, Moment, SourceId, WallTime};
use crate::domain::bus::Claim;
use crate::proto::icecast::SourceHeaders;
use crate::proto::title::Title;

use super::stage::Stage;

/// MP3, constant bitrate, no bit reservoir across frames, so that the end joins the beginning. Made
/// by
/// `demo/make.sh`.
const LOOP: &[u8] = include_bytes!("demo/loop.mp3");

/// The loop's bitrate.
const BYTES_PER_SECOND: u64 = 128_000 / 8;

const PATH: &str = "/demo";

/// No core has this number, so that no answer goes anywhere.
const SOURCE: SourceId = SourceId(ConnId { core: CoreIndex(u16::MAX), serial: 0 });

pub(super) struct Demo {
    began: Moment,
    played: u64,
}

impl Demo {
    pub(super) fn new() -> Self {
        Self { began: Moment::ZERO, played: 0 }
    }

    /// Claims the mount.
    pub(super) fn start(&mut self, stage: &mut Stage, now: Moment, wall: WallTime) {
        self.began = now;
        let claim = Claim {
            source: SOURCE,
            path: PATH.to_owned(),
            content_type: "audio/mpeg".to_owned(),
            headers: SourceHeaders {
                content_type: "audio/mpeg".to_owned(),
                name: Some("Floe demo".to_owned()),
                description: Some("A short loop to hear that everything works".to_owned()),
                genre: Some("Ambient".to_owned()),
                public: Some(false),
                ..SourceHeaders::default()
            },
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        stage.claim(claim, now, wall);
        let title = Title { text: "Floe - It works".to_owned(), ..Title::default() };
        // The mount was claimed above; without it there is no title to set either.
        let _ = stage.set_title(PATH, title);
    }

    /// Publishes what is due by `now`.
    pub(super) fn play(&mut self, stage: &mut Stage, now: Moment) {
        let micros = u64::try_from(now.since(self.began).as_micros()).unwrap_or(u64::MAX);
        let due = micros.saturating_mul(BYTES_PER_SECOND) / 1_000_000;
        while self.played < due {
            let from = usize::try_from(self.played % LOOP.len() as u64).unwrap_or(0);
            let left = usize::try_from(due - self.played).unwrap_or(usize::MAX);
            let to = from.saturating_add(left).min(LOOP.len());
            stage.bytes(SOURCE, &LOOP[from..to], now);
            self.played += (to - from) as u64;
        }
    }
}
