//! TLS over real sockets: who is asked for a certificate, what is spoken, and files that change under load.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guard::Folder;
use super::*;

/// An authority and what it signed, as PEM.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key.
    fn sign(&self, names: &[SanType]) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn local() -> [SanType; 1] {
    [SanType::IpAddress("127.0.0.1".parse().unwrap())]
}

/// A folder with the server's certificate and `ca.pem`; `more` are lines of `tls_server_config`.
pub(super) fn folder(authority: &Authority, more: &str) -> Folder {
    let lines = format!("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{more}");
    let folder = Folder::new(&lines);
    renew(&folder, authority);
    folder.write("ca.pem", &authority.pem());
    folder
}

fn renew(folder: &Folder, authority: &Authority) {
    let (cert, key) = authority.sign(&local());
    folder.write("cert.pem", &cert);
    folder.write("key.pem", &key);
}

/// How a client connects.
#[derive(Default)]
pub(super) struct Client<'a> {
    pub(super) identity: Option<&'a (String, String)>,
    pub(super) protocols: Vec<Vec<u8>>,
    pub(super) only_12: bool,
}

impl Client<'_> {
    fn config(&self, authority: &Authority) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let versions: &[_] = if self.only_12 {
            &[&rustls::version::TLS12]
        } else {
            &[&rustls::version::TLS12, &rustls::version::TLS13]
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }

    pub(super) async fn connect(
        &self,
        server: &Server,
        authority: &Authority,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connect(server).await;
        TlsConnector::from(Arc::new(self.config(authority))).connect(name, stream).await
    }

    /// The body of `/`, or how it failed.
    async fn ask(&self, server: &Server, authority: &Authority) -> Result<String, String> {
        let asked = async {
            let mut stream = self.connect(server, authority).await?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer.split_once("\r\n\r\n").map_or(answer.clone(), |(_, body)| body.to_owned()))
        };
        let in_time = tokio::time::timeout(LONG, asked).await.expect("an answer in time");
        in_time.map_err(|e: std::io::Error| e.to_string())
    }
}

pub(super) fn serve(folder: &Folder) -> (Server, Arc<Double>) {
    start_guarded(10, LONG, Some(folder.open().unwrap()))
}

#[tokio::test]
async fn clients_are_asked_for_certificates_as_the_policy_says() {
    let authority = Authority::new();
    let own = authority.sign(&[]);
    let strangers = Authority::new().sign(&[]);
    // The letters: without a certificate, with a stranger's, with our own.
    for (policy, expected) in [
        ("NoClientCert", "yyy"),
        ("RequestClientCert", "yyy"),
        ("RequireAnyClientCert", "nyy"),
        ("RequireClientCert", "nyy"),
        ("VerifyClientCertIfGiven", "yny"),
        ("RequireAndVerifyClientCert", "nny"),
    ] {
        for file in ["  client_ca_file: ca.pem\n", ""] {
            let authorities = if policy == "NoClientCert" { "" } else { file };
            let folder = folder(&authority, &format!("  client_auth_type: {policy}\n{authorities}"));
            let (server, _) = serve(&folder);
            for (identity, letter) in [None, Some(&strangers), Some(&own)].into_iter().zip(expected.chars()) {
                // Without authorities of its own, the system's judge: they did not sign ours.
                let own_by_system = authorities.is_empty() && identity.is_some() && policy.contains("Verif");
                let expected = letter == 'y' && !own_by_system;
                for only_12 in [false, true] {
                    let client = Client { identity, only_12, ..Client::default() };
                    let got = client.ask(&server, &authority).await;
                    assert_eq!(
                        got.is_ok(),
                        expected,
                        "{policy} {authorities:?} {}: {got:?}",
                        identity.is_some()
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_client_certificate_must_have_an_allowed_name() {
    let authority = Authority::new();
    let named = |name: &str| authority.sign(&[SanType::DnsName(name.try_into().unwrap())]);
    let address = authority.sign(&[SanType::IpAddress("10.0.0.1".parse().unwrap())]);
    let (good, other, none) = (named("good.example"), named("other.example"), authority.sign(&[]));
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let folder_of = |names: &str| folder(&authority, &format!("{policy}  client_allowed_sans: {names}\n"));
    for (names, identity, expected) in [
        ("[good.example, 10.0.0.1]", &good, true),
        ("[good.example, 10.0.0.1]", &address, true),
        ("[good.example, 10.0.0.1]", &other, false),
        ("[good.example, 10.0.0.1]", &none, false),
        ("['*.example']", &good, false),
        ("[]", &good, false),
        ("", &none, true),
    ] {
        let folder = folder_of(names);
        let (server, _) = serve(&folder);
        let client = Client { identity: Some(identity), ..Client::default() };
        let got = client.ask(&server, &authority).await;
        assert_eq!(got.is_ok(), expected, "{names}: {got:?}");
    }
    // Names can only be looked for in a certificate that is there.
    let folder = folder(&authority, "  client_auth_type: RequestClientCert\n  client_allowed_sans: [a]\n");
    assert!(Client::default().ask(&serve(&folder).0, &authority).await.is_err());
}

/// `openssl req -x509` marks what it makes as an authority; Go accepts it as a client's certificate all the same.
#[tokio::test]
async fn a_self_signed_client_certificate_that_is_listed_is_accepted() {
    let authority = Authority::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let identity = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let folder =
        folder(&authority, "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n");
    folder.write("clients.pem", &identity.0);
    let (server, _) = serve(&folder);
    let client = Client { identity: Some(&identity), ..Client::default() };
    assert_eq!(client.ask(&server, &authority).await.as_deref(), Ok("hello"));
    let stranger = Client { identity: Some(&authority.sign(&[])), ..Client::default() };
    assert!(stranger.ask(&server, &authority).await.is_err());
}

#[tokio::test]
async fn versions_suites_and_curves_are_kept_to() {
    let authority = Authority::new();
    for (lines, with_13, with_12) in [
        ("", "TLSv1_3", "TLSv1_2"),
        ("  max_version: TLS12\n", "TLSv1_2", "TLSv1_2"),
        ("  min_version: TLS13\n", "TLSv1_3", ""),
        ("  min_version: TLS10\n", "TLSv1_3", "TLSv1_2"),
        (
            "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
            "TLSv1_3",
            "TLSv1_2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
            "TLSv1_2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLSv1_2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
        ("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n", "TLSv1_3", ""),
        (
            "  curve_preferences: [CurveP521, CurveP384]\n",
            "TLSv1_3 TLS13_AES_256_GCM_SHA384 secp384r1",
            "TLSv1_2",
        ),
    ] {
        let folder = folder(&authority, lines);
        let (server, _) = serve(&folder);
        for (only_12, expected) in [(false, with_13), (true, with_12)] {
            let client = Client { only_12, ..Client::default() };
            let connected = client.connect(&server, &authority).await;
            let got = connected.map_or_else(
                |_| String::new(),
                |stream| {
                    let tls = stream.get_ref().1;
                    let group = tls.negotiated_key_exchange_group().unwrap().name();
                    format!(
                        "{:?} {:?} {group:?}",
                        tls.protocol_version().unwrap(),
                        tls.negotiated_cipher_suite().unwrap().suite()
                    )
                },
            );
            assert!(got.starts_with(expected) && got.is_empty() == expected.is_empty(), "{lines}: {got:?}");
        }
    }
}

#[tokio::test]
async fn certificate_key_and_authorities_may_stand_in_the_file_itself() {
    let authority = Authority::new();
    let (cert, key) = authority.sign(&local());
    let block = |name: &str, pem: &str| format!("  {name}: |\n    {}\n", pem.trim().replace('\n', "\n    "));
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n";
    let texts = [block("cert", &cert), block("key", &key), block("client_ca", &authority.pem())].concat();
    let folder = Folder::new(&format!("tls_server_config:\n{policy}{texts}"));
    let (server, _) = serve(&folder);
    let own = authority.sign(&[]);
    let client = Client { identity: Some(&own), ..Client::default() };
    assert_eq!(client.ask(&server, &authority).await.as_deref(), Ok("hello"));
    assert!(Client::default().ask(&server, &authority).await.is_err());
    assert!(!format!("{server:?}", server = folder.open()).contains("PRIVATE KEY"), "a key never prints");
}

/// Made by `openssl x509 -req`: of version 1.
const OLD_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBFTCBvQIUXELxwSnshDcjnGz3drdAbUDV7S8wCgYIKoZIzj0EAwIwDjEMMAoG\n\
    A1UEAwwDb2xkMB4XDTI2MTEyMzE0MDQxMloXDTM2MTEyMDE0MDQxMlowDjEMMAoG\n\
    A1UEAwwDb2xkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/8JHnreH1LhCu2rA\n\
    ban6gGHWyDD0K6+DGzpEuRsZloCji1RSm45U4EIIbWpIMPcbBfpnLmQBfH+19ejg\n\
    oZpmFzAKBggqhkjOPQQDAgNHADBEAiA20rDbWk/rcZ3GzRjndvu84UhGBIBeTmij\n\
    olOidTQFYwIgF0+4m8xSJJ78RrQe9bc+Tl7B2eNfMxfLmg72MVLBl/k=\n\
    -----END CERTIFICATE-----";
const OLD_KEY: &str = "-----BEGIN EC PRIVATE KEY-----\n\
    MHcCAQEEIBHxzFZMwjqRZ3JBmZiwswENSDmFOUXuYdVOpk8Hb71UoAoGCCqGSM49\n\
    AwEHoUQDQgAE/8JHnreH1LhCu2rAban6gGHWyDD0K6+DGzpEuRsZloCji1RSm45U\n\
    4EIIbWpIMPcbBfpnLmQBfH+19ejgoZpmFw==\n\
    -----END EC PRIVATE KEY-----";

#[test]
fn a_certificate_of_version_1_can_be_shown() {
    let folder = Folder::new("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n");
    folder.write("cert.pem", OLD_CERTIFICATE);
    folder.write("key.pem", OLD_KEY);
    assert!(folder.open().is_ok());
    folder.write("cert.pem", &OLD_CERTIFICATE.replace('B', "C"));
    assert!(folder.open().is_err());
}

#[test]
fn what_cannot_be_served_is_refused_at_start() {
    let authority = Authority::new();
    for (lines, expected) in [
        ("  min_version: TLS13\n  max_version: TLS12\n", "must be greater than"),
        ("  max_version: TLS11\n", "not supported: use TLS12 or TLS13"),
        ("  curve_preferences: [CurveP521]\n", "names only curves that are not supported"),
        (
            "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
            "http2: TLSConfig.CipherSuites is missing an HTTP/2-required",
        ),
        (
            "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\nhttp_server_config: {http2: false}\n",
            "cipher_suites names none",
        ),
        (
            "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: key.pem\n",
            "client_ca holds no certificate",
        ),
        ("  client_auth_type: Always\n", "invalid ClientAuth: Always"),
        ("  client_ca_file: ca.pem\n", "without a Client Auth Policy"),
    ] {
        let got = folder(&authority, lines).open().unwrap_err().to_string();
        assert!(got.contains(expected) && got.contains("web.yml"), "{lines}: {got}");
    }
    let folder = folder(&authority, "");
    folder.write("key.pem", &authority.sign(&[]).1);
    let got = folder.open().unwrap_err().to_string();
    assert!(got.contains("failed to load X509KeyPair: tls: private key does not match public key"), "{got}");
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_so() {
    let authority = Authority::new();
    let folder = folder(&authority, "");
    let (server, _) = serve(&folder);
    for (words, expected) in [
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        ),
        ("QUERY / HTTP/1.1\r\n\r\n", "\u{15}"),
    ] {
        let mut stream = connect(&server).await;
        send(&mut stream, words).await;
        let mut answer = Vec::new();
        tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("in time").unwrap();
        assert!(answer.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off_and_gives_its_slot_back() {
    let authority = Authority::new();
    let folder = folder(&authority, "");
    let (server, _) = start_guarded(1, Duration::from_millis(100), Some(folder.open().unwrap()));
    for words in ["", "\u{16}\u{3}\u{1}"] {
        let mut stream = connect(&server).await;
        send(&mut stream, words).await;
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
        // Closed, or reset because of what was not read.
        drop(closed.expect("closed in time"));
    }
    assert_eq!(Client::default().ask(&server, &authority).await.as_deref(), Ok("hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_load_without_a_failed_request() {
    let authority = Authority::new();
    let folder = folder(&authority, "");
    let (server, _) = serve(&folder);
    let serial = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut seen = vec![serial(&Client::default().connect(&server, &authority).await.unwrap())];
    for _ in 0..5 {
        let (cert, key) = authority.sign(&local());
        folder.write("cert.pem", &cert);
        // Certificate and key do not belong together now.
        for _ in 0..3 {
            assert_eq!(Client::default().ask(&server, &authority).await.as_deref(), Ok("hello"));
        }
        folder.write("key.pem", &key);
        let now = serial(&Client::default().connect(&server, &authority).await.unwrap());
        assert!(!seen.contains(&now), "the new certificate is shown at once");
        seen.push(now);
    }
    // A cut file, a missing file: the one before stays.
    folder.write("cert.pem", "-----BEGIN CERT");
    assert!(Client::default().ask(&server, &authority).await.is_ok());
    std::fs::remove_file(folder.path().join("key.pem")).unwrap();
    assert!(Client::default().ask(&server, &authority).await.is_ok());
}

#[tokio::test]
async fn who_is_asked_and_who_signs_is_followed_without_a_restart() {
    let authority = Authority::new();
    let folder = folder(&authority, "");
    let (server, _) = serve(&folder);
    let own = authority.sign(&[]);
    let (without, with) = (Client::default(), Client { identity: Some(&own), ..Client::default() });
    assert!(without.ask(&server, &authority).await.is_ok());
    let lines = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    folder.write("web.yml", &format!("{lines}{policy}"));
    assert!(without.ask(&server, &authority).await.is_err());
    assert!(with.ask(&server, &authority).await.is_ok());
    folder.write("ca.pem", &Authority::new().pem());
    assert!(with.ask(&server, &authority).await.is_err(), "the authority is another");
    folder.write("ca.pem", "nothing");
    assert!(with.ask(&server, &authority).await.is_err(), "wrong authorities let nobody in");
    folder.write("ca.pem", &authority.pem());
    assert!(with.ask(&server, &authority).await.is_ok());
    for wrong in ["{", "", "tls_server_config: {cert_file: nosuch.pem, key_file: key.pem}\n"] {
        folder.write("web.yml", wrong);
        assert!(with.ask(&server, &authority).await.is_err(), "{wrong:?} closes the door");
    }
    folder.write("web.yml", lines);
    assert!(without.ask(&server, &authority).await.is_ok());
}
