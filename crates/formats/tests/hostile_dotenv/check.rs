//! What must hold for any bytes: no panic, no byte lost, and an edit does what it says or refuses. The fuzz target
//! `dotenv` includes this file.

use strongroom_formats::dotenv::{
    Dialect, Document, Kind, NO_ENVIRONMENT, Precedence, SetOptions, Values, atoms, portability, problems,
};

pub(crate) fn check(bytes: &[u8]) {
    for dialect in Dialect::ALL {
        let Ok(document) = Document::from_bytes(bytes, dialect) else { return };
        check_tree(bytes, &document);
        let _ = document.resolve(NO_ENVIRONMENT, Precedence::Environment);
        let values = document.resolve(NO_ENVIRONMENT, Precedence::File);
        problems(&document);
        if let Ok(values) = &values {
            check_edits(&document, values);
        }
    }
    let document = Document::from_bytes(bytes, Dialect::Python).expect("it was read above");
    portability(&document, &Dialect::ALL).expect("it was read above");
    atoms(document.text());
}

fn check_tree(bytes: &[u8], document: &Document) {
    let text = document.text();
    assert_eq!(text.as_bytes(), bytes);
    let mut at = if document.has_byte_order_mark() { 3 } else { 0 };
    for entry in document.entries() {
        assert_eq!(entry.span.start, at, "no gap before an entry");
        at = entry.span.end;
        if let Kind::Assignment(assignment) = &entry.kind {
            assert!(entry.span.start <= assignment.key.start && assignment.key.end <= entry.span.end);
            assert!(assignment.value.is_none_or(|value| value.span.end <= entry.span.end));
        }
    }
    assert_eq!(at, text.len(), "no byte behind the last entry");
}

fn check_edits(document: &Document, values: &Values) {
    let first = values.iter().next().map(|(key, _)| key.to_owned());
    let value: String = document.text().chars().take(40).collect();
    for key in first.into_iter().chain(["NEW_NAME".to_owned()]) {
        if let Ok(edited) = document.set(&key, &value.as_str().into(), &SetOptions::default()) {
            let text = edited.text.expose();
            let new = Document::parse(text, document.dialect()).expect("what was written is read");
            let found = new.resolve(NO_ENVIRONMENT, Precedence::File);
            let found = found.as_ref().ok().and_then(|values| values.value(&key));
            assert_eq!(found.map(|found| found.expose()), Some(value.as_str()), "{key} in {text:?}");
        }
        if let Ok(Some(edited)) = document.unset(&key) {
            let new = Document::parse(edited.text.expose(), document.dialect()).expect("it was read before");
            assert!(!new.assignments().any(|(_, assignment)| new.key(assignment) == key));
        }
    }
}
