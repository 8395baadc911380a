//! Speaking with a directory: one connection, over what the kernel opens.

use super::config::Config;
use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapExtendedRequest, LdapFilter, LdapMsg, LdapOp,
    LdapResult, LdapResultCode, LdapSearchRequest, LdapSearchScope,
};
use std::io::{Read, Write};
use std::time::Duration;
use strongroom_kernel::{ByteStream, Call, StreamRequest, StreamTls};
use strongroom_secret::SecretString;
use tokio_util::codec::{Decoder, Encoder};

/// RFC 4511, section 4.14.1.
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Entries of one search. Nobody is in more groups.
const ENTRIES_MAX: usize = 2000;
/// Messages of one answer, those that are passed over too.
const MESSAGES_MAX: usize = 2 * ENTRIES_MAX;

/// An open connection.
pub(super) struct Directory {
    stream: Box<dyn ByteStream>,
    codec: LdapCodec,
    received: BytesMut,
    last_id: i32,
    aliases: LdapDerefAliases,
    timeout: Duration,
}

/// An entry that was found.
pub(super) struct Entry {
    pub dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// What is searched.
pub(super) struct Search<'s> {
    pub base: &'s str,
    pub scope: LdapSearchScope,
    pub filter: LdapFilter,
    pub attributes: &'s [&'s str],
}

impl Entry {
    /// The values of an attribute.
    pub(super) fn bytes(&self, name: &str) -> Vec<&[u8]> {
        let found = self.attributes.iter().filter(|(kind, _)| kind.eq_ignore_ascii_case(name));
        found.flat_map(|(_, values)| values.iter().map(Vec::as_slice)).collect()
    }

    /// Those of them that are texts.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.bytes(name).into_iter().filter_map(|value| std::str::from_utf8(value).ok());
        texts.map(str::to_owned).collect()
    }
}

/// Whether it is in TLS from the start, the host and the port of a directory's address.
pub(super) fn address(url: &str) -> Option<(bool, &str, u16)> {
    let (is_secure, rest) = match url.strip_prefix("ldaps://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("ldap://")?),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let standard = if is_secure { 636 } else { 389 };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, standard),
    };
    let is_plain = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    is_plain.then_some((is_secure, host, port))
}

impl Directory {
    /// Connects to the first server that can be reached.
    pub(super) fn open(call: &Call<'_>, config: &Config) -> Result<Self, String> {
        let mut failures = Vec::new();
        for url in config.url.split(',').map(str::trim) {
            match Self::open_one(call, config, url) {
                Ok(directory) => return Ok(directory),
                Err(reason) => failures.push(format!("{url}: {reason}")),
            }
        }
        Err(failures.join("; "))
    }

    fn open_one(call: &Call<'_>, config: &Config, url: &str) -> Result<Self, String> {
        let (is_secure, host, port) = address(url).ok_or("it is no address of a directory")?;
        let request = StreamRequest {
            host,
            port,
            connect_timeout: config.connection_timeout,
            timeout: config.request_timeout,
        };
        let stream = (call.kernel.streams())(&request).map_err(|error| error.to_string())?;
        let tls = StreamTls { host, ca_pem: &config.certificate, skips_verification: config.insecure_tls };
        let aliases = match config.dereference_aliases.as_str() {
            "finding" => LdapDerefAliases::FindingBaseObj,
            "searching" => LdapDerefAliases::InSearching,
            "always" => LdapDerefAliases::Always,
            _ => LdapDerefAliases::Never,
        };
        let mut directory = Self::over(stream, aliases, config.request_timeout);
        if is_secure {
            directory.secure(&tls)?;
        } else if config.starttls {
            let asked = LdapExtendedRequest { name: START_TLS.to_owned(), value: None };
            match directory.ask(LdapOp::ExtendedRequest(asked))? {
                LdapOp::ExtendedResponse(answer) => succeeded(&answer.res)?,
                _ => return Err("another answer than to StartTLS".to_owned()),
            }
            // What came before TLS is nobody's word.
            if !directory.received.is_empty() {
                return Err("bytes before the beginning of TLS".to_owned());
            }
            directory.secure(&tls)?;
        }
        Ok(directory)
    }

    fn over(stream: Box<dyn ByteStream>, aliases: LdapDerefAliases, timeout: Duration) -> Self {
        let codec = LdapCodec::new(Some(MESSAGE_BYTES_MAX), None);
        Self { stream, codec, received: BytesMut::new(), last_id: 0, aliases, timeout }
    }

    fn secure(&mut self, tls: &StreamTls<'_>) -> Result<(), String> {
        let plain = std::mem::replace(&mut self.stream, Box::new(Closed));
        self.stream = plain.start_tls(tls).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Whether this is the password of that entry. Empty ones are asked about only for nobody: an empty password with a
    /// name is a success that proves nothing (RFC 4513, section 5.1.2).
    pub(super) fn bind(&mut self, dn: &str, password: &SecretString) -> Result<bool, String> {
        if !dn.is_empty() && password.is_empty() {
            return Ok(false);
        }
        let request = LdapBindRequest {
            version: 3,
            dn: dn.to_owned(),
            cred: LdapBindCred::Simple(password.expose().to_owned()),
        };
        match self.ask(LdapOp::BindRequest(request))? {
            LdapOp::BindResponse(answer) => match answer.res.code {
                LdapResultCode::Success => Ok(true),
                LdapResultCode::InvalidCredentials
                | LdapResultCode::NoSuchObject
                | LdapResultCode::InvalidDNSyntax
                | LdapResultCode::InappropriateAuthentication
                | LdapResultCode::InsufficentAccessRights => Ok(false),
                code => Err(format!("a bind is answered with {code:?}")),
            },
            _ => Err("another answer than to a bind".to_owned()),
        }
    }

    pub(super) fn search(&mut self, search: Search<'_>) -> Result<Vec<Entry>, String> {
        let seconds = i32::try_from(self.timeout.as_secs()).unwrap_or(i32::MAX);
        let id = self.send(LdapOp::SearchRequest(LdapSearchRequest {
            base: search.base.to_owned(),
            scope: search.scope,
            aliases: self.aliases.clone(),
            sizelimit: i32::try_from(ENTRIES_MAX).unwrap_or(i32::MAX),
            timelimit: seconds,
            typesonly: false,
            filter: search.filter,
            attrs: search.attributes.iter().map(|name| (*name).to_owned()).collect(),
        }))?;
        let mut entries = Vec::new();
        for _ in 0..MESSAGES_MAX {
            match self.receive(id)? {
                LdapOp::SearchResultEntry(entry) if entries.len() < ENTRIES_MAX => entries.push(Entry {
                    dn: entry.dn,
                    attributes: entry
                        .attributes
                        .into_iter()
                        .map(|attribute| (attribute.atype, attribute.vals))
                        .collect(),
                }),
                LdapOp::SearchResultReference(_) => {}
                LdapOp::SearchResultDone(result) => {
                    return match result.code {
                        LdapResultCode::NoSuchObject => Ok(Vec::new()),
                        _ => succeeded(&result).map(|()| entries),
                    };
                }
                _ => return Err("too much, or another answer than to a search".to_owned()),
            }
        }
        Err("a search that does not end".to_owned())
    }

    fn ask(&mut self, op: LdapOp) -> Result<LdapOp, String> {
        let id = self.send(op)?;
        self.receive(id)
    }

    fn send(&mut self, op: LdapOp) -> Result<i32, String> {
        self.last_id += 1;
        let mut bytes = BytesMut::new();
        let message = LdapMsg { msgid: self.last_id, op, ctrl: Vec::new() };
        let sent = self
            .codec
            .encode(message, &mut bytes)
            .and_then(|()| self.stream.write_all(&bytes))
            .and_then(|()| self.stream.flush());
        // A bind's message holds a password.
        zeroize::Zeroize::zeroize(bytes.as_mut());
        sent.map_err(|error| error.to_string())?;
        Ok(self.last_id)
    }

    /// The next message to a request.
    fn receive(&mut self, id: i32) -> Result<LdapOp, String> {
        let mut piece = [0; 8192];
        loop {
            let message = self.codec.decode(&mut self.received).map_err(|error| error.to_string())?;
            match message {
                Some(message) if message.msgid == id => return Ok(message.op),
                // The directory says good-bye (RFC 4511, section 4.4.1).
                Some(_) => return Err("the directory ended the conversation".to_owned()),
                None => {}
            }
            let count = self.stream.read(&mut piece).map_err(|error| error.to_string())?;
            match piece.get(..count) {
                Some(read) if count > 0 => self.received.extend_from_slice(read),
                _ => return Err("the directory closed the connection".to_owned()),
            }
        }
    }
}

/// In the place of a connection that is being turned into one in TLS.
struct Closed;

impl Read for Closed {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Ok(0)
    }
}

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::NotConnected.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ByteStream for Closed {
    fn start_tls(self: Box<Self>, _: &StreamTls<'_>) -> std::io::Result<Box<dyn ByteStream>> {
        Err(std::io::ErrorKind::NotConnected.into())
    }
}

/// A directory that says what was written down before, whatever it is asked.
struct Recorded(std::io::Cursor<Vec<u8>>);

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ByteStream for Recorded {
    fn start_tls(self: Box<Self>, _: &StreamTls<'_>) -> std::io::Result<Box<dyn ByteStream>> {
        Ok(self)
    }
}

/// A bind and a search at a directory that answers with these bytes.
pub(crate) fn hear(bytes: &[u8]) {
    let stream = Box::new(Recorded(std::io::Cursor::new(bytes.to_vec())));
    let mut directory = Directory::over(stream, LdapDerefAliases::Never, Duration::from_secs(1));
    drop(directory.bind("cn=a", &SecretString::from("not-a-real-password")));
    let search = Search {
        base: "",
        scope: LdapSearchScope::Subtree,
        filter: LdapFilter::Present("cn".to_owned()),
        attributes: &["cn"],
    };
    for entry in directory.search(search).unwrap_or_default() {
        drop(entry.texts("cn"));
    }
}

/// The message of a directory stays in it: it may repeat what was asked.
fn succeeded(result: &LdapResult) -> Result<(), String> {
    match result.code {
        LdapResultCode::Success => Ok(()),
        ref code => Err(format!("the directory answered {code:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_of_directories() {
        for (url, expected) in [
            ("ldap://127.0.0.1", Some((false, "127.0.0.1", 389))),
            ("ldaps://dc.example.com", Some((true, "dc.example.com", 636))),
            ("ldap://dc.example.com:1389/", Some((false, "dc.example.com", 1389))),
            ("ldap://[::1]:1389", Some((false, "[::1]", 1389))),
            ("ldap://[::1]", Some((false, "[::1]", 389))),
            ("ldap://", None),
            ("ldap://user@host", None),
            ("http://host", None),
            ("ldap://host:x", None),
            ("ldap://host/path", None),
        ] {
            assert_eq!(address(url), expected, "{url}");
        }
    }
}
