//! The admin interface's answers: `<iceresponse>` for what was done, an error page for what was
//! not. Their texts are Icecast 2.4's, because scripts compare them.

use super::super::answer::{Answer, XML};
use super::refusal::error_page;

/// What an admin command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminReply {
    /// A title was set.
    MetadataUpdated,
    /// The mount's format carries its titles in the stream, not beside it.
    MetadataNotAccepted,
    /// A source was ended.
    SourceRemoved,
}

/// Why an admin request could not be carried out; all of them 400 in Icecast 2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdminFault {
    /// There is no such command.
    UnknownCommand,
    /// A parameter the command needs is not there.
    MissingParameter,
    /// The mount does not exist.
    NoSource,
}

impl AdminReply {
    /// The reply as Icecast's XML.
    pub fn answer(self) -> Answer {
        let message = match self {
            Self::MetadataUpdated => "Metadata update successful",
            // Icecast returns 1 here too: to an encoder that pushes titles blindly it is no error.
            Self::MetadataNotAccepted => "Mountpoint will not accept URL updates",
            Self::SourceRemoved => "Source Removed",
        };
        let body = format!(
            "<?xml version=\"1.0\"?>\n<iceresponse><message>{message}</message><return>1</return>\
             </iceresponse>\n"
        );
        Answer::new(200, XML, body)
    }
}

impl AdminFault {
    /// Icecast's words for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownCommand => "Unrecognised command",
            Self::MissingParameter => "Missing parameter",
            Self::NoSource => "Source does not exist",
        }
    }

    /// The error page.
    pub fn answer(self) -> Answer {
        error_page(400, self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(reply: AdminReply) -> String {
        String::from_utf8(reply.answer().body).expect("UTF-8")
    }

    #[test]
    fn replies_are_icecasts_xml() {
        assert_eq!(
            body(AdminReply::MetadataUpdated),
            "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message>\
             <return>1</return></iceresponse>\n"
        );
    }

    #[test]
    fn faults_are_error_pages() {
        let answer = AdminFault::NoSource.answer();
        assert_eq!(answer.status, 400);
        assert!(answer.body.windows(21).any(|window| window == b"Source does not exist"));
    }
}
