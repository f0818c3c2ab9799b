//! What listeners of one FLAC mount have got, over all its sources: the head that newcomers are
//! sent, and frames whose numbers go on where those of the source before ended. Reads nothing from
//! outside. Source core; a stream of one source is never copied here.

use super::frame::FrameHeader;
use super::head::StreamInfo;

/// What listeners have got.
#[derive(Debug, Default)]
pub(super) struct Writing {
    preamble: Vec<u8>,
    /// The last frame, if it was numbered anew. Its room is kept.
    frame: Vec<u8>,
    /// The number that the next frame has to listeners. `None` before the first.
    next_number: Option<u64>,
    /// What is added to the present source's numbers, with wrap-around.
    offset: u64,
}

impl Writing {
    /// Head for newcomers.
    pub(super) fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    /// The last frame, if it was numbered anew; else nothing.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Makes the head of `info` and `comments`, and says whether it is another one than before.
    pub(super) fn changes_head(&mut self, info: StreamInfo, comments: &[u8]) -> bool {
        info.write_head(comments, &mut self.frame);
        let changes = self.frame != self.preamble;
        if changes {
            std::mem::swap(&mut self.frame, &mut self.preamble);
        }
        self.frame.clear();
        changes
    }

    /// Gives the whole `frame` of `header` the number that follows the last one that listeners saw,
    /// if its own does not: says whether it was written anew. `goes_on` tells that it follows the
    /// source's last frame, so that what the source lost stays visible as a gap.
    pub(super) fn number(&mut self, header: FrameHeader, frame: &[u8], goes_on: bool) -> bool {
        if let Some(next) = self.next_number.filter(|_| !goes_on) {
            self.offset = next.wrapping_sub(header.number);
        }
        self.next_number = Some(header.next_number().wrapping_add(self.offset));
        let anew = self.offset != 0;
        if anew {
            self.frame.clear();
            header.renumber(frame, header.number.wrapping_add(self.offset), &mut self.frame);
        }
        anew
    }
}
