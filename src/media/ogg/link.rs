//! One link of a chain: the logical streams that play together, from their head to their last
//! pages. Hands data pages to their stream, tells the time by one of them, and ends them all.

use super::codec::{Codec, Identity};
use super::head::{self, Begun, Head};
use super::meter::Meter;
use super::page::{self, Header, Page};
use super::stream::{Stream, Taken};
use super::tail::Tail;
use crate::media::{Signature, Tags};

/// Numbers of streams that are remembered. Live players hold them for a link or two; one that finds
/// its way in a recorded chain by numbers (libvorbisfile) loses links if any comes twice.
const USED_MAX: usize = 64;

/// See above. The default is the link before the first: it has no streams.
#[derive(Debug, Default)]
pub(super) struct Link {
    streams: Vec<Stream>,
    /// Which stream tells the time: the first sound, else the first picture.
    clock: Option<usize>,
    /// Whether there is a picture, at whose key frames alone a player can start.
    has_video: bool,
    /// For a link that can be given another title: what another link needs to go on with it.
    tail: Option<Tail>,
    /// Whether its source sends no more of it.
    is_over: bool,
    /// Numbers that streams went out with lately, this link's last.
    used: Vec<u32>,
    pub(super) told: Told,
}

/// What a link's head tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) codec: Option<&'static str>,
    pub(super) video_codec: Option<&'static str>,
    pub(super) sound: Option<Identity>,
    pub(super) signature: Option<Signature>,
    pub(super) tags: Option<Tags>,
}

impl Link {
    /// The link that `head` begins behind `before`, and its pages as they go out. None of its
    /// streams has a number that went out lately: players would take it for the same stream.
    pub(super) fn begin(head: Head, before: &mut Self) -> (Self, Vec<u8>) {
        let mut link = Self { used: std::mem::take(&mut before.used), ..Self::default() };
        let is_used = head.serials().any(|serial| link.used.contains(&serial));
        // Skeleton names the other streams by their numbers: it goes if one of them changes.
        let (begun, mut pages) = head.finish(!is_used);
        let serials = link.take_serials(&begun);
        let heads: Vec<_> = begun.iter().map(|one| head::packets(&pages, one.serial)).collect();
        if is_used {
            pages = renamed(&pages, &begun, &serials);
        }
        link.told = told(&begun, &heads);
        for ((begun, head), &serial) in begun.iter().zip(&heads).zip(&serials) {
            let identity = begun.codec.identify(head);
            let meter = identity.and_then(|identity| Meter::of(begun.codec, head, identity));
            link.streams.push(Stream::behind(begun, serial, meter));
        }
        let first = |is: fn(Codec) -> bool| {
            let tells = |stream: &Stream| is(stream.codec) && stream.rate().is_some();
            link.streams.iter().position(tells)
        };
        link.clock = first(Codec::is_audio).or(first(Codec::is_video));
        link.has_video = link.streams.iter().any(|stream| stream.codec.is_video());
        link.tail = match &link.streams[..] {
            [only] if only.codec.can_be_retitled() => Some(Tail::default()),
            _ => None,
        };
        (link, pages)
    }

    /// The numbers that `begun` go out with: their own, or the next that went out lately for nobody
    /// and is not another one's.
    fn take_serials(&mut self, begun: &[Begun]) -> Vec<u32> {
        let mut serials = Vec::new();
        for stream in begun {
            let is_others = |serial| {
                begun.iter().any(|other| other.serial == serial) && serial != stream.serial
            };
            let mut serial = stream.serial;
            while self.used.contains(&serial) || is_others(serial) {
                serial = serial.wrapping_add(1);
            }
            self.note_serial(serial);
            serials.push(serial);
        }
        serials
    }

    /// The next number behind `serial` that did not go out lately.
    pub(super) fn unused(&self, serial: u32) -> u32 {
        let mut next = serial.wrapping_add(1);
        while self.used.contains(&next) {
            next = next.wrapping_add(1);
        }
        next
    }

    /// A stream goes out with the number `serial` from here on.
    pub(super) fn note_serial(&mut self, serial: u32) {
        self.used.push(serial);
        self.used.drain(..self.used.len().saturating_sub(USED_MAX));
    }

    /// Takes a page of data; `None` if it is of none of the streams that still play. The ticks are
    /// those of the link's clock.
    #[inline]
    pub(super) fn take(&mut self, page: &Page<'_>, written: &mut Vec<u8>) -> Option<Taken> {
        if self.is_over {
            return None;
        }
        let serial = page.serial();
        let index = self
            .streams
            .iter()
            .position(|stream| stream.source_serial == serial && !stream.has_ended)?;
        let stream = &mut self.streams[index];
        let mut taken = stream.take(page, written);
        if let Some(tail) = &mut self.tail {
            tail.take(page, taken.is_torn);
        }
        if self.clock != Some(index) {
            taken.ticks = 0;
        }
        taken.starts &= match self.clock {
            _ if self.has_video => self.streams[index].codec.is_video(),
            Some(clock) => clock == index,
            None => true,
        };
        Some(taken)
    }

    /// Ticks of the clock a second.
    pub(super) fn rate(&self) -> Option<u32> {
        self.streams.get(self.clock?)?.rate()
    }

    /// The source sends no more of it.
    pub(super) fn close(&mut self) {
        self.is_over = true;
    }

    /// Ends for those who listen every stream that has not ended yet.
    pub(super) fn end(&mut self, written: &mut Vec<u8>) {
        self.is_over = true;
        self.streams.iter_mut().for_each(|stream| stream.end(written));
    }

    /// The only stream, with its tail, if it can be given another title, has begun and still plays.
    pub(super) fn only(&mut self) -> Option<(&mut Stream, &mut Tail)> {
        match (&mut self.streams[..], &mut self.tail) {
            ([only], Some(tail)) if only.is_playing() && !self.is_over => Some((only, tail)),
            _ => None,
        }
    }
}

fn told(begun: &[Begun], heads: &[Vec<Vec<u8>>]) -> Told {
    let first = |is: fn(Codec) -> bool| begun.iter().position(|begun| is(begun.codec));
    let (sound, picture) = (first(Codec::is_audio), first(Codec::is_video));
    let name = |index: Option<usize>| begun[index?].codec.name();
    let tags = |index: Option<usize>| begun[index?].codec.tags(&heads[index?]);
    let signatures: Vec<[u8; 8]> = begun
        .iter()
        .zip(heads)
        .filter(|(begun, _)| begun.codec != Codec::Skeleton)
        .map(|(begun, head)| begun.codec.signature(head).0.to_le_bytes())
        .collect();
    let parts: Vec<&[u8]> = signatures.iter().map(|one| &one[..]).collect();
    Told {
        codec: name(sound),
        video_codec: name(picture),
        sound: sound.and_then(|index| begun[index].codec.identify(&heads[index])),
        signature: Some(Signature::of(&parts)),
        tags: tags(sound).or_else(|| tags(picture)).filter(|tags| !tags.is_empty()),
    }
}

/// `pages` with the numbers `serials` for those of `begun`.
fn renamed(pages: &[u8], begun: &[Begun], serials: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pages.len());
    for page in page::pages(pages) {
        let index = begun.iter().position(|stream| stream.serial == page.serial());
        let serial = index.map_or(page.serial(), |index| serials[index]);
        page::write(&mut out, Header { serial, ..page.header() }, page.lengths(), page.body());
    }
    out
}
