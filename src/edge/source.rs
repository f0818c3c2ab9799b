//! A source's socket: who it is, which mount it gets, and its bytes on their way to the source core
//! with the transfer coding taken off. When the lane is full the encoder waits, never the core.

use std::net::IpAddr;
use std::rc::Rc;

use crate::base::limits::{
    ANSWER_TIME, FAREWELL_TIME, LANE_RETRY, MOUNT_PATH_BYTES_MAX, SOURCE_READ_BYTES,
};
use crate::base::{CloseReason, ConnId, Moment, SourceId};
use crate::domain::bus::{Claim, EdgeToControl, EdgeToIngest, Realm, Verify};
use crate::proto::chunked::{ChunkStep, ChunkedDecoder};
use crate::proto::credentials::Credentials;
use crate::proto::http::BodyKind;
use crate::rt::socket::Socket;
use crate::rt::task::{self, Reply};

use super::admin::is_admin;
use super::converse::{Talk, refuse};
use super::core::{Core, Drain, Shared, StopSign};
use super::request::Request;

/// Paths that are the server's own.
const RESERVED: [&str; 4] = ["/health", "/status-json.xsl", "/status.xsl", "/admin.cgi"];

/// Serves a source until it ends. Gives the connection back if the source was refused and may ask
/// again on it.
pub(super) async fn publish(shared: &Shared, mut talk: Talk, mut request: Request) -> Option<Talk> {
    talk.ticket.works_until(shared.borrow().clock.now() + ANSWER_TIME);
    let mut seat = Seat::take(shared, &talk.socket);
    let body = match admit(shared, &talk, &mut request, &mut seat).await {
        Ok(body) => body,
        Err(reason) => {
            drop(seat);
            return refuse(shared, talk, &request, reason).await;
        }
    };
    talk.ticket.works_until(Moment(u64::MAX));
    let began = shared.borrow().clock.now();
    let mut read = 0;
    let ended = match talk.socket.send_all(request.handshake.welcome()).await {
        Ok(()) => carry(shared, &mut talk, seat.conn, body, &mut read).await,
        Err(_) => Err(CloseReason::PeerBroke),
    };
    // A stop that the source core asked for shows as an end of the stream; its reason is the true
    // one.
    let stopped = seat.sign.reason.get();
    let reason = stopped.or(ended.err()).unwrap_or(CloseReason::PeerLeft);
    drop(seat);
    {
        let core = shared.borrow();
        core.counters.close(reason);
        core.journal_source(talk.socket.peer(), &request, reason, read, began);
    }
    let Talk { mut socket, ticket, buffer } = talk;
    ticket.works_until(shared.borrow().clock.now() + FAREWELL_TIME);
    if ended.is_ok() && stopped.is_none() {
        // The source is gone already if this fails, which is what it says.
        let _ = socket.send_all(request.handshake.farewell()).await;
    }
    socket.finish(buffer, SOURCE_READ_BYTES).await;
    drop(ticket);
    None
}

/// A source's entry at its core. However the source's task ends, by a panic too, dropping this
/// tells the source core and forgets the socket's number, which may be another's soon.
struct Seat {
    shared: Shared,
    conn: ConnId,
    sign: Rc<StopSign>,
    /// Whether the source core knows of the source.
    claimed: bool,
}

impl Seat {
    fn take(shared: &Shared, socket: &Socket) -> Self {
        let conn = shared.borrow_mut().new_conn();
        let sign = Rc::new(StopSign::default());
        sign.handle.set(Some(socket.handle()));
        Self { shared: Shared::clone(shared), conn, sign, claimed: false }
    }

    /// From here on it is one of the core's sources, for whose end a shutdown waits. Not before: a
    /// password check can wait for longer than a shutdown may take.
    fn claim(&mut self) {
        self.claimed = true;
        self.shared.borrow_mut().sources.insert(self.conn, Rc::clone(&self.sign));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sign.handle.set(None);
        let mut core = self.shared.borrow_mut();
        core.sources.remove(&self.conn);
        if self.claimed {
            core.to_ingest.post(EdgeToIngest::Ended { source: SourceId(self.conn) });
            core.to_ingest.flush();
        }
    }
}

/// Checks everything there is to check and claims the mount; says how the body is framed.
async fn admit(
    shared: &Shared,
    talk: &Talk,
    request: &mut Request,
    seat: &mut Seat,
) -> Result<BodyKind, CloseReason> {
    let address = talk.socket.peer().ip();
    let body = request.body.map_err(|fault| fault.reason())?;
    let settings = {
        let core = shared.borrow();
        if core.drain != Drain::No {
            return Err(CloseReason::Draining);
        }
        core.config.mounts.settings(&request.path)
    };
    if !is_mount_path(&request.path) {
        return Err(CloseReason::BadMount);
    }
    let realm = Realm::Source(request.path.clone());
    verify(shared, address, realm, request.credentials.take()).await?;
    if shared.borrow().drain != Drain::No {
        // The check may have waited for longer than the grace lasts.
        return Err(CloseReason::Draining);
    }
    let headers = request.source.take().unwrap_or_default();
    let configured = settings.content_type.clone();
    let content_type =
        Some(headers.content_type.clone()).filter(|named| !named.is_empty()).or(configured);
    let content_type = content_type.ok_or(CloseReason::NoContentType)?;
    let claim = Claim {
        source: SourceId(seat.conn),
        path: request.path.clone(),
        content_type,
        headers,
        address,
    };
    seat.claim();
    let reply = shared.borrow_mut().ask_ingest(seat.conn, EdgeToIngest::Claim(Box::new(claim)));
    reply.filled().await?;
    Ok(body)
}

/// Asks the control thread whether credentials are right for `realm`.
pub(super) async fn verify(
    shared: &Shared,
    address: IpAddr,
    realm: Realm,
    credentials: Option<Credentials>,
) -> Result<(), CloseReason> {
    let Some(Credentials { user, password }) = credentials else {
        return Err(CloseReason::Unauthorized);
    };
    let reply = {
        let mut core = shared.borrow_mut();
        let asker = core.new_conn();
        let verify = Verify { asker, address, realm, user, password };
        core.ask_control(asker, EdgeToControl::Verify(Box::new(verify)))
    };
    reply.filled().await
}

/// Carries the body to the source core until it ends; `Ok` if it ended in order.
async fn carry(
    shared: &Shared,
    talk: &mut Talk,
    conn: ConnId,
    body: BodyKind,
    read: &mut u64,
) -> Result<(), CloseReason> {
    let mut unframe = Unframe::new(body);
    let mut waiting = std::mem::take(&mut talk.buffer);
    let mut buffer = vec![0; SOURCE_READ_BYTES];
    loop {
        let (bytes, done) = unframe.take(waiting)?;
        *read += bytes.len() as u64;
        if !bytes.is_empty() {
            post(shared, conn, bytes).await;
        }
        if done {
            return Ok(());
        }
        waiting = match receive(&mut talk.socket, &mut buffer).await? {
            Some(bytes) => bytes,
            None => return unframe.at_end(),
        };
        task::yield_if_due().await;
    }
}

/// The next bytes; `None` at the end of the stream.
async fn receive(socket: &mut Socket, buffer: &mut [u8]) -> Result<Option<Vec<u8>>, CloseReason> {
    match socket.receive(buffer).await {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(buffer[..count].to_vec())),
        Err(_) => Err(CloseReason::PeerBroke),
    }
}

/// Hands bytes to the source core, waiting while its lane is full.
async fn post(shared: &Shared, conn: ConnId, bytes: Vec<u8>) {
    while !shared.borrow().to_ingest.has_room() {
        task::sleep(LANE_RETRY).await;
        shared.borrow_mut().to_ingest.flush();
    }
    let mut core = shared.borrow_mut();
    core.to_ingest.post(EdgeToIngest::Bytes { source: SourceId(conn), bytes });
    core.to_ingest.flush();
}

/// Takes a body's framing away.
enum Unframe {
    Chunked(ChunkedDecoder),
    Length(u64),
    UntilClose,
}

impl Unframe {
    fn new(body: BodyKind) -> Self {
        match body {
            BodyKind::Chunked => Self::Chunked(ChunkedDecoder::new()),
            // libshout and curl name a length of 0 or none at all for what is live.
            BodyKind::Length(0) | BodyKind::UntilClose => Self::UntilClose,
            BodyKind::Length(bytes) => Self::Length(bytes),
        }
    }

    /// The body's bytes within `input`, and whether the body is over.
    fn take(&mut self, mut input: Vec<u8>) -> Result<(Vec<u8>, bool), CloseReason> {
        match self {
            Self::UntilClose => Ok((input, false)),
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                input.truncate(take);
                *left -= take as u64;
                Ok((input, *left == 0))
            }
            Self::Chunked(decoder) => {
                let mut body = Vec::with_capacity(input.len());
                let mut at = 0;
                loop {
                    match decoder.step(&input[at..]) {
                        ChunkStep::Data(range) => {
                            body.extend_from_slice(&input[at..][range.clone()]);
                            at += range.end;
                        }
                        ChunkStep::More => return Ok((body, false)),
                        ChunkStep::End { .. } => return Ok((body, true)),
                        ChunkStep::Fault(_) => return Err(CloseReason::BadBody),
                    }
                }
            }
        }
    }

    /// What it means that the connection ended here.
    fn at_end(&self) -> Result<(), CloseReason> {
        match self {
            Self::UntilClose | Self::Length(0) => Ok(()),
            Self::Length(_) => Err(CloseReason::PeerLeft),
            Self::Chunked(decoder) if decoder.is_done() => Ok(()),
            Self::Chunked(_) => Err(CloseReason::PeerLeft),
        }
    }
}

/// Whether a source may use this path: short enough, not the root, not a page of the server.
fn is_mount_path(path: &str) -> bool {
    path.len() > 1
        && path.len() <= MOUNT_PATH_BYTES_MAX
        && !is_admin(path)
        && !path.starts_with("/api/")
        && !RESERVED.contains(&path)
}

impl Core {
    /// Posts a question to the source core; the reply is filled by its answer.
    pub(super) fn ask_ingest(
        &mut self,
        asker: ConnId,
        question: EdgeToIngest,
    ) -> Reply<Result<(), CloseReason>> {
        let reply = Reply::new();
        self.open.insert(asker, reply.other_end());
        self.to_ingest.post(question);
        self.to_ingest.flush();
        reply
    }

    /// Posts a question to the control thread; the reply is filled by its answer.
    pub(super) fn ask_control(
        &mut self,
        asker: ConnId,
        question: EdgeToControl,
    ) -> Reply<Result<(), CloseReason>> {
        let reply = Reply::new();
        self.open.insert(asker, reply.other_end());
        self.to_control.post(question);
        self.to_control.flush();
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unframed(body: BodyKind, input: &[u8], step: usize) -> (Vec<u8>, bool, bool) {
        let mut unframe = Unframe::new(body);
        let (mut out, mut done) = (Vec::new(), false);
        for piece in input.chunks(step) {
            let (bytes, over) = unframe.take(piece.to_vec()).expect("valid framing");
            out.extend(bytes);
            done |= over;
        }
        (out, done, unframe.at_end().is_ok())
    }

    #[test]
    fn framing_is_taken_away_however_the_bytes_arrive() {
        let chunked = b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n";
        for step in 1..=chunked.len() {
            let whole = (b"hello world".to_vec(), true, true);
            assert_eq!(unframed(BodyKind::Chunked, chunked, step), whole);
            let plain = unframed(BodyKind::Length(5), b"hello world", step);
            assert_eq!(plain, (b"hello".to_vec(), true, true));
            let live = unframed(BodyKind::UntilClose, b"hello", step);
            assert_eq!(live, (b"hello".to_vec(), false, true));
        }
    }

    #[test]
    fn a_body_that_ends_too_soon_did_not_end_in_order() {
        assert!(!unframed(BodyKind::Chunked, b"5\r\nhel", 9).2);
        assert!(!unframed(BodyKind::Length(9), b"hello", 9).2);
    }

    #[test]
    fn the_servers_own_pages_are_no_mounts() {
        for path in ["/", "/admin", "/admin/stats", "/health", "/status-json.xsl", "/api/v1"] {
            assert!(!is_mount_path(path), "{path}");
        }
        for path in ["/live", "/radio/one.mp3", "/administration", "/a"] {
            assert!(is_mount_path(path), "{path}");
        }
        assert!(!is_mount_path(&format!("/{}", "x".repeat(MOUNT_PATH_BYTES_MAX))));
    }
}
