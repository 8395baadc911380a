//! The texts in a JSON document, with the names that lead to them. A text that is itself JSON (the key file of a service
//! account) is looked into.

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// JSON in a text in JSON, at most.
const NESTED_MAX: usize = 3;
/// Texts of one document.
const LEAVES_MAX: usize = 1024;
/// A longer name is cut: it is for people.
const NAME_BYTES_MAX: usize = 256;

/// Visits the texts of a document: their names joined by dots, and themselves. What is no JSON has none.
pub(super) fn visit(document: &[u8], leaf: &mut dyn FnMut(&str, &str)) {
    let mut walk = Walk { name: String::new(), left: LEAVES_MAX, nested: 0, leaf };
    walk.document(document);
}

struct Walk<'l> {
    name: String,
    left: usize,
    nested: usize,
    leaf: &'l mut dyn FnMut(&str, &str),
}

impl Walk<'_> {
    fn document(&mut self, document: &[u8]) {
        let mut source = serde_json::Deserializer::from_slice(document);
        // A document that ends in the middle has shown what it has.
        drop(Node(self).deserialize(&mut source));
    }

    fn text(&mut self, text: &str) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        (self.leaf)(&self.name, text);
        if self.nested < NESTED_MAX && text.trim_start().starts_with(['{', '[']) {
            self.nested += 1;
            self.document(text.as_bytes());
            self.nested -= 1;
        }
    }

    /// Goes on below a name.
    fn below<T>(&mut self, name: &str, go_on: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.name.len();
        if length > 0 {
            self.name.push('.');
        }
        let room = NAME_BYTES_MAX.saturating_sub(self.name.len());
        self.name.push_str(name.get(..name.floor_char_boundary(room)).unwrap_or_default());
        let done = go_on(self);
        self.name.truncate(length);
        done
    }
}

struct Node<'w, 'l>(&'w mut Walk<'l>);

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for number in 0_usize.. {
            let name = number.to_string();
            if self.0.below(&name, |walk| items.next_element_seed(Node(walk)))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<std::borrow::Cow<'_, str>>()? {
            match self.0.left {
                0 => drop(members.next_value::<IgnoredAny>()?),
                _ => self.0.below(&name, |walk| members.next_value_seed(Node(walk)))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(document: &str, expected: &str) {
        let mut found = Vec::new();
        visit(document.as_bytes(), &mut |name, text| found.push(format!("{name}={text}")));
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn texts_are_named_by_what_leads_to_them() {
        check(r#"{"a":"1","b":{"c":"2","d":[3,"4",null]},"e":5,"f":true}"#, "a=1 b.c=2 b.d.1=4");
        check(r#"{"a":"x","a":"y"}"#, "a=x a=y");
        check(r#"{"\u0061":"\u0062"}"#, "a=b");
        check("\"text\"", "=text");
        check("no json", "");
    }

    #[test]
    fn json_in_a_text_is_looked_into() {
        check(r#"{"key":"{\"private\":\"2\"}"}"#, r#"key={"private":"2"} key.private=2"#);
        check(r#"{"key":"{no"}"#, "key={no");
    }

    #[test]
    fn many_and_deep_texts_have_an_end() {
        let many = format!("{{\"a\":[{}\"z\"]}}", "\"y\",".repeat(5000));
        let mut count = 0;
        visit(many.as_bytes(), &mut |_, _| count += 1);
        assert_eq!(count, LEAVES_MAX);
        let deep = format!("{}\"a\"{}", "[".repeat(1000), "]".repeat(1000));
        visit(deep.as_bytes(), &mut |_, _| count += 1);
        assert_eq!(count, LEAVES_MAX);
        check(&format!("{{\"{}\":\"a\"}}", "é".repeat(500)), &format!("{}=a", "é".repeat(128)));
    }
}
