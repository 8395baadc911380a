//! PostgreSQL's protocol 3.0, its simple queries alone. <https://www.postgresql.org/docs/current/protocol.html>

use super::stream::Stream;
use super::{Crowd, Login, Target, Trouble};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use strongroom_kernel::Deadline;
use strongroom_secret::SecretString;
use zeroize::Zeroize;

const MESSAGE_BYTES_MAX: i32 = 4 * 1024 * 1024;
/// What a statement may take less than the time there is, so that the server says that it was over.
const SERVER_MARGIN_MS: u128 = 250;
/// SQLSTATEs of class 28 are refused logins; 3D000 is a database that does not exist.
const LOGIN_CLASS: &str = "28";
const LOCK_NOT_AVAILABLE: &str = "55P03";

pub(in crate::secrets::database) struct Postgres {
    stream: Stream,
    received: Vec<u8>,
}

/// Bytes to be sent, wiped afterwards: passwords are among them.
struct Outgoing(BytesMut);

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.0.as_mut().zeroize();
    }
}

impl Outgoing {
    fn new(write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<Self, Trouble> {
        let mut bytes = BytesMut::new();
        write(&mut bytes).map_err(|_| Trouble::Refused("a name or statement has a NUL in it".to_owned()))?;
        Ok(Self(bytes))
    }
}

/// Who does not come in turn waits no longer for another's lock: two that wait for each other would do so for a second.
const WAIT_APART_MS: u128 = 250;
/// How often a transaction is run anew that lost against another one.
const RUNS_MAX: u32 = 12;
/// The lock of those who come one after another.
const TURNSTILE: i64 = 0x5374_726f_6e67_726d;

/// What the server said no with.
struct Said {
    state: String,
    text: String,
    /// Where in the server's source it was said: the one part of an error that no language changes.
    routine: String,
}

impl Said {
    /// Whether the transaction lost against another one, and may well succeed when it is run again. Grants on one table
    /// at once are refused as an internal error, "tuple concurrently updated".
    fn is_conflict(&self) -> bool {
        let is_tuple = || matches!(self.routine.as_str(), "simple_heap_update" | "simple_heap_delete");
        match self.state.as_str() {
            // serialization_failure, deadlock_detected
            "40001" | "40P01" | LOCK_NOT_AVAILABLE => true,
            "XX000" => is_tuple(),
            _ => false,
        }
    }

    fn trouble(self) -> Trouble {
        // 57P01 and its kin: the server goes down. Whether a commit stands is not known.
        match self.state.starts_with("57P") {
            true => Trouble::Unclear(self.text),
            false => Trouble::Refused(self.text),
        }
    }
}

impl Postgres {
    pub(super) fn open(target: &Target, login: &Login<'_>, deadline: &Deadline) -> Result<Self, Trouble> {
        let stream = encrypted(Stream::open(target, deadline)?, target, deadline)?;
        let mut link = Self { stream, received: Vec::new() };
        let parameters = [
            ("user", login.username),
            ("database", target.database.as_str()),
            ("application_name", "strongroom"),
            ("client_encoding", "UTF8"),
        ];
        link.send(&Outgoing::new(|bytes| frontend::startup_message(parameters, bytes))?, deadline)
            .map_err(not_connected)?;
        link.authenticate(login, deadline).map_err(not_connected)?;
        link.until_ready(deadline).map_err(not_connected)?;
        Ok(link)
    }

    fn authenticate(&mut self, login: &Login<'_>, deadline: &Deadline) -> Result<(), Trouble> {
        let password = login.password.expose().as_bytes();
        loop {
            match self.message(deadline)? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    let text = Outgoing::new(|bytes| frontend::password_message(password, bytes))?;
                    self.send(&text, deadline)?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(login.username.as_bytes(), password, body.salt());
                    let text = Outgoing::new(|bytes| frontend::password_message(hash.as_bytes(), bytes))?;
                    self.send(&text, deadline)?;
                }
                Message::AuthenticationSasl(body) => {
                    let offered = body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256)).unwrap_or(false);
                    if !offered {
                        return Err(self.strange("a way to log in that is not SCRAM-SHA-256"));
                    }
                    self.scram(password, deadline)?;
                }
                Message::ErrorResponse(body) => return Err(self.login_trouble(&body)),
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                _ => return Err(self.strange("a way to log in that is not known here")),
            }
        }
    }

    fn scram(&mut self, password: &[u8], deadline: &Deadline) -> Result<(), Trouble> {
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        let first =
            Outgoing::new(|bytes| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), bytes))?;
        self.send(&first, deadline)?;
        loop {
            match self.message(deadline)? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data()).map_err(|_| self.strange("a step of SCRAM that is wrong"))?;
                    let next = Outgoing::new(|bytes| frontend::sasl_response(scram.message(), bytes))?;
                    self.send(&next, deadline)?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    return scram
                        .finish(body.data())
                        .map_err(|_| self.strange("a proof that it knows the password, which is wrong"));
                }
                Message::ErrorResponse(body) => return Err(self.login_trouble(&body)),
                Message::NoticeResponse(_) => {}
                _ => return Err(self.strange("something else than a step of SCRAM")),
            }
        }
    }

    fn until_ready(&mut self, deadline: &Deadline) -> Result<(), Trouble> {
        loop {
            match self.message(deadline)? {
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(self.login_trouble(&body)),
                _ => {}
            }
        }
    }

    /// In one transaction, under a lock of the account's own; again if it lost against another one. Says what is to be
    /// expected of the next.
    pub(super) fn run(
        &mut self,
        account: &str,
        statements: &[SecretString],
        mut crowd: Crowd,
        deadline: &Deadline,
    ) -> Result<Crowd, Trouble> {
        let mut met = Crowd::Apart;
        for number in 1.. {
            let Err(said) = self.transaction(account, statements, crowd, deadline)? else { break };
            // Who comes in turn has waited for a lock for as long as there was time.
            let is_late = crowd == Crowd::InTurn && said.state == LOCK_NOT_AVAILABLE;
            if number == RUNS_MAX || !said.is_conflict() || is_late || deadline.left().is_zero() {
                return Err(said.trouble());
            }
            (crowd, met) = (Crowd::InTurn, Crowd::InTurn);
        }
        Ok(met)
    }

    fn transaction(
        &mut self,
        account: &str,
        statements: &[SecretString],
        crowd: Crowd,
        deadline: &Deadline,
    ) -> Result<Result<(), Said>, Trouble> {
        let milliseconds = deadline.left().as_millis().saturating_sub(SERVER_MARGIN_MS).max(1);
        let key = lock_key(account);
        // Sent apart from what follows: what a process that died has sent waits for the lock, and then for it in vain.
        let mut begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds}; \
             SET LOCAL standard_conforming_strings = on; SELECT pg_advisory_xact_lock({key})"
        );
        begin.push_str(&match crowd {
            Crowd::Apart => format!("; SET LOCAL lock_timeout = {}", milliseconds.min(WAIT_APART_MS)),
            Crowd::InTurn => format!("; SELECT pg_advisory_xact_lock({TURNSTILE})"),
        });
        // A connection that was lost while it lay idle has done nothing.
        self.query(&begin, deadline).map_err(Trouble::before_anything)?;
        // Together, for others wait meanwhile. After one that is refused the COMMIT is a ROLLBACK.
        let texts: Vec<&str> = statements.iter().map(SecretString::expose).chain(["COMMIT"]).collect();
        Ok(self.ask(&texts, deadline)?.map(drop))
    }

    pub(super) fn has_account(&mut self, name: &str, deadline: &Deadline) -> Result<bool, Trouble> {
        let name = name.replace('\'', "''");
        self.query(&format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '{name}'"), deadline)
    }

    /// Whether there was a row.
    pub(in crate::secrets::database) fn query(
        &mut self,
        text: &str,
        deadline: &Deadline,
    ) -> Result<bool, Trouble> {
        self.ask(&[text], deadline)?.map_err(Said::trouble)
    }

    /// Whether there was a row in any of the answers; or what the server said when it first said no.
    fn ask(&mut self, texts: &[&str], deadline: &Deadline) -> Result<Result<bool, Said>, Trouble> {
        let queries = Outgoing::new(|bytes| texts.iter().try_for_each(|text| frontend::query(text, bytes)))?;
        self.send(&queries, deadline)?;
        let mut has_row = false;
        let mut refusal: Option<Said> = None;
        let mut unanswered = texts.len();
        while unanswered > 0 {
            match self.message(deadline)? {
                Message::DataRow(_) => has_row = true,
                Message::ErrorResponse(body) => {
                    refusal.get_or_insert(said(&body));
                }
                // What comes behind it would be taken for data.
                Message::CopyInResponse(_) => {
                    return Err(Trouble::Unclear(
                        "a statement must not be a COPY from the client".to_owned(),
                    ));
                }
                Message::ReadyForQuery(_) => unanswered -= 1,
                _ => {}
            }
        }
        Ok(refusal.map_or(Ok(has_row), Err))
    }

    fn send(&mut self, outgoing: &Outgoing, deadline: &Deadline) -> Result<(), Trouble> {
        self.stream.send(&outgoing.0, deadline)
    }

    fn message(&mut self, deadline: &Deadline) -> Result<Message, Trouble> {
        loop {
            let header = Header::parse(&self.received).map_err(|_| self.strange("a message without form"))?;
            if header.is_some_and(|header| header.len() > MESSAGE_BYTES_MAX) {
                return Err(self.strange("a message that is too large"));
            }
            let whole = header.and_then(|header| usize::try_from(header.len()).ok()).map(|length| length + 1);
            if let Some(length) = whole.filter(|length| *length <= self.received.len()) {
                let rest = self.received.split_off(length);
                let mut bytes = BytesMut::from(std::mem::replace(&mut self.received, rest).as_slice());
                let message =
                    Message::parse(&mut bytes).map_err(|_| self.strange("a message without form"))?;
                return message.ok_or_else(|| self.strange("half a message"));
            }
            self.stream.receive(&mut self.received, deadline)?;
        }
    }

    fn strange(&self, what: &str) -> Trouble {
        Trouble::Unclear(format!("{}: the server sent {what}", self.stream.place()))
    }

    fn login_trouble(&self, body: &ErrorResponseBody) -> Trouble {
        let said = said(body);
        let text = format!("{}: {}", self.stream.place(), said.text);
        match said.state.starts_with(LOGIN_CLASS) {
            true => Trouble::LoginRefused(text),
            false => Trouble::Unreachable(text),
        }
    }
}

/// Before the login is over nothing was done.
fn not_connected(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Unclear(text) | Trouble::Refused(text) => Trouble::Unreachable(text),
        other => other,
    }
}

fn encrypted(mut stream: Stream, target: &Target, deadline: &Deadline) -> Result<Stream, Trouble> {
    let Some(tls) = target.tls.as_ref().filter(|_| !stream.is_socket()) else { return Ok(stream) };
    let mut ask = BytesMut::new();
    frontend::ssl_request(&mut ask);
    let mut answer = Vec::new();
    stream
        .send(&ask, deadline)
        .and_then(|()| stream.receive(&mut answer, deadline))
        .map_err(not_connected)?;
    match answer.as_slice() {
        b"S" => stream.encrypt(tls, deadline),
        b"N" if target.tls_is_optional => Ok(stream),
        b"N" => Err(Trouble::Unreachable(format!("{}: the server does not offer TLS", stream.place()))),
        // More than one byte before TLS would be somebody's in between.
        _ => Err(Trouble::Unreachable(format!("{}: this is no PostgreSQL server", stream.place()))),
    }
}

fn said(body: &ErrorResponseBody) -> Said {
    let mut said =
        Said { state: String::new(), text: "the server refused".to_owned(), routine: String::new() };
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => said.state = text(),
            b'M' => said.text = text(),
            b'R' => said.routine = text(),
            _ => {}
        }
    }
    if !said.state.is_empty() {
        said.text = format!("{} (SQLSTATE {})", said.text, said.state);
    }
    said
}

/// FNV-1a: which lock it is, is no secret, and two accounts under one lock merely wait for each other.
fn lock_key(account: &str) -> i64 {
    let hash = account.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::from_ne_bytes(hash.to_ne_bytes())
}
