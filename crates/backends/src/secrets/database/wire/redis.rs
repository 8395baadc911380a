//! Redis' protocol, RESP2. A statement is the words of a command, one a line. <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use super::stream::Stream;
use super::{Login, Target, Trouble};
use strongroom_kernel::Deadline;
use strongroom_secret::SecretString;
use zeroize::Zeroize;

const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;
const DEPTH_MAX: usize = 4;

pub(in crate::secrets::database) struct Redis {
    stream: Stream,
    received: Vec<u8>,
}

/// What is told apart in a reply.
enum Reply {
    Something,
    Nothing,
    Error(String),
}

impl Redis {
    pub(super) fn open(target: &Target, login: &Login<'_>, deadline: &Deadline) -> Result<Self, Trouble> {
        let mut stream = Stream::open(target, deadline)?;
        if let Some(tls) = target.tls.as_ref().filter(|_| !stream.is_socket()) {
            stream = stream.encrypt(tls, deadline)?;
        }
        let mut link = Self { stream, received: Vec::new() };
        let password = login.password.expose();
        let words: &[&str] = match login.username {
            "" => &["AUTH", password],
            username => &["AUTH", username, password],
        };
        if !password.is_empty()
            && let Reply::Error(text) = link.command(words, deadline).map_err(Trouble::before_anything)?
        {
            return Err(Trouble::LoginRefused(format!("{}: {text}", link.stream.place())));
        }
        if !target.database.is_empty() && target.database != "0" {
            link.expect(&["SELECT", &target.database], deadline).map_err(Trouble::before_anything)?;
        }
        Ok(link)
    }

    pub(super) fn run(&mut self, statements: &[SecretString], deadline: &Deadline) -> Result<(), Trouble> {
        // A connection that was lost while it lay idle has done nothing.
        self.ping(deadline).map_err(Trouble::before_anything)?;
        for statement in statements {
            let words: Vec<&str> = statement.expose().lines().filter(|word| !word.is_empty()).collect();
            self.expect(&words, deadline)?;
        }
        Ok(())
    }

    pub(super) fn has_account(&mut self, name: &str, deadline: &Deadline) -> Result<bool, Trouble> {
        match self.command(&["ACL", "GETUSER", name], deadline)? {
            Reply::Something => Ok(true),
            Reply::Nothing => Ok(false),
            Reply::Error(text) => Err(Trouble::Refused(text)),
        }
    }

    /// Whoever may change users may be allowed nothing else: being told so is an answer.
    pub(super) fn ping(&mut self, deadline: &Deadline) -> Result<(), Trouble> {
        match self.command(&["PING"], deadline)? {
            Reply::Error(text) if !text.starts_with("NOPERM") => {
                Err(Trouble::LoginRefused(format!("{}: {text}", self.stream.place())))
            }
            _ => Ok(()),
        }
    }

    fn expect(&mut self, words: &[&str], deadline: &Deadline) -> Result<(), Trouble> {
        match self.command(words, deadline)? {
            Reply::Error(text) => Err(Trouble::Refused(text)),
            _ => Ok(()),
        }
    }

    fn command(&mut self, words: &[&str], deadline: &Deadline) -> Result<Reply, Trouble> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let sent = self.stream.send(&bytes, deadline);
        bytes.zeroize();
        sent?;
        self.received.clear();
        loop {
            if let Some((reply, _)) = parse(&self.received, DEPTH_MAX).map_err(|()| self.strange())? {
                return Ok(reply);
            }
            if self.received.len() > REPLY_BYTES_MAX {
                return Err(self.strange());
            }
            self.stream.receive(&mut self.received, deadline)?;
        }
    }

    fn strange(&self) -> Trouble {
        Trouble::Unclear(format!("{}: this is no answer of a Redis server", self.stream.place()))
    }
}

/// A reply and its length; None while it is not whole.
fn parse(bytes: &[u8], depth: usize) -> Result<Option<(Reply, usize)>, ()> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (kind, line) = bytes.get(..end).and_then(<[u8]>::split_first).ok_or(())?;
    let after = end + 2;
    let count = || std::str::from_utf8(line).ok().and_then(|text| text.parse::<i64>().ok()).ok_or(());
    match kind {
        b'+' | b':' => Ok(Some((Reply::Something, after))),
        b'-' => Ok(Some((Reply::Error(String::from_utf8_lossy(line).into_owned()), after))),
        b'$' => match usize::try_from(count()?) {
            Err(_) => Ok(Some((Reply::Nothing, after))),
            Ok(length) if length > REPLY_BYTES_MAX => Err(()),
            Ok(length) => {
                Ok((bytes.len() >= after + length + 2).then_some((Reply::Something, after + length + 2)))
            }
        },
        b'*' => match usize::try_from(count()?) {
            Err(_) => Ok(Some((Reply::Nothing, after))),
            Ok(count) if count > REPLY_BYTES_MAX || depth == 0 => Err(()),
            Ok(count) => {
                let mut at = after;
                for _ in 0..count {
                    match parse(bytes.get(at..).unwrap_or_default(), depth - 1)? {
                        Some((_, length)) => at += length,
                        None => return Ok(None),
                    }
                }
                Ok(Some((Reply::Something, at)))
            }
        },
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_whole_or_not_yet() {
        let length = |bytes: &[u8]| parse(bytes, DEPTH_MAX).map(|found| found.map(|(_, length)| length));
        assert_eq!(length(b"+OK\r\n"), Ok(Some(5)));
        assert_eq!(length(b"+OK\r"), Ok(None));
        assert_eq!(length(b"$3\r\nabc\r\n"), Ok(Some(9)));
        assert_eq!(length(b"$3\r\nabc"), Ok(None));
        assert_eq!(length(b"$-1\r\n"), Ok(Some(5)));
        assert_eq!(length(b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n"), Ok(Some(19)));
        assert_eq!(length(b"*2\r\n:1\r\n"), Ok(None));
        assert_eq!(length(b"HTTP/1.1 400\r\n"), Err(()));
        assert_eq!(length(b"$99999999999\r\n"), Err(()));
        assert_eq!(length(b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"), Err(()));
    }
}
