//! What a client certificate says of its holder.

use crate::auth::glob;
use strongroom_crypto::x509::{AlternativeNames, ReadCertificate};
use x509_cert::Certificate;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Tagged};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::spki::ObjectIdentifier;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// A certificate that a client proved to hold the key of.
pub(super) struct Presented {
    pub read: ReadCertificate,
    pub common_name: String,
    pub organizational_units: Vec<String>,
    pub names: AlternativeNames,
    pub subject_key_id: String,
    pub authority_key_id: String,
    extensions: Vec<Extension>,
}

struct Extension {
    oid: String,
    der: Vec<u8>,
    /// The value if it is a text.
    text: Option<String>,
}

impl Presented {
    /// None if it cannot be read as a whole: nobody is let in by half a certificate.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let read = ReadCertificate::from_der(der).ok()?;
        let parsed = Certificate::from_der(der).ok()?.tbs_certificate;
        let texts = |kind: ObjectIdentifier| -> Vec<String> {
            let parts = parsed.subject.0.iter().flat_map(|part| part.0.iter());
            parts
                .filter(|part| part.oid == kind)
                .map(|part| String::from_utf8_lossy(part.value.value()).into_owned())
                .collect()
        };
        let authority = match parsed.get::<AuthorityKeyIdentifier>() {
            Ok(Some((_, authority))) => authority.key_identifier.map(|id| id.as_bytes().to_vec()),
            _ => None,
        };
        let extensions = parsed.extensions.as_deref().unwrap_or_default().iter().map(|extension| {
            let der = extension.extn_value.as_bytes().to_vec();
            Extension { oid: extension.extn_id.to_string(), text: text_of(&der), der }
        });
        Some(Self {
            common_name: texts(COMMON_NAME).into_iter().next().unwrap_or_default(),
            organizational_units: texts(ORGANIZATIONAL_UNIT),
            names: read.names().ok()?,
            subject_key_id: colons(&read.key_id()),
            authority_key_id: colons(&authority.unwrap_or_default()),
            extensions: extensions.collect(),
            read,
        })
    }

    /// `OID:VALUE`, where the value is a text, or `hex:OID:DER`: with `*` for any text.
    pub(super) fn has_extension(&self, required: &str) -> bool {
        let (required, is_hex) = match required.strip_prefix("hex:") {
            Some(required) => (required, true),
            None => (required, false),
        };
        let Some((oid, pattern)) = required.split_once(':') else { return false };
        self.extensions.iter().filter(|extension| extension.oid == oid).any(|extension| match is_hex {
            true => glob::matches(&pattern.to_ascii_lowercase(), &hex::encode(&extension.der)),
            false => extension.text.as_deref().is_some_and(|text| glob::matches(pattern, text)),
        })
    }

    /// The text of an extension.
    pub(super) fn extension_text(&self, oid: &str) -> Option<&str> {
        self.extensions.iter().find(|extension| extension.oid == oid)?.text.as_deref()
    }

    pub(super) fn serial(&self) -> String {
        colons(self.read.serial())
    }
}

/// The text in a DER value, whatever kind of text it is.
fn text_of(der: &[u8]) -> Option<String> {
    use x509_cert::der::Tag;
    let value = AnyRef::from_der(der).ok()?;
    let is_text = matches!(
        value.tag(),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString | Tag::TeletexString
    );
    is_text.then(|| String::from_utf8_lossy(value.value()).into_owned())
}

/// `01:ab:…`
fn colons(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}
