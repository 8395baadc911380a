//! Whom a certificate speaks for. One that names nobody would open every account (CVE-2024-7594): it is refused unless the role
//! says that it may be.

use super::roles::{Role, words_of};
use strongroom_crypto::ssh::SshCertificateKind;
use strongroom_kernel::{Call, Error};

/// More than a certificate of the largest size that OpenSSH reads has room for.
const PRINCIPALS_MAX: usize = 256;
const PRINCIPAL_BYTES_MAX: usize = 255;

/// The principals of a request, or the role's default, as far as the role allows them.
pub(super) fn of_request(
    call: &Call<'_>,
    role: &Role,
    kind: SshCertificateKind,
) -> Result<Vec<String>, Error> {
    let mut wanted = call.fields().list("valid_principals")?.unwrap_or_default();
    let default = match kind {
        SshCertificateKind::User => filled(call, &role.default_user, role.default_user_template),
        SshCertificateKind::Host => None,
    };
    if wanted.is_empty() {
        wanted.extend(default.clone());
    }
    let mut principals: Vec<String> = Vec::new();
    for principal in wanted {
        check_form(&principal)?;
        if !principals.contains(&principal) {
            principals.push(principal);
        }
    }
    if principals.len() > PRINCIPALS_MAX {
        return Err(Error::invalid(format!("more than {PRINCIPALS_MAX} valid_principals")));
    }
    if principals.is_empty() && !role.allow_empty_principals {
        return Err(Error::invalid(
            "empty valid principals not allowed by role: say valid_principals, or give the role a default_user",
        ));
    }
    let allowed = Allowed::of(call, role, kind);
    match principals.iter().find(|name| Some(*name) != default.as_ref() && !allowed.covers(role, name)) {
        None => Ok(principals),
        Some(_) if allowed.is_empty() => {
            Err(Error::invalid("role is not configured to allow any principals"))
        }
        Some(name) => Err(Error::invalid(format!("{name} is not a valid value for valid_principals"))),
    }
}

/// A name with a comma would be two in the eyes of some readers; one with a control character would forge lines of logs.
fn check_form(principal: &str) -> Result<(), Error> {
    if principal.len() > PRINCIPAL_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a name in valid_principals is longer than {PRINCIPAL_BYTES_MAX} bytes"
        )));
    }
    if principal.contains(',') || principal.chars().any(char::is_control) {
        return Err(Error::invalid("a name in valid_principals has a comma or a control character"));
    }
    Ok(())
}

enum Allowed {
    All,
    Users(Vec<String>),
    Domains(Vec<String>),
}

impl Allowed {
    fn of(call: &Call<'_>, role: &Role, kind: SshCertificateKind) -> Self {
        let (text, is_template) = match kind {
            SshCertificateKind::User => (&role.allowed_users, role.allowed_users_template),
            SshCertificateKind::Host => (&role.allowed_domains, role.allowed_domains_template),
        };
        if text == "*" {
            return Self::All;
        }
        // Entry by entry: what an identity brings is one name, whatever stands in it.
        let names = words_of(text).filter_map(|entry| filled(call, entry, is_template)).collect();
        match kind {
            SshCertificateKind::User => Self::Users(names),
            SshCertificateKind::Host => Self::Domains(names),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::All => false,
            Self::Users(names) | Self::Domains(names) => names.is_empty(),
        }
    }

    fn covers(&self, role: &Role, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Users(users) => users.iter().any(|user| user == name),
            Self::Domains(domains) => domains.iter().any(|domain| {
                (role.allow_bare_domains && name.eq_ignore_ascii_case(domain))
                    || (role.allow_subdomains && is_below(name, domain))
            }),
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let Some(front) = name.strip_suffix(&domain).and_then(|front| front.strip_suffix('.')) else {
        return false;
    };
    !front.is_empty() && !front.split('.').any(str::is_empty)
}

/// With the caller's identity in it where that is asked for; None for nothing, or where there is no such identity.
pub(super) fn filled(call: &Call<'_>, text: &str, is_template: bool) -> Option<String> {
    let text = match is_template && text.contains("{{") {
        true => call.fill_template(text)?,
        false => text.to_owned(),
    };
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lies_below_a_domain_by_whole_labels() {
        for (name, domain, expected) in [
            ("a.example.com", "example.com", true),
            ("A.EXAMPLE.com", "example.com", true),
            ("example.com", "example.com", false),
            ("evil-example.com", "example.com", false),
            (".example.com", "example.com", false),
            ("a..example.com", "example.com", false),
        ] {
            assert_eq!(is_below(name, domain), expected, "{name}");
        }
    }
}
