//! `login -method=oidc`: through the provider's page in a browser, which comes back to a port of this machine (RFC 8252,
//! section 7.3).

use crate::context::Context;
use crate::failure::Failure;
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;
use strongroom_api::Response;
use strongroom_api::client::{Client, ClientError};
use strongroom_crypto::token::random_base62;
use strongroom_secret::{Clock, parse_duration};

/// How long somebody may take at the provider, unless they say otherwise; the server forgets after that.
const PATIENCE: Duration = Duration::from_secs(600);
/// Of what a provider says of a refusal, in characters.
const WORDS_MAX: usize = 200;
const HEAD_BYTES_MAX: usize = 32 << 10;
const NONCE_CHARACTERS: usize = 20;
const CALLBACK_PATH: &str = "/oidc/callback";

/// What is to be done, under the names that Vault's command has.
pub(super) struct Login {
    role: String,
    listen_address: String,
    port: u16,
    callback_method: String,
    callback_host: String,
    callback_port: u16,
    skip_browser: bool,
    abort_on_error: bool,
    patience: Duration,
}

impl Login {
    /// `no_browser` is the flag that says the same as `skip_browser=true`.
    pub(super) fn parse(words: &Map<String, Value>, no_browser: bool) -> Result<Self, Failure> {
        const KNOWN: [&str; 9] = [
            "role",
            "listenaddress",
            "port",
            "callbackmethod",
            "callbackhost",
            "callbackport",
            "skip_browser",
            "abort_on_error",
            "timeout",
        ];
        if let Some(name) = words.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(Failure::usage(format!("oidc does not know {name:?}"))
                .hint(format!("it takes {}", KNOWN.join(", "))));
        }
        let text =
            |name: &str, default: &str| words.get(name).and_then(Value::as_str).unwrap_or(default).to_owned();
        let port = |name: &str, default: u16| match words.get(name).and_then(Value::as_str) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Failure::usage(format!("{name} is a number up to 65535"))),
        };
        let switch = |name: &str| match text(name, "false").as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Failure::usage(format!("{name} is true or false"))),
        };
        let own_port = port("port", 8250)?;
        let patience = match words.get("timeout").and_then(Value::as_str) {
            None => PATIENCE,
            Some(text) => {
                parse_duration(text).map_err(|error| Failure::usage(format!("timeout: {error}")))?
            }
        };
        Ok(Self {
            role: text("role", ""),
            listen_address: text("listenaddress", "localhost"),
            port: own_port,
            callback_method: text("callbackmethod", "http"),
            callback_host: text("callbackhost", "localhost"),
            callback_port: port("callbackport", own_port)?,
            skip_browser: no_browser || switch("skip_browser")?,
            abort_on_error: switch("abort_on_error")?,
            patience,
        })
    }
}

/// Sends somebody to the provider, waits until they come back, and logs in with what they bring.
pub(super) fn log_in(
    context: &Context,
    client: &Client,
    mount: &str,
    login: &Login,
) -> Result<Response, Failure> {
    let listener = TcpListener::bind((login.listen_address.as_str(), login.port)).map_err(|error| {
        Failure::other(format!("cannot listen on {}:{}: {error}", login.listen_address, login.port))
            .hint("write port=… for another; the role's allowed_redirect_uris may have any port of localhost")
    })?;
    let redirect_uri =
        format!("{}://{}:{}{CALLBACK_PATH}", login.callback_method, login.callback_host, login.callback_port);
    let nonce = random_base62(&crate::system::SystemEntropy, NONCE_CHARACTERS);
    let asked = json!({"role": login.role, "redirect_uri": redirect_uri, "client_nonce": nonce.expose()});
    let answer = client.write(&format!("auth/{mount}/oidc/auth_url"), &asked)?;
    let url = answer.as_ref().and_then(|answer| answer.text("auth_url")).unwrap_or_default();
    if url.is_empty() {
        return Err(Failure::usage(format!("the role does not let people come back to {redirect_uri}"))
            .hint("add it to the role's allowed_redirect_uris"));
    }
    invite(context, login, url)?;
    let mut visitor = wait(&listener, parameter(url, "state"), login.patience)?;
    visitor.query.push(("client_nonce".to_owned(), nonce.expose().to_owned()));
    let pairs: Vec<(&str, String)> =
        visitor.query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let refusal = visitor.refusal();
    // Code, state and nonce stand in the query: nobody is to read them in a terminal.
    let answered =
        client.read(&format!("auth/{mount}/oidc/callback"), &pairs).map_err(ClientError::without_query);
    match &answered {
        Ok(_) => show(&mut visitor.stream, "200 OK", "You are logged in. You can close this page."),
        Err(_) => {
            let text = "The login failed. The terminal says why; you can close this page.";
            show(&mut visitor.stream, "200 OK", text);
        }
    }
    let response = match (answered, refusal) {
        (Ok(response), _) => response,
        (Err(error), None) => return Err(error.into()),
        (Err(error), Some(refusal)) => return Err(Failure::from(error).hint(refusal)),
    };
    response.ok_or_else(|| Failure::other("the server answered without a token"))
}

/// Opens a browser, or says where to go.
fn invite(context: &Context, login: &Login, url: &str) -> Result<(), Failure> {
    if login.skip_browser {
        context.output.note(&format!("Complete the login in a browser:\n\n    {url}\n"));
    } else if open(url) {
        context.output.note(&format!(
            "Complete the login in the browser that was opened. If there is none, go to:\n\n    {url}\n"
        ));
    } else if login.abort_on_error {
        return Err(
            Failure::other("no browser could be started").hint("skip_browser=true prints the address")
        );
    } else {
        context.output.note(&format!("No browser could be started. Complete the login at:\n\n    {url}\n"));
    }
    context.output.note("Waiting for the provider to come back…");
    Ok(())
}

/// Whether something was started that shows pages.
fn open(url: &str) -> bool {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    quiet.is_ok()
}

/// A browser that came back, and waits for a page.
struct Visitor {
    query: Vec<(String, String)>,
    stream: TcpStream,
}

impl Visitor {
    /// What the provider says of a login that it refused, in its own words.
    fn refusal(&self) -> Option<String> {
        let text =
            |name: &str| self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let words: Vec<String> = [text("error")?, text("error_description").unwrap_or_default()]
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect())
            .collect();
        Some(format!("the provider says: {}", words.join(": ")))
    }
}

/// What the provider came back with. Browsers ask for other things too, and other pages may send one here: what does not
/// bring the state that was sent along is no answer to it.
fn wait(listener: &TcpListener, state: Option<String>, patience: Duration) -> Result<Visitor, Failure> {
    let broken = |error: std::io::Error| Failure::other(format!("waiting for the provider: {error}"));
    let clock = crate::system::SystemClock::new();
    let until = clock.monotonic() + patience;
    listener.set_nonblocking(true).map_err(broken)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                // One that sends nothing, or nonsense, is not waited for.
                if let Some(visitor) = received(stream, state.as_deref()) {
                    return Ok(visitor);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if clock.monotonic() >= until {
                    let seconds = patience.as_secs();
                    return Err(Failure::other(format!("the provider did not come back within {seconds} s"))
                        .hint("write timeout=… for longer; the server waits ten minutes"));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(broken(error)),
        }
    }
}

fn received(mut stream: TcpStream, state: Option<&str>) -> Option<Visitor> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => head.extend_from_slice(piece.get(..count)?),
        }
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let Some(query) = head.lines().next().and_then(parse) else {
        show(&mut stream, "404 Not Found", "There is nothing here.");
        return None;
    };
    let brought = query.iter().find(|(name, _)| name == "state").map(|(_, value)| value.as_str());
    if state.is_some() && state != brought {
        show(&mut stream, "400 Bad Request", "This belongs to another login.");
        return None;
    }
    Some(Visitor { query, stream })
}

/// Shows a page.
fn show(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><title>Login</title><p>{text}</p>");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
        page.len()
    );
    // Whoever went away sees the terminal all the same.
    let _ = stream.write_all(format!("{head}{page}").as_bytes());
}

/// The query of a request line, if it is one of a provider's answer.
fn parse(line: &str) -> Option<Vec<(String, String)>> {
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let (path, query) = target.split_once('?')?;
    if path != CALLBACK_PATH {
        return None;
    }
    let mut found = pairs(query);
    found.retain(|(name, _)| ["state", "code", "error", "error_description"].contains(&name.as_str()));
    found.iter().any(|(name, _)| name == "state").then_some(found)
}

/// A parameter of an address.
fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    pairs(query).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::{parameter, parse};

    #[test]
    fn only_a_providers_answer_counts() {
        let query = parse("GET /oidc/callback?state=a%2Bb&code=c+d&iss=x HTTP/1.1").unwrap();
        assert_eq!(query, [("state".to_owned(), "a+b".to_owned()), ("code".to_owned(), "c d".to_owned())]);
        assert!(parse("GET /favicon.ico HTTP/1.1").is_none());
        assert!(parse("GET /oidc/callback?code=c HTTP/1.1").is_none());
        assert!(parse("POST /oidc/callback?state=a HTTP/1.1").is_none());
        assert!(parse("nonsense").is_none());
        assert_eq!(parameter("https://id/auth?scope=a+b&state=x%2Fy", "state").unwrap(), "x/y");
        assert!(parameter("https://id/auth", "state").is_none());
    }
}
