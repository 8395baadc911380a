use super::ClientError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the server listens: `http://host[:port]`, `https://host[:port]`, either with a path in front of `/v1`, or
/// `unix:///path/of/socket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Web { base: String },
    Socket { path: PathBuf },
}

impl Address {
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let trimmed = text.trim().trim_end_matches('/');
        let unusable =
            |reason: &str| ClientError::Address { address: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = trimmed.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(unusable("a socket's path must be absolute: unix:///run/strongroom.sock"));
            }
            return Ok(Self { text: trimmed.to_owned(), place: Place::Socket { path: PathBuf::from(path) } });
        }
        let uri: ureq::http::Uri = trimmed.parse().map_err(|_| unusable("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(unusable("the scheme must be http, https or unix")),
            None => return Err(unusable("the scheme is missing: write http://, https:// or unix://")),
        }
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(unusable("the host is missing"));
        };
        if authority.as_str().contains('@') {
            return Err(ClientError::Address {
                address: "(hidden)".to_owned(),
                reason: "a user name or password does not belong into the address".to_owned(),
            });
        }
        Ok(Self { text: trimmed.to_owned(), place: Place::Web { base: trimmed.to_owned() } })
    }

    /// The URL of a request to `path` (percent-encoded, with a query or without), below `/v1`.
    pub(crate) fn url(&self, path: &str) -> String {
        match &self.place {
            Place::Web { base } => format!("{base}/v1/{path}"),
            Place::Socket { .. } => format!("{SOCKET_BASE}/v1/{path}"),
        }
    }

    /// A URL made by `url`, as people should see it: a socket by its own name.
    pub(crate) fn shown(&self, url: String) -> String {
        match &self.place {
            Place::Web { .. } => url,
            Place::Socket { .. } => url.replacen(SOCKET_BASE, &format!("{} ", self.text), 1),
        }
    }

    pub(crate) fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Web { .. } => None,
            Place::Socket { path } => Some(path),
        }
    }

    pub(crate) fn uses_tls(&self) -> bool {
        self.text.starts_with("https://")
    }
}

/// HTTP needs a host, even over a socket.
const SOCKET_BASE: &str = "http://localhost";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_kind() {
        assert_eq!(
            Address::parse("http://127.0.0.1:8200/").unwrap().url("sys/health"),
            "http://127.0.0.1:8200/v1/sys/health"
        );
        assert_eq!(Address::parse("https://vault.test/x").unwrap().url("a"), "https://vault.test/x/v1/a");
        let socket = Address::parse("unix:///run/s.sock").unwrap();
        assert_eq!(socket.socket(), Some(Path::new("/run/s.sock")));
        assert_eq!(socket.shown(socket.url("a")), "unix:///run/s.sock /v1/a");
        for text in ["127.0.0.1:8200", "ftp://x", "https://", "unix://relative", "", "http://user:pw@host"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        let error = Address::parse("http://user:not-real@host").unwrap_err().to_string();
        assert!(!error.contains("not-real"), "{error}");
    }
}
