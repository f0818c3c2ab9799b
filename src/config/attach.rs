//! Files that settings name. This room opens none: who starts the server reads them, and tells what
//! is wrong with one as a fault of the setting that names it.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::table;
use super::fault::{Fault, Place, Wrong};
use super::model::Config;
use super::mounts::MountSettings;
use super::read::Source;
use super::walk::mount_key;

/// A file that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    place: Place,
    key: String,
    path: PathBuf,
    content_type: Option<String>,
}

impl Attachment {
    /// Its path as it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content type that its mount is set to, if it is.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// What is wrong with the file found at `path`: `words` say what and the cure, as in `is not
    /// there; correct the path`.
    pub fn fault(&self, path: &Path, words: &str) -> Fault {
        let wrong = Wrong::File { path: path.to_owned(), words: words.to_owned() };
        Fault { place: self.place.clone(), key: self.key.clone(), wrong }
    }
}

/// A setting that names a file.
type Names = fn(&MountSettings) -> Option<&PathBuf>;

/// The settings that do.
const SETTINGS: [(&str, Names); 2] =
    [("intro", |settings| settings.intro.as_ref()), ("outro", |settings| settings.outro.as_ref())];

/// Every file that `config` names, in no order.
pub(super) fn attachments(
    source: &Source<'_>,
    tree: &DeTable<'_>,
    config: &Config,
) -> Vec<Attachment> {
    let mut found = Vec::new();
    for (name, node) in table(tree, "mounts").into_iter().flatten() {
        let DeValue::Table(section) = node.get_ref() else { continue };
        let Some(settings) = config.mounts.section(name.get_ref()) else { continue };
        for (key, names) in SETTINGS {
            let Some(path) = names(settings) else { continue };
            let offset = section.get(key).map_or(0, |node: &Spanned<_>| node.span().start);
            found.push(Attachment {
                place: source.place(offset),
                key: format!("{}.{key}", mount_key(name.get_ref())),
                path: path.clone(),
                content_type: settings.content_type.clone(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;

    #[test]
    fn each_file_is_known_with_its_place_and_its_mounts_content_type() {
        let text = "[mounts.\"/a\"]\nintro = \"in.mp3\"\n\n[mounts.\"/b*\"]\n\
                    content_type = \"audio/aac\"\noutro = \"/out.aac\"\nintro = \"in.aac\"\n";
        let loaded = load(text, "f", &|_| None).expect("a sound text");
        let mut faults: Vec<_> = loaded
            .attachments
            .iter()
            .map(|file| {
                let words = format!("{:?}; mend it", file.content_type());
                file.fault(&Path::new("/etc").join(file.path()), &words).to_string()
            })
            .collect();
        faults.sort();
        assert_eq!(
            faults,
            [
                "f:2: mounts.\"/a\".intro: \"/etc/in.mp3\" None; mend it",
                "f:6: mounts.\"/b*\".outro: \"/out.aac\" Some(\"audio/aac\"); mend it",
                "f:7: mounts.\"/b*\".intro: \"/etc/in.aac\" Some(\"audio/aac\"); mend it",
            ]
        );
        assert_eq!(load("", "f", &|_| None).expect("an empty text").attachments, []);
    }
}
