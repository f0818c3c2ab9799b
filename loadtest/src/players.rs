//! What real players call themselves: the `User-Agent` values of `--user-agent-mix`. Servers intern
//! them, count by them and treat some apart, which one name for all listeners would not show.

/// One of each family that a public stream sees: a desktop player, a browser, a telephone, a
/// daemon, a car's or room's receiver, and what command-line tools send.
pub const PLAYERS: [&str; 8] = [
    "VLC/3.0.20 LibVLC/3.0.20",
    "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "AppleCoreMedia/1.0.0.21E236 (iPhone; U; CPU OS 17_4_1 like Mac OS X; en_us)",
    "ExoPlayerLib/2.19.1 (Linux; Android 14)",
    "Music Player Daemon 0.23.15",
    "Linux UPnP/1.0 Sonos/79.1-53290 (ZPS27)",
    "WinampMPEG/5.66, Ultravox/2.1",
    "Lavf/60.16.100",
];
