//! A connection from its first byte to the point where it becomes a listener, a source, or ends:
//! heads in, short answers out, several on one connection if the client likes.

use crate::base::limits::{
    ANSWER_TIME, BARE_TIME, KEEP_ALIVE_IDLE, KEEP_ALIVE_REQUESTS_MAX, REFUSED_BODY_BYTES,
};
use crate::base::{CloseReason, Moment};
use crate::proto::answer::{Answer, AnswerContext};
use crate::proto::cors::CorsGrant;
use crate::proto::http::{BodyKind, HeadFault, Method, Protocol, head_end};
use crate::proto::icecast::{self, Place, RefusalContext, SERVER_ID};
use crate::rt::clock::Clock;
use crate::rt::socket::Socket;

use super::core::{Core, Drain, Shared};
use super::pending::Ticket;
use super::request::Request;
use super::{admin, page, play, source};

/// Bytes a head buffer starts with: most heads of players fit.
const HEAD_BYTES_FIRST: usize = 1024;

/// A connection with what was read of it.
pub(super) struct Talk {
    /// Its place in the table of deadlines, which knows the socket by its number: dropped before
    /// it.
    pub(super) ticket: Ticket,
    pub(super) socket: Socket,
    /// Bytes read and not used yet.
    pub(super) buffer: Vec<u8>,
}

/// Talks to one client. `too_fast`: its address opens connections faster than it may.
pub(super) async fn run(shared: &Shared, socket: Socket, too_fast: bool) {
    let (now, timeout, pending) = {
        let core = shared.borrow();
        (core.clock.now(), core.config.limits.header_timeout, core.pending.clone())
    };
    let Some(ticket) = pending.enter(socket.handle(), now + timeout) else {
        shared.borrow().counters.close(CloseReason::OutOfResources);
        return;
    };
    let mut talk = Talk { ticket, socket, buffer: Vec::new() };
    for _ in 0..KEEP_ALIVE_REQUESTS_MAX {
        let head_bytes = match read_head(shared, &mut talk).await {
            Ok(bytes) => bytes,
            Err(reason) => return Box::pin(refuse_head(shared, talk, reason)).await,
        };
        let parsed = Request::parse(&mut talk.buffer[..head_bytes]);
        talk.buffer.drain(..head_bytes);
        talk.ticket.works_until(shared.borrow().clock.now() + ANSWER_TIME);
        let mut request = match parsed {
            Ok(request) => Box::new(request),
            Err(fault) => return Box::pin(refuse_fault(shared, talk, fault)).await,
        };
        if too_fast {
            // Connections are what this address has too many of; it is not to keep this one.
            request.keep_alive = false;
            Box::pin(refuse(shared, talk, &request, CloseReason::AddressTooFast)).await;
            return;
        }
        // Boxed, so that a connection that waits for its head is not as large as its largest
        // future.
        let Some(open) = Box::pin(serve(shared, talk, request)).await else { return };
        talk = open;
        let idle_until = shared.borrow().clock.now() + KEEP_ALIVE_IDLE;
        talk.ticket.waits_until(idle_until);
        if shared.borrow().drain != Drain::No {
            return;
        }
    }
}

/// Reads until a whole head is there; says how many bytes it has.
async fn read_head(shared: &Shared, talk: &mut Talk) -> Result<usize, CloseReason> {
    let ceiling = shared.borrow().config.limits.header_bytes;
    let mut searched = 0;
    loop {
        if let Some(end) = head_end(&talk.buffer, searched) {
            return if end <= ceiling { Ok(end) } else { Err(CloseReason::HeadTooLarge) };
        }
        searched = talk.buffer.len();
        if searched >= ceiling {
            return Err(CloseReason::HeadTooLarge);
        }
        let room = searched.max(HEAD_BYTES_FIRST).min(ceiling - searched).max(1);
        talk.buffer.resize(searched + room, 0);
        let received = talk.socket.receive(&mut talk.buffer[searched..]).await;
        talk.buffer.truncate(searched + *received.as_ref().unwrap_or(&0));
        match received {
            Ok(0) if talk.ticket.is_expired() => return Err(CloseReason::HeadTimeout),
            Ok(0) => return Err(CloseReason::PeerLeft),
            Ok(_) => {}
            Err(_) => return Err(CloseReason::PeerBroke),
        }
    }
}

/// Answers one request. Gives the connection back if it may carry another.
async fn serve(shared: &Shared, talk: Talk, mut request: Box<Request>) -> Option<Talk> {
    match request.method {
        Method::Put | Method::Source => source::publish(shared, talk, *request).await,
        Method::Options => {
            let place = place(&shared.borrow(), &request.path);
            let answers = request.options.take()?;
            reply(shared, talk, &request, answers.at(place)).await
        }
        Method::Delete => {
            let answer = admin::end_source(shared, &talk, &request).await;
            reply(shared, talk, &request, answer).await
        }
        Method::Get | Method::Head if admin::is_admin(&request.path) => {
            let answer = admin::answer(shared, &talk, &request).await;
            reply(shared, talk, &request, answer).await
        }
        Method::Get | Method::Head => {
            let mount = shared.borrow().paths.get(request.path.as_str()).copied();
            if let Some(mount) = mount {
                if let Err(fault) = request.burst {
                    shared.borrow().counters.close(CloseReason::BadRequest);
                    return reply(shared, talk, &request, fault.answer()).await;
                }
                return play::listen(shared, talk, *request, mount).await;
            }
            let answer = page::answer(&shared.borrow(), &request);
            let answer = answer.unwrap_or_else(|| refusal(&request, CloseReason::NotFound));
            reply(shared, talk, &request, answer).await
        }
        Method::Post | Method::Stats => {
            refuse(shared, talk, &request, CloseReason::BadMethod).await
        }
    }
}

/// What a path points at, as far as it decides which methods may be used.
fn place(core: &Core, path: &str) -> Place {
    if admin::is_admin(path) {
        Place::Admin
    } else if core.paths.contains_key(path) {
        Place::LiveMount
    } else {
        Place::FreeMount
    }
}

/// Sends an answer. Gives the connection back if it may carry another request.
pub(super) async fn reply(
    shared: &Shared,
    mut talk: Talk,
    request: &Request,
    answer: Answer,
) -> Option<Talk> {
    // A body of known length that came with a GET would be taken for the next request's head.
    let keep_alive = request.keep_alive
        && matches!(request.body, Ok(BodyKind::Length(0)))
        && shared.borrow().drain == Drain::No;
    let origins = shared.borrow().cors_origins(&request.path);
    let bytes = answer.to_bytes(&AnswerContext {
        protocol: request.protocol,
        server: SERVER_ID,
        date: Clock::wall(),
        keep_alive,
        head_only: request.head_only(),
        cors: CorsGrant::decide(request.origin.as_deref(), &origins),
    });
    let sent = talk.socket.send_all(&bytes).await;
    shared.borrow().journal_answer(talk.socket.peer(), request, answer.status, bytes.len());
    if sent.is_err() {
        return None;
    }
    if keep_alive {
        return Some(talk);
    }
    let Talk { socket, ticket, buffer } = talk;
    socket.finish(buffer, REFUSED_BODY_BYTES).await;
    drop(ticket);
    None
}

/// Refuses a request. Gives the connection back if it may carry another: libshout asks without
/// credentials first and sends them behind the 401 on the same connection.
pub(super) async fn refuse(
    shared: &Shared,
    talk: Talk,
    request: &Request,
    reason: CloseReason,
) -> Option<Talk> {
    shared.borrow().counters.close(reason);
    reply(shared, talk, request, refusal(request, reason)).await
}

/// The answer for a refusal of this request.
pub(super) fn refusal(request: &Request, reason: CloseReason) -> Answer {
    let place = if admin::is_admin(&request.path) { Place::Admin } else { Place::FreeMount };
    icecast::refusal(reason, &RefusalContext { place, ..RefusalContext::default() })
}

async fn refuse_head(shared: &Shared, talk: Talk, reason: CloseReason) {
    // Nothing was asked: a kept-alive connection that ends, a port scan, a health check.
    if talk.buffer.is_empty() && !matches!(reason, CloseReason::HeadTooLarge) {
        return;
    }
    shared.borrow().counters.close(reason);
    if reason != CloseReason::PeerBroke && reason != CloseReason::PeerLeft {
        bare(shared, talk, icecast::refusal(reason, &RefusalContext::default())).await;
    }
}

async fn refuse_fault(shared: &Shared, talk: Talk, fault: HeadFault) {
    shared.borrow().counters.close(fault.reason());
    tracing::debug!(peer = %talk.socket.peer(), fault = fault.text(), "bad request");
    bare(shared, talk, fault.answer()).await;
}

/// Sends an answer to something that was not a request.
async fn bare(shared: &Shared, mut talk: Talk, answer: Answer) {
    let now: Moment = shared.borrow().clock.now();
    talk.ticket.works_until(now + BARE_TIME);
    let bytes = answer.to_bytes(&AnswerContext {
        protocol: Protocol::Http10,
        server: SERVER_ID,
        date: Clock::wall(),
        keep_alive: false,
        head_only: false,
        cors: None,
    });
    if talk.socket.send_all(&bytes).await.is_ok() {
        let Talk { socket, ticket, buffer } = talk;
        socket.finish(buffer, REFUSED_BODY_BYTES).await;
        drop(ticket);
    }
}
