//! Logging in: the directory says whether the password is right, and which groups somebody is in.

use super::config::{self, Config};
use super::directory::{Directory, Entry, Search};
use super::filter::{Values, fill};
use super::{mapping, names};
use crate::auth::is_login;
use crate::auth::token_parameters::is_within;
use ldap3_proto::proto::{LdapFilter, LdapSearchScope};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use strongroom_kernel::tokens::{TokenEntry, TokenSettings};
use strongroom_kernel::{Call, Error, ErrorKind, LoginGrant, Response};
use strongroom_secret::SecretString;

/// Groups that are looked up by their security identifiers.
const TOKEN_GROUPS_MAX: usize = 500;
const NAME_BYTES_MAX: usize = 512;

/// Somebody whom the directory knows.
struct Person {
    username: String,
    /// What identity knows them by.
    alias: String,
    groups: BTreeSet<String>,
}

/// Lockout counts by this; names that nobody has are not remembered.
pub(super) fn login_name(call: &Call<'_>) -> Option<String> {
    is_login(call)
        .then(|| call.capture("username").to_lowercase())
        .filter(|name| name.len() <= NAME_BYTES_MAX)
}

fn unavailable(reason: String) -> Error {
    Error::new(ErrorKind::Unavailable, "the directory cannot be asked").with_detail(reason)
}

fn refused(why: &str) -> Error {
    Error::invalid("ldap operation failed: failed to bind as user").with_detail(why.to_owned())
}

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let password = call.fields().value("password").and_then(Value::as_str).unwrap_or_default();
    let password = SecretString::from(password);
    let config = config::made(call)?.ok_or_else(|| Error::invalid("ldap backend not configured"))?;
    let username = config.canonical(call.capture("username"));
    if username.len() > NAME_BYTES_MAX {
        return Err(refused("the name is too long"));
    }
    if password.is_empty() {
        return Err(Error::invalid(
            "password cannot be of zero length when passwordless binds are being denied",
        ));
    }
    if !is_within(call, &config.parameters.settings.bound_cidrs) {
        return Err(Error::denied().with_detail("the client's address is outside the bound CIDRs"));
    }
    let person = prove(call, &config, &username, &password)?;
    let grant = grant(call, &config, &person)?;
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

/// Proves the password, and asks for the groups.
fn prove(call: &Call<'_>, config: &Config, username: &str, password: &SecretString) -> Result<Person, Error> {
    let mut directory = Directory::open(call, config).map_err(unavailable)?;
    let found = match searches(config) {
        true => {
            bind_searcher(&mut directory, config)?;
            // Whether there is such a person is said in the words of a wrong password.
            Some(
                find(&mut directory, config, username)?
                    .ok_or_else(|| refused("no such entry, or several"))?,
            )
        }
        false => None,
    };
    let bind_dn = match &found {
        Some(entry) => entry.dn.clone(),
        None if !config.upndomain.is_empty() => format!("{username}@{}", config.upndomain),
        None => format!("{}={},{}", config.userattr, names::escaped(username), config.userdn),
    };
    if !directory.bind(&bind_dn, password).map_err(unavailable)? {
        return Err(refused("the directory refused the password"));
    }
    if config.anonymous_group_search {
        directory.bind("", &SecretString::from("")).map_err(unavailable)?;
    } else if !config.binddn.is_empty() {
        bind_searcher(&mut directory, config)?;
    }
    // A name with its domain is no name of an entry: the entry is looked for with the person's own rights.
    let entry = match found {
        Some(entry) => Some(entry),
        None if !config.upndomain.is_empty() => find(&mut directory, config, username)?,
        None => None,
    };
    let user_dn = entry.as_ref().map_or(bind_dn, |entry| entry.dn.clone());
    describe(&mut directory, config, username, &user_dn, entry.as_ref())
}

/// Whether people are found by a search before their password is tried.
fn searches(config: &Config) -> bool {
    config.discoverdn || (!config.binddn.is_empty() && !config.bindpass.is_empty())
}

fn bind_searcher(directory: &mut Directory, config: &Config) -> Result<(), Error> {
    let password = SecretString::from(config.bindpass.as_str());
    match directory.bind(&config.binddn, &password).map_err(unavailable)? {
        true => Ok(()),
        false => Err(unavailable("it refuses binddn and bindpass".to_owned())),
    }
}

/// The one entry of a user. None: there is none, or there are several.
fn find(directory: &mut Directory, config: &Config, username: &str) -> Result<Option<Entry>, Error> {
    let filter = if config.upndomain.is_empty() {
        let values = Values { user_attribute: &config.userattr, username, user_dn: "" };
        fill(&config.userfilter, &values)
            .ok_or_else(|| Error::invalid("the mount's userfilter is no filter (RFC 4515)"))?
    } else {
        LdapFilter::Equality("userPrincipalName".to_owned(), format!("{username}@{}", config.upndomain))
    };
    let found = directory
        .search(Search {
            base: &config.userdn,
            scope: LdapSearchScope::Subtree,
            filter,
            attributes: &[&config.userattr],
        })
        .map_err(unavailable)?;
    let mut found = found.into_iter();
    Ok(found.next().filter(|_| found.next().is_none()))
}

fn describe(
    directory: &mut Directory,
    config: &Config,
    username: &str,
    user_dn: &str,
    entry: Option<&Entry>,
) -> Result<Person, Error> {
    let groups = match config.use_token_groups {
        true => token_groups(directory, user_dn).map_err(unavailable)?,
        false => member_groups(directory, config, username, user_dn)?,
    };
    let own = entry.and_then(|entry| entry.texts(&config.userattr).into_iter().next());
    let alias = match own {
        Some(own) if !config.username_as_alias => config.canonical(&own),
        _ => username.to_owned(),
    };
    let groups = groups.iter().map(|group| config.canonical(group)).collect();
    Ok(Person { username: username.to_owned(), alias, groups })
}

/// Groups whose entries name the user.
fn member_groups(
    directory: &mut Directory,
    config: &Config,
    username: &str,
    user_dn: &str,
) -> Result<Vec<String>, Error> {
    if config.groupdn.is_empty() {
        return Ok(Vec::new());
    }
    let values = Values { user_attribute: &config.userattr, username, user_dn };
    let filter = fill(&config.groupfilter, &values)
        .ok_or_else(|| Error::invalid("the mount's groupfilter is no filter (RFC 4515)"))?;
    let found = directory
        .search(Search {
            base: &config.groupdn,
            scope: LdapSearchScope::Subtree,
            filter,
            attributes: &[&config.groupattr],
        })
        .map_err(unavailable)?;
    let mut groups = Vec::new();
    for entry in found {
        let named = entry.texts(&config.groupattr);
        if named.is_empty() {
            groups.extend(names::common_name(&entry.dn));
        }
        // An attribute such as memberOf has names of entries.
        groups.extend(named.into_iter().map(|name| names::common_name(&name).unwrap_or(name)));
    }
    Ok(groups)
}

/// Groups by Active Directory's own count of them, with the groups of groups.
fn token_groups(directory: &mut Directory, user_dn: &str) -> Result<Vec<String>, String> {
    let found = directory.search(whole(user_dn, &["tokenGroups"]))?;
    let identifiers: Vec<String> = found
        .iter()
        .flat_map(|entry| entry.bytes("tokenGroups"))
        .take(TOKEN_GROUPS_MAX)
        .filter_map(names::security_identifier)
        .collect();
    let mut groups = Vec::new();
    for identifier in identifiers {
        let dn = format!("<SID={identifier}>");
        let found = directory.search(whole(&dn, &["cn"]))?;
        groups.extend(found.iter().filter_map(|entry| {
            names::common_name(&entry.dn).or_else(|| entry.texts("cn").into_iter().next())
        }));
    }
    Ok(groups)
}

/// One entry by its name.
fn whole<'s>(dn: &'s str, attributes: &'s [&'s str]) -> Search<'s> {
    let filter = LdapFilter::Present("objectClass".to_owned());
    Search { base: dn, scope: LdapSearchScope::Base, filter, attributes }
}

/// The policies of a person: the mount's, their own, and those of their groups.
fn policies(
    call: &mut Call<'_>,
    config: &Config,
    person: &Person,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let own = mapping::user(call, &person.username)?;
    let mut groups = person.groups.clone();
    groups.extend(own.groups.iter().map(|group| config.canonical(group)));
    let mut policies: BTreeSet<String> = config.parameters.settings.policies.iter().cloned().collect();
    policies.extend(own.policies);
    for group in &groups {
        policies.extend(mapping::group(call, group)?.policies);
    }
    policies.remove("root");
    Ok((policies.into_iter().collect(), groups.into_iter().collect()))
}

fn grant(call: &mut Call<'_>, config: &Config, person: &Person) -> Result<LoginGrant, Error> {
    let (policies, groups) = policies(call, config, person)?;
    Ok(LoginGrant {
        display_name: person.username.clone(),
        alias: person.alias.clone(),
        group_aliases: groups,
        metadata: Map::from_iter([("username".to_owned(), json!(person.username))]),
        token: TokenSettings { policies, ..config.parameters.for_login(call) },
        renewable: true,
        internal: json!({ "username": person.username, "alias": person.alias, "groups": person.groups }),
        ..LoginGrant::default()
    })
}

/// They must still have the policies that the token has. The password is not kept for this: the directory is asked for
/// the person's entry and groups by the mount's own searcher; without one, by what the login found.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let text = |name: &str| entry.internal.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let config = config::made(call)?.ok_or_else(|| Error::invalid("ldap backend not configured"))?;
    let username = text("username");
    let person = if searches(&config) {
        let mut directory = Directory::open(call, &config).map_err(unavailable)?;
        bind_searcher(&mut directory, &config)?;
        let found = find(&mut directory, &config, &username)?
            .ok_or_else(|| Error::invalid("the directory does not know the user any longer"))?;
        let user_dn = found.dn.clone();
        describe(&mut directory, &config, &username, &user_dn, Some(&found))?
    } else {
        let groups = entry.internal.get("groups").and_then(Value::as_array);
        let groups = groups.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Person { username, alias: text("alias"), groups }
    };
    let grant = grant(call, &config, &person)?;
    let without_default = |policies: &[String]| -> BTreeSet<String> {
        policies.iter().filter(|policy| *policy != "default").cloned().collect()
    };
    if without_default(&entry.policies) != without_default(&grant.token.policies) {
        return Err(Error::invalid("policies have changed, not renewing"));
    }
    Ok(grant)
}
