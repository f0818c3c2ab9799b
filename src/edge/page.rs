//! The documents a core answers with from what it holds already: the landing page, status, health
//! and playlists. Rendered by the control thread; here they are only chosen and copied.

use crate::proto::answer::{Answer, HTML, JSON};
use crate::proto::playlist::{Playlist, listen_url};
use crate::proto::query;

use super::core::{Core, Drain};
use super::request::Request;

/// The page at a path, if there is one.
pub(super) fn answer(core: &Core, request: &Request) -> Option<Answer> {
    match request.path.as_str() {
        "/" => Some(Answer::new(200, HTML, core.pages.landing.clone())),
        "/health" => {
            // 503 takes this server out of a balancer.
            let is_fine = core.drain == Drain::No && !core.pages.degraded;
            let status = if is_fine { 200 } else { 503 };
            Some(Answer::new(status, JSON, core.pages.health.clone()))
        }
        "/status-json.xsl" => {
            let mount = query::value(request.query.as_bytes(), "mount");
            let mount = mount.as_deref().map(String::from_utf8_lossy);
            Some(Answer::new(200, JSON, core.pages.status.text(mount.as_deref()).into_owned()))
        }
        path => playlist(core, request, path),
    }
}

fn playlist(core: &Core, request: &Request, path: &str) -> Option<Answer> {
    let (playlist, mount) = Playlist::of_path(path)?;
    let info = &core.mounts.get(core.paths.get(mount)?)?.info;
    // The name the client came by works for it; the configured one is for those that send none.
    let host = request.host.clone().unwrap_or_else(|| core.config.server.authority());
    let name = info.settings.name.as_deref().or(info.headers.name.as_deref());
    Some(playlist.answer(&listen_url(false, &host, mount), name))
}

impl Core {
    /// The origins that may read answers at `path`: those of its mount's settings.
    pub(super) fn cors_origins(&self, path: &str) -> Vec<String> {
        let mount = self.paths.get(path).and_then(|id| self.mounts.get(id));
        match mount {
            Some(mount) => mount.info.settings.cors_origins.clone(),
            None => self.config.mounts.settings(path).cors_origins.clone(),
        }
    }
}
