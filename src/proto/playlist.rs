//! Playlists that lead a player to a mount: `/live.m3u`, `/live.pls`, `/live.xspf`. Built from a
//! mount's address and name; whether the mount exists is not asked here.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::answer::Answer;
use super::text;

/// What a path has to encode to stand in a URL (RFC 3986, 3.3), and quotes, for players that do not
/// expect them.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A playlist's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Playlist {
    /// One URL a line.
    M3u,
    /// Winamp's INI form.
    Pls,
    /// XML (xspf.org, version 1).
    Xspf,
}

impl Playlist {
    /// The format a path's ending asks for, and the mount before it: `/live.m3u` is the M3U of
    /// `/live`.
    pub fn of_path(path: &str) -> Option<(Self, &str)> {
        let (mount, ending) = path.rsplit_once('.')?;
        let format = match ending {
            "m3u" => Self::M3u,
            "pls" => Self::Pls,
            "xspf" => Self::Xspf,
            _ => return None,
        };
        (mount.len() > 1 && !mount.ends_with('/')).then_some((format, mount))
    }

    /// The content type. `audio/x-mpegurl` is Icecast's, and keeps browsers from taking a playlist
    /// for HLS.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::M3u => "audio/x-mpegurl",
            Self::Pls => "audio/x-scpls",
            Self::Xspf => "application/xspf+xml",
        }
    }

    /// The playlist of one stream: its URL (see [`listen_url`]) and its name.
    pub fn answer(self, url: &str, name: Option<&str>) -> Answer {
        let (body, file) = match self {
            Self::M3u => (format!("{}\r\n", one_line(url)), "listen.m3u"),
            Self::Pls => (pls(url, name), "listen.pls"),
            Self::Xspf => (xspf(url, name), "listen.xspf"),
        };
        Answer::new(200, self.content_type(), body)
            .with("Content-Disposition", format!("attachment; filename=\"{file}\""))
    }
}

/// The URL of a mount. `host` is a name with its port if it needs one, as
/// [`super::http::RequestHead::host`] passes it.
pub fn listen_url(secure: bool, host: &str, mount: &str) -> String {
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{host}{}", utf8_percent_encode(mount, PATH))
}

/// A mount's path as a URL names it.
pub fn url_path(mount: &str) -> String {
    utf8_percent_encode(mount, PATH).to_string()
}

fn pls(url: &str, name: Option<&str>) -> String {
    let mut body = format!("[playlist]\r\nNumberOfEntries=1\r\nFile1={}\r\n", one_line(url));
    if let Some(name) = name {
        // Writing into a String cannot fail.
        let _ = write!(body, "Title1={}\r\n", one_line(name));
    }
    body.push_str("Length1=-1\r\nVersion=2\r\n");
    body
}

fn xspf(url: &str, name: Option<&str>) -> String {
    let url = text::escape_markup(url);
    let title = name
        .map_or_else(String::new, |name| format!("<title>{}</title>", text::escape_markup(name)));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\">{title}<trackList><track>\
         <location>{url}</location>{title}</track></trackList></playlist>\n"
    )
}

/// Text that cannot start a line of its own.
fn one_line(text: &str) -> String {
    text::clean(text.into()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(format: Playlist, url: &str, name: Option<&str>) -> String {
        String::from_utf8(format.answer(url, name).body).expect("UTF-8")
    }

    #[test]
    fn a_path_names_its_format_and_its_mount() {
        assert_eq!(Playlist::of_path("/live.m3u"), Some((Playlist::M3u, "/live")));
        assert_eq!(Playlist::of_path("/a/b.mp3.xspf"), Some((Playlist::Xspf, "/a/b.mp3")));
        for path in ["/live", "/live.mp3", "/.m3u", "/a/.pls", "m3u", ""] {
            assert_eq!(Playlist::of_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_url_is_encoded_where_it_must_be() {
        assert_eq!(
            listen_url(true, "radio.example:8443", "/café n°1/50%?.mp3"),
            "https://radio.example:8443/caf%C3%A9%20n%C2%B01/50%25%3F.mp3"
        );
        assert_eq!(listen_url(false, "localhost", "/live"), "http://localhost/live");
    }

    #[test]
    fn each_format_holds_the_url_and_a_harmless_name() {
        let (url, name) = ("http://a/live", Some("Tom & \"Jerry\"\nFile2=x"));
        assert_eq!(body(Playlist::M3u, url, name), "http://a/live\r\n");
        assert_eq!(
            body(Playlist::Pls, url, name),
            "[playlist]\r\nNumberOfEntries=1\r\nFile1=http://a/live\r\n\
             Title1=Tom & \"Jerry\" File2=x\r\nLength1=-1\r\nVersion=2\r\n"
        );
        let xspf = body(Playlist::Xspf, "http://a/?x&y", name);
        assert!(xspf.contains("<location>http://a/?x&amp;y</location>"));
        assert!(xspf.contains("<title>Tom &amp; &quot;Jerry&quot;\nFile2=x</title>"));
    }

    #[test]
    fn playlists_are_offered_as_files() {
        let answer = Playlist::Pls.answer("http://a", None);
        assert_eq!(answer.content_type, "audio/x-scpls");
        assert_eq!(answer.headers[0].1, "attachment; filename=\"listen.pls\"");
    }
}
