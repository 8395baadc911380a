//! Statements: what is filled into them, and those that fit a database where none are given. A value goes in only if it
//! can stand between quotes without ending them.

use super::wire::Engine;
use serde_json::Value;
use strongroom_kernel::{Error, Fields};
use strongroom_secret::{SecretString, Timestamp};

const STATEMENTS_MAX: usize = 64;
const STATEMENT_BYTES_MAX: usize = 64 * 1024;
const USERNAME_BYTES_MAX: usize = 128;

/// What a statement is filled with.
pub(super) struct Account<'a> {
    pub name: &'a str,
    pub password: Option<&'a SecretString>,
    pub expiration: Option<Timestamp>,
}

/// Whether passwords are made fit for a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    Literal,
    AsItIs,
}

/// Statements of a request: a text, or a list of texts. None where the field is not given.
pub(super) fn of_field(fields: &Fields, name: &str) -> Result<Option<Vec<String>>, Error> {
    let wrong = || Error::invalid(format!("field {name:?} must be a text, or a list of texts"));
    let statements = match fields.value(name) {
        None => return Ok(None),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong()),
    };
    let statements: Vec<String> = statements.into_iter().filter(|text| !text.trim().is_empty()).collect();
    if statements.len() > STATEMENTS_MAX || statements.iter().any(|text| text.len() > STATEMENT_BYTES_MAX) {
        return Err(Error::invalid(format!(
            "{name}: at most {STATEMENTS_MAX} statements of {STATEMENT_BYTES_MAX} bytes are taken"
        )));
    }
    Ok(Some(statements))
}

/// Fills `{{name}}`, `{{username}}`, `{{password}}` and `{{expiration}}` in.
pub(super) fn fill(
    engine: Engine,
    statements: &[String],
    account: &Account<'_>,
    escaping: Escaping,
) -> Result<Vec<SecretString>, Error> {
    check_username(account.name)?;
    let password = match account.password {
        Some(password) => literal(engine, password, escaping)?,
        None => SecretString::new(String::new()),
    };
    let expiration = account.expiration.map(Timestamp::rfc3339).unwrap_or_default();
    let fill = |statement: &String| {
        let mut filled = String::with_capacity(statement.len() + 128);
        let mut rest = statement.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            filled.push_str(before);
            let value = after.split_once("}}").and_then(|(name, behind)| {
                let value = match name.trim() {
                    "name" | "username" => account.name,
                    "password" => password.expose(),
                    "expiration" => &expiration,
                    _ => return None,
                };
                Some((value, behind))
            });
            match value {
                Some((value, behind)) => {
                    filled.push_str(value);
                    rest = behind;
                }
                None => {
                    filled.push_str("{{");
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        SecretString::new(filled)
    };
    Ok(statements.iter().map(fill).collect())
}

/// Refuses a name that could end the quotes around it, whichever they are.
pub(super) fn check_username(name: &str) -> Result<(), Error> {
    let is_bad = |c: char| c.is_control() || matches!(c, '\'' | '"' | '`' | '\\' | '$' | ';' | ' ');
    if name.is_empty() || name.len() > USERNAME_BYTES_MAX || name.contains(is_bad) {
        return Err(Error::invalid(format!(
            "a username has 1 to {USERNAME_BYTES_MAX} bytes, and no quotes, backslashes, spaces, semicolons, dollar or \
             control characters"
        )));
    }
    Ok(())
}

/// A password as it stands in a literal between single quotes. What could not is refused, never changed silently.
fn literal(engine: Engine, password: &SecretString, escaping: Escaping) -> Result<SecretString, Error> {
    if escaping == Escaping::AsItIs {
        return Ok(password.duplicate());
    }
    let text = password.expose();
    let is_bad = match engine {
        // A backslash means something in E'…', and two dollars end a body.
        Engine::Postgres => text.contains(|c: char| c.is_control() || c == '\\') || text.contains("$$"),
        Engine::Mysql => text.contains(char::is_control),
        // Words of a command stand on lines of their own.
        Engine::Redis => text.contains(char::is_control) || text.contains(' '),
    };
    if is_bad {
        return Err(Error::invalid(
            "the password has characters that are not safe in a statement (control characters; backslashes and $$ for \
             PostgreSQL; spaces for Redis): change the password policy, or set disable_escaping",
        ));
    }
    Ok(SecretString::new(match engine {
        Engine::Postgres => text.replace('\'', "''"),
        Engine::Mysql => text.replace('\\', "\\\\").replace('\'', "''"),
        Engine::Redis => text.to_owned(),
    }))
}

/// Makes a Redis account from rules: each text is a JSON list of rules, or rules with spaces between them.
pub(super) fn redis_creation(statements: &[String]) -> Result<Vec<String>, Error> {
    let mut words = vec!["ACL", "SETUSER", "{{name}}", "reset", "on", ">{{password}}"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let rules = if statements.is_empty() { vec!["~* +@read".to_owned()] } else { statements.to_vec() };
    for text in rules {
        let list: Vec<String> = match text.trim_start().starts_with('[') {
            true => serde_json::from_str(&text).map_err(|_| {
                Error::invalid("creation_statements must be a JSON list of rules, as [\"~*\", \"+@read\"]")
            })?,
            false => text.split_whitespace().map(str::to_owned).collect(),
        };
        if list.iter().any(|rule| rule.contains(char::is_control) || rule.starts_with(['>', '<', '#', '!'])) {
            return Err(Error::invalid("a rule is on one line and sets no password"));
        }
        words.extend(list);
    }
    Ok(vec![words.join("\n")])
}

pub(super) fn default_revocation(engine: Engine) -> Vec<String> {
    vec![
        match engine {
            Engine::Postgres => POSTGRES_REVOCATION,
            Engine::Mysql => "DROP USER IF EXISTS '{{name}}'@'%'",
            Engine::Redis => "ACL\nDELUSER\n{{name}}",
        }
        .to_owned(),
    ]
}

pub(super) fn default_renewal(engine: Engine) -> Vec<String> {
    match engine {
        Engine::Postgres => vec!["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'".to_owned()],
        Engine::Mysql | Engine::Redis => Vec::new(),
    }
}

pub(super) fn default_rotation(engine: Engine) -> Vec<String> {
    vec![
        match engine {
            Engine::Postgres => "ALTER ROLE \"{{name}}\" WITH PASSWORD '{{password}}'",
            Engine::Mysql => "ALTER USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
            Engine::Redis => "ACL\nSETUSER\n{{name}}\nresetpass\n>{{password}}",
        }
        .to_owned(),
    ]
}

/// What an account loses whose revocation is refused: it stays, and logs in no longer.
pub(super) fn lock_out(engine: Engine) -> Option<&'static str> {
    match engine {
        Engine::Postgres => Some("ALTER ROLE \"{{name}}\" NOLOGIN"),
        Engine::Mysql => Some("ALTER USER IF EXISTS '{{name}}'@'%' ACCOUNT LOCK"),
        Engine::Redis => None,
    }
}

/// Ends the role's connections where that is allowed, takes away what it was granted in this database, and drops it.
/// `DROP OWNED` touches what the role has grants on and nothing else, but it would drop what the role owns too. So it is
/// left out where there is such: then the role stays, and its lease says why. It takes membership in the role, which
/// who made the role may give to itself, and which goes with the role.
const POSTGRES_REVOCATION: &str = r#"DO $strongroom$
DECLARE
    account oid := (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = '{{name}}');
    here oid := (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
    kinds text;
BEGIN
    IF account IS NULL THEN
        RETURN;
    END IF;
    EXECUTE 'ALTER ROLE "{{name}}" NOLOGIN';
    BEGIN
        PERFORM pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = '{{name}}';
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
    SELECT string_agg(DISTINCT deptype::text, '') INTO kinds FROM pg_catalog.pg_shdepend
    WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = account AND dbid IN (0, here);
    IF kinds NOT LIKE '%o%' THEN
        IF NOT pg_catalog.pg_has_role(current_user, account, 'USAGE') THEN
            EXECUTE 'GRANT "{{name}}" TO CURRENT_USER';
        END IF;
        EXECUTE 'DROP OWNED BY "{{name}}"';
    END IF;
    EXECUTE 'DROP ROLE "{{name}}"';
END
$strongroom$"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(engine: Engine, statement: &str, password: &str, escaping: Escaping) -> Result<String, String> {
        let password = SecretString::from(password);
        let account = Account { name: "v-app", password: Some(&password), expiration: None };
        fill(engine, &[statement.to_owned()], &account, escaping)
            .map(|all| all[0].expose().to_owned())
            .map_err(|error| error.messages.join("; "))
    }

    #[test]
    fn values_stand_in_literals_or_are_refused() {
        let statement = "CREATE ROLE \"{{name}}\" PASSWORD '{{ password }}' {{other}} {{";
        assert_eq!(
            filled(Engine::Postgres, statement, "it's", Escaping::Literal).unwrap(),
            "CREATE ROLE \"v-app\" PASSWORD 'it''s' {{other}} {{"
        );
        assert_eq!(filled(Engine::Mysql, "'{{password}}'", r"a\'b", Escaping::Literal).unwrap(), r"'a\\''b'");
        for (engine, password) in [
            (Engine::Postgres, r"a\b"),
            (Engine::Postgres, "a$$b"),
            (Engine::Mysql, "a\nb"),
            (Engine::Redis, "a b"),
        ] {
            let error = filled(engine, "{{password}}", password, Escaping::Literal).unwrap_err();
            assert!(error.contains("not safe in a statement") && !error.contains(password), "{error}");
            assert_eq!(filled(engine, "{{password}}", password, Escaping::AsItIs).unwrap(), password);
        }
        for name in ["", "a'b", "a\"b", "a;b", "a`b", "a\\b", "a\nb", "a b"] {
            assert!(check_username(name).is_err(), "{name:?}");
        }
        // What is filled in is not looked at for placeholders again.
        assert_eq!(
            filled(Engine::Postgres, "'{{password}}'", "{{name}}", Escaping::Literal).unwrap(),
            "'{{name}}'"
        );
    }

    #[test]
    fn redis_accounts_are_made_from_rules() {
        let rules = redis_creation(&[r#"["~app:*", "+get"]"#.to_owned()]).unwrap();
        assert_eq!(rules, ["ACL\nSETUSER\n{{name}}\nreset\non\n>{{password}}\n~app:*\n+get"]);
        assert!(redis_creation(&[">stolen".to_owned()]).is_err());
        assert!(redis_creation(&["[1]".to_owned()]).is_err());
    }
}
