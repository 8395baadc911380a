//! Values without a form of their own: they are secrets because of the name that they are assigned to.

/// An expression that finds a value of the form `value` where it is assigned to a name that holds one of `keywords`, or that
/// matches `names` if that is not empty. Its first group is the value.
///
/// What counts as an assignment: `name = value`, `:=`, `=>`, `name: value` and other operators of programs, shells and
/// configuration files, JSON, a call's two arguments, an XML element; the value quoted or not, and quotes escaped or not.
pub(crate) fn expression(names: &str, keywords: &[&str], value: &str) -> String {
    let names = if names.is_empty() { alternatives(keywords) } else { names.to_owned() };
    format!("(?i)(?:{names}){BETWEEN}((?-i:{value})){AFTER}")
}

/// The rest of the name and a type, closing quotes and brackets, an operator, white space, opening quotes.
const BETWEEN: &str =
    r#"[0-9a-z_.\- \t]{0,24}["'\x60\]]{0,2}[ \t]{0,8}(?:[:?.+|]{0,3}=>?|:|,|>)\s{0,12}[\\"'\x60(]{0,4}"#;
const AFTER: &str = r#"(?:[\\"'\x60\s;,)<&}\]]|$)"#;

fn alternatives(keywords: &[&str]) -> String {
    let escaped: Vec<String> = keywords.iter().map(|keyword| regex_syntax::escape(keyword)).collect();
    escaped.join("|")
}
