//! Columns as the `vault` command prints them: header, dashes, four spaces between, `n/a` for nothing.

use serde_json::Value;
use strongroom_api::Response;

/// Rows under a header. The last column is not padded.
pub fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let titles = header.iter().map(|title| (*title).to_owned()).collect();
    let dashes = header.iter().map(|title| "-".repeat(title.chars().count())).collect();
    let mut lines: Vec<Vec<String>> = vec![titles, dashes];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| cell_text(cell)).collect()));
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let last = line.len().saturating_sub(1);
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text.push_str(cell);
            if index < last {
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 4));
            }
        }
        text.push('\n');
    }
    text
}

/// Names and values without a header.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:widest$}    {}\n", cell_text(value))).collect()
}

fn cell_text(cell: &str) -> String {
    let trimmed = cell.trim();
    if trimmed.is_empty() { "n/a".to_owned() } else { trimmed.to_owned() }
}

/// A value in a cell, in Go's notation; seconds as a duration where the name says that it is one.
pub fn show(name: &str, value: &Value) -> String {
    match value.as_i64() {
        Some(seconds) if looks_like_duration(name) => human_duration(seconds),
        _ => go_text(value),
    }
}

/// `768h`, `1h30m`, `45s`.
fn human_duration(seconds: i64) -> String {
    let text = strongroom_secret::format_duration(std::time::Duration::from_secs(seconds.unsigned_abs()));
    if seconds < 0 { format!("-{text}") } else { text }
}

fn looks_like_duration(name: &str) -> bool {
    let named = |word: &str| name == word || name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'));
    named("period") || named("ttl") || named("duration") || name == "lease_max" || name == "ttl_max"
}

fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(go_text).collect();
            format!("[{}]", values.join(" "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}:{}", go_text(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// The rows of a whole answer: lease, token, wrapping, then the data sorted by name.
pub fn response_rows(response: &Response) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if response.lease_duration > 0 {
        let duration = human_duration(response.lease_duration);
        if response.lease_id.is_empty() {
            add("refresh_interval", duration);
        } else {
            add("lease_id", response.lease_id.clone());
            add("lease_duration", duration);
            add("lease_renewable", response.renewable.to_string());
        }
    }
    if let Some(auth) = &response.auth {
        add("token", auth.client_token.expose().to_owned());
        add("token_accessor", auth.accessor.clone());
        add(
            "token_duration",
            if auth.lease_duration == 0 { "∞".to_owned() } else { human_duration(auth.lease_duration) },
        );
        add("token_renewable", auth.renewable.to_string());
        add("token_policies", quoted(&auth.token_policies));
        add("identity_policies", quoted(&auth.identity_policies));
        add("policies", quoted(&auth.policies));
        for (name, value) in &auth.metadata {
            add(&format!("token_meta_{name}"), go_text(value));
        }
    }
    if let Some(wrap) = &response.wrap_info {
        add("wrapping_token:", wrap.token.expose().to_owned());
        add("wrapping_accessor:", wrap.accessor.clone());
        add("wrapping_token_ttl:", human_duration(wrap.ttl));
        add("wrapping_token_creation_time:", wrap.creation_time.clone());
        add("wrapping_token_creation_path:", wrap.creation_path.clone());
        if !wrap.wrapped_accessor.is_empty() {
            add("wrapped_accessor:", wrap.wrapped_accessor.clone());
        }
    }
    for (name, value) in response.data.iter().flatten() {
        add(name, show(name, value));
    }
    rows
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn check(body: &str) -> String {
        let response = Response::parse(body.as_bytes()).unwrap();
        columns(&["Key", "Value"], &response_rows(&response))
    }

    #[test]
    fn a_secret_with_a_lease() {
        let body = r#"{"request_id":"r","lease_id":"db/1","lease_duration":5400,"renewable":true,
            "data":{"username":"u","tags":["a","b"],"meta":{"k":1,"n":null},"max_ttl":2764800,"empty":""}}"#;
        assert_snapshot!(check(body), @"
        Key                Value
        ---                -----
        lease_id           db/1
        lease_duration     1h30m
        lease_renewable    true
        empty              n/a
        max_ttl            768h
        meta               map[k:1 n:<nil>]
        tags               [a b]
        username           u
        ");
    }

    #[test]
    fn a_token() {
        let body = r#"{"request_id":"r","data":null,"auth":{"client_token":"s.not-a-real-token","accessor":"a",
            "lease_duration":0,"token_policies":["root"],"policies":["root"],"metadata":{"user":"u"}}}"#;
        assert_snapshot!(check(body), @r#"
        Key                  Value
        ---                  -----
        token                s.not-a-real-token
        token_accessor       a
        token_duration       ∞
        token_renewable      false
        token_policies       ["root"]
        identity_policies    []
        policies             ["root"]
        token_meta_user      u
        "#);
    }
}
