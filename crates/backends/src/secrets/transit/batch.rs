//! Requests for one thing or for many: `batch_input`.

use crate::answer;
use serde::Serialize;
use serde_json::{Map, Value};
use strongroom_crypto::token::decode_base64;
use strongroom_kernel::{Call, Error, Response};
use strongroom_secret::SecretBytes;

/// The most items of one request.
const ITEMS_MAX: usize = 100_000;

/// What is asked for.
pub(super) enum Input<'c> {
    One(Item<'c>),
    Many(Vec<Item<'c>>),
}

/// One item's named parts.
#[derive(Clone, Copy)]
pub(super) struct Item<'c>(&'c Map<String, Value>);

/// What became of one item, as it is answered in a batch.
#[derive(Serialize)]
pub(super) struct Outcome<'c, T: Serialize> {
    #[serde(flatten)]
    done: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    reference: &'c str,
}

impl<'c> Input<'c> {
    pub(super) fn of(call: &'c Call<'_>) -> Result<Self, Error> {
        let fields = call.fields();
        match fields.value("batch_input") {
            None => Ok(Self::One(Item(&fields.0))),
            Some(Value::Array(items)) if items.is_empty() => {
                Err(Error::invalid("missing batch input to process"))
            }
            Some(Value::Array(items)) if items.len() > ITEMS_MAX => {
                Err(Error::invalid(format!("batch_input has more than {ITEMS_MAX} items")))
            }
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(position, item)| {
                    let item = item.as_object().map(Item);
                    item.ok_or_else(|| {
                        Error::invalid(format!("'[{position}]' of batch_input is not an object"))
                    })
                })
                .collect::<Result<_, _>>()
                .map(Self::Many),
            Some(_) => Err(Error::invalid("failed to parse batch input: it must be a list")),
        }
    }

    pub(super) fn items(&self) -> &[Item<'c>] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }

    /// A context stands in all items or in none; says which.
    pub(super) fn has_context(&self) -> Result<bool, Error> {
        let mut given = self.items().iter().map(|item| !item.text("context").unwrap_or_default().is_empty());
        let first = given.next().unwrap_or_default();
        if given.any(|other| other != first) {
            return Err(Error::invalid("context should be set either in all the request blocks or in none"));
        }
        Ok(first)
    }

    /// Does the work for every item and answers with the outcome, or with all of them under `batch_results`. Where an
    /// item failed the status is 400, or what the request says for a batch of which some succeeded.
    pub(super) fn answer<T: Serialize>(
        &self,
        call: &Call<'_>,
        mut work: impl FnMut(usize, Item<'c>) -> Result<T, Error>,
    ) -> Result<Response, Error> {
        let items = match self {
            Self::One(item) => return answer::text(&work(0, *item)?),
            Self::Many(items) => items,
        };
        let outcomes: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(position, item)| {
                let (done, error) = match work(position, *item) {
                    Ok(done) => (Some(done), None),
                    Err(error) => (None, Some(error.messages.join("; "))),
                };
                let reference = item.text("reference").unwrap_or_default();
                Outcome { done, error, reference }
            })
            .collect();
        let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
        let mut response = answer::text(&Results { batch_results: &outcomes })?;
        if failed > 0 {
            let wished = call.fields().integer("partial_failure_response_code")?.unwrap_or(400);
            let wished = u16::try_from(wished).ok().filter(|code| (200..600).contains(code)).unwrap_or(400);
            response.status = Some(if failed < outcomes.len() { wished } else { 400 });
        }
        Ok(response)
    }
}

#[derive(Serialize)]
struct Results<'r, 'c, T: Serialize> {
    batch_results: &'r [Outcome<'c, T>],
}

impl<'c> Item<'c> {
    /// The request's own fields.
    pub(super) fn of_fields(call: &'c Call<'_>) -> Self {
        Self(&call.fields().0)
    }

    /// Text under a name; None where it is absent, null or something else.
    pub(super) fn text(&self, name: &str) -> Option<&'c str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// Bytes in base64; empty where they are absent.
    pub(super) fn bytes(&self, name: &str) -> Result<SecretBytes, Error> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(SecretBytes::default()),
            Some(Value::String(text)) => decode_base64(text)
                .ok_or_else(|| Error::invalid(format!("unable to decode {name} as base64"))),
            Some(_) => Err(Error::invalid(format!("'{name}' must be text in base64"))),
        }
    }

    /// Bytes in base64 that must be there, though they may be none.
    pub(super) fn required_bytes(&self, name: &str, missing: &str) -> Result<SecretBytes, Error> {
        if !self.has(name) {
            return Err(Error::invalid(missing));
        }
        self.bytes(name)
    }

    /// A whole number; zero where it is absent.
    pub(super) fn integer(&self, name: &str) -> Result<i64, Error> {
        let wrong = || Error::invalid(format!("'{name}' must be a whole number"));
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(Value::Number(number)) => number.as_i64().ok_or_else(wrong),
            Some(Value::String(text)) if text.is_empty() => Ok(0),
            Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }
}
