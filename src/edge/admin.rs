//! The admin commands that encoders and their scripts use while on air: setting a title and ending
//! a source. Everything under `/admin` asks for a password first.

use crate::base::CloseReason;
use crate::domain::bus::{EdgeToIngest, MountInfo, Realm};
use crate::proto::answer::{Answer, TEXT};
use crate::proto::icecast::{AdminFault, AdminReply};
use crate::proto::query;
use crate::proto::title::{Title, TitleUpdate};

use super::converse::{Talk, refusal};
use super::core::{Core, Shared};
use super::request::Request;
use super::source::verify;

/// Whether a path is the admin interface's.
pub(super) fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

/// `DELETE` on a mount ends its source, as in Icecast 2.5.
pub(super) async fn end_source(shared: &Shared, talk: &Talk, request: &Request) -> Answer {
    let realm = Realm::Source(request.path.clone());
    let address = talk.socket.peer().ip();
    let verified = verify(shared, address, realm, request.credentials.clone()).await;
    let ended = match verified {
        Ok(()) => ask_to_kill(shared, request.path.clone()).await,
        refused => refused,
    };
    match ended {
        Ok(()) => Answer::empty(204),
        Err(reason) => {
            shared.borrow().counters.close(reason);
            refusal(request, reason)
        }
    }
}

/// Answers a request under `/admin`.
pub(super) async fn answer(shared: &Shared, talk: &Talk, request: &Request) -> Answer {
    match carry_out(shared, talk, request).await {
        Ok(answer) => answer,
        Err(reason) => {
            shared.borrow().counters.close(reason);
            refusal(request, reason)
        }
    }
}

async fn carry_out(shared: &Shared, talk: &Talk, request: &Request) -> Result<Answer, CloseReason> {
    let parameter = |name: &str| query::value(request.query.as_bytes(), name);
    let mount = parameter("mount").map(|mount| String::from_utf8_lossy(&mount).into_owned());
    let command = request.path.strip_prefix("/admin/").unwrap_or_default();
    // A source may set the title of its own mount and end it; all else is an administrator's.
    let realm = match (command, &mount) {
        ("metadata" | "killsource", Some(mount)) => Realm::Source(mount.clone()),
        ("streamlist" | "streamlist.txt", _) => Realm::Relay,
        _ => Realm::Admin,
    };
    let address = talk.socket.peer().ip();
    verify(shared, address, realm, request.credentials.clone()).await?;
    if matches!(command, "streamlist" | "streamlist.txt") {
        return Ok(stream_list(&shared.borrow()));
    }
    let Some(path) = mount else {
        let fault = match command {
            "metadata" | "killsource" => AdminFault::MissingParameter,
            _ => AdminFault::UnknownCommand,
        };
        return Ok(fault.answer());
    };
    match command {
        "metadata" => Ok(set_title(shared, request, path).await),
        "killsource" => Ok(kill_source(shared, path).await),
        _ => Ok(AdminFault::UnknownCommand.answer()),
    }
}

async fn set_title(shared: &Shared, request: &Request, path: String) -> Answer {
    let query = request.query.as_bytes();
    let value = |name: &str| query::value(query, name);
    if value("mode").is_some_and(|mode| mode.as_ref() != b"updinfo") {
        return AdminFault::UnknownCommand.answer();
    }
    let (song, artist, title) = (value("song"), value("artist"), value("title"));
    let (url, artwork, charset) = (value("url"), value("artwork"), value("charset"));
    if [&song, &artist, &title, &url, &artwork].into_iter().all(Option::is_none) {
        return AdminFault::MissingParameter.answer();
    }
    let update = TitleUpdate {
        song: song.as_deref(),
        artist: artist.as_deref(),
        title: title.as_deref(),
        url: url.as_deref(),
        artwork: artwork.as_deref(),
        charset: charset.as_deref(),
    };
    let title = Title::from_update(&update);
    let reply = {
        let mut core = shared.borrow_mut();
        let takes = match core.paths.get(path.as_str()).and_then(|id| core.mounts.get(id)) {
            Some(mount) => takes_titles(&mount.info),
            None => return AdminFault::NoSource.answer(),
        };
        if !takes {
            return AdminReply::MetadataNotAccepted.answer();
        }
        let asker = core.new_conn();
        core.ask_ingest(asker, EdgeToIngest::SetTitle { asker, path, title: Box::new(title) })
    };
    match reply.filled().await {
        Ok(()) => AdminReply::MetadataUpdated.answer(),
        Err(CloseReason::TitleRefused) => AdminReply::MetadataNotAccepted.answer(),
        Err(_) => AdminFault::NoSource.answer(),
    }
}

/// Whether a title can reach the listeners of a mount: between the bytes, or in an Ogg stream as a
/// new link of its chain. Other containers have no place for one on the way.
fn takes_titles(info: &MountInfo) -> bool {
    let essence = info.content_type().split(';').next().unwrap_or_default().trim();
    let chains = essence.to_ascii_lowercase().ends_with("ogg");
    info.carries_icy() || (chains && info.settings.stream_titles)
}

async fn kill_source(shared: &Shared, path: String) -> Answer {
    match ask_to_kill(shared, path).await {
        Ok(()) => AdminReply::SourceRemoved.answer(),
        Err(_) => AdminFault::NoSource.answer(),
    }
}

async fn ask_to_kill(shared: &Shared, path: String) -> Result<(), CloseReason> {
    let reply = {
        let mut core = shared.borrow_mut();
        let asker = core.new_conn();
        core.ask_ingest(asker, EdgeToIngest::KillSource { asker, path })
    };
    reply.filled().await
}

/// The mounts that an Icecast slave pulls: one path a line.
fn stream_list(core: &Core) -> Answer {
    let mut paths: Vec<&str> = core
        .paths
        .iter()
        .filter(|(_, id)| core.mounts.get(id).is_some_and(|mount| !mount.info.settings.hidden))
        .map(|(path, _)| path.as_ref())
        .collect();
    paths.sort_unstable();
    let body: String = paths.iter().flat_map(|path| [path, "\r\n"]).collect();
    Answer::new(200, TEXT, body)
}
