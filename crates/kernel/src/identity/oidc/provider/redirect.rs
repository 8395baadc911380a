//! Where people may be sent back to.

/// Exactly the same, but for the port of an address on the client's own machine (RFC 8252, section 7.3).
pub fn is_redirect(allowed: &str, given: &str) -> bool {
    allowed == given
        || matches!((loopback(allowed), loopback(given)), (Some(allowed), Some(given)) if allowed == given)
}

/// Scheme, host and path of an address on the own machine, without its port.
fn loopback(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let is_plain =
        ["localhost", "127.0.0.1", "::1"].contains(&host) && port.bytes().all(|b| b.is_ascii_digit());
    is_plain.then_some((scheme, host, path))
}

/// Whether it may be registered: absolute, without a fragment (RFC 6749, section 3.1.2), and no address that a browser runs.
pub(super) fn may_be_registered(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let is_run = ["javascript", "data", "vbscript"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
    is_scheme
        && !is_run
        && !rest.is_empty()
        && !uri.contains('#')
        && uri.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_compared_whole_but_for_loopback_ports() {
        for (allowed, given, expected) in [
            ("https://app.example/cb", "https://app.example/cb", true),
            ("https://app.example/cb", "https://app.example/cb?x", false),
            ("https://app.example/cb", "https://app.example:8443/cb", false),
            ("http://localhost:8250/oidc/callback", "http://localhost:9999/oidc/callback", true),
            ("http://localhost:8250/oidc/callback", "http://localhost:9999/other", false),
            ("http://localhost:8250/oidc/callback", "http://localhost:9999/oidc/callback?x", false),
            ("http://localhost:8250/oidc/callback", "http://localhost:x@evil.example/oidc/callback", false),
            ("http://localhost:8250/oidc/callback", "http://localhost:1?@evil.example/oidc/callback", false),
            ("http://localhost:8250/oidc/callback", "https://localhost:8250/oidc/callback", false),
            ("http://[::1]/oidc/callback", "http://[::1]:8250/oidc/callback", true),
            ("http://127.0.0.1/cb", "http://localhost/cb", false),
        ] {
            assert_eq!(is_redirect(allowed, given), expected, "{allowed} {given}");
        }
    }

    #[test]
    fn what_may_be_registered() {
        for (uri, expected) in [
            ("https://app.example/cb?x=1", true),
            ("com.example.app:/callback", true),
            ("http://127.0.0.1/cb", true),
            ("https://app.example/cb#here", false),
            ("/cb", false),
            ("app.example/cb", false),
            ("JavaScript:alert(1)", false),
            ("https://app.example/c b", false),
            ("", false),
        ] {
            assert_eq!(may_be_registered(uri), expected, "{uri}");
        }
    }
}
