//! One function a type. Messages continue "NAME …" and never show the value.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;

type Check = Result<(), String>;

fn unless(fine: bool, problem: &str) -> Check {
    if fine { Ok(()) } else { Err(problem.to_owned()) }
}

pub(super) fn float(text: &str) -> Check {
    let finite = text.parse::<f64>().is_ok_and(f64::is_finite);
    unless(finite && text.contains(|c: char| c.is_ascii_digit()), "is not a number")
}

pub(super) fn port(text: &str) -> Check {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    unless(digits && text.parse::<u16>().is_ok_and(|port| port > 0), "is not a port: 1 to 65535")
}

pub(super) fn truth(text: &str) -> Check {
    let known = ["true", "false", "1", "0", "yes", "no", "on", "off"];
    let lower = text.to_ascii_lowercase();
    unless(known.contains(&lower.as_str()), "is not true or false (nor 1, 0, yes, no, on, off)")
}

/// RFC 3986, and a host or path after the scheme. Non-ASCII characters are let through.
pub(super) fn url(text: &str, schemes: &[String]) -> Check {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("is not a URL: it has no scheme, as https:".to_owned());
    };
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
        return Err("is not a URL: what stands before the first colon is no scheme".to_owned());
    }
    let lower = scheme.to_ascii_lowercase();
    if !schemes.is_empty() && !schemes.contains(&lower) {
        return Err(format!("has a scheme that is none of {}", schemes.join(", ")));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("is not a URL: it has white space in it".to_owned());
    }
    if !percent_decodes(rest) {
        return Err("is not a URL: a % is not followed by two hexadecimal digits".to_owned());
    }
    match rest.strip_prefix("//") {
        Some(rest) => authority(rest.split(['/', '?', '#']).next().unwrap_or_default(), &lower),
        None => unless(!rest.is_empty(), "is not a URL: nothing follows the scheme"),
    }
}

fn authority(authority: &str, scheme: &str) -> Check {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
        None => host_and_port.rsplit_once(':').unwrap_or((host_and_port, "")),
    };
    // Sockets and files have an empty host; several hosts may be listed with commas (PostgreSQL, MongoDB).
    if host.is_empty() && matches!(scheme, "http" | "https" | "ws" | "wss" | "ftp") {
        return Err("is not a URL: it has no host".to_owned());
    }
    if port.is_empty() || host.contains(',') {
        return Ok(());
    }
    unless(
        port.parse::<u16>().is_ok(),
        "is not a URL: its port is not a number up to 65535 (a special character in a password is written as %XX)",
    )
}

/// Whether every `%` is followed by two hexadecimal digits.
pub fn percent_decodes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

pub(super) fn email(text: &str) -> Check {
    let fine = text.rsplit_once('@').is_some_and(|(user, host)| {
        let labels = host
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'));
        !user.is_empty() && !user.contains('@') && labels
    });
    unless(fine && !text.contains(char::is_whitespace), "is not an e-mail address")
}

/// RFC 9562, section 4.
pub(super) fn uuid(text: &str) -> Check {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    unless(digits && lengths == [8, 4, 4, 4, 12], "is not a UUID")
}

pub(super) fn json(text: &str) -> Check {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is not JSON (line {}, column {})", error.line(), error.column())),
    }
}

/// RFC 7468: at least one whole block.
pub(super) fn pem(text: &str) -> Check {
    let mut label: Option<&str> = None;
    let mut blocks = 0;
    let mut body = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(begun) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) {
            if label.replace(begun).is_some() {
                return Err("is not PEM: a block begins inside another".to_owned());
            }
            body.clear();
        } else if let Some(ended) = line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----"))
        {
            if label.take() != Some(ended) {
                return Err("is not PEM: a block ends that did not begin".to_owned());
            }
            base64(&body).map_err(|_| "is not PEM: a block is not base64".to_owned())?;
            blocks += 1;
        } else if label.is_some() && !line.contains(':') {
            body.push_str(line);
        }
    }
    if label.is_some() {
        return Err(
            "is not PEM: the last block does not end (are its line breaks written as \\n?)".to_owned()
        );
    }
    unless(blocks > 0, "is not PEM: there is no -----BEGIN line")
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// RFC 4648, either alphabet, with or without padding; line breaks are passed over.
pub(super) fn base64(text: &str) -> Check {
    let mut joined = zeroize::Zeroizing::new(text.as_bytes().to_vec());
    joined.retain(|byte| !byte.is_ascii_whitespace());
    let engines = [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE];
    let decodes = engines.iter().any(|alphabet| {
        let decoded = GeneralPurpose::new(alphabet, LENIENT).decode(&*joined);
        decoded.map(zeroize::Zeroizing::new).is_ok()
    });
    unless(decodes && !joined.is_empty(), "is not base64")
}

pub(super) fn token(text: &str) -> Check {
    if text.is_empty() {
        return Err("is empty, not a token".to_owned());
    }
    unless(
        text.chars().all(|c| c.is_ascii_graphic()),
        "is not a token: it has white space or control characters in it",
    )
}
