//! The table of what is tried. A new idea is one row here, and a way in `ways` or `ring` if it is a
//! new way to send. Nothing here runs.

use crate::ring::{Call, Submit};

/// One thing tried against plain send.
#[derive(Debug)]
pub struct Variant {
    pub name: &'static str,
    pub setting: Setting,
}

/// Everything in which variants differ.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub means: Means,
    pub sockets: Sockets,
    pub order: Order,
    /// Length of a beat, of the bench's own; a send carries in proportion.
    pub beat_percent: u32,
    /// Parts of a beat over which the sockets are spread.
    pub slots: u32,
}

/// How a slot's bytes leave.
#[derive(Clone, Copy, Debug)]
pub enum Means {
    /// `send(2)` from ordinary memory.
    Send,
    /// The same from a transparent huge page.
    SendHuge,
    /// `send(2)` beside rows of 128 bytes that are read and written, maybe fetched ahead.
    SendRows { prefetch: bool },
    /// `sendfile(2)` from a memfd.
    SendFile,
    /// `tee(2)` from a pipe that holds the beat into another, `splice(2)` from there.
    Tee,
    /// Operations of an io_uring.
    Ring(Submit),
}

/// What a server sets on its listening socket, which the accepted inherit, and how its peers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// The machine's default if none is named.
    pub congestion: Option<&'static str>,
    /// SO_SNDBUF in bytes, which the kernel doubles and then no longer adapts.
    pub send_buffer: Option<usize>,
    /// TCP_NOTSENT_LOWAT in bytes.
    pub unsent_low: Option<u32>,
    /// How readers look, if not as the command line says.
    pub tick_ms: Option<u64>,
}

/// The order in which sockets are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they were accepted, so that neighbours lie side by side in the kernel's memory.
    Accepted,
    /// Every fiftieth of them.
    Strided,
    /// As a table looks after many have come and gone.
    Shuffled,
}

const SOCKETS: Sockets =
    Sockets { congestion: None, send_buffer: None, unsent_low: None, tick_ms: None };

/// Plain send: what the server does, and what each variant is held against.
pub const BASE: Setting = Setting {
    means: Means::Send,
    sockets: SOCKETS,
    order: Order::Accepted,
    beat_percent: 100,
    slots: 50,
};

pub static VARIANTS: &[Variant] = &[
    is("send-again", BASE),
    // Other calls.
    by("sendfile", Means::SendFile),
    by("tee-splice", Means::Tee),
    by("ring-64", ring(Call::Send, 64, false)),
    by("ring-512", ring(Call::Send, 512, false)),
    by("ring-8-files", ring(Call::Send, 8, true)),
    by("ring-64-files", ring(Call::Send, 64, true)),
    by("ring-512-files", ring(Call::Send, 512, true)),
    by("ring-64-zc", ring(Call::SendZc, 64, true)),
    by("ring-64-bundle", ring(Call::SendBundle, 64, true)),
    // Other memory.
    by("huge-page", Means::SendHuge),
    by("rows", Means::SendRows { prefetch: false }),
    by("rows-prefetch", Means::SendRows { prefetch: true }),
    // Other times and turns.
    is("beat-quarter", Setting { beat_percent: 25, ..BASE }),
    is("beat-half", Setting { beat_percent: 50, ..BASE }),
    is("beat-double", Setting { beat_percent: 200, slots: 100, ..BASE }),
    is("beat-fourfold", Setting { beat_percent: 400, slots: 200, ..BASE }),
    is("slots-10", Setting { slots: 10, ..BASE }),
    is("slots-200", Setting { slots: 200, ..BASE }),
    is("strided", Setting { order: Order::Strided, ..BASE }),
    is("shuffled", Setting { order: Order::Shuffled, ..BASE }),
    // Other sockets.
    on("bbr", Sockets { congestion: Some("bbr"), ..SOCKETS }),
    on("cubic", Sockets { congestion: Some("cubic"), ..SOCKETS }),
    on("reno", Sockets { congestion: Some("reno"), ..SOCKETS }),
    on("sndbuf-64k", Sockets { send_buffer: Some(65_536), ..SOCKETS }),
    on("sndbuf-256k", Sockets { send_buffer: Some(262_144), ..SOCKETS }),
    on("lowat-16k", Sockets { unsent_low: Some(16_384), ..SOCKETS }),
    on("lowat-128k", Sockets { unsent_low: Some(131_072), ..SOCKETS }),
    on("tick-1ms", Sockets { tick_ms: Some(1), ..SOCKETS }),
    on("tick-20ms", Sockets { tick_ms: Some(20), ..SOCKETS }),
];

const fn is(name: &'static str, setting: Setting) -> Variant {
    Variant { name, setting }
}

const fn by(name: &'static str, means: Means) -> Variant {
    is(name, Setting { means, ..BASE })
}

const fn on(name: &'static str, sockets: Sockets) -> Variant {
    is(name, Setting { sockets, ..BASE })
}

const fn ring(call: Call, batch: usize, registered: bool) -> Means {
    Means::Ring(Submit { call, batch, registered })
}
