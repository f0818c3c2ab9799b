//! The head of a server's answer, as far as a listener needs it: status, `icy-metaint`, chunking.
//! Takes bytes, gives a step; strict only where a wrong guess would spoil the figures.

/// Bytes a response head may have. Icecast's are below 1 KB; a server that sends no end of headers
/// must not fill our memory.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a response head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Bytes of audio between metadata blocks.
    pub metaint: Option<u32>,
    /// Whether the body is chunked, which a server must not do to an HTTP/1.0 request.
    pub chunked: bool,
}

/// Where reading a head stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadStep {
    /// More bytes are needed.
    More,
    /// The head is whole and ends before this many bytes.
    Done(Head, usize),
    /// This is no response head.
    Malformed,
}

/// Looks for a whole head at the start of `bytes`.
pub fn read(bytes: &[u8]) -> HeadStep {
    let searched = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let Some(end) = end_of_head(searched) else {
        let hopeless = searched.len() == HEAD_BYTES_MAX || !may_begin_a_status_line(searched);
        return if hopeless { HeadStep::Malformed } else { HeadStep::More };
    };
    let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let Some(status) = lines.next().and_then(status_of) else { return HeadStep::Malformed };
    let mut head = Head { status, metaint: None, chunked: false };
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"icy-metaint") {
            head.metaint = decimal(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case(b"chunked");
        }
    }
    HeadStep::Done(head, end)
}

/// The index behind the first empty line. Old SHOUTcast servers end lines with a bare LF.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (index, _) in bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n') {
        if line_start > 0 && bytes[line_start..index].trim_ascii().is_empty() {
            return Some(index + 1);
        }
        line_start = index + 1;
    }
    None
}

fn may_begin_a_status_line(bytes: &[u8]) -> bool {
    [&b"HTTP/1."[..], b"ICY "].iter().any(|start| bytes.iter().zip(*start).all(|(a, b)| a == b))
}

/// `HTTP/1.0 200 OK` or SHOUTcast's `ICY 200 OK`.
fn status_of(line: &[u8]) -> Option<u16> {
    if !may_begin_a_status_line(line) {
        return None;
    }
    let code = line.split(|&byte| byte == b' ').nth(1).filter(|code| code.len() == 3)?;
    u16::try_from(decimal(code)?).ok()
}

fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ICECAST: &[u8] =
        b"HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Type: audio/mpeg\r\n\
        Icy-MetaInt: 16000\r\n\r\n\xff\xfb\x90";

    #[test]
    fn a_head_is_whole_at_its_empty_line_and_not_a_byte_before() {
        let end = ICECAST.len() - 3;
        for cut in 0..end {
            assert_eq!(read(&ICECAST[..cut]), HeadStep::More, "cut at {cut}");
        }
        let head = Head { status: 200, metaint: Some(16_000), chunked: false };
        for cut in end..=ICECAST.len() {
            assert_eq!(read(&ICECAST[..cut]), HeadStep::Done(head, end));
        }
    }

    #[test]
    fn a_shoutcast_answer_with_bare_line_feeds_is_understood() {
        let head = Head { status: 401, metaint: None, chunked: false };
        assert_eq!(read(b"ICY 401 Nope\n\n\x00"), HeadStep::Done(head, 14));
    }

    #[test]
    fn what_is_no_head_is_malformed_and_never_waited_for() {
        for bytes in
            [&b"SSH-2.0-x"[..], b"HTTP/1.1 x OK\r\n\r\n", b"HTTP/1.1 20000 OK\r\n\r\n", b"\r\n\r\n"]
        {
            assert_eq!(read(bytes), HeadStep::Malformed, "{bytes:?}");
        }
        let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
        endless.resize(HEAD_BYTES_MAX + 1, b'a');
        assert_eq!(read(&endless), HeadStep::Malformed);
        let HeadStep::Done(head, _) =
            read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        else {
            panic!("a chunked answer has a head");
        };
        assert!(head.chunked);
    }
}
