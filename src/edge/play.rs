//! A GET on a mount: admission, the stream's head, and the way into the mount's table.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::limits::FULL_SEND_BYTES;
use crate::base::{CloseReason, Moment, MountId};
use crate::domain::bus::EdgeToIngest;
use crate::proto::cors::CorsGrant;
use crate::proto::icecast::{LiveRange, SERVER_ID, StreamHeadParts, stream_head};
use crate::rt::clock::Clock;
use crate::rt::net::{pack, unpack};
use crate::rt::task;

use super::converse::{Talk, refuse};
use super::core::{Core, Drain, Shared};
use super::feed::Feed;
use super::request::Request;
use super::row::{AskedBurst, Newcomer, Row};

/// How often, every 50 ms, a range probe looks whether the mount's window has reached this core.
const PROBE_LOOKS: u32 = 40;

/// Serves a listener: from here on it is a row of its mount's table. Gives the connection back if
/// it was refused and may ask again on it.
pub(super) async fn listen(
    shared: &Shared,
    mut talk: Talk,
    request: Request,
    mount: MountId,
) -> Option<Talk> {
    let address = talk.socket.peer().ip();
    let range = match request.range {
        // A long range of a live stream is as good as all of it; a server may ignore a range.
        LiveRange::Probe { .. } if request.range.bytes() > Some(FULL_SEND_BYTES) => {
            LiveRange::Whole
        }
        range => range,
    };
    let place = match Place::reserve(shared, mount, address) {
        Ok(place) => place,
        Err(reason) => return refuse(shared, talk, &request, reason).await,
    };
    let (head, interval) = shared.borrow().head(mount, &request, range);
    if request.head_only() || range != LiveRange::Whole {
        drop(place);
        answer_in_short(shared, talk, &request, mount, head, range).await;
        return None;
    }
    // Before the head, so that a core without a descriptor to spare can still say so.
    if talk.socket.prepare_wire().is_err() {
        drop(place);
        return refuse(shared, talk, &request, CloseReason::OutOfResources).await;
    }
    if talk.socket.send_all(&head).await.is_ok() {
        enter(shared, talk, &request, place, interval);
    }
    None
}

/// Answers what is over with a head, or with a few bytes behind it.
async fn answer_in_short(
    shared: &Shared,
    mut talk: Talk,
    request: &Request,
    mount: MountId,
    mut bytes: Vec<u8>,
    range: LiveRange,
) {
    let mut status = 200;
    if let Some(count) = range.bytes() {
        status = 206;
        if !request.head_only() {
            bytes.extend(probe(shared, mount, count).await);
        }
    }
    let sent = talk.socket.send_all(&bytes).await.is_ok();
    shared.borrow().journal_answer(talk.socket.peer(), request, status, bytes.len());
    if sent {
        let Talk { socket, ticket, buffer } = talk;
        socket.finish(buffer, 0).await;
        drop(ticket);
    }
}

/// Turns the connection into a row.
fn enter(shared: &Shared, talk: Talk, request: &Request, place: Place, interval: u32) {
    let Talk { socket, ticket, .. } = talk;
    let peer = socket.peer();
    drop(ticket);
    let Ok(wire) = socket.into_wire() else {
        // The head had to wait, and the core ran out of descriptors meanwhile.
        shared.borrow().counters.close(CloseReason::OutOfResources);
        return;
    };
    // The head may have waited for a full socket; a row that joins a mount that went meanwhile
    // would be told of nothing any more, not even to leave.
    if shared.borrow().mount_up_at(place.mount).is_none() {
        return;
    }
    let mount = place.keep();
    let mut core = shared.borrow_mut();
    let now = core.clock.now();
    let (intro, intro_from, burst) = core.intro(mount, request, now);
    let newcomer = Newcomer {
        id: core.new_listener(),
        http_minor: request.http_minor(),
        icy_interval: interval,
        burst,
        intro,
        intro_from,
        address: pack(peer.ip()),
        port: peer.port(),
        target: core.labels.hold(&request.target),
        agent: core.labels.hold(&request.agent),
        referrer: core.labels.hold(&request.referrer),
    };
    let row = Row::new(wire, newcomer, now);
    core.join(mount, row, now);
}

/// The first `count` bytes a newcomer would get.
async fn probe(shared: &Shared, mount: MountId, count: u64) -> Vec<u8> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    for _ in 0..PROBE_LOOKS {
        {
            let mut core = shared.borrow_mut();
            core.follow(mount);
            let Some(mount) = core.mounts.get(&mount) else { break };
            let bytes = first_bytes(&mount.table.feed, count);
            if bytes.len() == count {
                return bytes;
            }
        }
        task::sleep(std::time::Duration::from_millis(50)).await;
    }
    Vec::new()
}

/// The first bytes that are there for a newcomer, `count` at most.
fn first_bytes(feed: &Feed, count: usize) -> Vec<u8> {
    let Some(mut offset) = feed.start_point(None) else { return Vec::new() };
    let mut bytes = Vec::with_capacity(count);
    let mut piece = feed.preambles().at(offset).map_or(&[][..], |preamble| preamble);
    loop {
        bytes.extend_from_slice(&piece[..piece.len().min(count - bytes.len())]);
        piece = feed.at(offset, feed.end());
        if bytes.len() == count || piece.is_empty() {
            return bytes;
        }
        offset += piece.len() as u64;
    }
}

/// A reserved place under every limit there is. Dropped it is given up; kept it is a row's, and
/// given up with it.
struct Place {
    shared: Shared,
    mount: MountId,
    address: IpAddr,
    kept: bool,
}

impl Place {
    fn reserve(shared: &Shared, mount: MountId, address: IpAddr) -> Result<Self, CloseReason> {
        shared.borrow().admit(mount, address)?;
        Ok(Self { shared: Shared::clone(shared), mount, address, kept: false })
    }

    fn keep(mut self) -> MountId {
        self.kept = true;
        self.mount
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept {
            self.shared.borrow().give_up(self.mount, self.address);
        }
    }
}

impl Core {
    /// Reserves a place for a listener, by every limit there is, or says which one stands against
    /// it.
    fn admit(&self, id: MountId, address: IpAddr) -> Result<(), CloseReason> {
        if self.drain != Drain::No {
            return Err(CloseReason::Draining);
        }
        let mount = self.mount_up_at(id).ok_or(CloseReason::NotFound)?;
        let settings = &mount.info.settings;
        if !settings.admits(address) {
            return Err(CloseReason::AddressDenied);
        }
        if !self.counters.listeners.try_enter(self.listeners_max) {
            return Err(CloseReason::TooManyListeners);
        }
        if !mount.info.counters.listeners.try_enter(settings.max_listeners) {
            self.counters.listeners.leave();
            return Err(CloseReason::MountFull);
        }
        let per_address = self.config.limits.listeners_per_address;
        if per_address > 0 {
            let more = |now: u32| (now < per_address).then_some(now + 1);
            if self.census.update(self.address_key(address), more).is_err() {
                self.counters.listeners.leave();
                mount.info.counters.listeners.leave();
                return Err(CloseReason::AddressFull);
            }
        }
        Ok(())
    }

    /// Gives a reserved place up.
    fn give_up(&self, mount: MountId, address: IpAddr) {
        self.counters.listeners.leave();
        if let Some(mount) = self.mounts.get(&mount) {
            mount.info.counters.listeners.leave();
        }
        self.forget_address(pack(address));
    }

    fn address_key(&self, address: IpAddr) -> u64 {
        self.census.mix(&address_bytes(address))
    }

    /// One listener less from this address.
    pub(super) fn forget_address(&self, address: [u8; 16]) {
        if self.config.limits.listeners_per_address > 0 {
            let key = self.address_key(unpack(address));
            // It was counted in, so there is an entry to count down.
            let _ = self.census.update(key, |now| Some(now.saturating_sub(1)));
        }
    }

    /// Counts a connection of `address` within the present second; whether it is within `limit`.
    pub(super) fn counts_connection(&self, address: IpAddr, limit: u32) -> bool {
        self.rates.admits(&address_bytes(address), self.clock.now().seconds(), limit)
    }

    /// What a newcomer at `now` hears first and from where, and the burst it asks for behind that.
    /// An intro is a burst of its own: behind it the listener is that far from the live edge.
    fn intro(
        &self,
        id: MountId,
        request: &Request,
        now: Moment,
    ) -> (Option<Arc<Vec<u8>>>, u32, AskedBurst) {
        let asked = request.burst.unwrap_or_default();
        let Some(mount) = self.mounts.get(&id) else { return (None, 0, AskedBurst::new(asked)) };
        let settings = &mount.info.settings;
        let Some(intro) = &mount.info.intro else { return (None, 0, AskedBurst::new(asked)) };
        let from = intro.start(settings.intro_position, now);
        let left = asked.unwrap_or(settings.burst).less(intro.duration(), intro.bytes().len());
        (Some(Arc::clone(intro.bytes())), from, AskedBurst::new(Some(left)))
    }

    /// Follows a mount's stream, if this core does not already.
    pub(super) fn follow(&mut self, id: MountId) {
        if let Some(mount) = self.mounts.get_mut(&id)
            && !std::mem::replace(&mut mount.follows, true)
        {
            self.to_ingest.post(EdgeToIngest::Subscribe(id));
            self.to_ingest.flush();
        }
    }

    /// The head of a listener's answer, and the bytes between its metadata blocks (0 = none).
    fn head(&self, id: MountId, request: &Request, range: LiveRange) -> (Vec<u8>, u32) {
        let Some(mount) = self.mounts.get(&id) else { return (Vec::new(), 0) };
        let (info, settings) = (&mount.info, &mount.info.settings);
        let interval = settings.metadata_interval;
        let icy = (request.wants_icy && interval > 0 && info.carries_icy()).then_some(interval);
        let parts = StreamHeadParts {
            server: SERVER_ID,
            date: Clock::wall(),
            content_type: info.content_type(),
            stream: &info.lines,
            headers: &settings.headers,
            cors: CorsGrant::decide(request.origin.as_deref(), &settings.cors_origins),
        };
        let head = stream_head(&parts, request.protocol, icy, range);
        (head, icy.filter(|_| range == LiveRange::Whole).unwrap_or(0))
    }
}

/// An address as it is counted: an IPv6 client owns its /64, so that is what counts.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    let mut bytes = pack(address);
    if address.is_ipv6() {
        bytes[8..].fill(0);
    }
    bytes
}
