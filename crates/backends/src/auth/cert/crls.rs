//! Revocation lists (RFC 5280, section 5) that operators bring.

use crate::listing::page;
use crate::pem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_crypto::x509::ReadCertificate;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, Encode};

const LISTS: Table = Table(3);
/// Entries of one list.
const ENTRIES_MAX: usize = 100_000;

/// A list as stored.
#[derive(Serialize, Deserialize)]
pub(super) struct RevocationList {
    /// The issuer's name, as hex of its DER.
    issuer: String,
    /// As hex, without leading zeros, sorted.
    serials: Vec<String>,
}

impl Record for RevocationList {}

impl RevocationList {
    pub(super) fn revokes(&self, certificate: &ReadCertificate) -> bool {
        let issuer = certificate.issuer().to_der().map(hex::encode).unwrap_or_default();
        issuer == self.issuer && self.serials.binary_search(&hex::encode(certificate.serial())).is_ok()
    }
}

fn key_of(call: &Call<'_>) -> Key {
    call.tx.name_key(&call.table(LISTS), &call.capture("name").to_lowercase())
}

pub(super) fn all(call: &mut Call<'_>) -> Result<Vec<RevocationList>, Error> {
    let table = call.table(LISTS);
    call.tx.records(&table)
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(LISTS);
    let names = call.tx.children(&table)?;
    page(call, names)
}

/// Serial numbers are decimal here, as in Vault.
pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key_of(call);
    let list: RevocationList = call.tx.record(&key)?.ok_or_else(Error::not_found)?;
    let serials: Map<String, Value> =
        list.serials.iter().map(|serial| (decimal(serial), json!({}))).collect();
    Ok(crate::answer::object(json!({ "serials": serials })))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let text = call.fields().required_text("crl")?;
    let malformed = || Error::invalid("parsing CRL: it must be a revocation list in PEM");
    let der = pem::decode_one(&text, "X509 CRL").ok_or_else(malformed)?;
    let parsed = CertificateList::from_der(&der).map_err(|_| malformed())?.tbs_cert_list;
    let entries = parsed.revoked_certificates.unwrap_or_default();
    if entries.len() > ENTRIES_MAX {
        return Err(Error::invalid(format!("the list has more than {ENTRIES_MAX} entries")));
    }
    let mut serials: Vec<String> = entries
        .iter()
        .map(|entry| {
            let bytes = entry.serial_number.as_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            hex::encode(bytes.get(zeros..).unwrap_or_default())
        })
        .collect();
    serials.sort_unstable();
    let issuer = parsed.issuer.to_der().map(hex::encode).map_err(|_| malformed())?;
    let key = key_of(call);
    call.tx.put_record(&key, &RevocationList { issuer, serials })?;
    Ok(Response::default())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key_of(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}

/// A hexadecimal number of any length in decimal digits.
fn decimal(hexadecimal: &str) -> String {
    let mut digits: Vec<u32> = vec![0];
    for digit in hexadecimal.chars().filter_map(|digit| digit.to_digit(16)) {
        let mut carry = digit;
        for place in &mut digits {
            let value = *place * 16 + carry;
            *place = value % 10;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn serial_numbers_are_shown_in_decimal() {
        for (hexadecimal, expected) in [
            ("", "0"),
            ("00", "0"),
            ("0a", "10"),
            ("ff", "255"),
            ("b390e610ecdedf74", "12939094689803329396"),
        ] {
            assert_eq!(super::decimal(hexadecimal), expected);
        }
    }
}
