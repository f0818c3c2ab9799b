//! The landing page: every mount that is not hidden, with a player. One page without script, so
//! that it works in any browser and under the strictest content policy.

use std::fmt::Write as _;

use crate::config::Server;
use crate::proto::playlist::url_path;
use crate::proto::text::escape_markup;

use super::roster::Entry;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #16202a; --soft: #5b6b7a; --paper: #f4f7f9; --card: #fff;
  --line: #d8e0e6; --ice: #0b6fa4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eef3; --soft: #9fb0bf; --paper: #0e151b;
  --card: #17212a; --line: #2a3843; --ice: #6cc4f0; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
main, header, footer { max-width: 46rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.02em; }
header p, footer, .about, .none { color: var(--soft); }
header p { margin: .25rem 0 2rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.1rem 1.25rem; margin: 0 0 1rem; }
h2 { margin: 0; font-size: 1.15rem; }
.about { margin: .1rem 0 .6rem; font-size: .92rem; }
.title { margin: 0 0 .6rem; font-weight: 600; overflow-wrap: anywhere; }
audio { width: 100%; margin: 0 0 .6rem; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0; padding: 0;
  font-size: .92rem; }
a { color: var(--ice); }
footer { font-size: .85rem; padding-bottom: 3rem; }
code { font-size: .95em; }
";

/// Renders the page.
pub(super) fn landing(server: &Server, mounts: &[&Entry]) -> String {
    let host = escape_markup(&server.hostname);
    let mut page = String::with_capacity(4096 + mounts.len() * 1024);
    // Writing into a String cannot fail, here and below.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{host} · live streams</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{host}</h1>\n<p>{location}</p>\n</header>\n<main>\n",
        location = escape_markup(&server.location),
    );
    for entry in mounts {
        article(&mut page, entry);
    }
    if mounts.is_empty() {
        page.push_str(
            "<p class=\"none\">Nothing is on air. A mount appears here as soon as a source \
             publishes to it.</p>\n",
        );
    }
    let _ = write!(
        page,
        "</main>\n<footer>\n<p>Floe {version} · <a href=\"/status-json.xsl\">status</a> · \
         <a href=\"/health\">health</a> · {contact}</p>\n</footer>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
        contact = escape_markup(&server.admin_contact),
    );
    page
}

fn article(page: &mut String, entry: &Entry) {
    let (info, headers) = (&entry.info, &entry.info.headers);
    let settings = &info.settings;
    let name = settings.name.as_deref().or(headers.name.as_deref()).unwrap_or(&info.path);
    let path = url_path(&info.path);
    let path = escape_markup(&path);
    let _ = write!(page, "<article>\n<h2>{}</h2>\n", escape_markup(name));
    let about = [
        settings.description.as_deref().or(headers.description.as_deref()),
        settings.genre.as_deref().or(headers.genre.as_deref()),
    ];
    let about: Vec<_> = about.into_iter().flatten().map(escape_markup).collect();
    if !about.is_empty() {
        let _ = writeln!(page, "<p class=\"about\">{}</p>", about.join(" · "));
    }
    let title = entry.title.as_ref().map(|title| title.title.text.as_str());
    if let Some(title) = title.filter(|title| !title.is_empty()) {
        let _ = writeln!(page, "<p class=\"title\">{}</p>", escape_markup(title));
    }
    let content_type = info.content_type();
    let element = if content_type.starts_with("video/") { "video" } else { "audio" };
    let listeners = info.counters.listeners.now();
    let plural = if listeners == 1 { "" } else { "s" };
    let _ = write!(
        page,
        "<{element} controls preload=\"none\" src=\"{path}\" aria-label=\"{label}\"></{element}>\n\
         <ul>\n<li><code>{mount}</code></li>\n<li>{kind}</li>\n\
         <li>{listeners} listener{plural}</li>\n\
         <li><a href=\"{path}.m3u\">M3U</a></li>\n<li><a href=\"{path}.pls\">PLS</a></li>\n\
         <li><a href=\"{path}.xspf\">XSPF</a></li>\n</ul>\n</article>\n",
        label = escape_markup(name),
        mount = escape_markup(&info.path),
        kind = escape_markup(content_type),
    );
}
