//! One mount on the source core: its machine, its stream, its titles and the cores that follow it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::limits::{SOURCE_READ_BYTES, TITLES_KEPT_MAX};
use crate::base::{Moment, MountId};
use crate::domain::bus::{IngestToEdge, MountInfo, Outbox, StreamFacts, TitleAt, TitleBlock};
use crate::domain::mount::MountMachine;
use crate::proto::icy;
use crate::proto::title::Title;

use super::follower::{CaughtUp, Follower};
use super::publish::Stream;

pub(super) struct Mount {
    pub(super) info: Arc<MountInfo>,
    pub(super) machine: MountMachine,
    pub(super) facts: StreamFacts,
    stream: Stream,
    titles: VecDeque<TitleAt>,
    followers: Vec<Option<Follower>>,
    junk_logged: bool,
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
            info,
            machine,
            facts: StreamFacts::default(),
            stream,
            titles: VecDeque::new(),
            followers: (0..cores).map(|_| None).collect(),
            junk_logged: false,
        };
        mount.remember_title(Title::default());
        mount
    }

    pub(super) fn id(&self) -> MountId {
        self.info.id
    }

    /// The stream goes on with another source. In another format it begins anew: the cores are told
    /// so, or newcomers would get a burst of bytes in the old format.
    pub(super) fn continue_with(
        &mut self,
        info: Arc<MountInfo>,
        same_format: bool,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) {
        self.stream.continue_with(&info.content_type);
        self.info = info;
        self.junk_logged = false;
        // The control thread forgot them with the old source, so the same ones are news again.
        self.facts = StreamFacts::default();
        if same_format {
            return;
        }
        self.stream.begin_anew();
        for (core, outbox) in outboxes.iter_mut().enumerate() {
            if self.followers.get(core).is_some_and(Option::is_some) {
                self.follow(core, outbox);
            }
        }
    }

    /// Takes a source's bytes and tells the followers. More than one receive's worth is taken in
    /// parts: a segment must not come and go before the followers were told of it.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        now: Moment,
        outboxes: &mut [Outbox<IngestToEdge>],
    ) {
        self.info.counters.bytes_read.add(bytes.len() as u64);
        for part in bytes.chunks(SOURCE_READ_BYTES) {
            self.take_part(part, now, outboxes);
        }
    }

    fn take_part(&mut self, bytes: &[u8], now: Moment, outboxes: &mut [Outbox<IngestToEdge>]) {
        let taken = self.stream.take(bytes, now);
        if taken.junk > 0 {
            self.note_junk(taken.junk);
        }
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

    /// What the parser knows by now, if that is news.
    pub(super) fn new_facts(&mut self) -> Option<StreamFacts> {
        let found = self.stream.framer().facts();
        let facts = StreamFacts {
            bitrate_kbps: found.bitrate_kbps,
            sample_rate: found.sample_rate,
            channels: found.channels,
        };
        (facts != self.facts).then(|| {
            self.facts = facts;
            facts
        })
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
