//! ACME (RFC 8555): certificates for whoever proves that they hold a name, without a token. Vault's layout: a directory for the
//! mount, and one for each role and each issuer.

mod accounts;
mod authorizations;
mod config;
mod eab;
mod jws;
mod nonces;
mod orders;
mod problem;
mod revoke;
mod validation;

pub(crate) use jws::hear;

pub(super) use validation::looks;

use super::roles::Role;
use super::{open, route, text};
use crate::routing::{delete, list, read, write};
use accounts::{Account, AccountStatus};
use config::AcmeSettings;
use jws::{PublicKey, SignedText};
use problem::{Kind, Problem};
use serde_json::{Value, json};
use strongroom_kernel::{Call, Data, Error, Field, FieldKind, Response, Route, Table, Tidied};

/// By id.
const ACCOUNTS: Table = Table(8);
/// The ids of accounts by directory and key.
const ACCOUNT_KEYS: Table = Table(9);
/// By account and id.
const ORDERS: Table = Table(10);
/// By account and id.
const AUTHORIZATIONS: Table = Table(11);
/// Challenges that are to be looked at, by time.
const PENDING: Table = Table(12);
/// Nonces that were used, by time.
const NONCES: Table = Table(13);
/// Keys of external accounts, by id.
const EAB_KEYS: Table = Table(14);
/// The accounts of certificates, by serial number.
const CERTIFICATE_OWNERS: Table = Table(15);
/// The accounts of orders, by the time of their end and their ids.
const ORDER_ENDS: Table = Table(16);

const JWS: &[Field] = &[
    text("protected", "The header, in base64 for URLs."),
    text("payload", "What is said, in base64 for URLs."),
    text("signature", "The signature over both."),
];

/// The routes of one directory.
macro_rules! directory {
    ($prefix:literal) => {
        &[
            open(
                concat!($prefix, "acme/directory"),
                "Where everything of ACME is.",
                &[],
                &[read(directory, "Read it.")],
            ),
            open(
                concat!($prefix, "acme/new-nonce"),
                "A nonce for the next request.",
                &[],
                &[read(new_nonce, "Take one.")],
            ),
            open(
                concat!($prefix, "acme/new-account"),
                "An account.",
                JWS,
                &[write(new_account, "Make it, or find it.")],
            ),
            open(
                concat!($prefix, "acme/account/{account}"),
                "An account.",
                JWS,
                &[write(account, "Read it, change it, end it.")],
            ),
            open(
                concat!($prefix, "acme/key-change"),
                "The key of an account.",
                JWS,
                &[write(key_change, "Change it.")],
            ),
            open(concat!($prefix, "acme/new-order"), "An order.", JWS, &[write(new_order, "Make it.")]),
            open(
                concat!($prefix, "acme/orders"),
                "The orders of an account.",
                JWS,
                &[write(orders, "List them.")],
            ),
            open(concat!($prefix, "acme/order/{order}"), "An order.", JWS, &[write(order, "Read it.")]),
            open(
                concat!($prefix, "acme/order/{order}/finalize"),
                "An order whose names are proven.",
                JWS,
                &[write(finalize, "Ask for its certificate.")],
            ),
            open(
                concat!($prefix, "acme/order/{order}/cert"),
                "The certificate of an order, with its chain.",
                JWS,
                &[write(certificate, "Read it.")],
            ),
            open(
                concat!($prefix, "acme/authorization/{authorization}"),
                "A name that is to be proven.",
                JWS,
                &[write(authorization, "Read it, or give it up.")],
            ),
            open(
                concat!($prefix, "acme/challenge/{authorization}/{challenge}"),
                "A way to prove a name.",
                JWS,
                &[write(challenge, "Read it, or say that it is ready.")],
            ),
            open(
                concat!($prefix, "acme/revoke-cert"),
                "A certificate that is no longer good.",
                JWS,
                &[write(revoke_cert, "Revoke it.")],
            ),
            route(
                concat!($prefix, "acme/new-eab"),
                "A key that lets somebody make an account in this directory.",
                &[],
                &[write(eab::create, "Make one.")],
            ),
        ]
    };
}

pub(super) const OF_MOUNT: &[Route] = directory!("");
pub(super) const OF_ROLE: &[Route] = directory!("roles/{role}/");
pub(super) const OF_ISSUER: &[Route] = directory!("issuer/{issuer}/");
pub(super) const OF_ISSUER_AND_ROLE: &[Route] = directory!("issuer/{issuer}/roles/{role}/");

pub(super) const SETTINGS: &[Route] = &[
    route(
        "config/acme",
        "Whether there is ACME here, and for whom.",
        config::FIELDS,
        &[read(config::read, "Read it."), write(config::write, "Set it.")],
    ),
    route(
        "eab/?",
        "Keys of external accounts that were not used yet.",
        &[],
        &[list(eab::list, "List them.")],
    ),
    route(
        "eab/{key_id}",
        "A key of an external account.",
        &[crate::routing::field("key_id", FieldKind::Text, "Its id.")],
        &[delete(eab::delete, "Remove it.")],
    ),
];

/// Removes what is over.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    match (nonces::tidy(call)?, orders::tidy(call)?) {
        (Tidied::All, Tidied::All) => Ok(Tidied::All),
        _ => Ok(Tidied::More),
    }
}

/// Who signed a request.
enum Signer {
    /// A key that it brought.
    Key(PublicKey),
    Account(Box<Account>),
}

/// Who may sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signers {
    Key,
    Account,
    Either,
}

/// A request whose signature, nonce and address are right.
struct Session<'c, 'k> {
    call: &'c mut Call<'k>,
    settings: AcmeSettings,
    role: Role,
    /// The address of the mount, with a slash at its end.
    base: String,
    /// `roles/web/acme/`
    directory: String,
    request_url: String,
    payload: Vec<u8>,
    signer: Signer,
}

/// What a request is answered with.
struct Reply {
    status: u16,
    content: Content,
    headers: Vec<(&'static str, String)>,
}

enum Content {
    Json(Value),
    Pem(String),
    None,
}

impl Reply {
    fn json(status: u16, value: Value) -> Self {
        Self { status, content: Content::Json(value), headers: Vec::new() }
    }

    fn pem(text: String) -> Self {
        Self { status: 200, content: Content::Pem(text), headers: Vec::new() }
    }

    fn empty() -> Self {
        Self { status: 200, content: Content::None, headers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn into_response(self) -> Response {
        let (content_type, body) = match self.content {
            Content::Json(value) => ("application/json", value.to_string().into_bytes()),
            Content::Pem(text) => ("application/pem-certificate-chain", text.into_bytes()),
            Content::None => ("text/plain", Vec::new()),
        };
        Response {
            status: Some(self.status),
            headers: self.headers,
            data: Data::Bytes { content_type, body },
            ..Response::default()
        }
    }
}

/// The directory that a path lies in.
fn directory_of(call: &Call<'_>) -> String {
    let mut directory = String::new();
    for (word, name) in [("issuer", call.capture("issuer")), ("roles", call.capture("role"))] {
        if !name.is_empty() {
            directory += &format!("{word}/{name}/");
        }
    }
    directory + "acme/"
}

/// Settings, role and address of a directory that is open.
fn opened(call: &mut Call<'_>) -> Result<(AcmeSettings, Role, String), Problem> {
    let settings = config::load(call)?;
    let base = match (settings.enabled, config::base(call)?) {
        (true, Some(base)) => base,
        _ => {
            return Err(
                Kind::Disabled.told("ACME is not enabled here: an operator writes config/acme enabled=true")
            );
        }
    };
    let role = settings.role(call)?;
    Ok((settings, role, base))
}

impl<'c, 'k> Session<'c, 'k> {
    fn open(call: &'c mut Call<'k>, signers: Signers) -> Result<Self, Problem> {
        let (settings, role, base) = opened(call)?;
        let directory = directory_of(call);
        let path = call.path.as_str();
        let request_url = format!("{base}{}", path.strip_prefix(call.mount.path()).unwrap_or(path));
        let signed = SignedText::parse(&call.fields().0)?;
        if signed.text("url") != Some(request_url.as_str()) {
            return Err(Kind::Unauthorized.told(format!(
                "the url of the protected header is not the one that this request came to: {request_url}"
            )));
        }
        let signer = signer(call, &signed, signers, &format!("{base}{directory}"))?;
        match &signer {
            Signer::Key(key) => signed.verify(key)?,
            Signer::Account(account) => signed.verify(&account.key())?,
        }
        let nonce =
            signed.text("nonce").ok_or_else(|| Kind::BadNonce.told("the protected header has no nonce"))?;
        nonces::redeem(call, &settings, nonce)?;
        if let Signer::Account(account) = &signer {
            check_account(&settings, account, &directory)?;
        }
        let payload = signed.payload;
        Ok(Self { call, settings, role, base, directory, request_url, payload, signer })
    }

    /// An address in this directory.
    fn url(&self, rest: &str) -> String {
        format!("{}{}{rest}", self.base, self.directory)
    }

    fn account(&self) -> Result<&Account, Problem> {
        match &self.signer {
            Signer::Account(account) => Ok(account),
            Signer::Key(_) => Err(Kind::Malformed.told("this request is signed by an account: kid, not jwk")),
        }
    }

    fn own_key(&self) -> Result<&PublicKey, Problem> {
        match &self.signer {
            Signer::Key(key) => Ok(key),
            Signer::Account(_) => Err(Kind::Malformed.told("this request is signed by a key: jwk, not kid")),
        }
    }
}

fn signer(
    call: &mut Call<'_>,
    signed: &SignedText,
    signers: Signers,
    directory_url: &str,
) -> Result<Signer, Problem> {
    let malformed = |what: &str| Kind::Malformed.told(what);
    match (signed.own_key()?, signed.text("kid")) {
        (Some(key), None) if signers != Signers::Account => Ok(Signer::Key(key)),
        (None, Some(kid)) if signers != Signers::Key => {
            let id = kid.strip_prefix(directory_url).and_then(|rest| rest.strip_prefix("account/"));
            let missing =
                || Kind::AccountDoesNotExist.told("kid is not the address of an account of this directory");
            let account = accounts::find(call, id.ok_or_else(missing)?)?.ok_or_else(missing)?;
            Ok(Signer::Account(Box::new(account)))
        }
        (Some(_), Some(_)) => Err(malformed("the protected header has both jwk and kid")),
        (None, None) => Err(malformed("the protected header has neither jwk nor kid")),
        (Some(_), None) => Err(malformed("this request is signed by an account: kid, not jwk")),
        (None, Some(_)) => Err(malformed("this request is signed by a key: jwk, not kid")),
    }
}

fn check_account(settings: &AcmeSettings, account: &Account, directory: &str) -> Result<(), Problem> {
    if account.directory != directory {
        return Err(Kind::Unauthorized.told("the account is of another directory"));
    }
    if account.status != AccountStatus::Valid {
        return Err(Kind::Unauthorized.told("the account is deactivated"));
    }
    if settings.eab_always() && account.eab.is_none() {
        return Err(Kind::ExternalAccountRequired.told(
            "the account has no external account binding: make another one with a key of acme/new-eab",
        ));
    }
    Ok(())
}

/// Serves a signed request. A refusal is an answer too, and has a nonce for the next try.
fn serve(
    call: &mut Call<'_>,
    signers: Signers,
    handle: fn(&mut Session<'_, '_>) -> Result<Reply, Problem>,
) -> Result<Response, Error> {
    let outcome = Session::open(call, signers).and_then(|mut session| handle(&mut session));
    let mut response = match outcome {
        Ok(reply) => reply.into_response(),
        Err(problem) => refused(problem)?,
    };
    add_headers(call, &mut response)?;
    Ok(response)
}

fn refused(problem: Problem) -> Result<Response, Error> {
    let told = match problem {
        Problem::Told(told) => told,
        Problem::Failed(error) => return Err(error),
    };
    let body = told.document().to_string().into_bytes();
    Ok(Response {
        status: Some(told.status()),
        headers: told.location.map(|location| ("location", location)).into_iter().collect(),
        data: Data::Bytes { content_type: "application/problem+json", body },
        ..Response::default()
    })
}

/// A nonce for the next request, and where the directory is.
fn add_headers(call: &mut Call<'_>, response: &mut Response) -> Result<(), Error> {
    let settings = config::load(call)?;
    if settings.nonce_key.expose().is_empty() {
        return Ok(());
    }
    response.headers.push(("replay-nonce", nonces::make(call, &settings)));
    if let Some(base) = config::base(call)? {
        let link = format!("<{base}{}directory>;rel=\"index\"", directory_of(call));
        response.headers.push(("link", link));
    }
    Ok(())
}

fn directory(call: &mut Call<'_>) -> Result<Response, Error> {
    match opened(call) {
        Err(problem) => refused(problem),
        Ok((settings, _, base)) => {
            let directory = format!("{base}{}", directory_of(call));
            let url = |name: &str| format!("{directory}{name}");
            let value = json!({
                "newNonce": url("new-nonce"),
                "newAccount": url("new-account"),
                "newOrder": url("new-order"),
                "revokeCert": url("revoke-cert"),
                "keyChange": url("key-change"),
                "meta": { "externalAccountRequired": settings.eab_for_new_accounts() },
            });
            Ok(Reply::json(200, value).into_response())
        }
    }
}

fn new_nonce(call: &mut Call<'_>) -> Result<Response, Error> {
    match opened(call) {
        Err(problem) => refused(problem),
        Ok(_) => {
            let mut response = Reply::empty().into_response();
            add_headers(call, &mut response)?;
            Ok(response)
        }
    }
}

fn new_account(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Key, accounts::create)
}

fn account(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, accounts::update)
}

fn key_change(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, accounts::change_key)
}

fn new_order(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, orders::create)
}

fn orders(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, orders::list)
}

fn order(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, orders::read)
}

fn finalize(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, orders::finalize)
}

fn certificate(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, orders::certificate)
}

fn authorization(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, authorizations::read)
}

fn challenge(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Account, authorizations::challenge)
}

fn revoke_cert(call: &mut Call<'_>) -> Result<Response, Error> {
    serve(call, Signers::Either, revoke::revoke)
}
