//! What the service manager is told, by the protocol of `sd_notify(3)`: ready, a line of status,
//! signs of life for its watchdog, more time for a long drain, and the stop. The control thread
//! tells it. Without a service manager nothing is done, and nothing here ever waits.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::base::Moment;
use crate::base::limits::{
    DRAIN_EXTENSION, DRAIN_EXTENSION_EVERY, NOTIFY_STATUS_EVERY, STUCK_AFTER, WATCHDOG_MIN,
};

/// The way to the service manager, if there is one.
#[derive(Default)]
pub struct Notify {
    ear: Option<Ear>,
    /// Half of the watchdog's time, as `sd_watchdog_enabled(3)` advises.
    ping_every: Option<Duration>,
    told: Told,
    /// Whether the log says already that telling fails.
    has_warned: bool,
}

/// Where the service manager listens.
struct Ear {
    socket: UnixDatagram,
    address: SocketAddr,
}

/// How far the server has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Not every core accepts yet.
    #[default]
    Starting,
    /// Every core accepts.
    Running,
    /// Nobody new is let in.
    Draining,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) now: Moment,
    pub(super) phase: Phase,
    pub(super) listeners: u32,
    pub(super) listeners_peak: u32,
    pub(super) sources: u32,
    /// The names of cores that are stuck.
    pub(super) stuck: &'a [&'a str],
    /// Whether every core has made progress since the last ping.
    pub(super) all_moved: bool,
}

/// What has been told.
#[derive(Clone, Debug, Default)]
struct Told {
    phase: Phase,
    status: String,
    status_at: Moment,
    extended_at: Moment,
    pinged_at: Moment,
}

impl Notify {
    /// Finds the way to `socket` (a path, or an abstract name after `@`). `watchdog` is how long
    /// the service manager waits for a sign of life.
    ///
    /// # Errors
    /// If there is no such way: the name is neither, or too long, or no socket can be made.
    pub fn open(socket: Option<&OsStr>, watchdog: Option<Duration>) -> io::Result<Self> {
        let Some(name) = socket else { return Ok(Self::default()) };
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            _ => return Err(io::Error::new(ErrorKind::InvalidInput, "neither a path nor @name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        if let Some(time) = watchdog.filter(|time| *time < WATCHDOG_MIN) {
            tracing::warn!(?time, "the watchdog is too short to feed reliably: set WatchdogSec=30");
        }
        let ping_every = watchdog.map(|time| time / 2);
        Ok(Self { ear: Some(Ear { socket, address }), ping_every, ..Self::default() })
    }

    /// How long a core may stand still before it is called stuck: with a watchdog no longer than
    /// the time between two pings, so that the log names the core before the process is killed.
    /// A watchdog below [`WATCHDOG_MIN`] makes it no shorter: healthy cores would be called stuck.
    pub(super) fn stuck_after(&self) -> Duration {
        self.ping_every.map_or(STUCK_AFTER, |every| every.clamp(WATCHDOG_MIN / 2, STUCK_AFTER))
    }

    /// Tells what is new, if anything is; says whether the watchdog's time begins anew, as by a
    /// ping or by READY. What cannot be told now is told by a later call.
    pub(super) fn tell(&mut self, facts: &Facts<'_>) -> bool {
        let Some(ear) = &self.ear else { return false };
        let (message, told) = self.told.news(facts, self.ping_every);
        if message.is_empty() {
            return false;
        }
        match ear.socket.send_to_addr(message.as_bytes(), &ear.address) {
            Ok(_) => {
                let begins_anew = told.pinged_at > self.told.pinged_at;
                self.told = told;
                begins_anew
            }
            // Its queue is full; it is read soon.
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(
                        %error,
                        "the service manager cannot be told anything: check NOTIFY_SOCKET, or \
                         unset it"
                    );
                }
                false
            }
        }
    }

    /// When the watchdog is to be fed next, if that is still to come: one that is overdue waits for
    /// a core and is looked at with everything else.
    pub(super) fn next_ping(&self, now: Moment) -> Option<Moment> {
        let every = self.ping_every.filter(|_| self.told.phase > Phase::Starting)?;
        Some(self.told.pinged_at + every).filter(|at| *at > now)
    }
}

impl Told {
    /// The message that brings the service manager up to date, and what it will have been told by
    /// it. The message is empty if there is no news.
    fn news(&self, facts: &Facts<'_>, ping_every: Option<Duration>) -> (String, Self) {
        let Facts { now, phase, .. } = *facts;
        let mut message = String::new();
        let mut told = self.clone();
        let is_new_phase = phase > self.phase;
        if is_new_phase {
            told.phase = phase;
            // The service manager counts from here on.
            told.pinged_at = now;
            message.push_str(if phase == Phase::Draining { "STOPPING=1\n" } else { "READY=1\n" });
        }
        let status = status(facts);
        let is_time = is_new_phase || now.since(self.status_at) >= NOTIFY_STATUS_EVERY;
        if is_time && status != self.status {
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(message, "STATUS={status}");
            (told.status, told.status_at) = (status, now);
        }
        let extended = now.since(self.extended_at) < DRAIN_EXTENSION_EVERY;
        if phase == Phase::Draining && (is_new_phase || !extended) {
            let _ = writeln!(message, "EXTEND_TIMEOUT_USEC={}", DRAIN_EXTENSION.as_micros());
            told.extended_at = now;
        }
        let is_hungry = ping_every.is_some_and(|every| now.since(self.pinged_at) >= every);
        if is_hungry && self.phase > Phase::Starting && facts.all_moved {
            message.push_str("WATCHDOG=1\n");
            told.pinged_at = now;
        }
        (message, told)
    }
}

/// The line that `systemctl status` shows.
fn status(facts: &Facts<'_>) -> String {
    let plural = |count| if count == 1 { "" } else { "s" };
    let Facts { listeners, listeners_peak, sources, .. } = *facts;
    let mut line = match facts.phase {
        Phase::Starting => "Starting: ".to_owned(),
        Phase::Running => String::new(),
        Phase::Draining => "Draining: ".to_owned(),
    };
    let _ = write!(
        line,
        "{listeners} listener{} (peak {listeners_peak}), {sources} source{}",
        plural(listeners),
        plural(sources),
    );
    if !facts.stuck.is_empty() {
        let _ = write!(line, ", no progress on {}", facts.stuck.join(" and "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::HOUSEKEEPING;

    const WATCHDOG: Duration = Duration::from_secs(30);

    fn facts(seconds: u64) -> Facts<'static> {
        Facts {
            now: Moment::ZERO + Duration::from_secs(seconds),
            phase: Phase::Running,
            listeners: 0,
            listeners_peak: 0,
            sources: 0,
            stuck: &[],
            all_moved: true,
        }
    }

    /// Tells facts one after the other; the messages.
    fn told(ping_every: Option<Duration>, facts: &[Facts<'_>]) -> Vec<String> {
        let mut told = Told::default();
        let mut messages = Vec::new();
        for facts in facts {
            let (message, next) = told.news(facts, ping_every);
            told = next;
            messages.push(message);
        }
        messages
    }

    #[test]
    fn ready_comes_once_and_only_when_every_core_accepts() {
        let starting = Facts { phase: Phase::Starting, ..facts(0) };
        let messages = told(None, &[starting, facts(1), facts(2)]);
        assert!(!messages[0].contains("READY"), "{messages:?}");
        assert_eq!(messages[1], "READY=1\nSTATUS=0 listeners (peak 0), 0 sources\n");
        assert_eq!(messages[2], "");
    }

    #[test]
    fn the_status_is_told_when_it_changes_and_not_more_often_than_worth_it() {
        let one = |seconds| Facts { listeners: 1, listeners_peak: 7, sources: 2, ..facts(seconds) };
        let messages = told(None, &[facts(1), one(2), one(3), one(60)]);
        let expected = "STATUS=1 listener (peak 7), 2 sources\n";
        assert_eq!(messages[1..], ["", expected, ""]);
        let stuck = Facts { stuck: &["floe-core-0", "floe-source"], sources: 1, ..facts(9) };
        let messages = told(None, &[facts(1), stuck]);
        let expected =
            "STATUS=0 listeners (peak 0), 1 source, no progress on floe-core-0 and floe-source\n";
        assert_eq!(messages[1], expected);
    }

    #[test]
    fn the_watchdog_is_fed_at_half_its_time_and_only_while_every_core_moves() {
        let still = |seconds| Facts { all_moved: false, ..facts(seconds) };
        let times = [facts(0), facts(14), facts(15), facts(29), still(30), still(44), facts(45)];
        let messages = told(Some(WATCHDOG / 2), &times);
        let fed: Vec<_> = messages.iter().map(|message| message == "WATCHDOG=1\n").collect();
        assert_eq!(fed, [false, false, true, false, false, false, true], "{messages:?}");
        assert!(told(None, &times).iter().all(|message| !message.contains("WATCHDOG")));
    }

    #[test]
    fn a_long_drain_asks_for_more_time_again_and_again_and_goes_on_feeding() {
        let draining = |seconds| Facts { phase: Phase::Draining, ..facts(seconds) };
        let times = [facts(0), draining(1), draining(3), draining(6), draining(11), draining(16)];
        let messages = told(Some(WATCHDOG / 2), &times);
        let line = "EXTEND_TIMEOUT_USEC=15000000\n";
        let first = format!("STOPPING=1\nSTATUS=Draining: 0 listeners (peak 0), 0 sources\n{line}");
        let last = format!("{line}WATCHDOG=1\n");
        assert_eq!(messages[1..], [first.as_str(), "", line, line, last.as_str()]);
    }

    #[test]
    fn a_stop_before_the_start_is_over_is_told_without_ready() {
        let messages = told(None, &[Facts { phase: Phase::Draining, ..facts(1) }]);
        assert!(messages[0].starts_with("STOPPING=1\n") && !messages[0].contains("READY"));
    }

    #[test]
    fn both_kinds_of_address_are_reached_and_others_refused() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let path = folder.path().join("notify");
        let name = format!("floe-test-{}", std::process::id());
        let abstract_address =
            SocketAddr::from_abstract_name(name.as_bytes()).expect("the name is short");
        let by_path = UnixDatagram::bind(&path).expect("the folder is writable");
        let by_name = UnixDatagram::bind_addr(&abstract_address).expect("nobody has the name");
        for (heard, address) in
            [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())]
        {
            let mut notify = Notify::open(Some(&address), None).expect("an address");
            notify.tell(&facts(1));
            let mut buffer = [0; 256];
            let count = heard.recv(&mut buffer).expect("it was sent");
            assert!(buffer[..count].starts_with(b"READY=1\n"));
        }
        for name in ["", "notify", "vsock:2:1"] {
            assert!(Notify::open(Some(OsStr::new(name)), None).is_err(), "{name}");
        }
    }

    #[test]
    fn what_a_full_queue_does_not_take_is_told_later() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).expect("the folder is writable");
        let mut notify = Notify::open(Some(path.as_os_str()), None).expect("an address");
        let other = UnixDatagram::unbound().expect("a descriptor is free");
        other.set_nonblocking(true).expect("it is a socket");
        while other.send_to(b"X=1", &path).is_ok() {}
        notify.tell(&facts(1));
        assert_eq!(notify.told.phase, Phase::Starting, "it was not taken");
        let mut buffer = [0; 256];
        heard.recv(&mut buffer).expect("the queue is full");
        notify.tell(&facts(2));
        assert_eq!(notify.told.phase, Phase::Running);
    }

    #[test]
    fn a_core_is_called_stuck_before_the_watchdog_bites() {
        let stuck_after =
            |watchdog| Notify { ping_every: watchdog, ..Notify::default() }.stuck_after();
        assert_eq!(stuck_after(None), STUCK_AFTER);
        assert_eq!(stuck_after(Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(stuck_after(Some(Duration::from_secs(60))), STUCK_AFTER);
    }

    #[test]
    fn a_watchdog_of_a_moment_calls_no_healthy_core_stuck() {
        for watchdog in [Duration::from_nanos(500), HOUSEKEEPING] {
            let notify = Notify { ping_every: Some(watchdog), ..Notify::default() };
            assert!(notify.stuck_after() >= 2 * HOUSEKEEPING, "cores count that seldom");
        }
    }
}
