//! Where one source's stream ends and the next one's begins: a listener who stays has to decode all
//! of both as one stream, without a word from the decoder and without a gap.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use crate::batch::keep;
use crate::broadcast::Broadcast;
use crate::decode::decode;
use crate::formats::Format;
use crate::listen::{Hears, record};
use crate::station::Station;
use crate::tail::Whole;
use crate::wait;

/// The first source is on air for so long before somebody listens: less than the burst, so that the
/// listener hears it from its beginning.
const LEAD: Duration = Duration::from_secs(1);
/// How long each source is on air. Audio in WebM comes in clusters of five seconds.
const ON_AIR: Duration = Duration::from_secs(8);
/// How long the mount has no source: long for a player, short beside `linger`.
const AWAY: Duration = Duration::from_secs(1);
/// How long the listener stays: all of both, and an encoder that starts slowly.
const STAYS: Duration = Duration::from_secs(20);
/// How much of the sound may be lost or won at a seam, in seconds: the unit that was broken off, and
/// what an encoder cuts off or adds at its beginning.
const SECONDS_OFF_MAX: f64 = 0.3;

/// How one source follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// The first breaks off in the middle of a unit, and comes back.
    Restart,
    /// The second takes the mount while the first is on air.
    Takeover,
}

/// What came of a seam.
#[derive(Debug)]
pub struct Crossing {
    format: &'static Format,
    seam: Seam,
    /// Seconds of sound that were heard beyond those that both sources sent, or what went wrong.
    found: Result<f64, String>,
}

impl Crossing {
    /// Whether nobody heard it.
    pub fn is_smooth(&self) -> bool {
        matches!(self.found, Ok(off) if off.abs() <= SECONDS_OFF_MAX)
    }

    /// One line, or more, for whoever looks into it.
    pub fn told(&self) -> String {
        format!("{} {:?}: {:?}", self.format.mount, self.seam, self.found)
    }
}

/// Crosses both seams of each format at a server whose mounts may be taken over.
pub fn cross(formats: &[&'static Format], station: &Station) -> Vec<Crossing> {
    let decoders = Mutex::new(());
    std::thread::scope(|scope| {
        let mut listeners = Vec::new();
        for &format in formats {
            for seam in [Seam::Restart, Seam::Takeover] {
                let decoders = &decoders;
                listeners.push(scope.spawn(move || {
                    let found = crossed(format, seam, station, decoders);
                    Crossing { format, seam, found }
                }));
            }
        }
        listeners.into_iter().map(|one| one.join().expect("it only listens")).collect()
    })
}

/// Crosses one seam; `decoders` lets one ffmpeg run at a time.
fn crossed(
    format: &'static Format,
    seam: Seam,
    station: &Station,
    decoders: &Mutex<()>,
) -> Result<f64, String> {
    let mount = format!("{seam:?}-{}", format.mount).to_lowercase();
    let start = || Broadcast::start(format, &mount, std::slice::from_ref(station));
    let hears = Hears { span: STAYS, with_titles: false };
    let first = start();
    wait::pause(LEAD);
    let (recording, first, second) = std::thread::scope(|scope| {
        let listener = scope.spawn(|| record(station, format, &mount, hears));
        wait::pause(ON_AIR - LEAD);
        let (first, second) = match seam {
            Seam::Restart => {
                let first = first.break_off().bytes;
                wait::pause(AWAY);
                (first, start())
            }
            Seam::Takeover => {
                let bytes = first.sent_bytes();
                let second = start();
                (first.end().bytes[..bytes].to_vec(), second)
            }
        };
        wait::pause(ON_AIR);
        (listener.join().expect("it only listens"), first, second.end())
    });
    if let Some((_, words)) = second.lost.first() {
        return Err(format!("the second source: {words}"));
    }
    let _alone = decoders.lock().expect("decoding does not panic");
    let scratch = tempfile::tempdir().expect("a writable temporary folder");
    let play =
        |bytes: &[u8]| decode(scratch.path(), format, &Whole::of(format.content_type, bytes).bytes);
    let heard = play(&recording.bytes);
    let off = heard.seconds[0] - play(&first).seconds[0] - play(&second.bytes).seconds[0];
    let trouble = recording.trouble.iter().chain((!heard.said.is_empty()).then_some(&heard.said));
    let trouble: Vec<_> = trouble.map(String::as_str).collect();
    if trouble.is_empty() && off.abs() <= SECONDS_OFF_MAX {
        return Ok(off);
    }
    keep(&mount, &recording.bytes);
    if trouble.is_empty() { Ok(off) } else { Err(format!("{off:+.2} s, {}", trouble.join("; "))) }
}

/// The crossings in Markdown, two to a line.
pub fn markdown(crossings: &[Crossing]) -> String {
    let mut text = String::from("| format | restart | takeover |\n|---|---|---|\n");
    let cell = |crossing: &Crossing| match &crossing.found {
        Ok(off) => format!("{off:+.2} s"),
        Err(_) => "failed".into(),
    };
    for pair in crossings.chunks_exact(2) {
        let (restart, takeover) = (cell(&pair[0]), cell(&pair[1]));
        let _ = writeln!(text, "| {} | {restart} | {takeover} |", pair[0].format.name);
    }
    text
}

#[test]
fn crossings_stand_in_pairs() {
    let crossing = |seam, found| Crossing { format: &crate::formats::FORMATS[0], seam, found };
    let pair =
        [crossing(Seam::Restart, Ok(-0.02)), crossing(Seam::Takeover, Err("gone".to_owned()))];
    assert!(pair[0].is_smooth() && !pair[1].is_smooth());
    assert!(!crossing(Seam::Restart, Ok(0.4)).is_smooth());
    assert!(markdown(&pair).ends_with("| MP3, constant rate | -0.02 s | failed |\n"));
}
