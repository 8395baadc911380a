//! The pages themselves: no script, no picture, nothing from elsewhere.

use serde_json::{Map, Value};
use std::fmt::Write;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:4rem auto;padding:0 1rem}\
    label{display:block;margin:.8rem 0}input,select{display:block;width:100%;padding:.4rem;font:inherit;box-sizing:border-box}\
    button{padding:.5rem 1.2rem;font:inherit}summary{margin:1rem 0}.why{font-weight:bold}";

/// Where somebody says who they are.
pub(super) fn form(asked: &Map<String, Value>, mounts: &[String], why: &str) -> String {
    let mut page = begun("Log in");
    let client = asked.get("client_id").and_then(Value::as_str).unwrap_or_default();
    let _ = write!(page, "<p>An application (<code>{}</code>) asks who you are.</p>", escaped(client));
    said(&mut page, why);
    let hidden = hidden(asked);
    let _ = write!(page, "<form method=\"post\" action=\"?\">{hidden}");
    match mounts {
        [] => page.push_str(&input("mount", "Method", "text", "value=\"userpass\" autocomplete=\"off\"")),
        [only] => {
            let _ = write!(page, "<input type=\"hidden\" name=\"mount\" value=\"{}\">", escaped(only));
        }
        many => {
            page.push_str("<label>Method<select name=\"mount\">");
            for mount in many {
                let _ = write!(page, "<option>{}</option>", escaped(mount));
            }
            page.push_str("</select></label>");
        }
    }
    page.push_str(&input("username", "Name", "text", "required autofocus autocomplete=\"username\""));
    page.push_str(&input("password", "Password", "password", "autocomplete=\"current-password\""));
    page.push_str("<button>Log in</button></form>");
    let _ = write!(
        page,
        "<details><summary>With a token</summary><form method=\"post\" action=\"?\">{hidden}{}<button>Go on</button></form></details>",
        input("token", "Token", "password", "required autocomplete=\"off\"")
    );
    ended(page)
}

/// Where somebody shows their second factor.
pub(super) fn codes(asked: &Map<String, Value>, requirement: &Value) -> String {
    let mut page = begun("One more step");
    let id = requirement.get("mfa_request_id").and_then(Value::as_str).unwrap_or_default();
    let _ = write!(
        page,
        "<form method=\"post\" action=\"?\">{}<input type=\"hidden\" name=\"mfa_request_id\" value=\"{}\">",
        hidden(asked),
        escaped(id)
    );
    let constraints = requirement.get("mfa_constraints").and_then(Value::as_object);
    let mut seen = Vec::new();
    for constraint in constraints.into_iter().flat_map(|constraints| constraints.values()) {
        let methods = constraint.get("any").and_then(Value::as_array);
        let Some(method) = methods.and_then(|methods| methods.first()) else { continue };
        let text = |name: &str| method.get(name).and_then(Value::as_str).unwrap_or_default();
        if seen.contains(&text("id")) {
            continue;
        }
        seen.push(text("id"));
        let name = if text("name").is_empty() { "your authenticator" } else { text("name") };
        page.push_str(&input(
            &format!("code:{}", text("id")),
            &format!("Code of {name}"),
            "text",
            "required autofocus inputmode=\"numeric\" autocomplete=\"one-time-code\"",
        ));
    }
    page.push_str("<button>Go on</button></form>");
    ended(page)
}

/// Nothing but a sentence.
pub(super) fn message(text: &str) -> String {
    let mut page = begun("This cannot be done");
    said(&mut page, text);
    ended(page)
}

fn begun(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    )
}

fn ended(mut page: String) -> String {
    page.push_str("</html>\n");
    page
}

fn said(page: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = write!(page, "<p class=\"why\">{}</p>", escaped(text));
    }
}

/// What the application asked goes along.
fn hidden(asked: &Map<String, Value>) -> String {
    let mut fields = String::new();
    for (name, value) in asked {
        if let Some(value) = value.as_str() {
            let _ = write!(
                fields,
                "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                escaped(name),
                escaped(value)
            );
        }
    }
    fields
}

fn input(name: &str, label: &str, kind: &str, attributes: &str) -> String {
    let (name, label) = (escaped(name), escaped(label));
    format!("<label>{label}<input name=\"{name}\" type=\"{kind}\" {attributes}></label>")
}

/// Text as it stands in a page or in an attribute's quotes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_is_asked_gets_out_of_its_quotes() {
        let asked = json!({"client_id": "<script>x</script>", "state": "\"><img src=x>", "list": ["a"]});
        let asked = asked.as_object().unwrap();
        let requirement = json!({
            "mfa_request_id": "\"'", "mfa_constraints": {"r": {"any": [{"id": "\"><b>", "name": "<i>"}]}}
        });
        let mounts = ["a<b".to_owned(), "c\"d".to_owned()];
        for page in [form(asked, &mounts, "<u>"), codes(asked, &requirement), message("<s>")] {
            for tag in ["<script", "<img", "<b>", "<i>", "<u>", "<s>", "a<b", "c\"d"] {
                assert!(!page.contains(tag), "{tag}: {page}");
            }
        }
        assert!(form(asked, &[], "").contains("value=\"&quot;&gt;&lt;img src=x&gt;\""));
    }
}
