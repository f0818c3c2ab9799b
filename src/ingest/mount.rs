//! One mount on the source core: its machine, its stream, its titles and the cores that follow it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::limits::{COUNTS_EVERY, SOURCE_READ_BYTES, TITLES_KEPT_MAX};
use crate::base::{CloseReason, Moment, MountId};
use crate::config::OnChange;
use crate::domain::bus::{IngestToEdge, MountInfo, Outbox, StreamFacts, TitleAt, TitleBlock};
use crate::domain::intro::Intro;
use crate::domain::mount::MountMachine;
use crate::domain::seam::Fit;
use crate::media::{Retitled, Tags};
use crate::proto::icy::{self, IcyStep};
use crate::proto::title::{Title, TitleTags};

use super::follower::{CaughtUp, Follower};
use super::found::{News, Shown};
use super::publish::Stream;

pub(super) struct Mount {
    pub(super) info: Arc<MountInfo>,
    /// What listeners hear last, once the stream has shown that it fits.
    pub(super) outro: Option<Arc<Intro>>,
    pub(super) machine: MountMachine,
    facts: StreamFacts,
    facts_told: Moment,
    stream: Stream,
    /// Takes metadata blocks out of the source's bytes, if it sends some.
    inline: Option<icy::Reader>,
    titles: VecDeque<TitleAt>,
    followers: Vec<Option<Follower>>,
    /// What was said already of the present source's bytes.
    junk_logged: bool,
    shown: bool,
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
            outro: None,
            info,
            machine,
            facts: StreamFacts::default(),
            facts_told: Moment(0),
            stream,
            titles: VecDeque::new(),
            followers: (0..cores).map(|_| None).collect(),
            junk_logged: false,
            shown: false,
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
        (self.junk_logged, self.shown) = (false, false);
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
                    news.title = icy::title_of(reader.block()).or(news.title.take());
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
            let Tags { title, artist, url } = &tags;
            let [title, artist, url] = [title, artist, url].map(Option::as_deref);
            let title = Title::from_tags(&TitleTags { artist, title, url });
            news.title = Some(title).filter(|title| !title.is_empty());
        }
        news.objection = news.objection.or(taken.objection);
        self.show(news);
        if let Some(fit) = taken.seam {
            self.begin_anew(fit, outboxes);
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
    fn begin_anew(&mut self, fit: Fit, outboxes: &mut [Outbox<IngestToEdge>]) {
        let resets = self.info.settings.on_change == OnChange::Reset;
        if fit == Fit::Broken || resets {
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

    /// Says once per source what its bytes are.
    fn show(&mut self, news: &mut News) {
        if self.shown || self.stream.edges().is_empty() {
            return;
        }
        self.shown = true;
        let framer = self.stream.framer();
        let mismatch = framer.mismatch();
        news.shown = Some(Shown {
            format: framer.format(),
            content_type: mismatch.map(|(_, content_type)| content_type),
        });
        if let Some((found, content_type)) = mismatch {
            tracing::warn!(
                mount = %self.info.path,
                announced = %self.info.content_type,
                found,
                "the source's bytes are of another format than its content type says; the bytes \
                 count: set the encoder's content type to {content_type}"
            );
        }
    }

    /// What the parser knows by now, if that is news; counts alone are news once in
    /// [`COUNTS_EVERY`].
    pub(super) fn new_facts(&mut self, now: Moment) -> Option<StreamFacts> {
        let facts = StreamFacts::of(self.stream.framer());
        let only_counts = StreamFacts { counters: self.facts.counters, ..facts } == self.facts;
        let too_soon = only_counts && now.since(self.facts_told) < COUNTS_EVERY;
        if too_soon || facts == self.facts {
            return None;
        }
        (self.facts, self.facts_told) = (facts, now);
        Some(facts)
    }

    /// Puts what is playing into the stream itself, where its container has a place for it and the
    /// mount allows it; says whether the title is refused.
    pub(super) fn retitle(&mut self, title: &Title) -> bool {
        let framer = self.stream.framer_mut();
        if framer.carries_titles() && !self.info.settings.stream_titles {
            return true;
        }
        let (artist, alone) = title.parts();
        let tags = Tags {
            title: Some(alone.to_owned()),
            artist: artist.map(str::to_owned),
            url: title.url.clone(),
        };
        framer.retitle(&tags) == Retitled::Refused
    }

    /// The last thing that listeners hear.
    pub(super) fn play_out(
        &mut self,
        outro: &Intro,
        now: Moment,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) {
        for part in outro.bytes().chunks(SOURCE_READ_BYTES) {
            self.stream.append(part, now);
            self.advance(outboxes);
        }
    }

    /// What is playing.
    pub(super) fn title(&self) -> &Title {
        let newest = self.titles.back().expect("a mount begins with an empty title");
        &newest.block.title
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
