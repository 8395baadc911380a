//! Orders: what certificates are asked for, and what becomes of it (RFC 8555, section 7.4).

use super::authorizations::{self, Identifier, Status as AuthorizationStatus};
use super::jws::payload;
use super::problem::{Kind, Problem};
use super::{CERTIFICATE_OWNERS, ORDER_ENDS, ORDERS, Reply, Session};
use crate::pem;
use crate::secrets::pki::issue::{self, Order as Wanted};
use crate::secrets::pki::names::{self, Asking, Subject};
use crate::secrets::pki::store::{self, LeafNotAfter};
use crate::secrets::pki::{purposes, roles::Role};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::token::uuid_v4;
use strongroom_crypto::x509::{AlternativeNames, ReadRequest, X509Error};
use strongroom_kernel::{Call, Error, Key, Record, Tidied};
use strongroom_secret::Timestamp;

const IDENTIFIERS_MAX: usize = 100;
/// Of one account, finished ones among them until they are tidied away.
const ORDERS_MAX: u64 = 1000;
const CSR_BYTES_MAX: usize = 64 * 1024;
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long an order is kept after its end.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
const PER_PIECE: usize = 200;

/// An order as it is stored. That it is ready, invalid or expired follows from its authorizations and the time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    id: String,
    account: String,
    directory: String,
    identifiers: Vec<Identifier>,
    authorizations: Vec<String>,
    expires: Timestamp,
    /// The serial number of the certificate, in hexadecimal digits.
    certificate: Option<String>,
}

impl Record for Order {}

fn of_account(call: &Call<'_>, account: &str) -> Key {
    call.tx.id_key(&call.table(ORDERS), account.as_bytes())
}

fn key(call: &Call<'_>, account: &str, id: &str) -> Key {
    call.tx.id_key(&of_account(call, account), id.as_bytes())
}

fn asked_for(session: &mut Session<'_, '_>) -> Result<Order, Problem> {
    let key = key(session.call, &session.account()?.id.clone(), session.call.capture("order"));
    let found: Option<Order> = session.call.tx.record(&key)?;
    found
        .filter(|order| order.directory == session.directory)
        .ok_or_else(|| Kind::NotFound.told("this account has no such order"))
}

impl Order {
    fn status(&self, call: &mut Call<'_>) -> Result<&'static str, Error> {
        if self.certificate.is_some() {
            return Ok("valid");
        }
        if self.expires <= call.now {
            return Ok("invalid");
        }
        let mut is_ready = true;
        for id in &self.authorizations {
            let found = authorizations::find(call, &self.account, id)?;
            match found.map(|found| found.status_at(call.now)) {
                Some(AuthorizationStatus::Valid) => {}
                Some(AuthorizationStatus::Pending) => is_ready = false,
                _ => return Ok("invalid"),
            }
        }
        Ok(if is_ready { "ready" } else { "pending" })
    }

    fn reply(&self, session: &mut Session<'_, '_>, status: u16) -> Result<Reply, Problem> {
        let url = session.url(&format!("order/{}", self.id));
        let authorizations: Vec<_> =
            self.authorizations.iter().map(|id| session.url(&format!("authorization/{id}"))).collect();
        let state = self.status(session.call)?;
        let mut shown = json!({
            "status": state,
            "expires": self.expires.rfc3339(),
            "identifiers": self.identifiers,
            "authorizations": authorizations,
            "finalize": format!("{url}/finalize"),
        });
        if let Some(shown) = shown.as_object_mut() {
            if self.certificate.is_some() {
                shown.insert("certificate".to_owned(), format!("{url}/cert").into());
            }
            if state == "invalid" {
                let why = Kind::Unauthorized.told("a name was not proven in time, or not at all");
                if let Problem::Told(told) = why {
                    shown.insert("error".to_owned(), told.document());
                }
            }
        }
        Ok(Reply::json(status, shown).with("location", url))
    }
}

/// What a payload asks for: each name once.
fn identifiers(payload: &Map<String, Value>) -> Result<Vec<Identifier>, Problem> {
    let malformed = |what: &str| Kind::Malformed.told(what);
    let items = payload.get("identifiers").and_then(Value::as_array);
    let items =
        items.filter(|items| !items.is_empty()).ok_or_else(|| malformed("the order names nothing"))?;
    if items.len() > IDENTIFIERS_MAX {
        return Err(malformed(&format!("an order names at most {IDENTIFIERS_MAX} identifiers")));
    }
    let mut found = Vec::new();
    for item in items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let identifier = match text("type") {
            "dns" => dns_name(text("value"))?,
            "ip" => text("value")
                .parse()
                .map(Identifier::Ip)
                .map_err(|_| malformed("an identifier is no IP address"))?,
            _ => return Err(Kind::UnsupportedIdentifier.told("identifiers are of the types dns and ip")),
        };
        if !found.contains(&identifier) {
            found.push(identifier);
        }
    }
    Ok(found)
}

fn dns_name(text: &str) -> Result<Identifier, Problem> {
    let name = text.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    match names::is_host_name(name) && !is_address {
        true => Ok(Identifier::Dns(name.to_owned())),
        false => Err(Kind::RejectedIdentifier.told(
            "an identifier is no host name in ASCII (with `*.` in front for all names below it); addresses are of type ip",
        )),
    }
}

fn alternative_names(identifiers: &[Identifier]) -> AlternativeNames {
    let mut names = AlternativeNames::default();
    for identifier in identifiers {
        match identifier {
            Identifier::Dns(name) => names.dns.push(name.clone()),
            Identifier::Ip(address) => names.addresses.push(*address),
        }
    }
    names
}

/// `new-order`
pub(super) fn create(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let account = session.account()?.clone();
    let payload = payload(&session.payload)?;
    if ["notBefore", "notAfter"].iter().any(|name| payload.get(*name).is_some_and(|value| !value.is_null())) {
        return Err(
            Kind::Malformed.told("notBefore and notAfter are not supported: the role says how long it lives")
        );
    }
    let identifiers = identifiers(&payload)?;
    // Said now and not after all the work of proving it.
    let asking = Asking { role: &session.role, call: session.call };
    asking.check("", &alternative_names(&identifiers)).map_err(|error| Kind::RejectedIdentifier.of(error))?;
    let all = of_account(session.call, &account.id);
    if session.call.tx.count_entries(&all)? >= ORDERS_MAX {
        return Err(Kind::RateLimited.told(format!("an account has at most {ORDERS_MAX} orders at a time")));
    }
    let mut authorizations = Vec::new();
    for identifier in &identifiers {
        authorizations.push(authorizations::create(session.call, &account, identifier)?.id);
    }
    let order = Order {
        id: uuid_v4(session.call.entropy()),
        account: account.id,
        directory: session.directory.clone(),
        identifiers,
        authorizations,
        expires: session.call.now.plus(LIFETIME),
        certificate: None,
    };
    let key = key(session.call, &order.account, &order.id);
    session.call.tx.put_record(&key, &order)?;
    let end = u64::try_from(order.expires.seconds()).unwrap_or(0).to_be_bytes();
    let end = [&end[..], order.id.as_bytes()].concat();
    let end = session.call.tx.id_key(&session.call.table(ORDER_ENDS), &end);
    session.call.tx.put(&end, order.account.clone().into_bytes())?;
    order.reply(session, 201)
}

/// `orders`
pub(super) fn list(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let all = of_account(session.call, &session.account()?.id.clone());
    let orders: Vec<Order> = session.call.tx.records(&all)?;
    let mut urls = Vec::new();
    for order in orders {
        if order.directory == session.directory && order.status(session.call)? != "invalid" {
            urls.push(session.url(&format!("order/{}", order.id)));
        }
    }
    Ok(Reply::json(200, json!({ "orders": urls })))
}

/// `order/ID`
pub(super) fn read(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    asked_for(session)?.reply(session, 200)
}

/// `order/ID/finalize`: the request for the certificate, which is made at once.
pub(super) fn finalize(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let mut order = asked_for(session)?;
    match order.status(session.call)? {
        "ready" => {}
        "valid" => return order.reply(session, 200),
        state => return Err(Kind::OrderNotReady.told(format!("the order is {state}"))),
    }
    let payload = payload(&session.payload)?;
    let request = csr(&payload)?;
    let common_name = check_names(&request, &order.identifiers)?;
    let role = session.role.clone();
    issue::check_key(&role, request.public_key()).map_err(|error| Kind::BadCsr.of(error))?;
    let subject = Subject { common_name, ..Subject::of_role(&role) };
    let names = alternative_names(&order.identifiers);
    // The role may have changed since.
    let asking = Asking { role: &role, call: session.call };
    asking.check(&subject.common_name, &names).map_err(|error| Kind::RejectedIdentifier.of(error))?;
    let made = make(session, &role, subject, names, &request).map_err(|error| Kind::BadCsr.of(error))?;
    order.certificate = Some(made.clone());
    let owner = session.call.tx.id_key(&session.call.table(CERTIFICATE_OWNERS), made.as_bytes());
    session.call.tx.put(&owner, order.account.clone().into_bytes())?;
    let key = key(session.call, &order.account, &order.id);
    session.call.tx.put_record(&key, &order)?;
    order.reply(session, 200)
}

fn csr(payload: &Map<String, Value>) -> Result<ReadRequest, Problem> {
    let bad = |what: &str| Kind::BadCsr.told(what);
    let text = payload.get("csr").and_then(Value::as_str).ok_or_else(|| bad("the payload has no csr"))?;
    if text.len() > CSR_BYTES_MAX {
        return Err(bad("the csr is too long"));
    }
    let der = BASE64.decode(text).map_err(|_| bad("the csr is not base64 for URLs without padding"))?;
    ReadRequest::from_der(&der).map_err(|error| match error {
        X509Error::Algorithm => bad("the signature of the csr does not match its key"),
        error => bad(&format!("the csr cannot be parsed: {error}")),
    })
}

/// The request asks for exactly what was proven. Says its common name.
fn check_names(request: &ReadRequest, identifiers: &[Identifier]) -> Result<String, Problem> {
    let bad = || Kind::BadCsr.told("the csr asks for other names than the order");
    let names = request.names().map_err(|_| bad())?;
    let common_name = names::common_name_of(request.subject());
    if !names.emails.is_empty() || !names.uris.is_empty() || !names.others.is_empty() {
        return Err(bad());
    }
    let of_text = |text: &String| match text.parse() {
        Ok(address) => Identifier::Ip(address),
        Err(_) => Identifier::Dns(text.to_ascii_lowercase()),
    };
    let common = Some(&common_name).filter(|name| !name.is_empty()).map(of_text);
    let mut asked: Vec<_> = names.dns.iter().map(|name| Identifier::Dns(name.to_ascii_lowercase())).collect();
    asked.extend(names.addresses.into_iter().map(Identifier::Ip));
    asked.extend(common);
    asked.sort();
    asked.dedup();
    let mut proven = identifiers.to_vec();
    proven.sort();
    match asked == proven {
        true => Ok(common_name),
        false => Err(bad()),
    }
}

/// Signs and keeps it. Says its serial number.
fn make(
    session: &mut Session<'_, '_>,
    role: &Role,
    subject: Subject,
    names: AlternativeNames,
    request: &ReadRequest,
) -> Result<String, Error> {
    let ttl_max = session.settings.ttl_max();
    let for_servers_alone = !session.settings.allow_role_ext_key_usage;
    let call = &mut *session.call;
    let mut authority = issue::issuing_authority(call, role)?;
    // Clients ask for no lifetime, and cannot ask for a shorter one: near the issuer's end they get what is left.
    if authority.record.leaf_not_after == LeafNotAfter::Err {
        authority.record.leaf_not_after = LeafNotAfter::Truncate;
    }
    let mut period = issue::period(call, role, Some(&authority))?;
    period.not_after = period.not_after.min(Timestamp::from_seconds(call.now.seconds()).plus(ttl_max));
    let mut purposes = purposes::of_role(role)?;
    if for_servers_alone {
        purposes.extended = purposes::for_servers();
    }
    let signature_bits = issue::signature_bits(role, &authority);
    let wanted = Wanted {
        subject,
        names,
        purposes,
        public_key: request.public_key().spki(),
        period,
        extra: Vec::new(),
        signature_bits,
        use_pss: role.use_pss,
    };
    // Kept even if the role keeps none: it has to be handed out, and may be revoked by whoever has it.
    let made = issue::make(call, &authority, wanted, true)?;
    Ok(hex::encode(made.serial()))
}

/// `order/ID/cert`: with the issuers above it, but for the root.
pub(super) fn certificate(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let order = asked_for(session)?;
    let missing = || Kind::NotFound.told("the order has no certificate");
    let serial = order.certificate.and_then(|serial| hex::decode(serial).ok()).ok_or_else(missing)?;
    let call = &mut *session.call;
    let made = store::certificate(call, &serial)?.ok_or_else(missing)?;
    let mut text = pem::encode("CERTIFICATE", made.der());
    if let Some(issuer) = super::super::revocation::issuer_of(call, &made)? {
        for der in store::chain_of(call, &issuer)? {
            let above = strongroom_crypto::x509::ReadCertificate::from_der(&der).map_err(store::damaged)?;
            if !above.is_self_issued() || issuer.der == der {
                text += &pem::encode("CERTIFICATE", &der);
            }
        }
    }
    Ok(Reply::pem(text))
}

/// Removes orders that have been over for long, with their authorizations.
pub(super) fn tidy(call: &mut Call<'_>) -> Result<Tidied, Error> {
    let table = call.table(ORDER_ENDS);
    let cutoff = u64::try_from(call.now.minus(KEPT).seconds()).unwrap_or(0);
    let mut over = Vec::new();
    call.tx.entries(&table, &mut |rest, account| {
        let end = rest.first_chunk::<8>().map_or(0, |time| u64::from_be_bytes(*time));
        if end >= cutoff || over.len() >= PER_PIECE {
            return Ok(ControlFlow::Break(()));
        }
        over.push((rest.to_vec(), String::from_utf8_lossy(account).into_owned()));
        Ok(ControlFlow::Continue(()))
    })?;
    for (rest, account) in &over {
        let id = rest.get(8..).map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default();
        let key = key(call, account, &id);
        if let Some(order) = call.tx.record::<Order>(&key)? {
            for id in &order.authorizations {
                authorizations::remove(call, account, id)?;
            }
            call.tx.delete(&key)?;
        }
        let end = call.tx.entry_key(&table, rest);
        call.tx.delete(&end)?;
    }
    Ok(if over.len() >= PER_PIECE { Tidied::More } else { Tidied::All })
}
