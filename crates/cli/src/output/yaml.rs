//! YAML of a JSON value. Only output: texts that YAML could read as something else are written as JSON strings, which
//! are YAML too (YAML 1.2, section 1.3).

use serde_json::Value;

pub fn render(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(value, 0, &mut text),
        Value::Array(values) if !values.is_empty() => block(value, 0, &mut text),
        scalar => {
            text.push_str(&inline(scalar));
            text.push('\n');
        }
    }
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                text.push_str(&format!("{pad}{}:", plain(name)));
                child(value, indent + 1, text);
            }
        }
        Value::Array(values) => {
            for value in values {
                text.push_str(&format!("{pad}-"));
                child(value, indent + 1, text);
            }
        }
        scalar => text.push_str(&format!("{pad}{}\n", inline(scalar))),
    }
}

fn child(value: &Value, indent: usize, text: &mut String) {
    let nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(values) => !values.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        block(value, indent, text);
    } else {
        text.push_str(&format!(" {}\n", inline(value)));
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// A text without quotes where nothing else can be read into it.
fn plain(text: &str) -> String {
    let starts_as_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+');
    let has_meaning = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    if starts_as_word && text.chars().all(harmless) && !has_meaning {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_as_something_else() {
        let value = serde_json::json!({
            "name": "app", "no": "no", "n": 1, "s": "1", "list": ["a", {"b": null}], "e": {}, "t": "a: b\n\"c\""
        });
        insta::assert_snapshot!(render(&value), @r#"
        e: {}
        list:
          - a
          -
            b: null
        "n": 1
        name: app
        "no": "no"
        s: "1"
        t: "a: b\n\"c\""
        "#);
        assert_eq!(render(&serde_json::json!(["a"])), "- a\n");
        assert_eq!(render(&serde_json::json!("x")), "x\n");
    }
}
