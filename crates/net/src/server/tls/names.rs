//! The alternative names of a certificate as texts: DNS names, e-mail addresses, IP addresses and URIs.
//!
//! Always true: what is malformed gives no names at all, so that nobody is let in by it. The certificate was parsed as a whole by the
//! TLS library before. Must not know: who may come in.
//! Facts: RFC 5280, sections 4.1 and 4.2.1.6; the texts as Go prints them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// The extensions among the parts of a certificate: `[3]`, constructed.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17
const ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// The names of a certificate in DER, in their order; `None` when it is malformed.
pub(super) fn alternative_names(certificate: &[u8]) -> Option<Vec<String>> {
    let parts = Items(expect(SEQUENCE, &mut Items(expect(SEQUENCE, &mut Items(certificate))?))?);
    let mut names = Vec::new();
    for part in parts {
        let (tag, content) = part?;
        if tag != EXTENSIONS {
            continue;
        }
        for extension in Items(expect(SEQUENCE, &mut Items(content))?) {
            let (_, extension) = extension?;
            push_names(extension, &mut names)?;
        }
    }
    Some(names)
}

/// Adds the names of an extension, if it is that of alternative names.
fn push_names(extension: &[u8], names: &mut Vec<String>) -> Option<()> {
    let mut fields = Items(extension);
    if expect(OBJECT, &mut fields)? != ALTERNATIVE_NAME {
        return Some(());
    }
    // Between the two may stand whether the extension is critical.
    let (mut tag, mut value) = fields.next()??;
    if tag != OCTETS {
        (tag, value) = fields.next()??;
    }
    if tag != OCTETS {
        return None;
    }
    for name in Items(expect(SEQUENCE, &mut Items(value))?) {
        match name? {
            (EMAIL | DNS | URI, text) if text.is_ascii() => {
                names.push(String::from_utf8(text.to_vec()).ok()?);
            }
            (EMAIL | DNS | URI, _) => return None,
            (ADDRESS, bytes) => names.push(address(bytes)?.to_canonical().to_string()),
            _ => {}
        }
    }
    Some(())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| IpAddr::V4(Ipv4Addr::from(b)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|b| IpAddr::V6(Ipv6Addr::from(b)))).ok()
}

/// The content of the next item, which must have this tag.
fn expect<'a>(tag: u8, items: &mut Items<'a>) -> Option<&'a [u8]> {
    items.next()?.filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// Tags and contents of items that lie behind each other. A malformed one is `Some(None)`, and ends it.
struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = Option<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = split(self.0);
        self.0 = item.map_or(&[], |(_, _, rest)| rest);
        Some(item.map(|(tag, content, _)| (tag, content)))
    }
}

/// Tag, content and what follows. Lengths have at most three bytes: no certificate is larger in a handshake.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn every_kind() -> Vec<u8> {
        certificate(vec![
            SanType::DnsName("*.a.example".try_into().unwrap()),
            SanType::Rfc822Name("me@a.example".try_into().unwrap()),
            SanType::URI("spiffe://a/b".try_into().unwrap()),
            SanType::IpAddress("10.1.2.3".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::IpAddress("::ffff:10.1.2.4".parse().unwrap()),
            SanType::OtherName((vec![1, 3, 6], rcgen::OtherNameValue::Utf8String("other".to_owned()))),
        ])
    }

    #[test]
    fn names_of_every_kind_are_found() {
        let expected = ["*.a.example", "me@a.example", "spiffe://a/b", "10.1.2.3", "2001:db8::1", "10.1.2.4"];
        assert_eq!(alternative_names(&every_kind()).unwrap(), expected);
        assert_eq!(alternative_names(&certificate(Vec::new())), Some(Vec::new()));
        assert_eq!(alternative_names(b""), None);
    }

    #[test]
    fn a_cut_certificate_has_no_names() {
        let whole = every_kind();
        for length in 0..whole.len() {
            assert_eq!(alternative_names(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = alternative_names(&bytes);
        }

        #[test]
        fn a_flipped_byte_does_no_harm(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut bytes = every_kind();
            let at = at.index(bytes.len());
            bytes[at] = with;
            let _ = alternative_names(&bytes);
        }
    }
}
