//! Response wrapping: an answer is put aside under a token that is good for taking it, once.

use crate::call::Call;
use crate::cubbyhole;
use crate::error::Error;
use crate::request::{Auth, Data, Response, WrapInfo};
use crate::tokens::{self, NewToken, TokenEntry, TokenRow};
use crate::transaction::{Key, Record, Tx};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp};

/// The name in the wrapping token's cubbyhole.
const RESPONSE: &str = "response";

/// A wrapped answer as it is stored, encrypted like everything.
#[derive(Serialize, Deserialize)]
pub(crate) struct Wrapped {
    pub creation_path: String,
    pub creation_time: Timestamp,
    pub creation_ttl: Duration,
    /// The data as JSON text, exactly as the engine gave it.
    data: Option<Box<RawValue>>,
    auth: Option<WrappedAuth>,
    warnings: Vec<String>,
    lease_id: String,
    lease_duration: Duration,
    is_renewable: bool,
    mount_type: String,
    /// Wrapped by `sys/wrapping/wrap`: unwrapping gives the data alone.
    #[serde(default)]
    pub is_wrapped_data: bool,
}

impl Record for Wrapped {}

#[derive(Serialize, Deserialize)]
struct WrappedAuth {
    client_token: String,
    accessor: String,
    policies: Vec<String>,
    token_policies: Vec<String>,
    identity_policies: Vec<String>,
    metadata: Map<String, Value>,
    lease_duration: Duration,
    renewable: bool,
    entity_id: String,
    is_batch: bool,
    orphan: bool,
    num_uses: u64,
}

/// Puts an answer aside if the request, or the engine, asked for it and there is something to put aside.
pub(crate) fn wrap_if_asked(call: &mut Call<'_>, response: &mut Response) -> Result<(), Error> {
    let Some(ttl) = response.wrap_ttl.or(call.request.wrap_ttl).filter(|ttl| !ttl.is_zero()) else {
        return Ok(());
    };
    // A login that waits for its second factor has nothing to wrap yet.
    let has_token = response.auth.as_ref().is_some_and(|auth| auth.mfa_requirement.is_none());
    let has_content = !matches!(response.data, Data::None) || has_token;
    if !has_content || response.wrap.is_some() || matches!(response.data, Data::Plain(_) | Data::Bytes { .. })
    {
        return Ok(());
    }
    if !call.tx.is_writable() {
        return Err(Error::internal("a wrapped answer needs a write transaction"));
    }
    let wrapped_accessor = wrapped_accessor(response);
    let creation_path = call.path.as_str().to_owned();
    let wrapped = Wrapped {
        creation_path: creation_path.clone(),
        creation_time: call.now,
        creation_ttl: ttl,
        data: data_text(&response.data)?,
        auth: response.auth.as_deref().map(stored_auth),
        warnings: response.warnings.clone(),
        lease_id: response.lease_id.clone(),
        lease_duration: response.lease_duration,
        is_renewable: response.renewable,
        mount_type: response.mount_type.clone(),
        is_wrapped_data: creation_path == "sys/wrapping/wrap",
    };
    let info = put_aside(call, &wrapped, ttl, wrapped_accessor)?;
    *response = Response {
        wrap: Some(Box::new(info)),
        mount_type: response.mount_type.clone(),
        ..Response::default()
    };
    Ok(())
}

/// The accessor of what is wrapped: of a token, or of a secret-id.
fn wrapped_accessor(response: &Response) -> String {
    match (&response.auth, &response.data) {
        (Some(auth), _) => auth.accessor.clone(),
        (None, Data::Map(map)) => {
            map.get("secret_id_accessor").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

/// Makes the wrapping token and stores the answer in its cubbyhole.
pub(crate) fn put_aside(
    call: &mut Call<'_>,
    wrapped: &Wrapped,
    ttl: Duration,
    wrapped_accessor: String,
) -> Result<WrapInfo, Error> {
    let entry = TokenEntry {
        policies: vec!["response-wrapping".to_owned()],
        // Unwrapping takes the token away; this is for the old way, a read of cubbyhole/response.
        uses_left: 1,
        num_uses: 1,
        ttl,
        explicit_ttl_max: ttl,
        expires: Some(call.now.plus(ttl)),
        is_wrapping: true,
        ..tokens::blank(call.namespace.id(), call.path.as_str(), call.now)
    };
    let created =
        tokens::create(&mut call.tx, call.kernel.entropy(), call.namespace, NewToken { entry, id: None })?;
    let row = created.row.ok_or_else(|| Error::internal("a wrapping token without a row"))?;
    let key = response_key(&call.tx, created.entry.namespace, row);
    call.tx.put_record(&key, wrapped)?;
    Ok(WrapInfo {
        token: created.token,
        accessor: created.entry.accessor,
        ttl,
        creation_time: call.now,
        creation_path: wrapped.creation_path.clone(),
        wrapped_accessor,
    })
}

fn response_key(tx: &Tx<'_>, namespace: u64, row: TokenRow) -> Key {
    tx.path_key(&cubbyhole::place(tx, namespace, row), RESPONSE)
}

/// What a wrapping token holds; None if it is not one, or has been used.
pub(crate) fn look(tx: &mut Tx<'_>, entry: &TokenEntry, row: TokenRow) -> Result<Option<Wrapped>, Error> {
    if !entry.is_wrapping {
        return Ok(None);
    }
    let key = response_key(tx, entry.namespace, row);
    tx.record(&key)
}

impl Wrapped {
    /// The answer as it was.
    pub(crate) fn into_response(self) -> Response {
        Response {
            data: self.data.map_or(Data::None, Data::Json),
            auth: self.auth.map(|auth| Box::new(auth.into_auth())),
            warnings: self.warnings,
            lease_id: self.lease_id,
            lease_duration: self.lease_duration,
            renewable: self.is_renewable,
            mount_type: self.mount_type,
            ..Response::default()
        }
    }

    /// The accessor of the token in it.
    pub(crate) fn accessor(&self) -> &str {
        self.auth.as_ref().map_or("", |auth| &auth.accessor)
    }

    /// The whole answer as JSON text, as the old way of unwrapping shows it. Field names:
    /// <https://developer.hashicorp.com/vault/docs/concepts/response-wrapping>
    pub(crate) fn legacy_text(&self) -> Result<String, Error> {
        let auth = self.auth.as_ref().map(|auth| {
            serde_json::json!({
                "client_token": auth.client_token,
                "accessor": auth.accessor,
                "policies": auth.policies,
                "token_policies": auth.token_policies,
                "identity_policies": auth.identity_policies,
                "metadata": auth.metadata,
                "lease_duration": auth.lease_duration.as_secs(),
                "renewable": auth.renewable,
                "entity_id": auth.entity_id,
                "token_type": if auth.is_batch { "batch" } else { "service" },
                "orphan": auth.orphan,
                "num_uses": auth.num_uses,
            })
        });
        let answer = Legacy {
            request_id: "",
            lease_id: &self.lease_id,
            renewable: self.is_renewable,
            lease_duration: self.lease_duration.as_secs(),
            data: self.data.as_deref(),
            wrap_info: None,
            warnings: Some(&*self.warnings).filter(|warnings| !warnings.is_empty()),
            auth,
        };
        serde_json::to_string(&answer)
            .map_err(|error| Error::internal(format!("a wrapped answer cannot be shown: {error}")))
    }
}

#[derive(Serialize)]
struct Legacy<'w> {
    request_id: &'static str,
    lease_id: &'w str,
    renewable: bool,
    lease_duration: u64,
    data: Option<&'w RawValue>,
    wrap_info: Option<()>,
    warnings: Option<&'w [String]>,
    auth: Option<Value>,
}

fn data_text(data: &Data) -> Result<Option<Box<RawValue>>, Error> {
    let failed = |error: serde_json::Error| Error::internal(format!("an answer cannot be wrapped: {error}"));
    match data {
        Data::Map(map) => serde_json::value::to_raw_value(map).map(Some).map_err(failed),
        Data::Json(raw) => Ok(Some(raw.clone())),
        Data::None | Data::Plain(_) | Data::Bytes { .. } => Ok(None),
    }
}

fn stored_auth(auth: &Auth) -> WrappedAuth {
    WrappedAuth {
        client_token: auth.client_token.expose().to_owned(),
        accessor: auth.accessor.clone(),
        policies: auth.policies.clone(),
        token_policies: auth.token_policies.clone(),
        identity_policies: auth.identity_policies.clone(),
        metadata: auth.metadata.clone(),
        lease_duration: auth.lease_duration,
        renewable: auth.renewable,
        entity_id: auth.entity_id.clone(),
        is_batch: auth.token_type == "batch",
        orphan: auth.orphan,
        num_uses: auth.num_uses,
    }
}

impl WrappedAuth {
    fn into_auth(self) -> Auth {
        Auth {
            client_token: SecretString::new(self.client_token),
            accessor: self.accessor,
            policies: self.policies,
            token_policies: self.token_policies,
            identity_policies: self.identity_policies,
            metadata: self.metadata,
            lease_duration: self.lease_duration,
            renewable: self.renewable,
            entity_id: self.entity_id,
            token_type: if self.is_batch { "batch" } else { "service" },
            orphan: self.orphan,
            num_uses: self.num_uses,
            mfa_requirement: None,
        }
    }
}
