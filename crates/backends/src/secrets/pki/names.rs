//! Which names a role allows, and subjects made of them.

use super::roles::Role;
use super::store::unusable;
use ipnet::IpNet;
use std::net::IpAddr;
use strongroom_crypto::x509::{AlternativeNames, OtherName, X509Error};
use strongroom_kernel::{Call, Error, Fields};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Any, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
const PROVINCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.8");
const STREET: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.9");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const POSTAL_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.17");
const USER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1");

/// The parts of a subject.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    pub common_name: String,
    pub serial_number: String,
    pub country: Vec<String>,
    pub organization: Vec<String>,
    pub unit: Vec<String>,
    pub locality: Vec<String>,
    pub province: Vec<String>,
    pub street: Vec<String>,
    pub postal_code: Vec<String>,
    pub user_ids: Vec<String>,
}

impl Subject {
    /// What a role says of every subject.
    pub(super) fn of_role(role: &Role) -> Self {
        Self {
            country: role.country.clone(),
            organization: role.organization.clone(),
            unit: role.ou.clone(),
            locality: role.locality.clone(),
            province: role.province.clone(),
            street: role.street_address.clone(),
            postal_code: role.postal_code.clone(),
            ..Self::default()
        }
    }

    /// What a request says of an authority's subject.
    pub(super) fn of_fields(fields: &Fields) -> Result<Self, Error> {
        let list = |name| fields.list(name).map(Option::unwrap_or_default);
        Ok(Self {
            common_name: fields.text("common_name")?.unwrap_or_default(),
            serial_number: fields.text("serial_number")?.unwrap_or_default(),
            country: list("country")?,
            organization: list("organization")?,
            unit: list("ou")?,
            locality: list("locality")?,
            province: list("province")?,
            street: list("street_address")?,
            postal_code: list("postal_code")?,
            user_ids: Vec::new(),
        })
    }

    /// As certificates carry it, in the order in which Go writes names.
    pub(super) fn name(&self) -> Result<Name, Error> {
        let one = |text: &String| if text.is_empty() { Vec::new() } else { vec![text.clone()] };
        let parts = [
            (COUNTRY, self.country.clone()),
            (ORGANIZATION, self.organization.clone()),
            (UNIT, self.unit.clone()),
            (LOCALITY, self.locality.clone()),
            (PROVINCE, self.province.clone()),
            (STREET, self.street.clone()),
            (POSTAL_CODE, self.postal_code.clone()),
            (COMMON_NAME, one(&self.common_name)),
            (SERIAL_NUMBER, one(&self.serial_number)),
            (USER_ID, self.user_ids.clone()),
        ];
        let mut sequence = Vec::new();
        for (kind, mut texts) in parts {
            let mut values = SetOfVec::new();
            texts.sort_unstable();
            texts.dedup();
            for text in texts {
                let value = attribute(&text).map_err(|error| unusable(X509Error::Der(error)))?;
                values
                    .insert(AttributeTypeAndValue { oid: kind, value })
                    .map_err(|error| unusable(X509Error::Der(error)))?;
            }
            if !values.is_empty() {
                sequence.push(RelativeDistinguishedName(values));
            }
        }
        Ok(RdnSequence(sequence))
    }
}

/// A text as PrintableString where that can hold it, as Go does.
fn attribute(text: &str) -> Result<Any, x509_cert::der::Error> {
    match PrintableStringRef::new(text) {
        Ok(printable) => Any::encode_from(&printable),
        Err(_) => Any::encode_from(&Utf8StringRef::new(text)?),
    }
}

/// The texts of one kind in a name.
fn texts_of(name: &Name, kind: ObjectIdentifier) -> Vec<String> {
    name.0
        .iter()
        .flat_map(|part| part.0.iter())
        .filter(|part| part.oid == kind)
        .map(|part| String::from_utf8_lossy(part.value.value()).into_owned())
        .collect()
}

pub(super) fn common_name_of(name: &Name) -> String {
    texts_of(name, COMMON_NAME).into_iter().next().unwrap_or_default()
}

pub(super) fn serial_number_of(name: &Name) -> String {
    texts_of(name, SERIAL_NUMBER).into_iter().next().unwrap_or_default()
}

pub(super) fn user_ids_of(name: &Name) -> Vec<String> {
    texts_of(name, USER_ID)
}

/// The alternative names that a request's own fields ask for.
pub(super) fn requested(fields: &Fields) -> Result<AlternativeNames, Error> {
    let mut names = AlternativeNames::default();
    for name in fields.list("alt_names")?.unwrap_or_default() {
        add(&mut names, name);
    }
    for address in fields.list("ip_sans")?.unwrap_or_default() {
        let parsed = address.parse::<IpAddr>();
        names.addresses.push(
            parsed.map_err(|_| Error::invalid(format!("the value {address:?} is not a valid IP address")))?,
        );
    }
    names.uris = fields.list("uri_sans")?.unwrap_or_default();
    for other in fields.list("other_sans")?.unwrap_or_default() {
        let (kind, text) = parse_other(&other)?;
        names.others.push(OtherName { kind, text: text.to_owned() });
    }
    Ok(names)
}

/// `1.2.3.4;utf8:text`
fn parse_other(text: &str) -> Result<(ObjectIdentifier, &str), Error> {
    let wrong = || Error::invalid(format!("other SAN {text:?} must have the form OID;UTF8:text"));
    let (kind, value) = text.split_once(';').ok_or_else(wrong)?;
    let (form, value) = value.split_once(':').ok_or_else(wrong)?;
    if !matches!(form.to_ascii_lowercase().as_str(), "utf8" | "utf-8") {
        return Err(wrong());
    }
    Ok((kind.parse().map_err(|_| wrong())?, value))
}

/// Adds a name where it belongs: e-mail addresses have an `@`.
pub(super) fn add(names: &mut AlternativeNames, name: String) {
    let list = if name.contains('@') { &mut names.emails } else { &mut names.dns };
    if !list.contains(&name) {
        list.push(name);
    }
}

/// Whether text is a host name (RFC 1123) in ASCII, with a wildcard in its first label if at all.
pub(super) fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    !rest.is_empty() && name.len() <= 253 && rest.split('.').all(is_label)
}

/// Who asks, as far as roles look at it.
pub(super) struct Asking<'c, 'k> {
    pub role: &'c Role,
    pub call: &'c Call<'k>,
}

impl Asking<'_, '_> {
    /// Everything that is to stand in the certificate is allowed by the role.
    pub(super) fn check(&self, common_name: &str, names: &AlternativeNames) -> Result<(), Error> {
        if !common_name.is_empty() {
            self.check_common_name(common_name)?;
        }
        for name in &names.dns {
            self.check_name(name, "subject alternate name")?;
        }
        for email in &names.emails {
            self.check_name(email, "email address")?;
        }
        self.check_addresses(&names.addresses)?;
        self.check_uris(&names.uris)?;
        self.check_others(&names.others)
    }

    fn check_common_name(&self, name: &str) -> Result<(), Error> {
        let refused = || Error::invalid(format!("common name {name} not allowed by this role"));
        let validations = &self.role.cn_validations;
        let wants = |word: &str| validations.iter().any(|validation| validation.eq_ignore_ascii_case(word));
        if wants("disabled") {
            return match self.role.allow_any_name {
                true => Ok(()),
                false => self.check_name(name, "common name"),
            };
        }
        let is_email = name.contains('@');
        if (is_email && !wants("email")) || (!is_email && !wants("hostname")) {
            return Err(refused());
        }
        self.check_name(name, "common name")
    }

    /// Vault's rules for one name, in Vault's order.
    fn check_name(&self, name: &str, what: &str) -> Result<(), Error> {
        let refused = || Error::invalid(format!("{what} {name} not allowed by this role"));
        let role = self.role;
        let (is_email, host) = match name.split_once('@') {
            Some((_, host)) if host.contains('@') => return Err(refused()),
            Some((_, host)) => (true, host),
            None => (false, name),
        };
        let is_wildcard = host.contains('*');
        if is_wildcard && (!role.allow_wildcard_certificates || is_email || host.matches('*').count() > 1) {
            return Err(refused());
        }
        // What a wildcard stands below.
        let reduced = match host.split_once('.') {
            Some((first, rest)) if is_wildcard && first.contains('*') => rest,
            _ if is_wildcard => return Err(refused()),
            _ => host,
        };
        if role.enforce_hostnames && !(is_host_name(reduced) && is_wildcard_label(host)) {
            return Err(refused());
        }
        let place = Place { name, host, reduced, is_email, is_wildcard };
        if role.allow_any_name
            || self.is_local(&place)
            || self.is_display_name(&place)
            || self.is_in_domain(&place)?
        {
            return Ok(());
        }
        Err(refused())
    }

    fn is_local(&self, place: &Place<'_>) -> bool {
        self.role.allow_localhost
            && ["localhost", "localdomain"].into_iter().any(|local| {
                (place.reduced == local && !place.is_wildcard)
                    || (self.role.allow_subdomains && place.is_below(local))
            })
    }

    fn is_display_name(&self, place: &Place<'_>) -> bool {
        if !self.role.allow_token_displayname {
            return false;
        }
        let display_name = self.call.caller.as_ref().map_or("", |caller| caller.token.display_name.as_str());
        if display_name.is_empty() {
            return false;
        }
        let domain = display_name.split_once('@').map_or(display_name, |(_, domain)| domain);
        place.name == display_name || (self.role.allow_subdomains && place.is_below(domain))
    }

    fn is_in_domain(&self, place: &Place<'_>) -> Result<bool, Error> {
        for domain in &self.role.allowed_domains {
            let Some(domain) = self.filled(domain, self.role.allowed_domains_template)? else { continue };
            let is_itself = place.name.eq_ignore_ascii_case(&domain)
                || (place.is_email && place.host.eq_ignore_ascii_case(&domain));
            if (self.role.allow_bare_domains && is_itself)
                || (self.role.allow_subdomains && place.is_below(&domain))
                || (self.role.allow_glob_domains && domain.contains('*') && glob(&domain, place.name))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A pattern with the caller's identity filled in; None if the caller has no such identity.
    fn filled(&self, pattern: &str, is_template: bool) -> Result<Option<String>, Error> {
        if !is_template || !pattern.contains("{{") {
            return Ok(Some(pattern.to_owned()).filter(|pattern| !pattern.is_empty()));
        }
        // What an identity brings is a name, and no pattern.
        let stars = |text: &str| text.matches('*').count();
        Ok(self.call.fill_template(pattern).filter(|filled| stars(filled) == stars(pattern)))
    }

    fn check_addresses(&self, addresses: &[IpAddr]) -> Result<(), Error> {
        if addresses.is_empty() {
            return Ok(());
        }
        if !self.role.allow_ip_sans {
            return Err(Error::invalid("IP Subject Alternative Names are not allowed in this role"));
        }
        let networks = networks(self.role)?;
        match addresses.iter().find(|address| !networks.iter().any(|network| network.contains(*address))) {
            Some(outside) if !networks.is_empty() => {
                Err(Error::invalid(format!("the IP address {outside} is not allowed in this role")))
            }
            _ => Ok(()),
        }
    }

    fn check_uris(&self, uris: &[String]) -> Result<(), Error> {
        if !uris.is_empty() && self.role.allowed_uri_sans.is_empty() {
            return Err(Error::invalid("URI Subject Alternative Names are not allowed in this role"));
        }
        for uri in uris {
            let mut is_allowed = false;
            for pattern in &self.role.allowed_uri_sans {
                let filled = self.filled(pattern, self.role.allowed_uri_sans_template)?;
                is_allowed |= filled.is_some_and(|pattern| glob(&pattern, uri));
            }
            if !is_allowed || !uri.contains(':') {
                return Err(Error::invalid(
                    "URI Subject Alternative Names were provided which are not valid for this role",
                ));
            }
        }
        Ok(())
    }

    fn check_others(&self, others: &[OtherName]) -> Result<(), Error> {
        let allowed = &self.role.allowed_other_sans;
        if allowed.iter().any(|pattern| pattern == "*") {
            return Ok(());
        }
        for other in others {
            let is_allowed = allowed
                .iter()
                .filter_map(|pattern| parse_other(pattern).ok())
                .any(|(kind, pattern)| kind == other.kind && glob(pattern, &other.text));
            if !is_allowed {
                return Err(Error::invalid(format!(
                    "other SAN of OID {} not allowed by this role",
                    other.kind
                )));
            }
        }
        Ok(())
    }

    pub(super) fn check_serial_number(&self, number: &str) -> Result<(), Error> {
        if number.is_empty() || self.role.allowed_serial_numbers.iter().any(|pattern| glob(pattern, number)) {
            return Ok(());
        }
        Err(Error::invalid(format!("serial_number {number} not allowed by this role")))
    }

    pub(super) fn check_user_ids(&self, ids: &[String]) -> Result<(), Error> {
        match ids.iter().find(|id| !self.role.allowed_user_ids.iter().any(|pattern| glob(pattern, id))) {
            Some(id) => Err(Error::invalid(format!("user_id {id} is not allowed by this role"))),
            None => Ok(()),
        }
    }
}

/// A name, taken apart.
struct Place<'n> {
    name: &'n str,
    /// What stands after the `@`, or all of it.
    host: &'n str,
    /// The host without its wildcard label.
    reduced: &'n str,
    is_email: bool,
    is_wildcard: bool,
}

impl Place<'_> {
    /// Whether it lies below a domain. A wildcard below the domain itself is below it.
    fn is_below(&self, domain: &str) -> bool {
        let (name, domain) = (self.reduced.to_ascii_lowercase(), domain.to_ascii_lowercase());
        let is_subdomain = name.strip_suffix(&domain).is_some_and(|front| front.ends_with('.'));
        is_subdomain || (self.is_wildcard && name == domain)
    }
}

/// Whether the first label, if it has a wildcard, is one that certificates may have (RFC 6125, section 6.4.3).
fn is_wildcard_label(host: &str) -> bool {
    let first = host.split('.').next().unwrap_or_default();
    !first.contains('*')
        || first.split('*').all(|part| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
}

fn networks(role: &Role) -> Result<Vec<IpNet>, Error> {
    role.allowed_ip_sans_cidr
        .iter()
        .map(|text| {
            text.parse().map_err(|_| Error::invalid(format!("{text:?} is not a network, as 10.0.0.0/8")))
        })
        .collect()
}

/// A role's patterns can be read.
pub(super) fn check_patterns(role: &Role) -> Result<(), Error> {
    networks(role)?;
    for pattern in role.allowed_other_sans.iter().filter(|pattern| *pattern != "*") {
        parse_other(pattern)?;
    }
    Ok(())
}

/// `*` stands for any text, also for none.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*b*c", "axbxc", true),
            ("a*a", "a", false),
            ("*.example.com", "x.example.org", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn host_names() {
        for name in ["a", "a.b", "*.a", "xn--a.b", "_a.b", "A-1.b."] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", "-a", "a-.b", "a..b", "a b", "ä", "*.*.a", "a/b"] {
            assert!(!is_host_name(name), "{name}");
        }
    }
}
