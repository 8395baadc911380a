//! The functions of templates: Go's own, and those of sprig that reports are written with.

use super::format::{date, printf, quote};
use super::value::Value;
use std::cmp::Ordering;
use strongroom_secret::Timestamp;

const NAMES: &[&str] = &[
    "add",
    "add1",
    "and",
    "b64enc",
    "base",
    "coalesce",
    "contains",
    "date",
    "default",
    "dir",
    "div",
    "empty",
    "eq",
    "ext",
    "first",
    "ge",
    "gt",
    "hasPrefix",
    "hasSuffix",
    "html",
    "indent",
    "index",
    "int",
    "join",
    "last",
    "le",
    "len",
    "list",
    "lower",
    "lt",
    "max",
    "min",
    "mod",
    "mul",
    "ne",
    "nindent",
    "nospace",
    "not",
    "now",
    "or",
    "print",
    "printf",
    "println",
    "quote",
    "repeat",
    "replace",
    "squote",
    "sub",
    "ternary",
    "toJson",
    "toString",
    "trim",
    "trimPrefix",
    "trimSuffix",
    "trunc",
    "upper",
];

/// A repeated text stays below this.
const REPEATED_BYTES_MAX: usize = 1 << 20;

pub(super) fn is_known(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

type Answer = Result<Value, String>;

pub(super) fn call(name: &str, arguments: &[Value], now: Timestamp) -> Answer {
    let known = logic(name, arguments)
        .or_else(|| numbers(name, arguments))
        .or_else(|| texts(name, arguments))
        .or_else(|| lists(name, arguments))
        .or_else(|| match (name, arguments) {
            ("now", []) => Some(Ok(Value::Time(now.seconds()))),
            ("date", [layout, Value::Time(seconds)]) => Some(Ok(Value::text(date(&lossy(layout), *seconds)))),
            _ => None,
        });
    known.unwrap_or_else(|| Err(format!("it does not take these {} arguments", arguments.len())))
}

fn lossy(value: &Value) -> String {
    String::from_utf8_lossy(&value.printed()).into_owned()
}

fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => Some(one.expose().cmp(other.expose())),
        (Value::Truth(one), Value::Truth(other)) => Some(one.cmp(other)),
        (Value::Nothing, Value::Nothing) => Some(Ordering::Equal),
        _ => one.as_float()?.partial_cmp(&other.as_float()?),
    }
}

fn logic(name: &str, arguments: &[Value]) -> Option<Answer> {
    let truth = |truth| Some(Ok(Value::Truth(truth)));
    match (name, arguments) {
        ("and", [.., last]) => {
            Some(Ok(arguments.iter().find(|value| !value.is_true()).unwrap_or(last).clone()))
        }
        ("or", [.., last]) => {
            Some(Ok(arguments.iter().find(|value| value.is_true()).unwrap_or(last).clone()))
        }
        ("not", [value]) => truth(!value.is_true()),
        ("empty", [value]) => truth(!value.is_true()),
        ("eq", [one, others @ ..]) if !others.is_empty() => {
            truth(others.iter().any(|other| compare(one, other) == Some(Ordering::Equal)))
        }
        ("ne", [one, other]) => truth(compare(one, other) != Some(Ordering::Equal)),
        ("lt" | "le" | "gt" | "ge", [one, other]) => match compare(one, other) {
            None => Some(Err("these cannot be compared".to_owned())),
            Some(order) => truth(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }),
        },
        ("default", [other, value]) => Some(Ok(if value.is_true() { value } else { other }.clone())),
        ("coalesce", values) => {
            Some(Ok(values.iter().find(|value| value.is_true()).cloned().unwrap_or(Value::Nothing)))
        }
        ("ternary", [one, other, which]) => Some(Ok(if which.is_true() { one } else { other }.clone())),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Float(number) | Value::Float32(number) => Some(*number as i64),
        Value::Text(text) => std::str::from_utf8(text.expose()).ok()?.trim().parse().ok(),
        Value::Truth(truth) => Some(i64::from(*truth)),
        _ => None,
    }
}

fn numbers(name: &str, arguments: &[Value]) -> Option<Answer> {
    if !matches!(name, "add" | "add1" | "sub" | "mul" | "div" | "mod" | "max" | "min" | "int") {
        return None;
    }
    let Some(numbers) = arguments.iter().map(integer).collect::<Option<Vec<i64>>>() else {
        return Some(Err("an argument is not a number".to_owned()));
    };
    let result = match (name, numbers.as_slice()) {
        ("add", all) => all.iter().try_fold(0_i64, |sum, number| sum.checked_add(*number)),
        ("mul", all) => all.iter().try_fold(1_i64, |product, number| product.checked_mul(*number)),
        ("add1", [one]) => one.checked_add(1),
        ("int", [one]) => Some(*one),
        ("sub", [one, other]) => one.checked_sub(*other),
        ("div", [one, other]) => one.checked_div(*other),
        ("mod", [one, other]) => one.checked_rem(*other),
        ("max", all) => all.iter().copied().max(),
        ("min", all) => all.iter().copied().min(),
        _ => return None,
    };
    Some(result.map(Value::Integer).ok_or_else(|| "there is no result for these numbers".to_owned()))
}

fn texts(name: &str, arguments: &[Value]) -> Option<Answer> {
    let some = |text: String| Some(Ok(Value::text(text)));
    match (name, arguments) {
        ("quote", values) => {
            let quoted: Vec<String> = values.iter().map(|value| quote(&value.printed())).collect();
            some(quoted.join(" "))
        }
        ("squote", values) => {
            some(values.iter().map(|value| format!("'{}'", lossy(value))).collect::<Vec<_>>().join(" "))
        }
        ("print", values) => {
            Some(Ok(Value::text(values.iter().flat_map(Value::printed).collect::<Vec<u8>>())))
        }
        ("println", values) => {
            let words: Vec<Vec<u8>> = values.iter().map(Value::printed).collect();
            Some(Ok(Value::text([words.join(&b' ').as_slice(), b"\n"].concat())))
        }
        ("printf", [format, values @ ..]) => Some(printf(&format.printed(), values).map(Value::text)),
        ("toString", [value]) => Some(Ok(Value::text(value.printed()))),
        ("html", [value]) => Some(Ok(Value::text(html(&value.printed())))),
        ("toJson", [value]) => some(json(value)),
        ("b64enc", [value]) => some(data_encoding::BASE64.encode(&value.printed())),
        ("upper", [value]) => some(lossy(value).to_uppercase()),
        ("lower", [value]) => some(lossy(value).to_lowercase()),
        ("trim", [value]) => some(lossy(value).trim().to_owned()),
        ("nospace", [value]) => some(lossy(value).split_whitespace().collect()),
        ("trimPrefix", [prefix, value]) => {
            let value = lossy(value);
            some(value.strip_prefix(&lossy(prefix)).unwrap_or(&value).to_owned())
        }
        ("trimSuffix", [suffix, value]) => {
            let value = lossy(value);
            some(value.strip_suffix(&lossy(suffix)).unwrap_or(&value).to_owned())
        }
        ("contains", [part, value]) => Some(Ok(Value::Truth(lossy(value).contains(&lossy(part))))),
        ("hasPrefix", [part, value]) => Some(Ok(Value::Truth(lossy(value).starts_with(&lossy(part))))),
        ("hasSuffix", [part, value]) => Some(Ok(Value::Truth(lossy(value).ends_with(&lossy(part))))),
        ("replace", [old, new, value]) => some(lossy(value).replace(&lossy(old), &lossy(new))),
        ("trunc", [count, value]) => Some(trunc(count, &value.printed())),
        ("repeat", [count, value]) => Some(repeat(count, &lossy(value))),
        ("indent" | "nindent", [count, value]) => Some(indent(name, count, &lossy(value))),
        ("base", [path]) => some(base(&lossy(path)).to_owned()),
        ("dir", [path]) => some(lossy(path).rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()),
        ("ext", [path]) => {
            let path = lossy(path);
            let name = path.rsplit('/').next().unwrap_or_default();
            some(name.rfind('.').and_then(|at| name.get(at..)).unwrap_or_default().to_owned())
        }
        _ => None,
    }
}

/// Go's `path.Base`.
fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

/// Bytes, as sprig counts.
fn trunc(count: &Value, text: &[u8]) -> Answer {
    let count = integer(count).ok_or("the length is not a number")?;
    let length = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX).min(text.len());
    Ok(Value::text(match count {
        0.. => text.get(..length).unwrap_or_default(),
        _ => text.get(text.len() - length..).unwrap_or_default(),
    }))
}

fn repeat(count: &Value, text: &str) -> Answer {
    let count = integer(count).and_then(|count| usize::try_from(count).ok()).ok_or("not a count")?;
    if count.saturating_mul(text.len()) > REPEATED_BYTES_MAX {
        return Err(format!("it would be longer than {REPEATED_BYTES_MAX} bytes"));
    }
    Ok(Value::text(text.repeat(count)))
}

fn indent(name: &str, count: &Value, text: &str) -> Answer {
    let count = integer(count).and_then(|count| usize::try_from(count).ok()).ok_or("not a count")?;
    let space = " ".repeat(count.min(1000));
    let lines = format!("{space}{}", text.replace('\n', &format!("\n{space}")));
    Ok(Value::text(if name == "nindent" { format!("\n{lines}") } else { lines }))
}

fn lists(name: &str, arguments: &[Value]) -> Option<Answer> {
    match (name, arguments) {
        ("len", [Value::List(items)]) => Some(Ok(Value::Integer(items.len() as i64))),
        ("len", [Value::Text(text)]) => Some(Ok(Value::Integer(text.expose().len() as i64))),
        ("list", items) => Some(Ok(Value::List(items.to_vec().into()))),
        ("first", [Value::List(items)]) => Some(Ok(items.first().cloned().unwrap_or(Value::Nothing))),
        ("last", [Value::List(items)]) => Some(Ok(items.last().cloned().unwrap_or(Value::Nothing))),
        ("index", [Value::List(items), at]) => {
            let found = integer(at).and_then(|at| usize::try_from(at).ok()).and_then(|at| items.get(at));
            Some(found.cloned().ok_or_else(|| "the list is not so long".to_owned()))
        }
        ("join", [between, Value::List(items)]) => {
            let items: Vec<Vec<u8>> = items.iter().map(Value::printed).collect();
            Some(Ok(Value::text(items.join(between.printed().as_slice()))))
        }
        _ => None,
    }
}

fn html(text: &[u8]) -> Vec<u8> {
    let escaped = |byte: &u8| match byte {
        b'&' => b"&amp;".as_slice(),
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'"' => b"&#34;",
        b'\'' => b"&#39;",
        0 => "\u{fffd}".as_bytes(),
        _ => b"",
    };
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match escaped(byte) {
            b"" => out.push(*byte),
            other => out.extend_from_slice(other),
        }
    }
    out
}

fn json(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Nothing => out.push_str("null"),
        Value::Text(text) => super::super::go_text::json_string(&mut out, text.expose()),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            out = format!("[{}]", items.join(","));
        }
        Value::Finding(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("\"{name}\":{}", json(value))).collect();
            out = format!("{{{}}}", fields.join(","));
        }
        Value::Time(seconds) => out = format!("\"{}\"", date("2006-01-02T15:04:05Z07:00", *seconds)),
        other => out = lossy(other),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order() {
        assert!(NAMES.is_sorted());
    }
}
