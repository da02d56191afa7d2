//! Exchanges over real TLS on loopback: whom a connection trusts. The certificates and the server are OpenSSL's.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::super::super::{Roots, Tls};
use super::*;

const CONFIG: &str = "[req]\ndistinguished_name = name\n[name]\n\
    [ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n\
    [leaf]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";

#[track_caller]
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A CA of this name: `NAME.pem` and `NAME.key`.
fn make_ca(folder: &Path, name: &str) -> Tls {
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -config config -extensions ca";
    openssl(folder, &format!("{new} -subj /CN={name} -keyout {name}.key -out {name}.pem"));
    Tls::Roots(Roots::from_pem(&fs::read(folder.join(format!("{name}.pem"))).unwrap()).unwrap())
}

/// `openssl s_server`, which answers every GET with a page of its own.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// With a certificate for 127.0.0.1 by the CA.
    fn start(folder: &Path, ca: &str) -> Self {
        let new =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -config config -extensions leaf";
        openssl(folder, &format!("{new} -subj /CN=node -CA {ca}.pem -CAkey {ca}.key -keyout leaf.key -out leaf.pem"));
        let mut child = Command::new("openssl")
            .args("s_server -accept 127.0.0.1:0 -cert leaf.pem -key leaf.key -www".split(' '))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok()).unwrap();
        // It ends when nobody reads what it prints.
        thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    fn ask(&self, host: &str, tls: &Tls) -> Result<Response, HttpError> {
        let request = Request {
            method: "GET",
            url: format!("https://{host}:{}/", self.port),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(10),
            proxy: None,
            tls: tls.clone(),
            body_limit: 1 << 20,
        };
        exchange(&request, &ClockCheck::default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn only_those_trusted_are_talked_to() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config"), CONFIG).unwrap();
    let (ours, other) = (make_ca(folder.path(), "ours"), make_ca(folder.path(), "other"));
    let server = Server::start(folder.path(), "ours");
    for tls in [&ours, &Tls::Insecure] {
        let response = server.ask("127.0.0.1", tls).unwrap();
        assert_eq!(response.status, 200);
        assert!(String::from_utf8_lossy(&response.body).contains("s_server"), "its page");
    }
    assert_eq!(server.ask("localhost", &Tls::Insecure).unwrap().status, 200);
    for (host, tls, why) in [
        ("127.0.0.1", &other, "UnknownIssuer"),
        ("127.0.0.1", &Tls::System, "UnknownIssuer"),
        ("localhost", &ours, "not valid for name"),
    ] {
        let error = server.ask(host, tls).expect_err("no trust");
        assert!(error.text.starts_with("TLS: invalid peer certificate: "), "{}", error.text);
        assert!(error.text.contains(why), "{tls:?} {host}: {}", error.text);
        assert_eq!(error.reached, Reached::No, "the request was not sent");
    }
}

#[test]
fn roots_are_certificates() {
    let fails = |pem: &str| Roots::from_pem(pem.as_bytes()).err().unwrap();
    for pem in ["", "text", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert_eq!(fails(pem), "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    }
    for pem in ["-----BEGIN CERTIFICATE-----\nAAAA\n", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"] {
        assert_eq!(fails(pem), "it is no valid PEM file");
    }
}
