//! The extensions that certificates are made with (RFC 5280, section 4.2).

use super::X509Error;
use std::net::IpAddr;
use x509_cert::der::asn1::{Any, Ia5String, OctetString, Utf8StringRef};
use x509_cert::der::flagset::FlagSet;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::PolicyInformation;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, BasicConstraints, CertificatePolicies,
    CrlDistributionPoints, ExtendedKeyUsage, FreshestCrl, KeyUsage, KeyUsages, NameConstraints,
    SubjectAltName,
};
use x509_cert::spki::ObjectIdentifier;

const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

/// Subject alternative names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlternativeNames {
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub uris: Vec<String>,
    pub others: Vec<OtherName>,
}

/// A name of a kind of its own, as text (`UTF8String`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherName {
    pub kind: ObjectIdentifier,
    pub text: String,
}

/// What a key may be used for.
#[derive(Debug, Clone, Default)]
pub struct Purposes {
    pub key_usage: FlagSet<KeyUsages>,
    pub extended: Vec<ObjectIdentifier>,
    pub policies: Vec<ObjectIdentifier>,
    /// Some for the extension to be there: whether it is an authority, and how many may follow below it.
    pub constraints: Option<(bool, Option<u8>)>,
    /// DNS domains that an authority is restricted to.
    pub permitted_dns: Vec<String>,
}

/// Where more is known of the issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessUrls {
    pub issuing_certificates: Vec<String>,
    pub crl_distribution_points: Vec<String>,
    pub delta_crl_distribution_points: Vec<String>,
    pub ocsp_servers: Vec<String>,
}

pub(super) fn extension<T: Encode + AssociatedOid>(
    value: &T,
    critical: bool,
) -> Result<Extension, X509Error> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

fn ia5(text: &str) -> Result<Ia5String, X509Error> {
    Ia5String::new(text).map_err(|_| X509Error::Name(text.to_owned()))
}

fn uri(text: &str) -> Result<GeneralName, X509Error> {
    Ok(GeneralName::UniformResourceIdentifier(ia5(text)?))
}

impl AlternativeNames {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn extension(&self, is_only_name: bool) -> Result<Option<Extension>, X509Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut names = Vec::new();
        for name in &self.dns {
            names.push(GeneralName::DnsName(ia5(name)?));
        }
        for email in &self.emails {
            names.push(GeneralName::Rfc822Name(ia5(email)?));
        }
        for address in &self.addresses {
            let bytes = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            names.push(GeneralName::IpAddress(OctetString::new(bytes)?));
        }
        for text in &self.uris {
            names.push(uri(text)?);
        }
        for other in &self.others {
            let value = Any::encode_from(&Utf8StringRef::new(&other.text)?)?;
            let name = x509_cert::ext::pkix::name::OtherName { type_id: other.kind, value };
            names.push(GeneralName::OtherName(name));
        }
        // Critical where the subject is empty (RFC 5280, section 4.2.1.6).
        extension(&SubjectAltName(names), is_only_name).map(Some)
    }

    /// Reads the names of the kinds that are known here.
    pub(super) fn read(extensions: &[Extension]) -> Result<Self, X509Error> {
        let mut names = Self::default();
        let found = extensions.iter().find(|extension| extension.extn_id == SubjectAltName::OID);
        let Some(found) = found else { return Ok(names) };
        for name in SubjectAltName::from_der(found.extn_value.as_bytes())?.0 {
            match name {
                GeneralName::DnsName(name) => names.dns.push(name.to_string()),
                GeneralName::Rfc822Name(email) => names.emails.push(email.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
                GeneralName::IpAddress(bytes) => {
                    let bytes = bytes.as_bytes();
                    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                    let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
                    names.addresses.push(address.map_err(|_| X509Error::Name("IP address".to_owned()))?);
                }
                GeneralName::OtherName(other) if other.value.tag() == Tag::Utf8String => {
                    let text = std::str::from_utf8(other.value.value())
                        .map_err(|_| X509Error::Name("otherName".to_owned()))?;
                    names.others.push(OtherName { kind: other.type_id, text: text.to_owned() });
                }
                _ => {}
            }
        }
        Ok(names)
    }
}

impl Purposes {
    pub(super) fn extensions(&self) -> Result<Vec<Extension>, X509Error> {
        let mut all = Vec::new();
        if !self.key_usage.is_empty() {
            all.push(extension(&KeyUsage(self.key_usage), true)?);
        }
        if !self.extended.is_empty() {
            all.push(extension(&ExtendedKeyUsage(self.extended.clone()), false)?);
        }
        if let Some((ca, path_len_constraint)) = self.constraints {
            all.push(extension(&BasicConstraints { ca, path_len_constraint }, true)?);
        }
        if !self.policies.is_empty() {
            let policies = self
                .policies
                .iter()
                .map(|oid| PolicyInformation { policy_identifier: *oid, policy_qualifiers: None });
            all.push(extension(&CertificatePolicies(policies.collect()), false)?);
        }
        if !self.permitted_dns.is_empty() {
            let subtree = |domain: &String| {
                Ok::<_, X509Error>(GeneralSubtree {
                    base: GeneralName::DnsName(ia5(domain)?),
                    minimum: 0,
                    maximum: None,
                })
            };
            let permitted = self.permitted_dns.iter().map(subtree).collect::<Result<_, _>>()?;
            let constraints =
                NameConstraints { permitted_subtrees: Some(permitted), excluded_subtrees: None };
            all.push(extension(&constraints, true)?);
        }
        Ok(all)
    }
}

impl AccessUrls {
    pub(super) fn extensions(&self) -> Result<Vec<Extension>, X509Error> {
        let mut all = Vec::new();
        let mut access = Vec::new();
        for (method, urls) in [(OCSP, &self.ocsp_servers), (CA_ISSUERS, &self.issuing_certificates)] {
            for url in urls {
                access.push(AccessDescription { access_method: method, access_location: uri(url)? });
            }
        }
        if !access.is_empty() {
            all.push(extension(&AuthorityInfoAccessSyntax(access), false)?);
        }
        if !self.crl_distribution_points.is_empty() {
            all.push(extension(&CrlDistributionPoints(points(&self.crl_distribution_points)?), false)?);
        }
        if !self.delta_crl_distribution_points.is_empty() {
            all.push(extension(&FreshestCrl(points(&self.delta_crl_distribution_points)?), false)?);
        }
        Ok(all)
    }
}

fn points(urls: &[String]) -> Result<Vec<DistributionPoint>, X509Error> {
    urls.iter()
        .map(|url| {
            Ok(DistributionPoint {
                distribution_point: Some(DistributionPointName::FullName(vec![uri(url)?])),
                reasons: None,
                crl_issuer: None,
            })
        })
        .collect()
}
