//! What a source's bytes bring besides the stream: values on their way from the stream to its mount
//! and from there to everyone. Source core.

use crate::domain::seam::Fit;
use crate::media::{Objection, Tags};
use crate::proto::title::Title;

/// What was found in the bytes of one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that were not audio.
    pub junk: u64,
    /// Preambles that came, which are the last this many of those that the stream keeps.
    pub preambles: usize,
    /// What the stream says is playing.
    pub tags: Option<Tags>,
    /// The source sends something else than the one before it, and how that fits.
    pub seam: Option<Fit>,
    /// The stream cannot be served.
    pub objection: Option<Objection>,
}

/// What a source's bytes brought that others must be told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What is playing, by the stream itself.
    pub(super) title: Option<Title>,
    /// What the stream is, if it has just shown.
    pub(super) shown: Option<Shown>,
    /// The stream cannot be served.
    pub(super) objection: Option<Objection>,
}

/// What a source's bytes show to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// The format; `None` for bytes passed on as they are.
    pub(super) format: Option<&'static str>,
    /// The content type they should have had, if they have another.
    pub(super) content_type: Option<&'static str>,
}
