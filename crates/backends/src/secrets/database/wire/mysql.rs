//! The protocol of MySQL and MariaDB: a handshake, and queries as text.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>

use super::stream::Stream;
use super::{Login, Target, Trouble};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use strongroom_kernel::Deadline;
use strongroom_secret::SecretString;
use zeroize::Zeroize;

const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;
const CAPABILITIES: u32 = LONG_PASSWORD
    | LONG_FLAG
    | CONNECT_WITH_DB
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PLUGIN_AUTH;
const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const MULTI_STATEMENTS: u32 = 1 << 16;
const MULTI_RESULTS: u32 = 1 << 17;
const PLUGIN_AUTH: u32 = 1 << 19;
const UTF8MB4: u8 = 45;
const MORE_RESULTS: u16 = 8;
const COM_QUERY: u8 = 3;
const COM_PING: u8 = 14;
/// Access denied, of all kinds; unknown database is another matter.
const LOGIN_ERRORS: [u16; 5] = [1045, 1044, 1698, 1862, 3118];
/// The server goes down.
const SHUTDOWN_ERRORS: [u16; 2] = [1053, 1927];
const LOCK_SECONDS_MAX: u64 = 600;
/// The nonce's second part at the least.
const NONCE_REST: usize = 12;

pub(in crate::secrets::database) struct Mysql {
    stream: Stream,
    received: Vec<u8>,
    /// The number of the next packet of an exchange.
    number: u8,
}

/// What the server begins with.
struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: String,
}

/// One result of a query.
enum Answered {
    Done { status: u16 },
    Rows { count: usize, status: u16 },
}

impl Mysql {
    pub(super) fn open(target: &Target, login: &Login<'_>, deadline: &Deadline) -> Result<Self, Trouble> {
        let stream = Stream::open(target, deadline)?;
        let link = Self { stream, received: Vec::new(), number: 0 };
        link.greet(target, login, deadline).map_err(|trouble| match trouble {
            // Before the login is over nothing was done.
            Trouble::Unclear(text) | Trouble::Refused(text) => Trouble::Unreachable(text),
            other => other,
        })
    }

    fn greet(mut self, target: &Target, login: &Login<'_>, deadline: &Deadline) -> Result<Self, Trouble> {
        let packet = self.packet(deadline)?;
        if packet.first() == Some(&0xff) {
            return Err(self.refused(&packet));
        }
        let greeting = greeting(&packet).ok_or_else(|| self.strange("no greeting of MySQL or MariaDB"))?;
        if greeting.capabilities & (PROTOCOL_41 | SECURE_CONNECTION) != PROTOCOL_41 | SECURE_CONNECTION {
            return Err(self.strange("a protocol that is too old"));
        }
        let mut capabilities = CAPABILITIES & greeting.capabilities;
        if let Some(tls) = target.tls.as_ref().filter(|_| !self.stream.is_socket()) {
            if greeting.capabilities & SSL != 0 {
                capabilities |= SSL;
                self.send(&prelude(capabilities), deadline)?;
                let Self { stream, number, .. } = self;
                self = Self { stream: stream.encrypt(tls, deadline)?, received: Vec::new(), number };
            } else if !target.tls_is_optional {
                let text = format!("{}: the server does not offer TLS", self.stream.place());
                return Err(Trouble::Unreachable(text));
            }
        }
        let mut response = prelude(capabilities);
        response.extend_from_slice(login.username.as_bytes());
        response.push(0);
        let proof = self.proof(&greeting.plugin, &greeting.nonce, login).unwrap_or_default();
        response.push(u8::try_from(proof.len()).unwrap_or(0));
        response.extend_from_slice(&proof);
        if capabilities & CONNECT_WITH_DB != 0 {
            response.extend_from_slice(target.database.as_bytes());
            response.push(0);
        }
        if capabilities & PLUGIN_AUTH != 0 {
            response.extend_from_slice(greeting.plugin.as_bytes());
            response.push(0);
        }
        let sent = self.send(&response, deadline);
        response.zeroize();
        sent?;
        self.log_in(greeting, login, deadline)?;
        Ok(self)
    }

    /// The rest of the login, in whatever way the server asks for it.
    fn log_in(&mut self, greeting: Greeting, login: &Login<'_>, deadline: &Deadline) -> Result<(), Trouble> {
        loop {
            let packet = self.packet(deadline)?;
            match packet.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xff, _)) => return Err(self.refused(&packet)),
                Some((0xfe, rest)) => {
                    let (name, nonce) = split_at_nul(rest).unwrap_or((rest, &[]));
                    let plugin = String::from_utf8_lossy(name).into_owned();
                    let nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
                    let mut proof = self.proof(&plugin, &nonce, login).ok_or_else(|| {
                        self.strange(&format!("a way to log in that is not known here: {plugin:?}"))
                    })?;
                    let sent = self.send(&proof, deadline);
                    proof.zeroize();
                    sent?;
                }
                // caching_sha2_password: 3, what was sent is good; 4, the password itself is wanted.
                Some((0x01, [3])) => {}
                Some((0x01, [4])) if self.stream.is_private() => {
                    let mut password = login.password.expose().as_bytes().to_vec();
                    password.push(0);
                    let sent = self.send(&password, deadline);
                    password.zeroize();
                    sent?;
                }
                Some((0x01, [4])) => {
                    drop(greeting);
                    return Err(Trouble::Unreachable(format!(
                        "{}: the server wants the password itself (caching_sha2_password): use TLS (tls=true) or a \
                         Unix socket",
                        self.stream.place()
                    )));
                }
                _ => return Err(self.strange("something else than a step of a login")),
            }
        }
    }

    /// How it is shown that the password is known. None for a way that is not known.
    fn proof(&self, plugin: &str, nonce: &[u8], login: &Login<'_>) -> Option<Vec<u8>> {
        let password = login.password.expose().as_bytes();
        if password.is_empty() {
            return Some(Vec::new());
        }
        let nonce = nonce.get(..20).unwrap_or(nonce);
        Some(match plugin {
            "mysql_native_password" | "" => {
                let once: [u8; 20] = Sha1::digest(password).into();
                let twice: [u8; 20] = Sha1::digest(once).into();
                let mask = Sha1::new().chain_update(nonce).chain_update(twice).finalize();
                once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
            }
            "caching_sha2_password" => {
                let once: [u8; 32] = Sha256::digest(password).into();
                let twice: [u8; 32] = Sha256::digest(once).into();
                let mask = Sha256::new().chain_update(twice).chain_update(nonce).finalize();
                once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
            }
            "mysql_clear_password" if self.stream.is_private() => {
                let mut text = password.to_vec();
                text.push(0);
                text
            }
            _ => return None,
        })
    }

    /// One after the other, under a lock of the account's own. Statements about accounts are not transactions here: what
    /// came before one that is refused stands.
    pub(super) fn run(
        &mut self,
        account: &str,
        statements: &[SecretString],
        deadline: &Deadline,
    ) -> Result<(), Trouble> {
        let seconds = deadline.left().as_secs().clamp(1, LOCK_SECONDS_MAX);
        // Sent apart from what follows: what a process that died has sent waits for the lock, and then for it in vain.
        let lock = format!("SELECT 1 FROM DUAL WHERE GET_LOCK('{}', {seconds}) = 1", lock_name(account));
        let locked = self.query(&lock, deadline).map_err(Trouble::before_anything)?;
        if !locked {
            return Err(Trouble::Unreachable("somebody else holds the account's lock".to_owned()));
        }
        for statement in statements {
            self.query(statement.expose(), deadline)?;
        }
        self.query(&format!("DO RELEASE_LOCK('{}')", lock_name(account)), deadline).map(drop)
    }

    pub(super) fn has_account(&mut self, name: &str, deadline: &Deadline) -> Result<bool, Trouble> {
        let name = name.replace('\\', "\\\\").replace('\'', "''");
        self.query(&format!("SELECT 1 FROM mysql.user WHERE user = '{name}' LIMIT 1"), deadline)
    }

    pub(super) fn ping(&mut self, deadline: &Deadline) -> Result<(), Trouble> {
        self.number = 0;
        self.send(&[COM_PING], deadline)?;
        let packet = self.packet(deadline)?;
        match packet.first() {
            Some(0x00) => Ok(()),
            _ => Err(self.refused(&packet)),
        }
    }

    /// Whether there was a row in any of the results.
    fn query(&mut self, text: &str, deadline: &Deadline) -> Result<bool, Trouble> {
        self.number = 0;
        let mut command = vec![COM_QUERY];
        command.extend_from_slice(text.as_bytes());
        let sent = self.send(&command, deadline);
        command.zeroize();
        sent?;
        let mut has_row = false;
        loop {
            // Denied access means a refused login only before there was one.
            let result = self.result(deadline).map_err(|trouble| match trouble {
                Trouble::LoginRefused(text) => Trouble::Refused(text),
                other => other,
            })?;
            let status = match result {
                Answered::Done { status } => status,
                Answered::Rows { count, status } => {
                    has_row |= count > 0;
                    status
                }
            };
            if status & MORE_RESULTS == 0 {
                return Ok(has_row);
            }
        }
    }

    fn result(&mut self, deadline: &Deadline) -> Result<Answered, Trouble> {
        let packet = self.packet(deadline)?;
        match packet.split_first() {
            Some((0xff, _)) => return Err(self.refused(&packet)),
            Some((0xfb, _)) => return Err(self.strange("a request for a file")),
            Some((0x00, rest)) => {
                let status = status_of_ok(rest).ok_or_else(|| self.strange("half an answer"))?;
                return Ok(Answered::Done { status });
            }
            _ => {}
        }
        // Columns up to an end, rows up to another.
        let (mut ends, mut count) = (0, 0);
        loop {
            let packet = self.packet(deadline)?;
            match packet.as_slice() {
                [0xff, ..] => return Err(self.refused(&packet)),
                [0xfe, _, _, low, high] => {
                    ends += 1;
                    if ends == 2 {
                        return Ok(Answered::Rows { count, status: u16::from_le_bytes([*low, *high]) });
                    }
                }
                _ if ends == 1 => count += 1,
                _ => {}
            }
        }
    }

    fn send(&mut self, payload: &[u8], deadline: &Deadline) -> Result<(), Trouble> {
        if payload.len() > PACKET_BYTES_MAX {
            return Err(Trouble::Refused("the statement is too long".to_owned()));
        }
        let length = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
        let mut packet: Vec<u8> = length.iter().take(3).copied().collect();
        packet.push(self.number);
        packet.extend_from_slice(payload);
        self.number = self.number.wrapping_add(1);
        let sent = self.stream.send(&packet, deadline);
        packet.zeroize();
        sent
    }

    fn packet(&mut self, deadline: &Deadline) -> Result<Vec<u8>, Trouble> {
        loop {
            if let Some(([a, b, c, number], rest)) = self.received.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, 0])).unwrap_or(usize::MAX);
                if length > PACKET_BYTES_MAX {
                    return Err(self.strange("a packet that is too large"));
                }
                if let Some(packet) = rest.get(..length) {
                    let packet = packet.to_vec();
                    self.number = number.wrapping_add(1);
                    self.received.drain(..4 + length);
                    return Ok(packet);
                }
            }
            self.stream.receive(&mut self.received, deadline)?;
        }
    }

    fn strange(&self, what: &str) -> Trouble {
        Trouble::Unclear(format!("{}: the server sent {what}", self.stream.place()))
    }

    /// Of an error packet: a number, a state and a text.
    fn refused(&self, packet: &[u8]) -> Trouble {
        let Some((&[_, low, high], rest)) = packet.split_first_chunk::<3>() else {
            return self.strange("half an error");
        };
        let number = u16::from_le_bytes([low, high]);
        let text = match rest.split_first_chunk::<6>() {
            Some(([b'#', ..], text)) => text,
            _ => rest,
        };
        let text = format!("{} (error {number})", String::from_utf8_lossy(text));
        if LOGIN_ERRORS.contains(&number) {
            Trouble::LoginRefused(format!("{}: {text}", self.stream.place()))
        } else if SHUTDOWN_ERRORS.contains(&number) {
            Trouble::Unclear(text)
        } else {
            Trouble::Refused(text)
        }
    }
}

/// What the response to the greeting and the request for TLS begin with.
fn prelude(capabilities: u32) -> Vec<u8> {
    let mut bytes = capabilities.to_le_bytes().to_vec();
    bytes.extend_from_slice(&(16_u32 << 20).to_le_bytes());
    bytes.push(UTF8MB4);
    bytes.extend_from_slice(&[0; 23]);
    bytes
}

fn greeting(packet: &[u8]) -> Option<Greeting> {
    let (version, rest) = packet.split_first()?;
    if *version != 10 {
        return None;
    }
    let (_, rest) = split_at_nul(rest)?;
    let rest = rest.get(4..)?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let rest = rest.get(1..)?;
    let (low, rest) = rest.split_first_chunk::<2>()?;
    let rest = rest.get(3..)?;
    let (high, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(*rest.first()?);
    let rest = rest.get(11..).filter(|rest| rest.len() >= NONCE_REST)?;
    let second_length = length.saturating_sub(8).max(13).min(rest.len());
    let (second, rest) = rest.split_at_checked(second_length)?;
    let mut nonce = first.to_vec();
    nonce.extend_from_slice(second.strip_suffix(&[0]).unwrap_or(second));
    let plugin = split_at_nul(rest).map_or(rest, |(name, _)| name);
    let capabilities = u32::from(u16::from_le_bytes(*low)) | u32::from(u16::from_le_bytes(*high)) << 16;
    Some(Greeting { capabilities, nonce, plugin: String::from_utf8_lossy(plugin).into_owned() })
}

fn split_at_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}

/// After two numbers of varying length.
fn status_of_ok(rest: &[u8]) -> Option<u16> {
    let skip = |bytes: &[u8]| match bytes.first()? {
        0xfc => Some(3),
        0xfd => Some(4),
        0xfe => Some(9),
        _ => Some(1),
    };
    let rest = rest.get(skip(rest)?..)?;
    let rest = rest.get(skip(rest)?..)?;
    let (status, _) = rest.split_first_chunk::<2>()?;
    Some(u16::from_le_bytes(*status))
}

/// A lock's name has 64 characters at the most.
fn lock_name(account: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(account.as_bytes()).into();
    format!("strongroom:{}", hex::encode(digest.first_chunk::<16>().unwrap_or(&[0; 16])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_greeting_is_none() {
        let mut packet = vec![10];
        packet.extend_from_slice(b"8.0.36\0");
        packet.extend_from_slice(&[1, 0, 0, 0]);
        packet.extend_from_slice(b"12345678\0");
        packet.extend_from_slice(&[0xff, 0xff, 45, 2, 0, 0xff, 0xff, 21]);
        packet.extend_from_slice(&[0; 10]);
        packet.extend_from_slice(b"abcdefghijkl\0caching_sha2_password\0");
        let read = greeting(&packet).unwrap();
        assert_eq!(
            (read.nonce.as_slice(), read.plugin.as_str()),
            (&b"12345678abcdefghijkl"[..], "caching_sha2_password")
        );
        for length in 0..40 {
            assert!(greeting(&packet[..length]).is_none(), "{length}");
        }
    }
}
