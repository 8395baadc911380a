//! What a person sees when a command fails, and the exit code.
//!
//! Exit codes of `strongroom`: 0 fine, 1 other, 2 usage, 3 nothing there or not valid, 4 not authenticated or not
//! permitted, 5 server unreachable or sealed, 6 integrity, 7 leak found. Those of `vault`: 1 local, 2 from the server.

use crate::persona::Face;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use strongroom_api::client::{ClientError, ServerError, ServerErrorKind};
use strongroom_project::lock::LockError;
use strongroom_project::manifest::{Problem, ProblemKind};
use strongroom_project::provider::{ErrorKind, ProviderError};

/// An error on its way to a person.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    /// "reading secret/app"
    doing: Option<String>,
    /// Where we looked, one place a line.
    looked: Vec<String>,
    hint: Option<String>,
    /// The server's refusal, for the words of the `vault` command.
    refusal: Option<Box<ServerError>>,
    exit_code: Option<u8>,
    /// The message is a whole text already, printed as it is.
    rendered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Other,
    Usage,
    /// Nothing there, or not as it should be.
    Missing,
    Denied,
    Unreachable,
    /// Damaged, or tampered with.
    Integrity,
    /// Whoever reads our output went away: say nothing.
    Quiet,
}

impl Kind {
    /// What is to be looked at first, first.
    fn weight(self) -> u8 {
        match self {
            Self::Integrity => 0,
            Self::Denied => 1,
            Self::Unreachable => 2,
            Self::Usage => 3,
            Self::Missing => 4,
            Self::Other | Self::Quiet => 5,
        }
    }
}

fn kind_of(problem: ProblemKind) -> Kind {
    match problem {
        ProblemKind::Manifest => Kind::Usage,
        ProblemKind::Missing | ProblemKind::Invalid | ProblemKind::Expired | ProblemKind::Provider => {
            Kind::Missing
        }
        ProblemKind::Denied => Kind::Denied,
        ProblemKind::Unreachable => Kind::Unreachable,
        ProblemKind::Integrity | ProblemKind::Drifted => Kind::Integrity,
        ProblemKind::Unused
        | ProblemKind::RotationDue
        | ProblemKind::NotIgnored
        | ProblemKind::FileMode
        | ProblemKind::Stale => Kind::Other,
    }
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            doing: None,
            looked: Vec::new(),
            hint: None,
            refusal: None,
            exit_code: None,
            rendered: false,
        }
    }

    /// All that is wrong with a project, one below the other. The exit code is that of the worst.
    pub fn of_problems(problems: &[Problem]) -> Self {
        let message: String = problems.iter().map(Problem::render).collect();
        let worst = problems.iter().filter(|problem| problem.is_error()).map(|problem| kind_of(problem.kind));
        let kind = worst.min_by_key(|kind| kind.weight()).unwrap_or(Kind::Other);
        Self { rendered: true, ..Self::new(kind, message) }
    }

    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Missing, message)
    }

    /// What was going on, as "reading secret/app".
    #[must_use]
    pub fn doing(mut self, what: impl Into<String>) -> Self {
        self.doing.get_or_insert_with(|| what.into());
        self
    }

    #[must_use]
    pub fn looked(mut self, place: impl Into<String>) -> Self {
        self.looked.push(place.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// For commands with codes of their own.
    #[must_use]
    pub fn exit_code(mut self, code: u8) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// The same failure, of another kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The HTTP status, if the server refused.
    pub fn status(&self) -> Option<u16> {
        self.refusal.as_ref().map(|refusal| refusal.status)
    }

    /// Prints the error to standard error.
    pub fn report(&self, face: Face) -> ExitCode {
        if self.kind != Kind::Quiet {
            let text = match face {
                Face::Native => self.native_text(),
                Face::Vault => self.vault_text(),
            };
            // Standard error may be gone: there is nobody left to tell.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        ExitCode::from(self.code(face))
    }

    /// The exit code of `strongroom`.
    pub fn native_code(&self) -> u8 {
        self.code(Face::Native)
    }

    fn code(&self, face: Face) -> u8 {
        if let Some(code) = self.exit_code {
            return code;
        }
        match (face, self.kind) {
            (_, Kind::Quiet) => 141,
            (Face::Vault, Kind::Usage) => 1,
            (Face::Vault, Kind::Other) => {
                if self.refusal.is_some() {
                    2
                } else {
                    1
                }
            }
            (Face::Vault, _) => 2,
            (Face::Native, Kind::Other) => 1,
            (Face::Native, Kind::Usage) => 2,
            (Face::Native, Kind::Missing) => 3,
            (Face::Native, Kind::Denied) => 4,
            (Face::Native, Kind::Unreachable) => 5,
            (Face::Native, Kind::Integrity) => 6,
        }
    }

    /// The same failure, with what it is about in front.
    #[must_use]
    pub fn prefixed(mut self, subject: &str) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    /// The same failure, told as part of a larger one.
    #[must_use]
    pub fn instead(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), looked: Vec::new(), hint: None, ..self }
    }

    /// The code of its own that the failure has, or another.
    pub fn code_or(&self, other: u8) -> u8 {
        if self.kind == Kind::Quiet { 141 } else { self.exit_code.unwrap_or(other) }
    }

    /// The message on one line, without what else is known.
    pub fn message(&self) -> String {
        one_line(&self.message)
    }

    /// As sops says it: the message, and what was tried.
    pub fn sops_text(&self) -> String {
        if self.kind == Kind::Quiet {
            return String::new();
        }
        let mut text = format!("{}\n", one_line(&self.message));
        for place in &self.looked {
            let _ = writeln!(text, "  {place}");
        }
        if let Some(hint) = self.hint.as_ref().filter(|_| !self.looked.is_empty()) {
            let _ = writeln!(text, "{hint}");
        }
        text
    }

    pub fn native_text(&self) -> String {
        if self.rendered {
            let hint: String = self.hint.iter().map(|hint| format!("  hint: {hint}\n")).collect();
            return self.message.clone() + &hint;
        }
        let mut text = format!("error: {}\n", one_line(&self.message));
        if let Some(doing) = &self.doing {
            let _ = writeln!(text, "  while {doing}");
        }
        for place in &self.looked {
            let _ = writeln!(text, "  looked at: {place}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }

    pub fn vault_text(&self) -> String {
        let mut text = match &self.doing {
            Some(doing) => format!("Error {doing}: "),
            None => String::new(),
        };
        match &self.refusal {
            Some(refusal) => {
                let (method, url, status) = (refusal.method.name(), &refusal.url, refusal.status);
                let _ = write!(
                    text,
                    "Error making API request.\n\nURL: {method} {url}\nCode: {status}. Errors:\n\n"
                );
                for message in &refusal.messages {
                    let _ = writeln!(text, "* {message}");
                }
            }
            None => {
                let _ = writeln!(text, "{}", self.message);
            }
        }
        // Hints of our own would be news to scripts; the server's are part of its answer.
        if let Some(hint) = self.refusal.as_ref().and_then(|refusal| refusal.hint.as_ref()) {
            let _ = writeln!(text, "\nHint: {hint}");
        }
        text
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Server(refusal) => Self::refused(refusal),
            ClientError::Unreachable { .. } => Self::new(Kind::Unreachable, message)
                .hint("is the server running? --address or STRONGROOM_ADDR (VAULT_ADDR) says where it is"),
            ClientError::Timeout { .. } => Self::new(Kind::Unreachable, message),
            ClientError::Tls { ref reason, .. } if reason.contains("CaUsedAsEndEntity") => {
                Self::new(Kind::Unreachable, message).hint(
                    "the server's certificate is an authority's: make it again with \
                     -addext basicConstraints=critical,CA:FALSE (openssl), or let an authority sign it",
                )
            }
            ClientError::Tls { .. } => Self::new(Kind::Unreachable, message)
                .hint("--ca-cert or STRONGROOM_CACERT (VAULT_CACERT) names the authority to trust"),
            ClientError::BadResponse { .. } | ClientError::TooLarge { .. } => {
                Self::new(Kind::Unreachable, message)
            }
            ClientError::Address { .. } | ClientError::TlsFile { .. } => Self::usage(message),
            ClientError::Header { .. } | ClientError::Io(_) => Self::other(message),
        }
    }
}

impl Failure {
    fn refused(refusal: Box<ServerError>) -> Self {
        let (kind, own_hint) = match refusal.kind() {
            ServerErrorKind::PermissionDenied => (Kind::Denied, None),
            ServerErrorKind::NotFound => (Kind::Missing, None),
            ServerErrorKind::Sealed => {
                (Kind::Unreachable, Some("give the key shares with `operator unseal`"))
            }
            ServerErrorKind::Uninitialized => {
                (Kind::Unreachable, Some("set the server up with `operator init`"))
            }
            ServerErrorKind::Conflict => {
                (Kind::Other, Some("somebody wrote in between: read again, then write"))
            }
            ServerErrorKind::BadRequest | ServerErrorKind::RateLimited | ServerErrorKind::Internal => {
                (Kind::Other, None)
            }
        };
        let mut failure = Self::new(kind, refusal.to_string());
        failure.looked.push(format!("{} {}", refusal.method.name(), refusal.url));
        failure.hint = refusal.hint.clone().or_else(|| own_hint.map(str::to_owned));
        failure.refusal = Some(refusal);
        failure
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::of_problems(&[problem])
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::of_problems(&problems)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let kind = match error.kind {
            ErrorKind::Settings | ErrorKind::Unsupported => Kind::Usage,
            ErrorKind::Malformed => Kind::Missing,
            ErrorKind::Authentication | ErrorKind::Denied => Kind::Denied,
            ErrorKind::Unreachable => Kind::Unreachable,
            ErrorKind::Integrity => Kind::Integrity,
        };
        let mut failure = Self::new(kind, error.message);
        failure.looked = error.looked;
        failure.hint = error.hint;
        failure
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::File(error) => error.into(),
            LockError::Malformed { .. } => Self::new(Kind::Integrity, error.to_string()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::other(format!("{error:#}"))
    }
}

/// Names an action in an error: `client.read(…).while_doing(|| format!("reading {path}"))?`.
pub trait Doing<T> {
    fn while_doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Doing<T> for Result<T, E> {
    fn while_doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().doing(what()))
    }
}

/// A server's list of errors ("1 error occurred:" and bullets) as one line. Our own messages keep their lines.
fn one_line(message: &str) -> String {
    let Some((head, list)) = message.split_once(" occurred:\n") else { return message.trim_end().to_owned() };
    if !head.ends_with("error") && !head.ends_with("errors") {
        return message.trim_end().to_owned();
    }
    let items: Vec<_> = list
        .lines()
        .map(|line| line.trim().trim_start_matches("* "))
        .filter(|line| !line.is_empty())
        .collect();
    items.join("; ")
}

/// The nearest of `known` to a word that is not among them, if one is near (two edits at most, and not all of it).
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let others = known.into_iter().filter(|candidate| *candidate != word);
    let nearest = others.map(|candidate| (edits(word, candidate), candidate)).min()?;
    (nearest.0 <= 2 && nearest.0 < word.chars().count()).then_some(nearest.1)
}

/// The Levenshtein distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut previous = index + 1;
        let mut next = vec![previous];
        for (to, above) in right.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(from != *to);
            diagonal = *above;
            previous = cost.min(previous + 1).min(above + 1);
            next.push(previous);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use strongroom_api::client::Method;

    fn denied() -> Failure {
        let refusal = ServerError {
            method: Method::Get,
            url: "http://127.0.0.1:8200/v1/secret/data/app".to_owned(),
            status: 403,
            messages: vec!["permission denied".to_owned()],
            hint: Some("no rule of the policy \"web\" names secret/data/app".to_owned()),
            response: None,
        };
        Failure::from(ClientError::Server(Box::new(refusal))).doing("reading secret/data/app")
    }

    #[test]
    fn a_refusal_in_both_faces() {
        assert_snapshot!(denied().native_text(), @r#"
        error: permission denied
          while reading secret/data/app
          looked at: GET http://127.0.0.1:8200/v1/secret/data/app
          hint: no rule of the policy "web" names secret/data/app
        "#);
        assert_snapshot!(denied().vault_text(), @r#"
        Error reading secret/data/app: Error making API request.

        URL: GET http://127.0.0.1:8200/v1/secret/data/app
        Code: 403. Errors:

        * permission denied

        Hint: no rule of the policy "web" names secret/data/app
        "#);
        assert_eq!((denied().code(Face::Native), denied().code(Face::Vault)), (4, 2));
    }

    #[test]
    fn codes_by_kind() {
        assert_eq!(Failure::usage("").code(Face::Native), 2);
        assert_eq!(Failure::usage("").code(Face::Vault), 1);
        assert_eq!(Failure::missing("").code(Face::Native), 3);
        assert_eq!(Failure::missing("").code(Face::Vault), 2);
        assert_eq!(Failure::new(Kind::Unreachable, "").code(Face::Native), 5);
        assert_eq!(Failure::new(Kind::Quiet, "").code(Face::Vault), 141);
    }

    #[test]
    fn hints_of_our_own_are_for_our_own_face() {
        let failure = Failure::missing("x").hint("y");
        assert!(failure.native_text().contains("hint: y") && !failure.vault_text().contains('y'));
    }

    #[test]
    fn near_words_are_offered() {
        assert_eq!(did_you_mean("pasword", ["password", "user"]), Some("password"));
        assert_eq!(did_you_mean("zzz", ["password", "user"]), None);
        assert_eq!(did_you_mean("ab", ["xy"]), None);
        assert_eq!(did_you_mean("data", ["data"]), None);
    }

    #[test]
    fn lists_of_errors_become_one_line() {
        assert_eq!(one_line("2 errors occurred:\n\t* one\n\t* two\n\n"), "one; two");
        assert_eq!(one_line("a\nb"), "a\nb");
    }
}
