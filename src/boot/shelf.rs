//! Reads the files that the configuration names: intros and outros. It runs on the main thread
//! before any core exists, where a file may be waited for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::limits::{INTRO_BYTES_MAX, INTROS_BYTES_MAX};
use crate::config::{Attachment, Faults};
use crate::domain::intro::{Intro, Shelf};

/// A path as it is written, and the content type that its mount is set to: what one file was asked
/// for already need not be read again.
type Asked<'a> = (&'a Path, Option<&'a str>);

/// The shelf of `attachments`. Relative paths begin at the folder of the configuration file
/// `config`.
///
/// # Errors
/// Every file that cannot be used, in the order of the lines that name them.
pub(super) fn fill(attachments: &[Attachment], config: &Path) -> Result<Shelf, Faults> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let mut known: HashMap<Asked<'_>, Result<Arc<Intro>, String>> = HashMap::new();
    let mut shelf = Shelf::default();
    let (mut bytes, mut faults) = (0, Vec::new());
    for file in attachments {
        let path = folder.join(file.path());
        let loaded = known.entry((file.path(), file.content_type())).or_insert_with(|| {
            let intro = load(&path, file.content_type())?;
            bytes += intro.bytes().len();
            if bytes > INTROS_BYTES_MAX { Err(together()) } else { Ok(Arc::new(intro)) }
        });
        match loaded {
            Ok(intro) => shelf.put(PathBuf::from(file.path()), Arc::clone(intro)),
            Err(words) => faults.push(file.fault(&path, words)),
        }
    }
    if faults.is_empty() { Ok(shelf) } else { Err(Faults::new(faults)) }
}

/// Reads and parses one file, or says what is wrong with it and the cure.
fn load(path: &Path, content_type: Option<&str>) -> Result<Intro, String> {
    let file = read(path).map_err(|error| {
        let cure = match error.kind() {
            ErrorKind::NotFound => "put the file there, or correct the path",
            ErrorKind::PermissionDenied => "let the user that runs floe read it",
            _ => "name a file that can be read",
        };
        format!("cannot be read: {error}; {cure}")
    })?;
    Intro::load(&file, content_type).map_err(|fault| fault.to_string())
}

/// Reads a file up to one byte beyond the ceiling, which is enough to be refused for it. What is
/// not a file is refused before it is opened: a pipe would be waited for.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(INTRO_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn together() -> String {
    let mib = INTROS_BYTES_MAX >> 20;
    format!("makes all intros and outros together larger than {mib} MiB; shorten or share them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const LIVE_AAC: &[u8] = include_bytes!("../../tests/fixtures/media/live.aac");

    /// What comes of a configuration text beside the files `in.aac` and `text.aac`.
    fn filled(text: &str) -> Result<(Shelf, config::Config), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes);
        write("in.aac", LIVE_AAC).expect("a file");
        write("text.aac", b"not audio").expect("a file");
        let loaded = config::load(text, "f", &|_| None).expect("a sound text");
        let shelf = fill(&loaded.attachments, &folder.path().join("floe.toml"));
        let shown = |faults: Faults| {
            faults.to_string().replace(&folder.path().display().to_string(), "FOLDER")
        };
        shelf.map_err(shown).map(|shelf| (shelf, loaded.config))
    }

    #[test]
    fn files_are_found_beside_the_configuration_and_shared_by_their_mounts() {
        let text = "[mounts.\"/a\"]\nintro = \"in.aac\"\noutro = \"./in.aac\"\n\
                    [mounts.\"/b\"]\nintro = \"in.aac\"\ncontent_type = \"audio/aac\"\n";
        let (shelf, config) = filled(text).expect("sound files");
        let settings = |path| config.mounts.settings(path);
        let intro = shelf.intro(&settings("/a")).expect("an intro");
        assert!(!intro.bytes().is_empty());
        assert!(shelf.outro(&settings("/a")).is_some());
        assert!(shelf.intro(&settings("/b")).is_some() && shelf.outro(&settings("/b")).is_none());
        assert!(shelf.intro(&settings("/c")).is_none());
    }

    #[test]
    fn every_file_that_cannot_be_used_is_told_with_line_and_cure() {
        let text = "[mounts.\"/a\"]\nintro = \"absent.mp3\"\noutro = \"text.aac\"\n\
                    [mounts.\"/b\"]\nintro = \"in.aac\"\ncontent_type = \"audio/mpeg\"\n\
                    outro = \"/proc\"\n";
        let faults = filled(text).err().unwrap_or_default();
        let lines: Vec<_> = faults.lines().collect();
        assert_eq!(
            lines,
            [
                "f:2: mounts.\"/a\".intro: \"FOLDER/absent.mp3\" cannot be read: No such file or \
                 directory (os error 2); put the file there, or correct the path",
                "f:3: mounts.\"/a\".outro: \"FOLDER/text.aac\" holds no audio of a known format; \
                 encode it as the stream is encoded",
                "f:5: mounts.\"/b\".intro: \"FOLDER/in.aac\" is ADTS, which is not the \
                 content_type of its mount; encode it as the stream is encoded, or correct \
                 content_type",
                "f:7: mounts.\"/b\".outro: \"/proc\" cannot be read: it is not a file; name a file \
                 that can be read",
            ]
        );
    }
}
