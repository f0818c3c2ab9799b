//! Every ceiling that configuration does not set, in one place, each with what breaks on either
//! side of it. The start prints what they add up to (law 6).

use std::time::Duration;

/// Lines in a request head. Browsers send about 20; Icecast stops at 32.
pub const HEADER_LINES_MAX: usize = 64;

/// Messages waiting in one lane between two threads. A thousand mounts that publish in the same
/// moment are three thousand; fewer makes them wait for a turn of the receiver, more only hides a
/// receiver that is stuck.
pub const LANE_MESSAGES_MAX: usize = 4096;

/// Messages from a listener core to the source core. Each may carry [`SOURCE_READ_BYTES`], so a
/// source core that is stuck holds 16 MiB a core; senders wait, and their encoders with them.
pub const SOURCE_LANE_MESSAGES_MAX: usize = 1024;

/// Source bytes read by one receive. A 320 kbit/s encoder fills a tenth of it a second; a relay
/// that catches up needs it whole.
pub const SOURCE_READ_BYTES: usize = 16 * 1024;

/// Smallest and largest segment. Below 64 KiB a burst needs many pieces a send; above 4 MiB the
/// oldest bytes of a quiet mount stay in memory for long.
pub const SEGMENT_BYTES_MIN: usize = 64 * 1024;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Playing time one segment is made to hold. Longer keeps more bytes than the window needs, shorter
/// makes more sends straddle two segments.
pub const SEGMENT_SPAN: Duration = Duration::from_secs(8);

/// Most bytes a mount keeps for bursts and laggards, whatever is configured.
pub const WINDOW_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Start points nearer than this to each other are not kept: a burst is not meant more exactly, and
/// each point is a message to every core that follows the mount.
pub const START_POINTS_APART: Duration = Duration::from_millis(100);

/// Bytes of what a newcomer must be sent before a stream's frames: the headers of an Ogg link,
/// tracks of a WebM. A Vorbis setup takes 5 KB, FLAC's and Opus' tags with a cover some 100 KB;
/// more would let a source make every join expensive.
pub const PREAMBLE_BYTES_MAX: usize = 1024 * 1024;

/// Preambles that a mount keeps for listeners who are still on older links of a chain.
pub const PREAMBLES_KEPT_MAX: usize = 16;

/// Bytes of one intro or outro: six minutes at 320 kbit/s. A longer one is a programme, and belongs
/// to a source.
pub const INTRO_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of all intros and outros together: they stay in memory from the start on.
pub const INTROS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A visit of the pump is due when this many bytes wait, even before the beat is over: larger sends
/// do not get cheaper per byte, only later.
pub const FULL_SEND_BYTES: u64 = 64 * 1024;

/// Bytes one send may carry. A listener that catches up gets the rest at its next visit, so that it
/// cannot hold the core.
pub const SEND_BYTES_MAX: usize = 256 * 1024;

/// Pieces of one gathered send: bytes and metadata blocks in turn. Linux allows 1,024; at 16,000
/// bytes between blocks 32 pieces carry 256 KB.
pub const SEND_PIECES_MAX: usize = 32;

/// Shortest time between two looks of the pump: finer than 20 ms no listener hears a difference,
/// and each look costs a wake of the core.
pub const TICK_MAX: Duration = Duration::from_millis(20);

/// Share of a listener core that the pump may use before it lengthens the beat. A quarter leaves
/// room for a storm of newcomers, lower would give up latency without need.
pub const PUMP_SHARE: f64 = 0.25;

/// Fewest rows of a mount that one look visits, unless the lap ends. The bytes are in the CPU's
/// cache for all of a run: with a thousand mounts on a core, rows that came one by one would each
/// find theirs cold. More would make small mounts burst.
pub const RUN_ROWS_MIN: usize = 32;

/// Rows the pump visits before it lets other tasks of its core run: about half a millisecond.
pub const PUMP_BATCH_ROWS: usize = 64;

/// Requests under way on one core before established: heads being read, answers being written. The
/// oldest idle one gives way to a newcomer. Icecast has no such limit and runs out of descriptors.
pub const PENDING_CONNS_MAX: usize = 16_384;

/// How long a kept-alive connection may be idle between two requests.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);

/// Requests on one kept-alive connection: a client that wants more opens another.
pub const KEEP_ALIVE_REQUESTS_MAX: u32 = 1_000;

/// Connections accepted at once. A batch costs the calls that wait for a connection only once; a
/// larger one would hold the pump up: each begins a task of about 20 us.
pub const ACCEPT_BATCH: usize = 32;

/// How long accepting pauses after the machine ran out of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Descriptors of each core's table that are kept from listeners: rings, lanes, sources, log.
pub const RESERVED_FDS: u64 = 256;

/// Mounts that live at once, the configured `sources` limit aside; also the ceiling of the landing
/// page and the status document.
pub const MOUNTS_MAX: usize = 65_536;

/// Bytes of a mount path. Longer ones would be cut in logs.
pub const MOUNT_PATH_BYTES_MAX: usize = 255;

/// Bytes of one stream header value (`ice-name` and its kin) that is kept and repeated to
/// listeners.
pub const STREAM_HEADER_BYTES_MAX: usize = 512;

/// Bytes of a title kept inside; one ICY block carries at most 255 * 16 bytes.
pub const TITLE_BYTES_MAX: usize = 4080;

/// Bytes between the metadata blocks within a source's own stream. Encoders send 8,192 to 32,000;
/// a source that names more than a mebibyte has no blocks worth waiting for.
pub const SOURCE_METAINT_BYTES_MAX: u32 = 1024 * 1024;

/// Titles that a mount keeps for listeners who are still on older bytes.
pub const TITLES_KEPT_MAX: usize = 64;

/// Bytes of a user agent, referrer or request target that is remembered with a listener.
pub const LABEL_BYTES_MAX: usize = 256;

/// Different labels a core remembers at once. Beyond it newcomers share the label `-`: an attacker
/// with a new user agent per connection costs 16 MiB a core, not more.
pub const LABELS_MAX: usize = 65_536;

/// Lines waiting for the log writer. At 10,000 closed sessions a second that is half a second of a
/// full disk; beyond it lines are counted and dropped.
pub const LOG_LINES_MAX: usize = 8_192;

/// Addresses with wrong passwords that are remembered; the one longest quiet gives way.
pub const BACKOFF_ADDRESSES_MAX: usize = 4_096;

/// Password checks that may wait at once for one address.
pub const BACKOFF_WAITING_MAX: u32 = 8;

/// Password checks that may wait at once for one address without a wrong one: the encoders of a
/// studio that come back together. More would let one address keep the hashing threads busy for
/// longer than others wait for their answer.
pub const CHECKS_WAITING_MAX: u32 = 64;

/// Longest wait that wrong passwords add to an address's next check.
pub const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// Argon2 checks that may run at once, each on its own helper thread.
pub const HASHING_THREADS_MAX: usize = 2;

/// How often the source core looks at its mounts' deadlines.
pub const MOUNT_TICK: Duration = Duration::from_millis(250);

/// How often the control thread is told what a mount's parser has counted, if nothing else is new.
/// With a thousand mounts that is two hundred messages a second; status pages are not read oftener.
pub const COUNTS_EVERY: Duration = Duration::from_secs(5);

/// How long the source core rests between two turns for each mount that lives, and at most. One
/// mount is handled as its bytes come; a thousand send thousands of pieces a second, and a wake for
/// each costs ten times what handling it costs. Five milliseconds are no delay beside a beat.
pub const TURN_REST_PER_MOUNT: Duration = Duration::from_micros(50);
/// See [`TURN_REST_PER_MOUNT`]. Rests shorter than the first are not worth their timer.
pub const TURN_REST: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_millis(5);

/// How soon the source core tries again where a lane was full.
pub const LANE_RETRY: Duration = Duration::from_millis(5);

/// How long a mount without listeners on a core keeps sending to that core.
pub const SUBSCRIPTION_LINGER: Duration = Duration::from_secs(10);

/// A silent mount's listeners are looked at this often to find those who left.
pub const SILENT_SWEEP: Duration = Duration::from_secs(30);

/// How often a core that starts looks for the first documents; they come within milliseconds.
pub const PAGES_LOOK: Duration = Duration::from_millis(1);

/// How often per-second work runs on a core: deadlines, sweeps, counters.
pub const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// A core that has not counted a turn of its loop for so long is stuck: ten times the slower of the
/// two loops. Shorter would take a server out of its balancer for a hiccup of the machine; longer
/// leaves the listeners of that core without sound before anybody is told.
pub const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Longest time between two looks at the cores that counts as having watched them: twice what the
/// control thread takes between two turns.
pub const WATCH_LOOK_MAX: Duration = Duration::from_secs(2);

/// How often the service manager is told new counts. More often only costs it work.
pub const NOTIFY_STATUS_EVERY: Duration = Duration::from_secs(2);

/// The shortest watchdog that is not a trap: cores count every half second, and a ping is sent at
/// half of the watchdog's time.
pub const WATCHDOG_MIN: Duration = Duration::from_secs(4);

/// How much longer a stop may take, told anew while listeners are drained. It has to outlast the
/// time until it is told next, [`END_TIME`] and [`LOG_FINISH`]; longer only makes the service
/// manager slower to end what hangs.
pub const DRAIN_EXTENSION: Duration = Duration::from_secs(15);

/// How often that is told.
pub const DRAIN_EXTENSION_EVERY: Duration = Duration::from_secs(5);

/// Listening sockets the service manager may pass: one for each core of a large machine, at two
/// addresses. More would come near the soft limit of 1,024 descriptors that a start begins with.
pub const PASSED_SOCKETS_MAX: usize = 512;

/// How soon a core looks again at a listening socket that it shares with other cores, on kernels
/// whose io_uring does not wait for a non-blocking socket. Shorter costs wakes of an idle core;
/// longer is heard as a slow start.
pub const SHARED_ACCEPT_RETRY: Duration = Duration::from_millis(10);

/// How long the cores may take to end after the grace of a shutdown is over. A lap of the longest
/// beat must fit; longer only makes systemd wait for what hangs.
pub const DRAIN_REST: Duration = Duration::from_secs(5);

/// How long the log writer may take for the last lines: a full pipe that nobody reads never takes
/// them.
pub const LOG_FINISH: Duration = Duration::from_secs(2);

/// How long other threads may take to answer a request, password hashing and back-off included.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);

/// How long a source that ended has to take its leave.
pub const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// How long the answer to something that was not a request has to leave. Such a client often never
/// closes, and holds a descriptor for as long.
pub const BARE_TIME: Duration = Duration::from_secs(2);

/// Bytes read from a client that is refused, so that the close does not destroy the answer.
pub const REFUSED_BODY_BYTES: usize = 256 * 1024;

/// How long a password that matched a hash is let in without hashing again. An encoder that sets a
/// title every few seconds would keep a CPU busy otherwise; longer delays a changed password.
pub const PASSWORD_REMEMBERED: Duration = Duration::from_secs(300);

/// An address is forgotten after so long without an attempt.
pub const BACKOFF_FORGET_AFTER: Duration = Duration::from_secs(900);

/// A peer that acknowledges nothing for so long is gone. The default of TCP is a quarter of an
/// hour.
pub const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Unsent bytes the kernel queues for one socket. A beat of 1 s fits up to 1 Mbit/s; a stopped
/// reader holds this much, besides what its own window took, and not the 4 MiB that `tcp_wmem`
/// would let it grow to.
pub const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Cells of a table that counts by address: four for each listener of a full machine of 250,000.
pub const ADDRESS_CELLS: usize = 1 << 20;

/// How long cores may take to end once the control thread has let go of them. They have drained by
/// then, or had their time to; longer would make systemd lose its patience.
pub const END_TIME: Duration = Duration::from_secs(2);

/// Descriptors a table needs at least: rings and lanes, listening sockets, a few hundred listeners.
pub const FILES_MIN: u64 = 1024;

/// Locked memory each of glommio's rings asks for.
pub const LOCKED_BYTES_MIN: u64 = 512 * 1024;

/// Messages handled before other tasks of the core get a turn.
pub const INBOX_TURN_MESSAGES: usize = 256;

/// Messages taken from one lane before the next lane's turn.
pub const LANE_TURN_MESSAGES: usize = 64;
