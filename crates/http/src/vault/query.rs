//! Query strings and forms as named parameters.

use super::path::{DecodeError, decode_form};
use serde_json::{Map, Value};

/// The parameters of a query that steer the door itself, and the rest.
#[derive(Default)]
pub(crate) struct Query {
    pub(crate) list: bool,
    pub(crate) scan: bool,
    pub(crate) help: bool,
    pub(crate) fields: Map<String, Value>,
}

pub(crate) fn parse(text: &str) -> Result<Query, DecodeError> {
    let mut fields = parse_form(text)?;
    Ok(Query {
        list: fields.remove("list").is_some_and(is_true),
        scan: fields.remove("scan").is_some_and(is_true),
        help: fields.remove("help").is_some_and(|value| value != ""),
        fields,
    })
}

/// Names and values; a name that comes more than once is a list, as in Vault.
pub(crate) fn parse_form(text: &str) -> Result<Map<String, Value>, DecodeError> {
    let mut fields = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Value::String(decode_form(value)?.into_owned());
        match fields.get_mut(&*decode_form(name)?) {
            None => {
                fields.insert(decode_form(name)?.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(fields)
}

/// Truth as Go's `strconv.ParseBool` has it.
fn is_true(value: Value) -> bool {
    matches!(value.as_str(), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_repeated_name_is_a_list() {
        let query = parse("a=1&b=x+y&a=2&list=true&a=3&c&%C3%BC=%26").unwrap();
        assert!(query.list && !query.scan && !query.help);
        assert_eq!(Value::Object(query.fields), json!({"a": ["1", "2", "3"], "b": "x y", "c": "", "ü": "&"}));
        assert!(parse("a=%ff").is_err());
        assert!(parse("help=1").unwrap().help);
        assert!(!parse("list=false").unwrap().list);
    }
}
