//! Every message between the threads, and the outbox it leaves by. Messages carry values and shared
//! immutable buffers, never a socket and never a lock (laws 1 and 2).
//!
//! Lanes: each listener core with the source core, each listener core with the control thread, the
//! source core with the control thread; both ways. Listener cores never talk to each other.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{CloseReason, ConnId, MountId, SourceId, WallTime};
use crate::config::MountSettings;
use crate::media::{Counters, Framer};
use crate::proto::icecast::{SourceHeaders, StreamLines};
use crate::proto::status::StatusDocument;
use crate::proto::title::Title;
use crate::ring::{LaneSender, Segment};

use super::intro::Intro;
use super::listener::{SyncPoint, Timeline};
use super::preamble::{PreambleAt, Preambles};
use super::stats::MountCounters;

/// A mount as every core knows it: what a listener's answer is made of. Replaced as a whole when
/// the source changes.
#[derive(Debug)]
pub struct MountInfo {
    /// The mount's name for as long as it is up.
    pub id: MountId,
    /// Its path, starting with `/`.
    pub path: Arc<str>,
    /// The content type of its bytes, as the source says or the configuration assumes.
    pub content_type: String,
    /// What its source said of itself.
    pub headers: SourceHeaders,
    /// The lines of a listener's head that describe the stream.
    pub lines: StreamLines,
    /// Its settings from the configuration.
    pub settings: Arc<MountSettings>,
    /// What newcomers hear first, once the stream has shown that it can follow.
    pub intro: Option<Arc<Intro>>,
    /// Its counters, shared by all threads.
    pub counters: Arc<MountCounters>,
    /// When its source came.
    pub since: WallTime,
    /// Where its source is.
    pub source_address: IpAddr,
}

impl MountInfo {
    /// The content type listeners are told: the configured one wins over the source's.
    pub fn content_type(&self) -> &str {
        self.settings.content_type.as_deref().unwrap_or(&self.content_type)
    }

    /// The same mount, whose stream has shown to be of `content_type` and to fit `intro`.
    pub fn shown(&self, content_type: &str, intro: Option<Arc<Intro>>) -> Self {
        Self {
            intro,
            id: self.id,
            path: Arc::clone(&self.path),
            content_type: content_type.to_owned(),
            headers: self.headers.clone(),
            lines: self.lines.clone(),
            settings: Arc::clone(&self.settings),
            counters: Arc::clone(&self.counters),
            since: self.since,
            source_address: self.source_address,
        }
    }

    /// Whether listeners may get ICY metadata between the bytes: not in containers that carry
    /// titles of their own, whose readers would take it for damage.
    pub fn carries_icy(&self) -> bool {
        !is_container(self.content_type())
    }
}

/// Ogg, WebM and Matroska by their content types; Icecast gives these no metadata either.
fn is_container(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let kind = essence.rsplit('/').next().unwrap_or("");
    ["ogg", "x-ogg", "webm", "matroska", "x-matroska", "x-matroska-3d"].contains(&kind)
}

/// A title and its ICY block, built once and shared by all listeners.
#[derive(Debug)]
pub struct TitleBlock {
    /// The title.
    pub title: Title,
    /// Its metadata block, length byte first.
    pub block: Vec<u8>,
}

/// A title and from where in the stream it holds.
#[derive(Clone, Debug)]
pub struct TitleAt {
    /// Offset in the mount's stream.
    pub at: u64,
    /// Counts the mount's titles from 1, so that a row remembers the last it was told in four
    /// bytes.
    pub serial: u32,
    /// The title.
    pub block: Arc<TitleBlock>,
}

/// What a core gets when it starts to follow a mount.
#[derive(Debug)]
pub struct WindowStart {
    /// The segments still kept, oldest first.
    pub segments: Vec<Arc<Segment>>,
    /// Start points and live edge.
    pub timeline: Timeline,
    /// Titles still needed, oldest first.
    pub titles: Vec<TitleAt>,
    /// Preambles still needed, oldest first.
    pub preambles: Preambles,
}

/// A source that proved itself asks for a mount.
#[derive(Debug)]
pub struct Claim {
    /// The source's connection.
    pub source: SourceId,
    /// The mount's path.
    pub path: String,
    /// The content type of its bytes.
    pub content_type: String,
    /// What it says of itself.
    pub headers: SourceHeaders,
    /// Its address.
    pub address: IpAddr,
}

/// From a listener core to the source core.
#[derive(Debug)]
pub enum EdgeToIngest {
    /// Answered by [`IngestToEdge::Answer`].
    Claim(Box<Claim>),
    /// Bytes of a source, transfer coding removed.
    Bytes {
        /// Who sent them.
        source: SourceId,
        /// What it sent.
        bytes: Vec<u8>,
    },
    /// A source's connection ended.
    Ended {
        /// Whose.
        source: SourceId,
    },
    /// The core has its first listener on the mount. Answered by [`IngestToEdge::Window`].
    Subscribe(MountId),
    /// The core has had no listener on the mount for a while.
    Unsubscribe(MountId),
    /// Answered by [`IngestToEdge::Answer`].
    SetTitle {
        /// Who asks.
        asker: ConnId,
        /// The mount.
        path: String,
        /// The title.
        title: Box<Title>,
    },
    /// Ends the source of a mount. Answered by [`IngestToEdge::Answer`].
    KillSource {
        /// Who asks.
        asker: ConnId,
        /// The mount.
        path: String,
    },
}

/// From the source core to a listener core.
#[derive(Debug)]
pub enum IngestToEdge {
    /// The answer to a question of connection `asker`.
    Answer {
        /// Who asked.
        asker: ConnId,
        /// Done, or why not.
        answer: Result<(), CloseReason>,
    },
    /// A source must end.
    Stop {
        /// Which.
        source: SourceId,
        /// Why.
        reason: CloseReason,
    },
    /// A mount is up, or its source changed.
    MountUp(Arc<MountInfo>),
    /// A mount is gone; its listeners leave.
    MountDown {
        /// Which.
        mount: MountId,
        /// Why.
        reason: CloseReason,
    },
    /// The mount's present listeners cannot go on; new ones can come.
    Release {
        /// Which mount.
        mount: MountId,
        /// Why.
        reason: CloseReason,
    },
    /// The answer to a subscription.
    Window {
        /// Which mount.
        mount: MountId,
        /// Its stream so far.
        start: Box<WindowStart>,
    },
    /// A segment was opened; bytes in it follow.
    Segment {
        /// Which mount.
        mount: MountId,
        /// The segment.
        segment: Arc<Segment>,
    },
    /// Bytes were published.
    Advance {
        /// Which mount.
        mount: MountId,
        /// The new live edge.
        end: SyncPoint,
        /// Whether a player can start at the old live edge.
        starts: bool,
        /// Segments wholly before this offset can go.
        keep_from: u64,
    },
    /// What newcomers are sent first has changed.
    Preamble {
        /// Which mount.
        mount: MountId,
        /// The new one.
        preamble: PreambleAt,
    },
    /// A new title.
    Title {
        /// Which mount.
        mount: MountId,
        /// The title.
        title: TitleAt,
    },
}

/// Which password is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// To publish on a mount, or to change its title.
    Source(String),
    /// To list what may be relayed. Also satisfied by an administrator.
    Relay,
    /// To administer.
    Admin,
}

/// From a listener core to the control thread.
#[derive(Debug)]
pub enum EdgeToControl {
    /// Are these credentials right? Answered by [`ControlToEdge::Verdict`].
    Verify(Box<Verify>),
    /// The core accepts connections now.
    Listening,
    /// The core has no listener and no source left and ends.
    Drained,
}

/// Credentials to be checked.
pub struct Verify {
    /// Who asks.
    pub asker: ConnId,
    /// The client's address.
    pub address: IpAddr,
    /// What for. [`Realm::Source`] is also satisfied by an administrator.
    pub realm: Realm,
    /// The user name given.
    pub user: String,
    /// The password given.
    pub password: String,
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { asker, address, realm, user, password: _ } = self;
        write!(f, "Verify({asker:?}, {address}, {realm:?}, {user:?}, password not shown)")
    }
}

/// From the control thread to a listener core.
#[derive(Debug)]
pub enum ControlToEdge {
    /// The answer to [`EdgeToControl::Verify`].
    Verdict {
        /// Who asked.
        asker: ConnId,
        /// Right, or why not.
        verdict: Result<(), CloseReason>,
    },
    /// Documents to answer with from now on.
    Pages(Arc<Pages>),
    /// No new listeners and sources; those who are on have this long.
    Drain(Duration),
}

/// Documents that the control thread renders and cores hand out.
#[derive(Debug, Default)]
pub struct Pages {
    /// The landing page, HTML.
    pub landing: String,
    /// `/health`, JSON.
    pub health: String,
    /// Whether a core is stuck, so that `/health` is answered with 503.
    pub degraded: bool,
    /// `/status-json.xsl`, of every mount that is not hidden.
    pub status: StatusDocument,
}

/// From the source core to the control thread.
#[derive(Debug)]
pub enum IngestToControl {
    /// A mount is up, or its source changed.
    MountUp(Arc<MountInfo>),
    /// A mount is gone.
    MountDown(MountId),
    /// A mount has a new title.
    Title(MountId, Arc<TitleBlock>),
    /// What the parser found out about a mount's stream.
    Facts(MountId, StreamFacts),
}

/// What is known of a stream from its own bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// The audio's codec, in its own spelling.
    pub codec: Option<&'static str>,
    /// The video's codec; `None` for audio alone.
    pub video_codec: Option<&'static str>,
    /// Kilobits a second.
    pub bitrate_kbps: Option<u32>,
    /// Samples a second.
    pub sample_rate: Option<u32>,
    /// Channels.
    pub channels: Option<u8>,
    /// Microseconds that the last unit plays.
    pub frame_us: Option<u32>,
    /// The format its bytes are parsed as; `None` for bytes passed on as they are.
    pub format: Option<&'static str>,
    /// Whether that is another format than its content type names.
    pub mismatch: bool,
    /// What the parser has counted since the source came.
    pub counters: Counters,
}

impl StreamFacts {
    /// What `framer` has found out of the present source's stream.
    pub fn of(framer: &Framer) -> Self {
        let facts = framer.facts();
        Self {
            codec: facts.codec,
            video_codec: facts.video_codec,
            bitrate_kbps: facts.bitrate_kbps,
            sample_rate: facts.sample_rate,
            channels: facts.channels,
            frame_us: facts.frame_us,
            format: framer.format(),
            mismatch: framer.mismatch().is_some(),
            counters: framer.counters(),
        }
    }
}

/// From the control thread to the source core.
#[derive(Debug)]
pub enum ControlToIngest {
    /// End every source and then the core.
    Drain,
}

/// A lane's sending end that never makes its thread wait: what the lane has no room for is kept in
/// order and goes out later. Holders of an outbox post only what is bounded by something else (one
/// answer a question, one advance a mount), so what is kept is bounded too.
pub struct Outbox<T> {
    lane: LaneSender<T>,
    kept: VecDeque<T>,
    posted: Option<Ring>,
}

/// How the receiver is told of what was posted. The louder wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ring {
    /// When it next looks, if it watches its lanes.
    Soft,
    /// At once.
    Loud,
}

impl<T: Send> Outbox<T> {
    /// An outbox on `lane`.
    pub fn new(lane: LaneSender<T>) -> Self {
        Self { lane, kept: VecDeque::new(), posted: None }
    }

    /// Posts a message. The receiver is woken by [`Self::flush`].
    pub fn post(&mut self, message: T) {
        self.put(message, Ring::Loud);
    }

    /// Posts a message that can wait until the receiver looks by itself, if it watches its lanes.
    pub fn post_softly(&mut self, message: T) {
        self.put(message, Ring::Soft);
    }

    fn put(&mut self, message: T, ring: Ring) {
        self.posted = self.posted.max(Some(ring));
        if !self.kept.is_empty() {
            self.kept.push_back(message);
        } else if let Err(message) = self.lane.send(message) {
            self.kept.push_back(message);
        }
    }

    /// Whether the lane has room: senders that can wait should, instead of posting.
    pub fn has_room(&self) -> bool {
        self.kept.is_empty()
    }

    /// Moves what was kept into the lane as far as it has room, and wakes the receiver, once, if
    /// anything was posted since the last flush.
    pub fn flush(&mut self) {
        while let Some(message) = self.kept.pop_front() {
            if let Err(message) = self.lane.send(message) {
                self.kept.push_front(message);
                break;
            }
            self.posted = Some(Ring::Loud);
        }
        match self.posted.take() {
            Some(Ring::Loud) => self.lane.ring(),
            Some(Ring::Soft) => self.lane.ring_softly(),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Doorbell, lane};

    #[test]
    fn an_outbox_keeps_order_while_its_lane_is_full() {
        let (sender, mut receiver) = lane(3, Doorbell::new());
        let mut outbox = Outbox::new(sender);
        let mut heard = Vec::new();
        for number in 0..50 {
            outbox.post(number);
            // The receiver takes one message for every second that is posted.
            if number % 2 == 0 {
                heard.extend(receiver.receive());
            }
            if number % 5 == 0 {
                outbox.flush();
            }
        }
        assert!(!outbox.has_room());
        while !outbox.has_room() {
            outbox.flush();
            heard.extend(std::iter::from_fn(|| receiver.receive()));
        }
        assert_eq!(heard, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_flush_rings_once_if_something_was_posted() {
        let bell = Doorbell::new();
        let (sender, _receiver) = lane(1, std::sync::Arc::clone(&bell));
        let mut outbox = Outbox::new(sender);
        let rung = || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            bell.poll_rung(&mut context).is_ready()
        };
        outbox.flush();
        assert!(!rung());
        outbox.post(1);
        outbox.post(2);
        assert!(!rung());
        outbox.flush();
        assert!(rung());
        outbox.flush();
        assert!(!rung());
    }

    #[test]
    fn what_is_posted_softly_wakes_nobody_who_watches() {
        struct Wakes(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let (bell, wakes) = (Doorbell::new(), Arc::new(Wakes(0.into())));
        let waker = std::task::Waker::from(Arc::clone(&wakes));
        let mut context = std::task::Context::from_waker(&waker);
        let count = || wakes.0.load(std::sync::atomic::Ordering::Relaxed);
        let (sender, mut receiver) = lane(4, Arc::clone(&bell));
        let mut outbox = Outbox::new(sender);
        assert!(bell.poll_rung(&mut context).is_pending());
        bell.watch();
        outbox.post_softly(1);
        outbox.flush();
        assert_eq!((count(), bell.answer(), receiver.receive()), (0, true, Some(1)));
        outbox.post_softly(2);
        outbox.post(3);
        outbox.post_softly(4);
        outbox.flush();
        assert_eq!((count(), bell.answer()), (1, true));
    }

    #[test]
    fn containers_with_titles_of_their_own_get_no_blocks_between_their_bytes() {
        let containers = ["audio/ogg; codecs=opus", "Application/OGG", "video/webm"];
        let matroska = ["audio/matroska", "video/x-matroska"];
        for content_type in containers.into_iter().chain(matroska) {
            assert!(is_container(content_type), "{content_type}");
        }
        for content_type in ["audio/mpeg", "audio/aac", "", ";", "audio/flac"] {
            assert!(!is_container(content_type), "{content_type}");
        }
    }

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        let verify = Verify {
            asker: ConnId { core: crate::base::CoreIndex(0), serial: 0 },
            address: "192.0.2.1".parse().expect("a literal"),
            realm: Realm::Admin,
            user: "admin".to_owned(),
            password: "hackme".to_owned(),
        };
        let shown = format!("{verify:?}");
        assert!(shown.contains("admin") && !shown.contains("hackme"), "{shown}");
    }
}
