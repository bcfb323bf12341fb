//! What a server's certificate says of itself: who signed it, for whom, until when. For messages only: schools sit behind
//! proxies that inspect TLS, and the name of such a proxy's authority is what a technician must look for.
//!
//! Read by hand: five fields of a format that has not changed in thirty years are less than what a parser brings along.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The longest name that is told, in characters.
const NAME_MAX: usize = 100;

/// What a server's certificate says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The authority that the shown chain ends in: its common name, else its organisation.
    pub authority: Option<String>,
    /// All names of those who signed the chain, organisations too: what a product is known by.
    pub signers: Vec<String>,
    /// The common name of its owner, else the organisation.
    pub subject: Option<String>,
    /// The hosts that it is for.
    pub hosts: Vec<String>,
    /// Until when it is valid.
    pub until: Option<Timestamp>,
    /// Whether it signed itself.
    pub is_self_signed: bool,
    /// Whether the chain ends in an authority that the browsers' makers trust.
    pub is_public: bool,
}

/// A witness of a handshake: it notes the certificate that is shown, and then refuses it, whatever it is. So
/// nothing but the handshake ever crosses a connection that it watches.
#[derive(Debug)]
pub(crate) struct Witness {
    provider: Arc<CryptoProvider>,
    shown: Mutex<Option<Certificate>>,
}

impl Witness {
    /// A witness, and a TLS configuration whose handshakes it sees.
    ///
    /// # Errors
    /// If the cryptographic provider knows no version of TLS.
    pub(crate) fn new() -> Result<(Arc<Self>, ClientConfig), Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let witness = Arc::new(Self { provider: Arc::clone(&provider), shown: Mutex::new(None) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok((witness, config))
    }

    /// The certificate, once a handshake was seen.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the chain ends in one of the authorities that Mozilla trusts. The name is beside the point, and so is the
    /// time: it is judged as of the certificate's last.
    fn is_public(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        until: Option<Timestamp>,
    ) -> bool {
        let last = until.and_then(|until| u64::try_from(until.as_second() - 1).ok());
        let at = last.map_or_else(UnixTime::now, |last| UnixTime::since_unix_epoch(Duration::from_secs(last)));
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build();
        verifier.is_ok_and(|verifier| match verifier.verify_server_cert(leaf, others, name, &[], at) {
            Ok(_) => true,
            Err(Error::InvalidCertificate(error)) => {
                matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
            }
            Err(_) => false,
        })
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fields = Fields::of(end_entity);
        let until = fields.as_ref().and_then(|fields| fields.until);
        let issuers: Vec<Name> =
            intermediates.iter().rev().chain([end_entity]).filter_map(|one| Some(Fields::of(one)?.issuer)).collect();
        let certificate = Certificate {
            // The top of the chain names the authority that would have to be trusted.
            authority: issuers.iter().find_map(|issuer| issuer.shown().map(str::to_owned)),
            signers: issuers.into_iter().flat_map(|issuer| [issuer.common, issuer.organisation]).flatten().collect(),
            subject: fields.as_ref().and_then(|fields| fields.subject.shown().map(str::to_owned)),
            hosts: fields.as_ref().map(|fields| fields.hosts.clone()).unwrap_or_default(),
            until,
            is_self_signed: fields.as_ref().is_some_and(|fields| fields.is_self_signed),
            is_public: self.is_public(end_entity, intermediates, name, until),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The name of an authority or an owner.
#[derive(Debug, Default)]
struct Name {
    common: Option<String>,
    organisation: Option<String>,
}

impl Name {
    /// From a sequence of attributes, in sets.
    fn of(mut names: &[u8]) -> Option<Self> {
        const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
        const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
        let mut name = Self::default();
        while !names.is_empty() {
            let (mut set, rest) = take(names, SET)?;
            names = rest;
            while !set.is_empty() {
                let (attribute, rest) = take(set, SEQUENCE)?;
                set = rest;
                let (kind, value) = take(attribute, OBJECT_IDENTIFIER)?;
                match kind {
                    COMMON_NAME if name.common.is_none() => name.common = text(value),
                    ORGANISATION => name.organisation = text(value),
                    _ => {}
                }
            }
        }
        Some(name)
    }

    fn shown(&self) -> Option<&str> {
        self.common.as_deref().or(self.organisation.as_deref())
    }
}

/// The fields of a certificate (X.509 as DER) that people ask for.
#[derive(Debug)]
struct Fields {
    issuer: Name,
    subject: Name,
    is_self_signed: bool,
    until: Option<Timestamp>,
    hosts: Vec<String>,
}

impl Fields {
    fn of(certificate: &[u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;
        // RFC 5280, 4.1: Certificate { tbsCertificate { [0] version, serialNumber, signature, issuer, validity, subject,
        // subjectPublicKeyInfo, …, [3] extensions }, … }
        let (certificate, _) = take(certificate, SEQUENCE)?;
        let (mut fields, _) = take(certificate, SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            fields = take(fields, VERSION)?.1;
        }
        let (_, fields) = take(fields, INTEGER)?;
        let (_, fields) = take(fields, SEQUENCE)?;
        let (issuer, fields) = take(fields, SEQUENCE)?;
        let (validity, fields) = take(fields, SEQUENCE)?;
        let (subject, fields) = take(fields, SEQUENCE)?;
        Some(Self {
            issuer: Name::of(issuer)?,
            subject: Name::of(subject)?,
            is_self_signed: issuer == subject,
            until: end_of(validity),
            hosts: hosts_in(fields).unwrap_or_default(),
        })
    }
}

/// The later end of a validity: two times, each in one of two forms (RFC 5280, 4.1.2.5).
fn end_of(validity: &[u8]) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let one = |der| take(der, UTC_TIME).or_else(|| take(der, GENERALIZED_TIME));
    let (_, rest) = one(validity)?;
    let tag = *rest.first()?;
    let text = std::str::from_utf8(one(rest)?.0).ok()?;
    // Two digits of a year: up to 49 they are of this century.
    let century = match (tag, text.get(..2)?) {
        (UTC_TIME, year) if year < "50" => "20",
        (UTC_TIME, _) => "19",
        _ => "",
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", format!("{century}{text}")).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The names of hosts and addresses among the alternative names (RFC 5280, 4.2.1.6).
fn hosts_in(after_subject: &[u8]) -> Option<Vec<String>> {
    const EXTENSIONS: u8 = 0xa3;
    const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
    const BOOLEAN: u8 = 0x01;
    const OCTET_STRING: u8 = 0x04;
    const DNS_NAME: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    let (_, mut fields) = take(after_subject, SEQUENCE)?;
    // Two unique identifiers may come first; nobody uses them.
    while *fields.first()? != EXTENSIONS {
        fields = take(fields, *fields.first()?)?.1;
    }
    let (mut extensions, _) = take(take(fields, EXTENSIONS)?.0, SEQUENCE)?;
    while !extensions.is_empty() {
        let (extension, rest) = take(extensions, SEQUENCE)?;
        extensions = rest;
        let (kind, mut value) = take(extension, OBJECT_IDENTIFIER)?;
        if kind != ALTERNATIVE_NAMES {
            continue;
        }
        if value.first() == Some(&BOOLEAN) {
            value = take(value, BOOLEAN)?.1;
        }
        let (mut names, _) = take(take(value, OCTET_STRING)?.0, SEQUENCE)?;
        let mut hosts = Vec::new();
        while let Some(tag) = names.first() {
            let (name, rest) = take(names, *tag)?;
            names = rest;
            match *tag {
                DNS_NAME => hosts.extend(printable(&String::from_utf8_lossy(name))),
                ADDRESS => hosts.extend(address(name)),
                _ => {}
            }
        }
        return Some(hosts);
    }
    None
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::IpAddr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::IpAddr::from(bytes).to_string())
}

/// The name of the authority that signed a certificate (X.509 as DER): its common name, else its organisation.
#[cfg(test)]
fn issuer_of(certificate: &[u8]) -> Option<String> {
    Fields::of(certificate)?.issuer.shown().map(str::to_owned)
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The content of the element that stands first, which must have that tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..=0x7f => (short, rest),
        // 0x80 is BER's open end, which DER does not have; five bytes of length would be over 4 GiB.
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            (bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A directory string, without what could rewrite the line it is shown in.
fn text(value: &[u8]) -> Option<String> {
    const T61_STRING: u8 = 0x14;
    const BMP_STRING: u8 = 0x1e;
    let tag = *value.first()?;
    let (content, _) = take(value, tag)?;
    let text: String = match tag {
        BMP_STRING => {
            let units = content.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        T61_STRING => content.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(content).into_owned(),
    };
    printable(&text)
}

fn printable(text: &str) -> Option<String> {
    let shown: String = text.trim().chars().filter(|c| !c.is_control() && *c != '`').take(NAME_MAX).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    fn signed_by(names: &[(DnType, &str)]) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let leaf = CertificateParams::new(vec!["school.example".to_owned()]).unwrap();
        leaf.signed_by(&KeyPair::generate().unwrap(), &Issuer::new(params, key)).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_comes_first_then_the_organisation() {
        let both = [(DnType::OrganizationName, "Filter Ltd"), (DnType::CommonName, "School Filter CA")];
        assert_eq!(issuer_of(&signed_by(&both)).as_deref(), Some("School Filter CA"));
        assert_eq!(issuer_of(&signed_by(&both[..1])).as_deref(), Some("Filter Ltd"));
        assert_eq!(issuer_of(&signed_by(&[(DnType::CountryName, "AU")])), None);
        assert_eq!(
            issuer_of(&signed_by(&[(DnType::CommonName, "Schülerfilter\u{7}`")])).as_deref(),
            Some("Schülerfilter")
        );
    }

    #[test]
    fn subject_hosts_and_end_are_read() {
        for (year, expected) in [(2031, "2031-03-04T00:00:00Z"), (2055, "2055-03-04T00:00:00Z")] {
            let mut params = CertificateParams::new(vec!["sis.example".to_owned(), "10.1.2.3".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, "SIS");
            params.not_after = rcgen::date_time_ymd(year, 3, 4);
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
            let fields = Fields::of(&der).unwrap();
            assert_eq!(fields.subject.shown(), Some("SIS"));
            assert_eq!(fields.hosts, ["sis.example", "10.1.2.3"]);
            assert_eq!(fields.until.unwrap().to_string(), expected);
            assert!(fields.is_self_signed);
        }
        assert!(!Fields::of(&signed_by(&[(DnType::CommonName, "School Filter CA")])).unwrap().is_self_signed);
    }

    #[test]
    fn a_certificate_cut_or_changed_anywhere_is_read_without_a_panic() {
        let whole = signed_by(&[(DnType::CommonName, "School Filter CA")]);
        assert_eq!(issuer_of(&whole[..40]), None);
        for length in 0..whole.len() {
            assert_eq!(issuer_of(&whole[..length]), None, "cut at {length}");
            let mut changed = whole.clone();
            changed[length] = 0xff;
            drop(issuer_of(&changed));
        }
    }

    #[test]
    fn lengths_are_read_in_every_form() {
        assert_eq!(take(&[0x30, 0x01, 7, 8], SEQUENCE), Some((&[7_u8][..], &[8_u8][..])));
        assert_eq!(take(&[0x30, 0x81, 0x01, 7], SEQUENCE), Some((&[7_u8][..], &[][..])));
        assert_eq!(take(&[0x30, 0x82, 0x00, 0x01, 7], SEQUENCE), Some((&[7_u8][..], &[][..])));
        assert_eq!(take(&[0x30, 0x80, 7, 0, 0], SEQUENCE), None);
        assert_eq!(take(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], SEQUENCE), None);
        assert_eq!(text(&[0x1e, 4, 0, b'H', 0, b'i']).as_deref(), Some("Hi"));
    }
}
