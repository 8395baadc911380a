use super::super::record::Record;
use std::collections::BTreeMap;
use std::rc::Rc;
use strongroom_secret::SecretBytes;

/// What a template works with. Texts are bytes, as in Go, and may be secrets.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Nothing,
    Truth(bool),
    Integer(i64),
    Float(f64),
    /// An entropy: shown with the digits of a float32.
    Float32(f64),
    Text(Rc<SecretBytes>),
    List(Rc<[Value]>),
    Finding(Rc<BTreeMap<&'static str, Value>>),
    Time(i64),
}

impl Value {
    pub(super) fn text(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Text(Rc::new(SecretBytes::new(bytes.into())))
    }

    pub(super) fn finding(record: &Record<'_>) -> Self {
        let located = record.located;
        let found = &located.finding;
        let number = |number: u64| Self::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let text = |text: &str| Self::text(text);
        let tags: Vec<Self> = found.tags.iter().map(|tag| text(tag)).collect();
        let fields = [
            ("RuleID", text(record.rule_id)),
            ("Description", text(record.description)),
            ("StartLine", number(found.place.start_line)),
            ("EndLine", number(found.place.end_line)),
            ("StartColumn", number(found.place.start_column)),
            ("EndColumn", number(found.place.end_column)),
            ("Line", Self::text(record.line.expose())),
            ("Match", Self::text(record.matched.expose())),
            ("Secret", Self::text(record.secret.expose())),
            ("File", text(&located.path)),
            ("SymlinkFile", text(&located.link_path)),
            ("Commit", text(located.commit_id())),
            ("Link", text(&located.link)),
            ("Entropy", Self::Float32(found.entropy)),
            ("Author", text(record.author())),
            ("Email", text(record.email())),
            ("Date", text(&record.date())),
            ("Message", text(&record.message())),
            ("Tags", Self::List(tags.into())),
            ("Fingerprint", text(&record.fingerprint)),
            ("Severity", text(record.rule.map_or("", |rule| rule.severity.name()))),
            ("Confidence", text(found.confidence.name())),
            ("Remediation", text(record.rule.map_or("", |rule| &rule.remediation))),
        ];
        Self::Finding(Rc::new(fields.into_iter().collect()))
    }

    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Finding(fields) => {
                fields.get(name).cloned().ok_or_else(|| format!("a finding has no field {name}"))
            }
            _ => Err(format!("only a finding has fields: .{name} is asked of something else")),
        }
    }

    /// Go's notion: not zero, not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Truth(truth) => *truth,
            Self::Integer(number) => *number != 0,
            Self::Float(number) | Self::Float32(number) => *number != 0.0,
            Self::Text(text) => !text.expose().is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Finding(_) | Self::Time(_) => true,
        }
    }

    /// As Go's `fmt.Print` shows it.
    pub(super) fn printed(&self) -> Vec<u8> {
        match self {
            Self::Nothing => b"<no value>".to_vec(),
            Self::Truth(truth) => truth.to_string().into_bytes(),
            Self::Integer(number) => number.to_string().into_bytes(),
            Self::Float(number) => number.to_string().into_bytes(),
            Self::Float32(number) => (*number as f32).to_string().into_bytes(),
            Self::Text(text) => text.expose().to_vec(),
            Self::List(items) => {
                let items: Vec<Vec<u8>> = items.iter().map(Self::printed).collect();
                [b"[", items.join(&b' ').as_slice(), b"]"].concat()
            }
            Self::Finding(fields) => {
                let fields: Vec<Vec<u8>> = fields.values().map(Self::printed).collect();
                [b"{", fields.join(&b' ').as_slice(), b"}"].concat()
            }
            Self::Time(seconds) => {
                super::format::date("2006-01-02 15:04:05 -0700 MST", *seconds).into_bytes()
            }
        }
    }

    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) | Self::Float32(number) => Some(*number),
            _ => None,
        }
    }
}
