//! One mount on the source core: its machine, its stream, its titles and the cores that follow it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::limits::{SOURCE_READ_BYTES, TITLES_KEPT_MAX};
use crate::base::{CloseReason, Moment, MountId};
use crate::domain::bus::{IngestToEdge, MountInfo, Outbox, StreamFacts, TitleAt, TitleBlock};
use crate::domain::mount::MountMachine;
use crate::domain::seam::Seam;
use crate::media::{Objection, Retitled, Tags};
use crate::proto::icy::{self, IcyStep};
use crate::proto::title::{Title, TitleUpdate};

use super::follower::{CaughtUp, Follower};
use super::publish::Stream;

pub(super) struct Mount {
    pub(super) info: Arc<MountInfo>,
    pub(super) machine: MountMachine,
    pub(super) facts: StreamFacts,
    stream: Stream,
    /// Takes metadata blocks out of the source's bytes, if it sends some.
    inline: Option<icy::Reader>,
    titles: VecDeque<TitleAt>,
    followers: Vec<Option<Follower>>,
    /// What was said already of the present source's bytes.
    junk_logged: bool,
    type_checked: bool,
}

/// What a source's bytes brought that others must be told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What is playing, by the stream itself.
    pub(super) title: Option<Title>,
    /// The stream is of another format than was announced; this is its content type.
    pub(super) content_type: Option<&'static str>,
    /// The stream cannot be served.
    pub(super) objection: Option<Objection>,
}

impl Mount {
    pub(super) fn new(
        info: Arc<MountInfo>,
        machine: MountMachine,
        lag_bytes: usize,
        cores: usize,
    ) -> Self {
        let stream = Stream::new(&info.content_type, lag_bytes, info.settings.burst);
        let mut mount = Self {
            inline: inline_reader(&info),
            info,
            machine,
            facts: StreamFacts::default(),
            stream,
            titles: VecDeque::new(),
            followers: (0..cores).map(|_| None).collect(),
            junk_logged: false,
            type_checked: false,
        };
        mount.remember_title(Title::default());
        mount
    }

    pub(super) fn id(&self) -> MountId {
        self.info.id
    }

    /// The source has ended. What it left unfinished is no part of the stream.
    pub(super) fn end_source(&mut self, now: Moment, outboxes: &mut [Outbox<IngestToEdge>]) {
        self.stream.end_source(now);
        self.advance(outboxes);
    }

    /// The stream goes on with another source, when the last one's end has been seen to. Whether
    /// listeners can go on with it, its bytes will tell.
    pub(super) fn continue_with(&mut self, info: Arc<MountInfo>) {
        self.stream.continue_with(&info.content_type);
        self.inline = inline_reader(&info);
        self.info = info;
        (self.junk_logged, self.type_checked) = (false, false);
        // The control thread forgot them with the old source, so the same ones are news again.
        self.facts = StreamFacts::default();
    }

    /// Takes a source's bytes and tells the followers. More than one receive's worth is taken in
    /// parts: a segment must not come and go before the followers were told of it.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        now: Moment,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) -> News {
        self.info.counters.bytes_read.add(bytes.len() as u64);
        let mut news = News::default();
        for part in bytes.chunks(SOURCE_READ_BYTES) {
            match self.inline.take() {
                None => self.take_part(part, now, &mut news, outboxes),
                Some(mut reader) => {
                    self.take_woven(&mut reader, part, now, &mut news, outboxes);
                    self.inline = Some(reader);
                }
            }
        }
        news
    }

    /// Takes bytes with metadata blocks between them.
    fn take_woven(
        &mut self,
        reader: &mut icy::Reader,
        bytes: &[u8],
        now: Moment,
        news: &mut News,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) {
        let mut rest = bytes;
        loop {
            match reader.step(rest) {
                IcyStep::More => return,
                IcyStep::Audio(range) => {
                    self.take_part(&rest[range.clone()], now, news, outboxes);
                    rest = &rest[range.end..];
                }
                IcyStep::Block { used } => {
                    rest = &rest[used..];
                    if let Some(song) = icy::stream_title(reader.block()) {
                        let url = icy::stream_url(reader.block());
                        let update =
                            TitleUpdate { song: Some(song), url, ..TitleUpdate::default() };
                        news.title = Some(Title::from_update(&update));
                    }
                }
            }
        }
    }

    fn take_part(
        &mut self,
        bytes: &[u8],
        now: Moment,
        news: &mut News,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) {
        let taken = self.stream.take(bytes, now);
        if taken.junk > 0 {
            self.note_junk(taken.junk);
        }
        if let Some(tags) = taken.tags {
            news.title = Some(title_of(&tags)).filter(|title| !title.is_empty());
        }
        news.objection = news.objection.or(taken.objection);
        self.check_type(news);
        if let Some(seam) = taken.seam {
            self.begin_anew(seam, outboxes);
            return;
        }
        if taken.preambles > 0 {
            let id = self.id();
            for (follower, outbox) in self.followers.iter_mut().zip(outboxes.iter_mut()) {
                if let Some(follower) = follower {
                    follower.preambles(id, &self.stream, taken.preambles, outbox);
                }
            }
        }
        self.advance(outboxes);
    }

    /// Tells the followers what was published.
    fn advance(&mut self, outboxes: &mut [Outbox<IngestToEdge>]) {
        if self.stream.edges().is_empty() {
            return;
        }
        let id = self.id();
        for (follower, outbox) in self.followers.iter_mut().zip(outboxes) {
            if let Some(follower) = follower {
                follower.advance(id, &self.stream, outbox);
            }
        }
    }

    /// Newcomers start behind the seam only: the cores are told so, or their burst would be bytes
    /// of the stream before. Those who are on go on with it if their players can.
    fn begin_anew(&mut self, seam: Seam, outboxes: &mut [Outbox<IngestToEdge>]) {
        if seam == Seam::Broken {
            let (mount, reason) = (self.id(), CloseReason::FormatChanged);
            outboxes.iter_mut().for_each(|outbox| {
                outbox.post(IngestToEdge::Release { mount, reason });
            });
        }
        for (core, outbox) in outboxes.iter_mut().enumerate() {
            if self.followers.get(core).is_some_and(Option::is_some) {
                self.follow(core, outbox);
            }
        }
    }

    fn note_junk(&mut self, bytes: u64) {
        self.info.counters.junk_bytes.add(bytes);
        if !std::mem::replace(&mut self.junk_logged, true) {
            tracing::warn!(
                mount = %self.info.path,
                content_type = %self.info.content_type,
                "the source sends bytes that are not frames of its content type; they are left out \
                 and counted, and this is logged once per source"
            );
        }
    }

    /// Says once per source if its bytes are not what its content type announced.
    fn check_type(&mut self, news: &mut News) {
        if self.type_checked || self.stream.edges().is_empty() {
            return;
        }
        self.type_checked = true;
        let Some((format, content_type)) = self.stream.framer().mismatch() else { return };
        tracing::warn!(
            mount = %self.info.path,
            announced = %self.info.content_type,
            found = format,
            "the source's bytes are of another format than its content type says; the bytes count: \
             set the encoder's content type to {content_type}"
        );
        news.content_type = Some(content_type);
    }

    /// What the parser knows by now, if that is news.
    pub(super) fn new_facts(&mut self) -> Option<StreamFacts> {
        let facts = StreamFacts::of(self.stream.framer());
        (facts != self.facts).then(|| {
            self.facts = facts;
            facts
        })
    }

    /// Puts what is playing into the stream itself, where its format has a place for it.
    pub(super) fn retitle(&mut self, title: &Title) -> Retitled {
        let (title, url) = (Some(title.text.clone()), title.url.clone());
        self.stream.framer_mut().retitle(&Tags { title, artist: None, url })
    }

    /// What is playing.
    pub(super) fn title(&self) -> Option<&Title> {
        self.titles.back().map(|told| &told.block.title)
    }

    /// A new title holds from the live edge on.
    pub(super) fn set_title(
        &mut self,
        title: Title,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) -> Arc<TitleBlock> {
        let told = self.remember_title(title);
        let mount = self.id();
        for (follower, outbox) in self.followers.iter_mut().zip(outboxes) {
            if let Some(follower) = follower {
                follower.title(mount, &told, outbox);
            }
        }
        told.block
    }

    fn remember_title(&mut self, title: Title) -> TitleAt {
        let block = icy::meta_block(&title);
        let told = TitleAt {
            at: self.stream.timeline().end().offset,
            serial: self.titles.back().map_or(1, |last| last.serial + 1),
            block: Arc::new(TitleBlock { title, block }),
        };
        self.titles.push_back(told.clone());
        let keep_from = self.stream.keep_from();
        while self.titles.len() > TITLES_KEPT_MAX
            || self.titles.get(1).is_some_and(|next| next.at <= keep_from)
        {
            self.titles.pop_front();
        }
        told
    }

    /// `core` follows from now on; following twice starts anew.
    pub(super) fn follow(&mut self, core: usize, outbox: &mut Outbox<IngestToEdge>) {
        let titles = self.titles.make_contiguous();
        let follower = Follower::start(self.info.id, &self.stream, titles, outbox);
        if let Some(place) = self.followers.get_mut(core) {
            *place = Some(follower);
        }
    }

    /// `core` follows no longer.
    pub(super) fn unfollow(&mut self, core: usize) {
        if let Some(place) = self.followers.get_mut(core) {
            *place = None;
        }
    }

    /// Tells cores whose lane was full what they missed; says whether one still misses something.
    pub(super) fn catch_up(&mut self, outboxes: &mut [Outbox<IngestToEdge>]) -> bool {
        let mount = self.info.id;
        let mut waiting = false;
        for (core, outbox) in outboxes.iter_mut().enumerate() {
            let Some(Some(follower)) = self.followers.get_mut(core) else { continue };
            match follower.catch_up(mount, &self.stream, self.titles.back(), outbox) {
                CaughtUp::Yes => {}
                CaughtUp::NotYet => waiting = true,
                CaughtUp::Lost => self.follow(core, outbox),
            }
        }
        waiting
    }
}

/// The reader of a source that sends metadata blocks between its bytes.
fn inline_reader(info: &MountInfo) -> Option<icy::Reader> {
    let interval = info.headers.inline_interval_bytes?;
    Some(icy::Reader::new(usize::try_from(interval).ok()?))
}

/// The title that a stream's own tags name.
fn title_of(tags: &Tags) -> Title {
    Title::from_update(&TitleUpdate {
        artist: tags.artist.as_deref().map(str::as_bytes),
        title: tags.title.as_deref().map(str::as_bytes),
        url: tags.url.as_deref().map(str::as_bytes),
        ..TitleUpdate::default()
    })
}
