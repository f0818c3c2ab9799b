//! All mounts of the source core, and what each message does to them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{CloseReason, ConnId, Moment, MountId, SourceId, WallTime};
use crate::config::Config;
use crate::domain::bus::{Claim, EdgeToIngest, IngestToControl, IngestToEdge, MountInfo, Outbox};
use crate::domain::intro::{Intro, Shelf};
use crate::domain::mount::{Input, MountMachine, Output, Rules};
use crate::domain::stats::{MountCounters, ServerCounters};
use crate::proto::icecast::{StreamLines, StreamNames};
use crate::proto::title::Title;

use super::found::{News, Shown};
use super::mount::Mount;

pub(super) struct Stage {
    config: Arc<Config>,
    shelf: Arc<Shelf>,
    counters: Arc<ServerCounters>,
    mounts: HashMap<MountId, Mount>,
    paths: HashMap<String, MountId>,
    sources: HashMap<SourceId, MountId>,
    next_mount: u32,
    to_edges: Vec<Outbox<IngestToEdge>>,
    to_control: Outbox<IngestToControl>,
    /// Whether some core could not be told something because its lane was full.
    behind: bool,
    outputs: Vec<Output>,
}

impl Stage {
    pub(super) fn new(
        config: Arc<Config>,
        shelf: Arc<Shelf>,
        counters: Arc<ServerCounters>,
        to_edges: Vec<Outbox<IngestToEdge>>,
        to_control: Outbox<IngestToControl>,
    ) -> Self {
        Self {
            config,
            shelf,
            counters,
            mounts: HashMap::new(),
            paths: HashMap::new(),
            sources: HashMap::new(),
            next_mount: 0,
            to_edges,
            to_control,
            behind: false,
            outputs: Vec::new(),
        }
    }

    /// Mounts that live.
    pub(super) fn mounts(&self) -> usize {
        self.mounts.len()
    }

    /// Takes one message of listener core `core`.
    pub(super) fn handle(
        &mut self,
        core: usize,
        message: EdgeToIngest,
        now: Moment,
        wall: WallTime,
    ) {
        match message {
            EdgeToIngest::Claim(claim) => self.claim(*claim, now, wall),
            EdgeToIngest::Bytes { source, bytes } => self.bytes(source, &bytes, now),
            EdgeToIngest::Ended { source } => self.ended(source, now),
            EdgeToIngest::Subscribe(mount) => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.follow(core, &mut self.to_edges[core]);
                }
            }
            EdgeToIngest::Unsubscribe(mount) => {
                if let Some(mount) = self.mounts.get_mut(&mount) {
                    mount.unfollow(core);
                }
            }
            EdgeToIngest::SetTitle { asker, path, title } => {
                let answer = self.set_title(&path, *title);
                self.answer(asker, answer);
            }
            EdgeToIngest::KillSource { asker, path } => {
                let found = self.paths.get(&path).copied();
                if let Some(mount) = found {
                    self.tell(mount, Input::Kill, None, now);
                }
                self.answer(asker, found.map(|_| ()).ok_or(CloseReason::NotFound));
            }
        }
    }

    /// A source that proved itself asks for a mount.
    pub(super) fn claim(&mut self, claim: Claim, now: Moment, wall: WallTime) {
        if let Some(&mount) = self.paths.get(&claim.path) {
            let input = Input::Claim(claim.source);
            self.tell(mount, input, Some((claim, wall)), now);
            return;
        }
        if !self.makes_room() || !self.counters.sources.try_enter(self.config.limits.sources) {
            self.answer(claim.source.0, Err(CloseReason::TooManySources));
            return;
        }
        let source = claim.source;
        let id = MountId(self.next_mount);
        self.next_mount = self.next_mount.wrapping_add(1);
        let path = claim.path.clone();
        let info = self.info(id, claim, Arc::default(), wall);
        let rules = Rules {
            takeover: info.settings.takeover,
            linger: info.settings.linger,
            source_timeout: self.config.limits.source_timeout,
        };
        let machine = MountMachine::new(rules, source, now);
        let (lag, cores) = (self.config.limits.lag_bytes, self.to_edges.len());
        let mount = Mount::new(Arc::clone(&info), machine, lag, cores);
        self.mounts.insert(id, mount);
        self.paths.insert(path, id);
        self.sources.insert(source, id);
        self.announce(info);
        self.answer(source.0, Ok(()));
    }

    /// Whether another mount has a place within `limits.sources`. Mounts that linger without a
    /// source have places too, since they keep memory; the one that lingers longest gives way.
    fn makes_room(&mut self) -> bool {
        if self.mounts.len() < self.config.limits.sources as usize {
            return true;
        }
        let lingering = self.mounts.values().filter(|mount| mount.machine.source().is_none());
        let longest = lingering.min_by_key(|mount| mount.machine.lingers_until()).map(Mount::id);
        if let Some(id) = longest {
            self.down(id, CloseReason::SourceGone);
        }
        longest.is_some()
    }

    /// A source's bytes.
    pub(super) fn bytes(&mut self, source: SourceId, bytes: &[u8], now: Moment) {
        let Some(&id) = self.sources.get(&source) else { return };
        let Some(mount) = self.mounts.get_mut(&id) else { return };
        mount.machine.handle(Input::Bytes(source), now, &mut self.outputs);
        let news = mount.take(bytes, now, &mut self.to_edges);
        if !self.to_edges.iter().all(Outbox::has_room) {
            self.behind = true;
        }
        self.spread(id, news, now);
    }

    /// Tells everyone what a source's bytes brought besides the stream.
    fn spread(&mut self, id: MountId, news: News, now: Moment) {
        if let Some(shown) = news.shown {
            self.show(id, shown);
        }
        if let Some(title) = news.title {
            self.entitle(id, title);
        }
        if let Some(objection) = news.objection {
            if let Some(mount) = self.mounts.get(&id) {
                tracing::warn!(mount = %mount.info.path, "{}", objection.cure());
            }
            self.tell(id, Input::Object, None, now);
        }
    }

    /// The stream has shown what it is: listeners are told the content type that its bytes are of,
    /// and hear the files of its mount that it can follow.
    fn show(&mut self, id: MountId, shown: Shown) {
        let Some(mount) = self.mounts.get_mut(&id) else { return };
        let fits = |file: &&Arc<Intro>| Some(file.format()) == shown.format;
        let (intro, outro) =
            (self.shelf.intro(&mount.info.settings), self.shelf.outro(&mount.info.settings));
        if !intro.iter().chain(&outro).all(fits) {
            tracing::warn!(
                mount = %mount.info.path,
                stream = shown.format.unwrap_or("unknown"),
                "the stream is of another format than the mount's intro or outro, which is left \
                 out: encode the file as the stream is encoded"
            );
        }
        mount.outro = outro.filter(fits).cloned();
        let intro = intro.filter(fits).cloned();
        if intro.is_none() && shown.content_type.is_none() {
            return;
        }
        let content_type = shown.content_type.unwrap_or(&mount.info.content_type);
        mount.info = Arc::new(mount.info.shown(content_type, intro));
        let info = Arc::clone(&mount.info);
        self.post_to_all(|| IngestToEdge::MountUp(Arc::clone(&info)));
        self.to_control.post(IngestToControl::MountUp(info));
    }

    /// A new title, if it is one.
    fn entitle(&mut self, id: MountId, title: Title) {
        let Some(mount) = self.mounts.get_mut(&id) else { return };
        if mount.title() == &title {
            return;
        }
        let block = mount.set_title(title, &mut self.to_edges);
        self.behind |= !self.to_edges.iter().all(Outbox::has_room);
        self.to_control.post(IngestToControl::Title(id, block));
    }

    /// A source's connection ended.
    pub(super) fn ended(&mut self, source: SourceId, now: Moment) {
        if let Some(&mount) = self.sources.get(&source) {
            self.forget_source(source);
            if let Some(mount) = self.mounts.get_mut(&mount) {
                mount.end_source(now, &mut self.to_edges);
            }
            self.tell(mount, Input::Ended(source), None, now);
        }
    }

    /// A new title for the mount at `path`.
    pub(super) fn set_title(&mut self, path: &str, title: Title) -> Result<(), CloseReason> {
        let id = *self.paths.get(path).ok_or(CloseReason::NotFound)?;
        let mount = self.mounts.get_mut(&id).ok_or(CloseReason::NotFound)?;
        let title = title.after(mount.title());
        if mount.title() != &title && mount.retitle(&title) {
            return Err(CloseReason::TitleRefused);
        }
        self.entitle(id, title);
        Ok(())
    }

    /// Looks at every mount's deadlines and news.
    pub(super) fn tick(&mut self, now: Moment) {
        let ids: Vec<MountId> = self.mounts.keys().copied().collect();
        for id in ids {
            self.tell(id, Input::Tick, None, now);
            let mount = self.mounts.get_mut(&id);
            if let Some(facts) = mount.and_then(|mount| mount.new_facts(now)) {
                self.to_control.post(IngestToControl::Facts(id, facts));
            }
        }
    }

    /// Sends what is posted; says whether something has to wait for room in a lane.
    pub(super) fn flush(&mut self) -> bool {
        for outbox in &mut self.to_edges {
            outbox.flush();
        }
        if self.behind {
            self.behind = false;
            for mount in self.mounts.values_mut() {
                self.behind |= mount.catch_up(&mut self.to_edges);
            }
            for outbox in &mut self.to_edges {
                outbox.flush();
            }
        }
        self.to_control.flush();
        self.behind || !self.to_edges.iter().all(Outbox::has_room) || !self.to_control.has_room()
    }

    /// Puts an input to a mount's machine and does what follows. A claim comes with its time.
    fn tell(
        &mut self,
        id: MountId,
        input: Input,
        mut claim: Option<(Claim, WallTime)>,
        now: Moment,
    ) {
        let Some(mount) = self.mounts.get_mut(&id) else { return };
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.clear();
        mount.machine.handle(input, now, &mut outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Grant(source) => {
                    if let Some((claim, wall)) = claim.take() {
                        self.grant(id, source, claim, wall);
                    }
                }
                Output::Refuse(source, reason) => self.answer(source.0, Err(reason)),
                Output::Stop(source, reason) => {
                    self.forget_source(source);
                    if let Some(mount) = self.mounts.get_mut(&id) {
                        mount.end_source(now, &mut self.to_edges);
                    }
                    self.post_to_core(source.0, IngestToEdge::Stop { source, reason });
                }
                Output::Down(reason) if self.plays_out(id, reason, now) => {}
                Output::Down(reason) => self.down(id, reason),
            }
        }
        self.outputs = outputs;
    }

    fn grant(&mut self, id: MountId, source: SourceId, claim: Claim, wall: WallTime) {
        let Some(mount) = self.mounts.get(&id) else { return };
        let counters = Arc::clone(&mount.info.counters);
        // The place of a source that just made room, or a lingering mount's: it never fails for
        // want of a limit that the mount itself was admitted under.
        self.counters.sources.try_enter(0);
        let info = self.info(id, claim, counters, wall);
        if let Some(mount) = self.mounts.get_mut(&id) {
            mount.continue_with(Arc::clone(&info));
        }
        self.sources.insert(source, id);
        self.announce(info);
        self.answer(source.0, Ok(()));
    }

    /// Whether the mount has an outro that its listeners hear before it goes.
    fn plays_out(&mut self, id: MountId, reason: CloseReason, now: Moment) -> bool {
        let Some(mount) = self.mounts.get_mut(&id) else { return false };
        let Some(outro) = mount.outro.take().filter(|_| reason == CloseReason::SourceGone) else {
            return false;
        };
        mount.play_out(&outro, now, &mut self.to_edges);
        self.behind |= !self.to_edges.iter().all(Outbox::has_room);
        mount.machine.handle(Input::Hold(outro.duration()), now, &mut Vec::new());
        true
    }

    fn down(&mut self, id: MountId, reason: CloseReason) {
        let Some(mount) = self.mounts.remove(&id) else { return };
        self.paths.remove(mount.info.path.as_ref());
        let counters = &mount.info.counters;
        tracing::info!(
            mount = %mount.info.path,
            reason = reason.label(),
            listeners_served = counters.connections.now(),
            listeners_peak = counters.listeners.peak(),
            bytes_read = counters.bytes_read.now(),
            bytes_sent = counters.bytes_sent.now(),
            slow = counters.slow.now(),
            junk_bytes = counters.junk_bytes.now(),
            "mount is down"
        );
        self.post_to_all(|| IngestToEdge::MountDown { mount: id, reason });
        self.to_control.post(IngestToControl::MountDown(id));
    }

    fn info(
        &self,
        id: MountId,
        claim: Claim,
        counters: Arc<MountCounters>,
        wall: WallTime,
    ) -> Arc<MountInfo> {
        let settings = self.config.mounts.settings(&claim.path);
        let names = StreamNames {
            name: settings.name.as_deref(),
            description: settings.description.as_deref(),
            genre: settings.genre.as_deref(),
            url: settings.url.as_deref(),
            public: settings.public,
        };
        Arc::new(MountInfo {
            id,
            path: claim.path.into(),
            content_type: claim.content_type,
            lines: StreamLines::rewrite(&claim.headers, &names),
            headers: claim.headers,
            settings,
            intro: None,
            counters,
            since: wall,
            source_address: claim.address,
        })
    }

    fn announce(&mut self, info: Arc<MountInfo>) {
        tracing::info!(
            mount = %info.path,
            content_type = info.content_type(),
            source = %info.source_address,
            "source is live"
        );
        self.post_to_all(|| IngestToEdge::MountUp(Arc::clone(&info)));
        self.to_control.post(IngestToControl::MountUp(info));
    }

    fn forget_source(&mut self, source: SourceId) {
        if self.sources.remove(&source).is_some() {
            self.counters.sources.leave();
        }
    }

    fn answer(&mut self, asker: ConnId, answer: Result<(), CloseReason>) {
        self.post_to_core(asker, IngestToEdge::Answer { asker, answer });
    }

    /// Posts to the core of a connection. The demo's connection has no core: it needs no answer.
    fn post_to_core(&mut self, conn: ConnId, message: IngestToEdge) {
        if let Some(outbox) = self.to_edges.get_mut(usize::from(conn.core.0)) {
            outbox.post(message);
        }
    }

    fn post_to_all(&mut self, message: impl Fn() -> IngestToEdge) {
        for outbox in &mut self.to_edges {
            outbox.post(message());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CoreIndex;
    use crate::base::limits::LANE_MESSAGES_MAX;
    use crate::proto::icecast::SourceHeaders;
    use crate::ring::{Doorbell, LaneReceiver, Window, lane};

    const WALL: WallTime = WallTime(0);
    const CORES: usize = 2;

    /// A stage and the far ends of its lanes.
    struct House {
        stage: Stage,
        counters: Arc<ServerCounters>,
        edges: Vec<LaneReceiver<IngestToEdge>>,
        control: LaneReceiver<IngestToControl>,
    }

    fn house(toml: &str, lane_messages: usize) -> House {
        let loaded = crate::config::load(toml, "floe.toml", &|_| None).expect("a valid text");
        let bell = Doorbell::new();
        let (to_edges, edges) = (0..CORES)
            .map(|_| {
                let (sender, receiver) = lane(lane_messages, Arc::clone(&bell));
                (Outbox::new(sender), receiver)
            })
            .unzip();
        let (to_control, control) = lane(LANE_MESSAGES_MAX, bell);
        let counters = Arc::new(ServerCounters::default());
        let stage = Stage::new(
            Arc::new(loaded.config),
            Arc::default(),
            Arc::clone(&counters),
            to_edges,
            Outbox::new(to_control),
        );
        House { stage, counters, edges, control }
    }

    fn source(serial: u32) -> SourceId {
        SourceId(ConnId { core: CoreIndex(0), serial })
    }

    fn second(count: u64) -> Moment {
        Moment(count * 1_000_000)
    }

    fn frames(count: usize) -> Vec<u8> {
        [&[0xFF, 0xFB, 0x90, 0x64][..], &[0x55; 413]].concat().repeat(count)
    }

    impl House {
        fn claim(&mut self, serial: u32, path: &str, content_type: &str, at: u64) {
            self.claim_with(serial, path, content_type, SourceHeaders::default(), at);
        }

        fn claim_with(
            &mut self,
            serial: u32,
            path: &str,
            content_type: &str,
            headers: SourceHeaders,
            at: u64,
        ) {
            let claim = Claim {
                source: source(serial),
                path: path.to_owned(),
                content_type: content_type.to_owned(),
                headers,
                address: "192.0.2.1".parse().expect("a literal"),
            };
            self.tell(EdgeToIngest::Claim(Box::new(claim)), at);
        }

        fn tell(&mut self, message: EdgeToIngest, at: u64) {
            self.stage.handle(0, message, second(at), WALL);
            self.stage.flush();
        }

        fn send(&mut self, serial: u32, bytes: Vec<u8>, at: u64) {
            self.tell(EdgeToIngest::Bytes { source: source(serial), bytes }, at);
        }

        fn tick(&mut self, at: u64) {
            self.stage.tick(second(at));
            self.stage.flush();
        }

        /// What core `core` was told since the last call.
        fn told(&mut self, core: usize) -> Vec<IngestToEdge> {
            std::iter::from_fn(|| self.edges[core].receive()).collect()
        }

        /// The same in short words.
        fn heard(&mut self, core: usize) -> Vec<String> {
            self.told(core).iter().map(words).collect()
        }
    }

    fn words(message: &IngestToEdge) -> String {
        match message {
            IngestToEdge::Answer { asker, answer: Ok(()) } => format!("yes {}", asker.serial),
            IngestToEdge::Answer { asker, answer: Err(reason) } => {
                format!("no {} {}", asker.serial, reason.label())
            }
            IngestToEdge::Stop { source, reason } => {
                format!("stop {} {}", source.0.serial, reason.label())
            }
            IngestToEdge::MountUp(info) => format!("up {} {}", info.path, info.id.0),
            IngestToEdge::MountDown { mount, reason } => {
                format!("down {} {}", mount.0, reason.label())
            }
            IngestToEdge::Release { mount, reason } => {
                format!("release {} {}", mount.0, reason.label())
            }
            IngestToEdge::Window { start, .. } => {
                let points = start.timeline.points().count();
                format!("window to {} with {points} points", start.timeline.end().offset)
            }
            IngestToEdge::Segment { segment, .. } => format!("segment {}", segment.base()),
            IngestToEdge::Advance { end, .. } => format!("edge {}", end.offset),
            IngestToEdge::Preamble { preamble, .. } => format!("preamble at {}", preamble.at),
            IngestToEdge::Title { title, .. } => format!("title {} at {}", title.serial, title.at),
        }
    }

    #[test]
    fn a_granted_claim_is_announced_to_all_and_answered_to_one() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        assert_eq!(house.heard(0), ["up /live 0", "yes 1"]);
        assert_eq!(house.heard(1), ["up /live 0"]);
        assert!(matches!(house.control.receive(), Some(IngestToControl::MountUp(_))));
        assert_eq!(house.counters.sources.now(), 1);
    }

    #[test]
    fn a_second_source_is_refused_and_the_first_goes_on() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.claim(2, "/live", "audio/mpeg", 1);
        assert_eq!(house.heard(0), ["up /live 0", "yes 1", "no 2 mount_in_use"]);
        house.tell(EdgeToIngest::Ended { source: source(2) }, 2);
        assert_eq!(house.counters.sources.now(), 1);
    }

    #[test]
    fn the_limit_of_sources_counts_live_ones_and_frees_places() {
        let mut house = house("[limits]\nsources = 1", 64);
        house.claim(1, "/a", "audio/mpeg", 0);
        house.claim(2, "/b", "audio/mpeg", 0);
        assert_eq!(house.heard(0), ["up /a 0", "yes 1", "no 2 too_many_sources"]);
        house.tell(EdgeToIngest::Ended { source: source(1) }, 1);
        assert_eq!(house.counters.sources.now(), 0);
        // The mount that only lingers gives way.
        house.claim(3, "/b", "audio/mpeg", 2);
        assert_eq!(house.heard(0), ["down 0 source_gone", "up /b 1", "yes 3"]);
    }

    #[test]
    fn a_takeover_stops_the_first_source_and_its_late_bytes_are_nobodys() {
        let mut house = house("[mounts.\"/live\"]\ntakeover = true", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.told(0);
        house.claim(2, "/live", "audio/mpeg", 1);
        assert_eq!(house.heard(0), ["stop 1 taken_over", "up /live 0", "yes 2"]);
        house.send(1, frames(8), 2);
        house.tell(EdgeToIngest::Ended { source: source(1) }, 2);
        assert!(house.heard(0).is_empty());
        house.send(2, frames(4), 2);
        assert_eq!(house.heard(0), ["edge 1668"]);
        assert_eq!(house.counters.sources.now(), 1);
    }

    #[test]
    fn listeners_are_held_through_linger_and_the_stream_goes_on() {
        let mut house = house("[mounts.\"/live\"]\nlinger = \"5s\"", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.send(1, frames(4), 0);
        house.tell(EdgeToIngest::Ended { source: source(1) }, 1);
        house.tick(5);
        house.told(0);
        house.claim(2, "/live", "audio/mpeg", 5);
        house.send(2, frames(4), 6);
        assert_eq!(house.heard(0), ["up /live 0", "yes 2", "edge 3336"]);
        house.tell(EdgeToIngest::Ended { source: source(2) }, 7);
        house.tick(11);
        assert!(house.heard(0).is_empty());
        house.tick(12);
        assert_eq!(house.heard(0), ["down 0 source_gone"]);
        assert_eq!(house.heard(1).last().map(String::as_str), Some("down 0 source_gone"));
        house.claim(3, "/live", "audio/mpeg", 13);
        assert_eq!(house.heard(0), ["up /live 1", "yes 3"]);
    }

    #[test]
    fn a_silent_source_is_stopped_by_the_tick() {
        let mut house = house("[limits]\nsource_timeout = \"3s\"", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.send(1, frames(1), 2);
        house.tick(4);
        house.told(0);
        house.tick(5);
        assert_eq!(house.heard(0), ["stop 1 source_silent"]);
        assert_eq!(house.counters.sources.now(), 0);
    }

    #[test]
    fn another_format_begins_a_window_without_the_old_bytes() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.send(1, frames(40), 1);
        house.tell(EdgeToIngest::Ended { source: source(1) }, 2);
        house.told(0);
        house.claim(2, "/live", "audio/aac", 3);
        assert_eq!(house.heard(0), ["up /live 0", "yes 2"]);
        // Not what was announced counts, but what comes.
        let aac = [&[0xFF, 0xF1, 0x4C, 0x80, 0x19, 0x1F, 0xFC][..], &[0x55; 193]].concat();
        house.send(2, aac.repeat(5), 3);
        let window = "window to 17680 with 1 points";
        assert_eq!(house.heard(0), ["release 0 format_changed", window]);
        assert_eq!(house.heard(1).last().map(String::as_str), Some("release 0 format_changed"));
    }

    #[test]
    fn a_source_that_announces_another_format_and_sends_the_same_goes_on() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.send(1, frames(40), 1);
        house.tell(EdgeToIngest::Ended { source: source(1) }, 2);
        house.claim(2, "/live", "audio/aac", 3);
        house.told(0);
        house.send(2, frames(4), 3);
        let told = house.told(0);
        assert!(told.iter().any(|message| {
            matches!(message, IngestToEdge::MountUp(info) if info.content_type() == "audio/mpeg")
        }));
        assert!(!told.iter().any(|message| matches!(message, IngestToEdge::Release { .. })));
    }

    #[test]
    fn metadata_between_a_sources_bytes_is_taken_out_and_told() {
        let mut house = house("", 64);
        let headers = SourceHeaders { inline_interval_bytes: Some(834), ..Default::default() };
        house.claim_with(1, "/live", "audio/mpeg", headers, 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.told(0);
        let title = Title { text: "Inline".to_owned(), ..Title::default() };
        let block = crate::proto::icy::meta_block(&title);
        let stream = [&frames(2)[..], &block, &frames(2), &[0], &frames(2)].concat();
        for piece in stream.chunks(100) {
            house.send(1, piece.to_vec(), 1);
        }
        let told = house.told(0);
        let titles: Vec<&str> = told
            .iter()
            .filter_map(|message| match message {
                IngestToEdge::Title { title, .. } => Some(title.block.title.text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(titles, ["Inline"]);
        let end = told.iter().rev().find_map(|message| match message {
            IngestToEdge::Advance { end, .. } => Some(end.offset),
            _ => None,
        });
        assert_eq!(end, Some(6 * 417));
    }

    #[test]
    fn titles_hold_from_the_live_edge_and_unknown_mounts_have_none() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.send(1, frames(4), 1);
        house.told(0);
        let asker = ConnId { core: CoreIndex(1), serial: 7 };
        for path in ["/live", "/live", "/other"] {
            let title = Title { text: "One".to_owned(), ..Title::default() };
            let (path, title) = (path.to_owned(), Box::new(title));
            house.tell(EdgeToIngest::SetTitle { asker, path, title }, 1);
        }
        assert_eq!(house.heard(0), ["title 2 at 1668"]);
        assert_eq!(house.heard(1), ["up /live 0", "yes 7", "yes 7", "no 7 not_found"]);
    }

    #[test]
    fn killing_ends_the_source_first_and_the_lingering_mount_next() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.told(0);
        let asker = ConnId { core: CoreIndex(0), serial: 7 };
        for at in 1..=3 {
            house.tell(EdgeToIngest::KillSource { asker, path: "/live".to_owned() }, at);
        }
        let told = ["stop 1 killed", "yes 7", "down 0 killed", "yes 7", "no 7 not_found"];
        assert_eq!(house.heard(0), told);
        assert_eq!(house.counters.sources.now(), 0);
    }

    #[test]
    fn a_core_that_is_stuck_is_told_the_newest_edge_when_it_is_back() {
        let mut house = house("", 4);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        for _ in 0..100 {
            house.send(1, frames(4), 1);
        }
        let mut told = house.heard(0);
        while house.stage.flush() {
            told.extend(house.heard(0));
        }
        told.extend(house.heard(0));
        assert_eq!(told.last().map(String::as_str), Some("edge 166800"));
        assert!(told.len() < 12, "{told:?}");
        assert!(told.contains(&"segment 65536".to_owned()), "{told:?}");
    }

    #[test]
    fn however_much_comes_at_once_segments_follow_each_other() {
        let toml = "[limits]\nlag_bytes = \"64KiB\"\n[mounts.\"/*\"]\nburst = \"0s\"";
        let mut house = house(toml, 4_096);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        // Hours of next to nothing first, so that segments are made small.
        house.send(1, frames(1), 1);
        house.send(1, frames(1_999), 10_000);
        let mut window = Window::new();
        for message in house.told(0) {
            match message {
                IngestToEdge::Window { start, .. } => {
                    start.segments.into_iter().for_each(|segment| window.push(segment));
                }
                // A segment that does not follow the one before it ends the process.
                IngestToEdge::Segment { segment, .. } => window.push(segment),
                _ => {}
            }
        }
        assert_eq!(window.head(), 2_000 * 417);
    }

    #[test]
    fn facts_of_a_stream_are_told_again_when_its_source_is_another() {
        let mut house = house("[mounts.\"/live\"]\ntakeover = true", 64);
        for serial in [1, 2] {
            house.claim(serial, "/live", "audio/mpeg", 0);
            house.send(serial, frames(8), 0);
            house.tick(1);
            let told: Vec<_> = std::iter::from_fn(|| house.control.receive()).collect();
            assert!(matches!(told[0], IngestToControl::MountUp(_)));
            let facts = told.iter().any(|message| {
                matches!(message, IngestToControl::Facts(_, facts) if facts.bitrate_kbps.is_some())
            });
            assert!(facts, "source {serial}: {told:?}");
        }
    }

    #[test]
    fn who_follows_no_longer_is_told_no_more() {
        let mut house = house("", 64);
        house.claim(1, "/live", "audio/mpeg", 0);
        house.tell(EdgeToIngest::Subscribe(MountId(0)), 0);
        house.tell(EdgeToIngest::Unsubscribe(MountId(0)), 1);
        house.told(0);
        house.send(1, frames(4), 1);
        assert!(house.heard(0).is_empty());
        house.tell(EdgeToIngest::Subscribe(MountId(9)), 1);
        assert!(house.heard(0).is_empty());
    }
}
