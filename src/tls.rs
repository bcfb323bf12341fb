//! Who signed the certificate that a server shows. For messages only: schools sit behind proxies that inspect TLS, and
//! the name of such a proxy's authority is what a technician must look for.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// The longest name that is told, in characters.
const NAME_MAX: usize = 100;

/// A witness of a handshake: it notes who signed the certificate that is shown, and then refuses it, whatever it is. So
/// nothing but the handshake ever crosses a connection that it watches.
#[derive(Debug)]
pub(crate) struct Witness {
    provider: Arc<CryptoProvider>,
    issuer: Mutex<Option<String>>,
}

impl Witness {
    /// A witness, and a TLS configuration whose handshakes it sees.
    ///
    /// # Errors
    /// If the cryptographic provider knows no version of TLS.
    pub(crate) fn new() -> Result<(Arc<Self>, ClientConfig), Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let witness = Arc::new(Self { provider: Arc::clone(&provider), issuer: Mutex::new(None) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok((witness, config))
    }

    /// The authority's name, once a handshake was seen.
    pub(crate) fn issuer(&self) -> Option<String> {
        self.issuer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The top of the chain names the authority that would have to be trusted.
        let issuer = intermediates.last().and_then(|top| issuer_of(top)).or_else(|| issuer_of(end_entity));
        *self.issuer.lock().unwrap_or_else(PoisonError::into_inner) = issuer;
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

/// The name of the authority that signed a certificate (X.509 as DER): its common name, else its organisation.
pub(crate) fn issuer_of(certificate: &[u8]) -> Option<String> {
    const VERSION: u8 = 0xa0;
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
    // RFC 5280, 4.1: Certificate { tbsCertificate { [0] version, serialNumber, signature, issuer, … }, … }
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (mut fields, _) = take(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = take(fields, VERSION)?.1;
    }
    let (_, fields) = take(fields, INTEGER)?;
    let (_, fields) = take(fields, SEQUENCE)?;
    let (mut names, _) = take(fields, SEQUENCE)?;
    let mut organisation = None;
    while !names.is_empty() {
        let (mut set, rest) = take(names, SET)?;
        names = rest;
        while !set.is_empty() {
            let (attribute, rest) = take(set, SEQUENCE)?;
            set = rest;
            let (kind, value) = take(attribute, OBJECT_IDENTIFIER)?;
            if kind == COMMON_NAME {
                return text(value);
            }
            if kind == ORGANISATION {
                organisation = text(value);
            }
        }
    }
    organisation
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
