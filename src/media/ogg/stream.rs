//! HOT PATH. One logical stream of a link behind its head: takes its data pages, accounts for what
//! is missing, measures how long they play, and says what goes out in their place where their own
//! bytes cannot: in another numbering, or without the rest of a packet whose beginning is lost.

use super::codec::Codec;
use super::head::Begun;
use super::meter::Meter;
use super::page::{self, CONTINUED, Header, LAST, NO_GRANULE, Page, SEGMENTS_MAX};

/// What is known of a logical stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its number at the source, and as it is written.
    pub(super) source_serial: u32,
    pub(super) serial: u32,
    pub(super) codec: Codec,
    meter: Option<Meter>,
    /// The number that the source's next page should have, and the one that it would get.
    expected: u32,
    pub(super) sequence: u32,
    /// Whether data has come: a stream that was joined by its source jumps from its head into the
    /// middle, which is no gap.
    has_begun: bool,
    /// What is taken off granule positions.
    pub(super) granule_base: i64,
    /// The last granule position of the source; none before the first.
    pub(super) last_granule: Option<i64>,
    /// Whether those who listen wait for the rest of a packet.
    pub(super) is_open: bool,
    /// Whether a page was left out since the last one that went out.
    is_lost: bool,
    /// Whether its last page went out.
    pub(super) has_ended: bool,
    /// What the packet under way will play.
    open_plays: u32,
}

/// What became of a data page.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Whether nothing of it goes out: it holds the middle of a lost packet and nothing else.
    pub(super) is_left_out: bool,
    /// Whether something else goes out in its place.
    pub(super) is_rewritten: bool,
    /// Whether the packet that it goes on with, if any, is not the one of the page before.
    pub(super) is_torn: bool,
    /// Pages missing in front of it.
    pub(super) missing: u32,
    /// What its packets play, in ticks of the stream's clock.
    pub(super) ticks: u32,
    /// Whether a player of this stream can start with it.
    pub(super) starts: bool,
}

impl Stream {
    /// Behind the head that `begun` is of, whose pages were written with the number `serial`.
    pub(super) fn behind(begun: &Begun, serial: u32, meter: Option<Meter>) -> Self {
        Self {
            source_serial: begun.serial,
            serial,
            codec: begun.codec,
            meter,
            expected: begun.sequence,
            sequence: begun.sequence,
            has_begun: false,
            granule_base: 0,
            last_granule: None,
            is_open: false,
            is_lost: false,
            has_ended: begun.has_ended,
            open_plays: 0,
        }
    }

    /// Whether data has come and the last page has not.
    pub(super) fn is_playing(&self) -> bool {
        self.has_begun && !self.has_ended
    }

    /// Ticks a second, if the stream can tell the time.
    pub(super) fn rate(&self) -> Option<u32> {
        self.meter.as_ref().map(|meter| meter.rate)
    }

    /// Takes a page of data. If it goes out in another shape, `written` is that.
    #[inline]
    pub(super) fn take(&mut self, page: &Page<'_>, written: &mut Vec<u8>) -> Taken {
        let header = page.header();
        let missing = self.number(header.sequence);
        let goes_on = page.is(CONTINUED);
        let is_torn = missing > 0 || self.is_lost || goes_on != self.is_open;
        let mut taken = Taken { missing, is_torn, ..Taken::default() };
        taken.ticks = self.measure(page, is_torn);
        if header.granule != NO_GRANULE {
            self.last_granule = Some(header.granule);
        }
        self.has_ended |= page.is(LAST);
        if is_torn && (goes_on || self.is_open) {
            taken.is_rewritten = true;
            taken.is_left_out = !self.mend(page, written);
        } else if self.is_renumbered(&header) {
            taken.is_rewritten = true;
            page::write(written, self.out(header), page.lengths(), page.body());
        }
        self.is_lost = taken.is_left_out;
        if !taken.is_left_out {
            self.is_open = page.leaves_open();
            self.sequence = self.sequence.wrapping_add(1);
        }
        let plays = !page.lengths().is_empty() && !self.has_ended;
        taken.starts = plays && !goes_on && (!self.codec.is_video() || has_key_frame(page));
        taken
    }

    /// Accounts for the source's number of a page; gives how many are missing in front of it. What
    /// is missing is missing in the numbers that go out as well, so that decoders know; a source
    /// that counts back is one page off, because numbers that were heard never come again.
    fn number(&mut self, sequence: u32) -> u32 {
        let ahead = sequence.wrapping_sub(self.expected);
        self.expected = sequence.wrapping_add(1);
        let is_ahead = ahead.cast_signed() >= 0;
        if !std::mem::replace(&mut self.has_begun, true) {
            self.sequence = self.sequence.wrapping_add(if is_ahead { ahead } else { 0 });
            return 0;
        }
        let missing = if is_ahead { ahead } else { 1 };
        self.sequence = self.sequence.wrapping_add(missing);
        missing
    }

    /// What the packets that end on `page` play. Granule positions say less where the encoder cut
    /// something off, and never more: what is missing does not play.
    fn measure(&mut self, page: &Page<'_>, is_torn: bool) -> u32 {
        let Some(meter) = &mut self.meter else { return 0 };
        let mut plays = 0_u64;
        let mut open = if is_torn { 0 } else { self.open_plays };
        for piece in page.pieces() {
            if piece.begins {
                open = meter.packet(piece.bytes);
            }
            if piece.ends {
                plays += u64::from(std::mem::take(&mut open));
            }
        }
        self.open_plays = open;
        let granule = page.header().granule;
        if granule != NO_GRANULE {
            let from = self.last_granule.map_or(meter.skip, |last| meter.counted(last));
            let span = u64::try_from(meter.counted(granule).saturating_sub(from));
            // One that runs back is wrong, except where a whole stream's beginning is cut off.
            plays = plays.min(span.unwrap_or(if self.last_granule.is_some() { plays } else { 0 }));
        }
        meter.ticks(plays)
    }

    fn is_renumbered(&self, header: &Header) -> bool {
        self.serial != header.serial
            || self.sequence != header.sequence
            || (self.granule_base != 0 && header.granule != NO_GRANULE)
    }

    /// The header that goes out for one of the source's.
    fn out(&self, header: Header) -> Header {
        let Header { flags, granule, .. } = header;
        Header { flags, granule: self.rebased(granule), ..self.next_header() }
    }

    /// A granule position as it goes out.
    pub(super) fn rebased(&self, granule: i64) -> i64 {
        match granule {
            NO_GRANULE => NO_GRANULE,
            _ => granule.saturating_sub(self.granule_base).max(0),
        }
    }

    /// Header of a page without granule position and flags that goes out next.
    fn next_header(&self) -> Header {
        let (serial, sequence) = (self.serial, self.sequence);
        Header { flags: 0, granule: NO_GRANULE, serial, sequence }
    }

    /// Writes `page` without the rest of a packet whose beginning is lost, and with an end for the
    /// packet that those who listen wait for: both are a first segment without bytes. A decoder
    /// that heeds page numbers drops it, one that does not (FFmpeg's) would otherwise glue the
    /// beginning of one packet to the next. Says whether anything is left of the page.
    #[cold]
    fn mend(&self, page: &Page<'_>, written: &mut Vec<u8>) -> bool {
        let (mut lengths, mut body) = (page.lengths(), page.body());
        if page.is(CONTINUED) {
            let Some(end) = lengths.iter().position(|&length| length < 255) else { return false };
            let lost: usize = lengths[..=end].iter().map(|&length| usize::from(length)).sum();
            (lengths, body) = (&lengths[end + 1..], &body[lost..]);
        }
        let mut header = self.out(page.header());
        if lengths.len() == SEGMENTS_MAX {
            // No room for a segment more: decoders have to know by the number.
            page::write(written, header, lengths, body);
            return true;
        }
        header.flags |= CONTINUED;
        let ended: Vec<u8> = [&[0], lengths].concat();
        page::write(written, header, &ended, body);
        true
    }

    /// Writes an empty last page, if the stream has not ended yet.
    pub(super) fn end(&mut self, written: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let granule = self.rebased(self.last_granule.unwrap_or(0));
        let header = Header { flags: LAST, granule, ..self.next_header() };
        page::write(written, header, &[], &[]);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// The stream goes on as another link's: what was lost or torn stays behind.
    pub(super) fn restart(&mut self, serial: u32, sequence: u32, granule_base: i64, is_open: bool) {
        (self.serial, self.sequence) = (serial, sequence);
        self.granule_base = granule_base;
        self.is_open = is_open;
        self.has_ended = false;
    }
}

/// Whether a key frame of Theora begins on `page`: a packet of data (first bit) that is no delta
/// (second bit; Theora, 7.1). Encoders put it first on a page; those that do not would leave nobody
/// a place to start if it had to be.
fn has_key_frame(page: &Page<'_>) -> bool {
    let is_key = |packet: &[u8]| packet.first().is_some_and(|byte| byte & 0xC0 == 0);
    page.pieces().any(|piece| piece.begins && is_key(piece.bytes))
}
