//! The first start: a configuration with passwords nobody else has, and lines to paste.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::config::{self, Auth, Secret};
use crate::control::secret;

use super::Failure;
use super::tools::say;

/// What a first start made.
pub(super) struct Fresh {
    pub(super) text: String,
}

/// Makes a new configuration.
pub(super) fn make() -> Result<Fresh, Failure> {
    let source_password = secret::random_password()?;
    let admin_password = secret::random_password()?;
    Ok(Fresh { text: config::first_run(&source_password, &admin_password) })
}

impl Fresh {
    /// Writes it to `path`, readable by its owner alone. An existing file is never touched.
    ///
    /// Call it when nothing else can fail any more: a start that fails must leave no file behind,
    /// or the next one would not be the first and would tell nobody the passwords.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(
                |mut file| file.write_all(self.text.as_bytes()).and_then(|()| file.sync_all()),
            );
        written.map_err(|error| {
            let path = path.display();
            Failure::new(format!(
                "cannot write a first configuration to {path}: {error}; start floe in a folder it \
                 may write to, or name a configuration with --config"
            ))
        })
    }

    /// Tells the person how to publish and listen, once: the passwords are in the file from now on.
    /// `auth` is what is in force, which the environment may have changed.
    pub(super) fn tell(&self, path: &Path, port: u16, auth: &Auth) {
        let source_password = shown(auth.source_password.as_ref());
        let admin_password = shown(auth.admin_password.as_ref());
        let path = path.display();
        say(&format!(
            "\n\
             This is the first start: {path} was written, with passwords made for you.\n\
             \n\
             Hear it now      http://localhost:{port}/demo\n\
             See it           http://localhost:{port}/\n\
             \n\
             Publish with ffmpeg:\n  \
             ffmpeg -re -i music.mp3 -c:a libmp3lame -b:a 128k -content_type audio/mpeg \\\n    \
             -f mp3 icecast://source:{source_password}@localhost:{port}/live\n\
             Publish with butt:\n  \
             Settings > Main > Server > ADD: type Icecast, address localhost, port {port},\n  \
             password {source_password}, mountpoint /live, user source\n\
             Listen:\n  \
             mpv http://localhost:{port}/live\n\
             Set the title:\n  \
             curl -u source:{source_password} \\\n    \
             'http://localhost:{port}/admin/metadata?mode=updinfo&mount=/live&song=Artist+-+Title'\n\
             \n\
             Administrator    user admin, password {admin_password}\n\
             \n\
             This is shown once. The passwords stay in {path}, which only you can read.\n"
        ));
    }
}

/// A password as the person may paste it; one that is only known as a hash is theirs to remember.
fn shown(secret: Option<&Secret>) -> &str {
    match secret {
        Some(Secret::Plain(plain)) => plain,
        Some(Secret::Argon2(_)) | None => "YOUR-PASSWORD",
    }
}
