//! A request as the edge acts on it: what of its head is needed after the head's bytes are gone.

use crate::base::Burst;
use crate::base::limits::LABEL_BYTES_MAX;
use crate::proto::answer::Answer;
use crate::proto::burst::{BurstFault, burst_wanted};
use crate::proto::credentials::{Credentials, basic};
use crate::proto::http::{BodyKind, HeadFault, Method, Protocol, RequestHead};
use crate::proto::icecast::{self, Handshake, LiveRange, Place, SourceHeaders};
use crate::proto::text::cut;

/// One request.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) protocol: Protocol,
    /// As sent, for the log.
    pub(super) target: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) keep_alive: bool,
    pub(super) wants_icy: bool,
    pub(super) range: LiveRange,
    /// The burst asked for instead of the mount's; of weight where a stream is asked for.
    pub(super) burst: Result<Option<Burst>, BurstFault>,
    pub(super) agent: String,
    pub(super) referrer: String,
    pub(super) origin: Option<Vec<u8>>,
    pub(super) host: Option<String>,
    /// What `Authorization` holds; `None` if it is missing or cannot be read.
    pub(super) credentials: Option<Credentials>,
    pub(super) body: Result<BodyKind, HeadFault>,
    pub(super) handshake: Handshake,
    /// What a source says of its stream, if the method is a source's.
    pub(super) source: Option<SourceHeaders>,
    /// The answers to OPTIONS, if that is the method.
    pub(super) options: Option<OptionsAnswers>,
}

/// The answers to OPTIONS, by what the path turns out to be. Made while the head's bytes are there.
pub(super) struct OptionsAnswers(Vec<(Place, Answer)>);

impl OptionsAnswers {
    fn of(head: &RequestHead<'_>) -> Self {
        let places = [Place::FreeMount, Place::LiveMount, Place::Admin];
        Self(places.map(|place| (place, icecast::options(head, place))).into())
    }

    /// The answer for `place`.
    pub(super) fn at(self, place: Place) -> Answer {
        let found = self.0.into_iter().find(|(of, _)| *of == place);
        found.map_or_else(|| Answer::empty(204), |(_, answer)| answer)
    }
}

impl Request {
    /// Reads one head; `bytes` are changed.
    pub(super) fn parse(bytes: &mut [u8]) -> Result<Self, HeadFault> {
        let head = RequestHead::parse(bytes)?;
        let label = |name: &str| {
            let text = head.text(name).unwrap_or_default();
            cut(&text, LABEL_BYTES_MAX).to_owned()
        };
        let is_source = matches!(head.method, Method::Put | Method::Source);
        let options = (head.method == Method::Options).then(|| OptionsAnswers::of(&head));
        Ok(Self {
            method: head.method,
            protocol: head.protocol,
            target: head.target.to_owned(),
            query: head.query.unwrap_or_default().to_owned(),
            keep_alive: head.keep_alive(),
            wants_icy: head.wants_icy(),
            range: LiveRange::of(&head),
            burst: burst_wanted(&head),
            agent: label("user-agent"),
            referrer: label("referer"),
            origin: head.header("origin").map(<[u8]>::to_vec),
            host: head.host().map(str::to_owned),
            credentials: head.header("authorization").and_then(|value| basic(value).ok()),
            body: head.body(),
            handshake: Handshake::of(&head),
            source: is_source.then(|| SourceHeaders::from_head(&head)),
            options,
            path: head.path,
        })
    }

    /// Whether only the head of the answer is wanted.
    pub(super) fn head_only(&self) -> bool {
        self.method == Method::Head
    }

    /// The minor version for the log: ICE/1.0 counts as HTTP/1.0.
    pub(super) fn http_minor(&self) -> u8 {
        u8::from(self.protocol == Protocol::Http11)
    }
}
