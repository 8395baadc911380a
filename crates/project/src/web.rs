//! One blocking HTTP core for every service that is no Vault: limits of time and size, repetition with full jitter, no
//! redirects. TLS is set up when the first `https` address is asked, and not before.

use crate::provider::ProviderError;
use crate::surroundings::Surroundings;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use strongroom_api::client::{TlsOptions, web_agent};
use strongroom_secret::{SecretBytes, SecretString};
use ureq::http::{self, HeaderValue};
use ureq::{Agent, Body, Proxy};

/// The bounds of every request.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    /// Between two reads of an answer.
    pub(crate) stall: Duration,
    /// For a request with all its repetitions and pauses.
    pub(crate) total: Duration,
    pub(crate) repetitions_max: u32,
    /// The longest first pause; it doubles up to `pause_max`.
    pub(crate) pause_first: Duration,
    pub(crate) pause_max: Duration,
    pub(crate) response_bytes_max: u64,
    /// Requests under way at once.
    pub(crate) concurrency: usize,
    /// PEM file of the authorities to trust, instead of the system's.
    pub(crate) authorities: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(10),
            total: Duration::from_secs(30),
            repetitions_max: 4,
            pause_first: Duration::from_millis(200),
            pause_max: Duration::from_secs(5),
            response_bytes_max: 16 << 20,
            concurrency: 16,
            authorities: None,
        }
    }
}

/// One request, which may be sent more than once.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, SecretString)>,
    pub(crate) body: SecretBytes,
    pub(crate) route: Route,
    pub(crate) repeat: Repeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// As `HTTPS_PROXY` and its like say.
    Proxied,
    /// To an address of the machine or its host: quick to connect or not there at all, never through a proxy.
    Nearby,
}

/// What is safe when it is not known whether a request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Safe,
    /// Only where no connection was made, or the answer says that nothing was done (429, 503).
    Unsafe,
}

impl Request {
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url, Repeat::Safe)
    }

    pub(crate) fn new(method: &'static str, url: impl Into<String>, repeat: Repeat) -> Self {
        let body = SecretBytes::default();
        Self { method, url: url.into(), headers: Vec::new(), body, route: Route::Proxied, repeat }
    }

    /// A POST of `application/x-www-form-urlencoded`.
    pub(crate) fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let body = form_body(fields);
        Self::new("POST", url, Repeat::Safe)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.into_bytes())
    }

    pub(crate) fn json(method: &'static str, url: impl Into<String>, body: &Value, repeat: Repeat) -> Self {
        Self::new(method, url, repeat).header("content-type", "application/json").body(body.to_string())
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<SecretString>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn bearer(self, token: &SecretString) -> Self {
        self.header("authorization", format!("Bearer {}", token.expose()))
    }

    #[must_use]
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = SecretBytes::new(body.into());
        self
    }

    #[must_use]
    pub(crate) fn nearby(mut self) -> Self {
        self.route = Route::Nearby;
        self
    }

    /// An answer of 429 or 503 says that nothing was done.
    fn may_repeat(&self, status: u16) -> bool {
        self.repeat == Repeat::Safe || matches!(status, 429 | 503)
    }

    /// The request for people: without its query.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.method, self.url.split(['?', '#']).next().unwrap_or_default())
    }
}

/// Percent-encoded fields with `&` between them.
pub(crate) fn form_body(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    fields.join("&")
}

/// Sets one field of a body, which is an object.
pub(crate) fn set(body: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = body.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}

/// All but RFC 3986's unreserved characters, percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}

/// Host and port of a URL.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// A whole answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: http::HeaderMap,
    pub(crate) body: SecretBytes,
    /// The request, for people.
    pub(crate) request: String,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, ProviderError> {
        serde_json::from_slice(self.body.expose()).map_err(|error| {
            // serde_json's words for syntax do not repeat the text.
            let place = format!("line {} column {}", error.line(), error.column());
            ProviderError::malformed(format!("the answer is not JSON ({place})")).looked(&self.request).hint(
                "does the address lead to this service? A proxy or a login page may answer in its place",
            )
        })
    }

    /// The server's `Date`, in seconds since 1970.
    pub(crate) fn date_seconds(&self) -> Option<i64> {
        seconds_of_http_date(self.header("date")?)
    }

    /// An error with this answer's request and status.
    pub(crate) fn refused(&self, message: impl std::fmt::Display) -> String {
        format!("{message} (status {})", self.status)
    }
}

fn seconds_of_http_date(text: &str) -> Option<i64> {
    let timestamp = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    Some(timestamp.as_second())
}

/// Sends requests.
pub(crate) struct Web {
    surroundings: Arc<Surroundings>,
    limits: Limits,
    plain: OnceLock<Result<Agent, ProviderError>>,
    secure: OnceLock<Result<Agent, ProviderError>>,
    nearby: OnceLock<Result<Agent, ProviderError>>,
}

impl Web {
    pub(crate) fn new(surroundings: Arc<Surroundings>, limits: Limits) -> Self {
        Self {
            surroundings,
            limits,
            plain: OnceLock::new(),
            secure: OnceLock::new(),
            nearby: OnceLock::new(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn surroundings(&self) -> &Arc<Surroundings> {
        &self.surroundings
    }

    /// Sends a request, again where that is safe and may help. Answers of any status come back.
    pub(crate) fn send(&self, request: &Request) -> Result<Answer, ProviderError> {
        self.send_until(request, |answer| !is_temporary(answer.status))
    }

    /// As `send`, where `is_final` tells an answer that stays as it is from one that may be better next time.
    pub(crate) fn send_until(
        &self,
        request: &Request,
        is_final: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, ProviderError> {
        let clock = &self.surroundings.clock;
        let deadline = clock.monotonic().saturating_add(self.limits.total);
        let mut repetition = 0;
        loop {
            let remaining = deadline.saturating_sub(clock.monotonic());
            let outcome = self.once(request, remaining);
            let last = repetition >= self.limits.repetitions_max;
            let asked_pause = match &outcome {
                Ok(answer) if last || is_final(answer) || !request.may_repeat(answer.status) => {
                    return outcome.map_err(|failure| failure.error);
                }
                Ok(answer) => answer.header("retry-after").and_then(|text| self.asked_pause(text)),
                Err(failure) if last || !failure.may_repeat(request) => {
                    return outcome.map_err(|failure| failure.error);
                }
                Err(_) => None,
            };
            let pause = asked_pause.unwrap_or_else(|| self.jittered_pause(repetition));
            if clock.monotonic().saturating_add(pause) >= deadline {
                return outcome.map_err(|failure| failure.error);
            }
            std::thread::sleep(pause);
            repetition += 1;
        }
    }

    /// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
    fn asked_pause(&self, text: &str) -> Option<Duration> {
        if let Ok(seconds) = text.trim().parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let seconds = seconds_of_http_date(text)?.saturating_sub(self.surroundings.clock.now().seconds());
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Somewhere between nothing and a bound that doubles ("full jitter"), so that many clients do not come back at once.
    fn jittered_pause(&self, repetition: u32) -> Duration {
        let bound =
            self.limits.pause_first.saturating_mul(1 << repetition.min(16)).min(self.limits.pause_max);
        let mut random = [0; 4];
        self.surroundings.entropy.fill(&mut random);
        bound.mul_f64(f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
    }

    fn once(&self, request: &Request, remaining: Duration) -> Result<Answer, Failure> {
        let agent = self.agent(request)?;
        let mut builder = http::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            let unusable = || {
                let message = format!("the header {name} has a character that cannot be sent");
                Failure::for_good(ProviderError::settings(message).looked(request.shown()))
            };
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| unusable())?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let unusable = |error: http::Error| {
            let message = format!("the address is not usable: {error}");
            Failure::for_good(ProviderError::settings(message).looked(request.shown()))
        };
        let outcome =
            if request.method == "GET" || (request.method == "DELETE" && request.body.expose().is_empty()) {
                let head = builder.body(()).map_err(unusable)?;
                agent.run(agent.configure_request(head).timeout_global(Some(remaining)).build())
            } else {
                let whole = builder.body(request.body.expose()).map_err(unusable)?;
                agent.run(agent.configure_request(whole).timeout_global(Some(remaining)).build())
            };
        let answer = outcome.map_err(|error| self.failure(request, error))?;
        self.whole(request, answer)
    }

    fn whole(&self, request: &Request, mut answer: http::Response<Body>) -> Result<Answer, Failure> {
        let limit = self.limits.response_bytes_max;
        let body = match answer.body_mut().with_config().limit(limit).read_to_vec() {
            Ok(body) => SecretBytes::new(body),
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                let message = format!("the answer has more than {} MiB", limit >> 20);
                return Err(Failure::for_good(ProviderError::malformed(message).looked(request.shown())));
            }
            Err(error) => return Err(self.failure(request, error)),
        };
        let status = answer.status().as_u16();
        if (300..400).contains(&status) && status != 304 {
            let message = format!("it redirects (status {status}), and credentials are not sent elsewhere");
            let error = ProviderError::malformed(message)
                .looked(request.shown())
                .hint("give the address that it redirects to, if you trust it");
            return Err(Failure::for_good(error));
        }
        Ok(Answer { status, headers: answer.headers().clone(), body, request: request.shown() })
    }

    fn agent(&self, request: &Request) -> Result<&Agent, Failure> {
        let is_secure = request.url.starts_with("https://");
        let agent = match (request.route, is_secure) {
            (Route::Nearby, _) => self.nearby.get_or_init(|| self.new_agent(Route::Nearby, "", None)),
            (Route::Proxied, true) => self.secure.get_or_init(|| {
                let options =
                    TlsOptions { ca_file: self.limits.authorities.clone(), ..TlsOptions::default() };
                self.new_agent(Route::Proxied, "HTTPS_PROXY", Some(&options))
            }),
            (Route::Proxied, false) => {
                self.plain.get_or_init(|| self.new_agent(Route::Proxied, "HTTP_PROXY", None))
            }
        };
        agent.as_ref().map_err(|error| Failure::for_good(error.clone()))
    }

    fn new_agent(&self, route: Route, proxy: &str, tls: Option<&TlsOptions>) -> Result<Agent, ProviderError> {
        let (connect, proxy) = match route {
            Route::Nearby => (Duration::from_secs(1).min(self.limits.connect), None),
            Route::Proxied => (self.limits.connect, self.proxy(proxy)?),
        };
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections_per_host(self.limits.concurrency)
            .max_idle_connections(self.limits.concurrency * 2)
            .timeout_connect(Some(connect))
            .timeout_per_read(Some(self.limits.stall))
            .timeout_per_write(Some(self.limits.stall))
            .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .build();
        web_agent(settings, tls).map_err(|error| ProviderError::settings(error.to_string()))
    }

    /// The proxy that `HTTPS_PROXY` (or `HTTP_PROXY`), `ALL_PROXY` and `NO_PROXY` name, in capitals or not.
    fn proxy(&self, name: &str) -> Result<Option<Proxy>, ProviderError> {
        let variables = &self.surroundings.variables;
        let lower = name.to_lowercase();
        let Some(text) = variables.first(&[name, &lower, "ALL_PROXY", "all_proxy"]) else { return Ok(None) };
        let unusable = |_| {
            ProviderError::settings(format!("the proxy in {name} (or ALL_PROXY) is not an address"))
                .hint("write http://host:port")
        };
        let parsed = Proxy::new(text).map_err(unusable)?;
        let mut builder = Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
        if let Some(user) = parsed.username() {
            builder = builder.username(user).password(parsed.password().unwrap_or_default());
        }
        for host in variables.first(&["NO_PROXY", "no_proxy"]).unwrap_or_default().split(',') {
            if !host.trim().is_empty() {
                builder = builder.no_proxy(host.trim());
            }
        }
        builder.build().map(Some).map_err(unusable)
    }

    fn failure(&self, request: &Request, error: ureq::Error) -> Failure {
        let (message, stage) = match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => (
                format!("no connection within {} seconds", self.limits.connect.as_secs()),
                Stage::BeforeSending,
            ),
            ureq::Error::Timeout(ureq::Timeout::Global) => {
                (format!("no whole answer within {} seconds", self.limits.total.as_secs()), Stage::Sent)
            }
            ureq::Error::Timeout(_) => {
                (format!("nothing came for {} seconds", self.limits.stall.as_secs()), Stage::Sent)
            }
            ureq::Error::HostNotFound => ("the host's name is not known".to_owned(), Stage::Never),
            ureq::Error::ConnectionFailed => ("no connection was made".to_owned(), Stage::BeforeSending),
            ureq::Error::ConnectProxyFailed(reason) => {
                (format!("the proxy refused: {reason}"), Stage::BeforeSending)
            }
            ureq::Error::Tls(reason) => (format!("no trusted connection: {reason}"), Stage::Never),
            ureq::Error::Io(error) => io_failure(&error),
            other => (other.to_string(), Stage::Sent),
        };
        Failure { error: ProviderError::unreachable(message).looked(request.shown()), stage }
    }
}

fn io_failure(error: &std::io::Error) -> (String, Stage) {
    use std::io::ErrorKind::{ConnectionRefused, InvalidData, UnexpectedEof};
    match error.kind() {
        ConnectionRefused => ("nothing listens there (connection refused)".to_owned(), Stage::BeforeSending),
        InvalidData => (format!("no trusted connection: {error}"), Stage::Never),
        UnexpectedEof => ("the connection was closed in the middle of the answer".to_owned(), Stage::Sent),
        _ => (format!("the connection failed: {error}"), Stage::Sent),
    }
}

/// Worth asking again, by status alone.
pub(crate) const fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

struct Failure {
    error: ProviderError,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    BeforeSending,
    Sent,
    /// It will fail in the same way again.
    Never,
}

impl Failure {
    fn for_good(error: ProviderError) -> Self {
        Self { error, stage: Stage::Never }
    }

    fn may_repeat(&self, request: &Request) -> bool {
        match self.stage {
            // What is on this machine answers at once or is not there.
            Stage::BeforeSending => request.route != Route::Nearby,
            Stage::Sent => request.repeat == Repeat::Safe,
            Stage::Never => false,
        }
    }
}

#[cfg(test)]
mod tests;
