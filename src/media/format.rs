//! One row of the table of formats.

use super::Parser;
use super::sniff::Sniffed;

/// A format this room can parse.
#[derive(Debug)]
pub(super) struct Format {
    /// Its name in statistics and logs.
    pub(super) name: &'static str,
    /// As sources send them, in lower case and without parameters. The first is what listeners are
    /// told where a source named a wrong one.
    pub(super) content_types: &'static [&'static str],
    /// Whether a stream that begins with these bytes is of this format.
    pub(super) sniff: fn(&[u8]) -> Sniffed,
    /// What follows when another source, or the same one, goes on with other codec parameters.
    pub(super) seam: Seam,
    /// A parser at the beginning of a stream.
    pub(super) make: fn() -> Box<dyn Parser>,
}

/// A parser of one kind at the beginning of a stream.
pub(super) fn boxed<P: Parser + Default + 'static>() -> Box<dyn Parser> {
    Box::new(P::default())
}

/// How a stream can go on with other codec parameters for those who listen already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seam {
    /// Each frame describes itself: it simply goes on.
    Frames,
    /// A new link of a chain announces the change (Ogg).
    Chain,
    /// Parameters are told at the very beginning and never again: only a new answer can tell them.
    Start,
}
