//! Filters of searches (RFC 4515) from the templates of the settings. What stands for a name is put in when the filter has
//! been parsed: it can be a value, and nothing else.

use ldap3_proto::parse_ldap_filter_str;
use ldap3_proto::proto::{LdapFilter, LdapMatchingRuleAssertion};

const TEMPLATE_BYTES_MAX: usize = 4096;

/// What names stand for.
pub(super) struct Values<'v> {
    pub user_attribute: &'v str,
    pub username: &'v str,
    pub user_dn: &'v str,
}

/// Texts that are no others' while a template is parsed.
const USERNAME: &str = "strongroomusernamestrongroom";
const USER_DN: &str = "strongroomuserdnstrongroom";

/// The filter of a template. None: the template is no filter.
pub(super) fn fill(template: &str, values: &Values<'_>) -> Option<LdapFilter> {
    if template.len() > TEMPLATE_BYTES_MAX || !is_attribute(values.user_attribute) {
        return None;
    }
    let text = template
        .replace("{{.UserAttr}}", values.user_attribute)
        .replace("{{.Username}}", USERNAME)
        .replace("{{.UserDN}}", USER_DN);
    if text.contains("{{") {
        return None;
    }
    let mut filter = parse_ldap_filter_str(&text).ok()?;
    put_in(&mut filter, values);
    Some(filter)
}

fn put_in(filter: &mut LdapFilter, values: &Values<'_>) {
    let put = |value: &mut String| {
        if value.contains(USERNAME) || value.contains(USER_DN) {
            *value = value.replace(USERNAME, values.username).replace(USER_DN, values.user_dn);
        }
    };
    match filter {
        LdapFilter::And(parts) | LdapFilter::Or(parts) => {
            parts.iter_mut().for_each(|part| put_in(part, values));
        }
        LdapFilter::Not(part) => put_in(part, values),
        LdapFilter::Equality(_, value)
        | LdapFilter::GreaterOrEqual(_, value)
        | LdapFilter::LessOrEqual(_, value)
        | LdapFilter::Approx(_, value) => put(value),
        LdapFilter::Substring(_, parts) => {
            parts.initial.iter_mut().chain(&mut parts.any).chain(&mut parts.final_).for_each(put);
        }
        LdapFilter::Extensible(LdapMatchingRuleAssertion { match_value, .. }) => put(match_value),
        LdapFilter::Present(_) => {}
    }
}

/// A name of an attribute (RFC 4512, section 1.4), or its number.
pub(super) fn is_attribute(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._;".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, username: &str) -> Option<LdapFilter> {
        fill(template, &Values { user_attribute: "uid", username, user_dn: "uid=x,dc=y" })
    }

    #[test]
    fn names_are_values_and_nothing_else() {
        let expected = |value: &str| Some(LdapFilter::Equality("uid".to_owned(), value.to_owned()));
        for name in ["ann", "*", "a)(uid=*", "\\2a", "{{.UserDN}}", "a(b)&|!"] {
            assert_eq!(filled("({{.UserAttr}}={{.Username}})", name), expected(name));
        }
        let groups =
            filled("(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))", "ann");
        let Some(LdapFilter::Or(parts)) = groups else { panic!("{groups:?}") };
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1], LdapFilter::Equality("member".to_owned(), "uid=x,dc=y".to_owned()));
        let nested = filled("(&(objectClass=group)(member:1.2.840.113556.1.4.1941:={{.UserDN}}))", "ann");
        assert!(nested.is_some());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for template in ["", "(", "uid={{.Username}}(", "((a=b)(c=d))", "({{.Other}}=x)"] {
            assert_eq!(filled(template, "ann"), None, "{template}");
        }
    }
}
