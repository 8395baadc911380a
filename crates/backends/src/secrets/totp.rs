//! Time-based one-time passwords (RFC 6238): made like an app makes them, or checked like a service checks them. A
//! password counts once.

use crate::answer::object;
use crate::listing::{AFTER, LIMIT, page};
use crate::routing::{delete, field, list, read, write};
use crate::secret_serde;
use data_encoding::BASE32_NOPAD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use strongroom_crypto::otp::{OtpHash, one_time_password};
use strongroom_kernel::{
    Access, Backend, Call, Class, Error, Field, FieldKind, Key, Record, Response, Route, Table,
};
use strongroom_secret::{SecretBytes, SecretString, format_duration};

const KEYS: Table = Table(1);
const PERIOD_SECONDS: u64 = 30;
const DIGITS: u64 = 6;
const KEY_BYTES: u64 = 20;
const KEY_BYTES_MAX: u64 = 128;

pub(crate) static TOTP: Backend =
    Backend::new("totp", Class::Secret, "Makes and checks one-time passwords.", &[ROUTES]);

const NAME: Field = field("name", FieldKind::Text, "The name of the key.");

const ROUTES: &[Route] = &[
    Route {
        pattern: "keys/?",
        summary: "The keys.",
        access: Access::Token,
        fields: &[AFTER, LIMIT],
        methods: &[list(list_names, "List their names.")],
        exists: None,
    },
    Route {
        pattern: "keys/{name}",
        summary: "A key that one-time passwords are made from.",
        access: Access::Token,
        fields: &[
            NAME,
            field("generate", FieldKind::Boolean, "Make a key here, for somebody's app."),
            field("exported", FieldKind::Boolean, "Show the key just made, as a URL; true by default."),
            field("key_size", FieldKind::Integer, "Bytes of the key to be made; 20 by default."),
            field("key", FieldKind::Text, "A key from elsewhere, in base32."),
            field(
                "url",
                FieldKind::Text,
                "A key from elsewhere with all that belongs to it: `otpauth://totp/…`.",
            ),
            field("issuer", FieldKind::Text, "Who the passwords are for."),
            field("account_name", FieldKind::Text, "Whose they are."),
            field("period", FieldKind::Duration, "How long a password counts; 30 s by default."),
            field("algorithm", FieldKind::Text, "SHA1 (default), SHA256 or SHA512."),
            field("digits", FieldKind::Integer, "6 (default) or 8."),
            field("skew", FieldKind::Integer, "Periods before and after that count too: 0 or 1 (default)."),
            field(
                "qr_size",
                FieldKind::Integer,
                "Taken for the sake of Vault's clients; there is no picture.",
            ),
        ],
        methods: &[
            read(read_key, "Read what is known of it; never the key."),
            write(write_key, "Make it, or bring it."),
            delete(delete_key, "Remove it."),
        ],
        exists: Some(exists),
    },
    Route {
        pattern: "code/{name}",
        summary: "One-time passwords.",
        access: Access::Token,
        fields: &[NAME, field("code", FieldKind::Text, "The password to be checked.")],
        methods: &[read(make_code, "Make the present one."), write(check_code, "Check one. It counts once.")],
        exists: None,
    },
];

/// A key as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct TotpKey {
    #[serde(with = "secret_serde")]
    key: SecretBytes,
    issuer: String,
    account_name: String,
    /// In seconds.
    period: u64,
    algorithm: String,
    digits: u32,
    skew: u64,
    /// The period of the newest password that was accepted: none up to it counts again.
    #[serde(default)]
    used_up_to: Option<u64>,
}

impl Record for TotpKey {}

impl TotpKey {
    fn hash(&self) -> OtpHash {
        OtpHash::ALL.into_iter().find(|hash| hash.name() == self.algorithm).unwrap_or(OtpHash::Sha1)
    }

    fn password(&self, counter: u64) -> SecretString {
        one_time_password(self.hash(), self.key.expose(), counter, self.digits).into()
    }

    fn counter(&self, call: &Call<'_>) -> u64 {
        u64::try_from(call.now.seconds()).unwrap_or(0) / self.period.max(1)
    }

    /// As apps read it (Google's Key Uri Format).
    fn url(&self) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!(
            "otpauth://totp/{issuer}:{account}?algorithm={algorithm}&digits={digits}&issuer={issuer}&period={period}\
             &secret={secret}",
            issuer = escaped(&self.issuer),
            account = escaped(&self.account_name),
            algorithm = self.algorithm,
            digits = self.digits,
            period = self.period,
            secret = BASE32_NOPAD.encode(self.key.expose()),
        )
    }
}

fn key(call: &Call<'_>) -> Key {
    call.tx.name_key(&call.table(KEYS), call.capture("name"))
}

fn find(call: &mut Call<'_>) -> Result<Option<TotpKey>, Error> {
    let key = key(call);
    call.tx.record(&key)
}

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    Ok(find(call)?.is_some())
}

fn list_names(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(KEYS);
    let names = call.tx.children(&table)?;
    page(call, names)
}

fn read_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = find(call)?.ok_or_else(Error::not_found)?;
    Ok(object(json!({
        "issuer": key.issuer,
        "account_name": key.account_name,
        "period": key.period,
        "algorithm": key.algorithm,
        "digits": key.digits,
    })))
}

fn delete_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}

/// What a request, or the URL in it, says of a key.
struct Wanted {
    secret: Option<String>,
    issuer: String,
    account_name: String,
    period: u64,
    algorithm: String,
    digits: u64,
}

impl Wanted {
    fn of(call: &Call<'_>) -> Result<Self, Error> {
        let fields = call.fields();
        let text = |name| fields.text(name).map(Option::unwrap_or_default);
        let mut wanted = Self {
            secret: fields.text("key")?.filter(|key| !key.is_empty()),
            issuer: text("issuer")?,
            account_name: text("account_name")?,
            period: fields.duration("period")?.map_or(PERIOD_SECONDS, |period| period.as_secs()),
            algorithm: fields.text("algorithm")?.unwrap_or_else(|| "SHA1".to_owned()),
            digits: fields.count("digits")?.unwrap_or(DIGITS),
        };
        if let Some(url) = fields.text("url")?.filter(|url| !url.is_empty()) {
            wanted.read_url(&url)?;
        }
        Ok(wanted)
    }

    fn read_url(&mut self, url: &str) -> Result<(), Error> {
        let wrong = || Error::invalid("the url must have the form otpauth://totp/ISSUER:ACCOUNT?secret=KEY");
        let plain = |text: &str| {
            percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| wrong())
        };
        let rest = url.strip_prefix("otpauth://totp/").ok_or_else(wrong)?;
        let (label, query) = rest.split_once('?').ok_or_else(wrong)?;
        let label = plain(label)?;
        match label.split_once(':') {
            Some((issuer, account)) => {
                (self.issuer, self.account_name) = (issuer.to_owned(), account.trim().to_owned());
            }
            None => self.account_name = label,
        }
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            let value = plain(value)?;
            match name {
                "secret" => self.secret = Some(value),
                "issuer" => self.issuer = value,
                "algorithm" => self.algorithm = value,
                "period" => self.period = value.parse().map_err(|_| wrong())?,
                "digits" => self.digits = value.parse().map_err(|_| wrong())?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn write_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let wanted = Wanted::of(call)?;
    let fields = call.fields();
    let is_made_here = fields.boolean("generate")?.unwrap_or_default();
    let is_shown = is_made_here && fields.boolean("exported")?.unwrap_or(true);
    let skew = fields.count("skew")?.unwrap_or(1);
    let secret = if is_made_here { make(call, &wanted)? } else { brought(&wanted)? };
    let digits = match wanted.digits {
        6 => 6,
        8 => 8,
        _ => return Err(Error::invalid("the digits value can only be 6 or 8")),
    };
    if !OtpHash::ALL.iter().any(|hash| hash.name() == wanted.algorithm) {
        return Err(Error::invalid("the algorithm value is not valid: it must be SHA1, SHA256 or SHA512"));
    }
    if wanted.period == 0 {
        return Err(Error::invalid("the period value must be greater than zero"));
    }
    if skew > 1 {
        return Err(Error::invalid("the skew value must be 0 or 1"));
    }
    let record = TotpKey {
        key: secret,
        issuer: wanted.issuer,
        account_name: wanted.account_name,
        period: wanted.period,
        algorithm: wanted.algorithm,
        digits,
        skew,
        used_up_to: None,
    };
    let key = key(call);
    call.tx.put_record(&key, &record)?;
    Ok(if is_shown { object(json!({ "url": record.url() })) } else { Response::default() })
}

fn make(call: &Call<'_>, wanted: &Wanted) -> Result<SecretBytes, Error> {
    if wanted.secret.is_some() {
        return Err(Error::invalid("a key should not be passed if generate is true"));
    }
    if wanted.account_name.is_empty() {
        return Err(Error::invalid("the account_name value is required for generated keys"));
    }
    if wanted.issuer.is_empty() {
        return Err(Error::invalid("the issuer value is required for generated keys"));
    }
    let size = call.fields().count("key_size")?.unwrap_or(KEY_BYTES);
    if size == 0 || size > KEY_BYTES_MAX {
        return Err(Error::invalid(format!("the key_size value must be from 1 to {KEY_BYTES_MAX}")));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    call.entropy().fill(&mut bytes);
    Ok(bytes.into())
}

/// People type keys in groups, in lower case, with or without padding.
fn brought(wanted: &Wanted) -> Result<SecretBytes, Error> {
    let text = wanted.secret.as_deref().ok_or_else(|| Error::invalid("the key value is required"))?;
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).collect();
    let text = SecretString::from(text.to_ascii_uppercase());
    let bytes = BASE32_NOPAD.decode(text.expose().as_bytes());
    bytes.map(SecretBytes::new).map_err(|_| Error::invalid("invalid key value: it is not base32"))
}

fn make_code(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = required(call)?;
    let counter = key.counter(call);
    Ok(object(json!({
        "code": key.password(counter).expose(),
        "generated": call.now.seconds(),
        "expire_time": (counter + 1) * key.period,
        "period": format_duration(Duration::from_secs(key.period)),
    })))
}

fn required(call: &mut Call<'_>) -> Result<TotpKey, Error> {
    let name = call.capture("name").to_owned();
    find(call)?.ok_or_else(|| Error::invalid(format!("unknown key: {name}")))
}

fn check_code(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut record = required(call)?;
    let code = SecretString::from(call.fields().text("code")?.unwrap_or_default());
    if code.is_empty() {
        return Err(Error::invalid("the code value is required"));
    }
    if code.expose().len() != usize::try_from(record.digits).unwrap_or_default() {
        return Err(Error::invalid("invalid number of digits for the code"));
    }
    let now = record.counter(call);
    // All of them are looked at, so that the time taken does not say which one it was.
    let matching = (now.saturating_sub(record.skew)..=now + record.skew)
        .filter(|counter| record.password(*counter) == code)
        .max();
    let Some(counter) = matching else { return Ok(object(json!({ "valid": false }))) };
    if record.used_up_to.is_some_and(|used| counter <= used) {
        return Err(Error::invalid("code already used; wait until the next time period"));
    }
    record.used_up_to = Some(counter);
    let key = key(call);
    call.tx.put_record(&key, &record)?;
    Ok(object(json!({ "valid": true })))
}
