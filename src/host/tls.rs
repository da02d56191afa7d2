//! Whom a connection trusts.

use std::fmt;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// How a server has to prove who it is.
#[derive(Clone, Default)]
pub enum Tls {
    /// By a certificate of one of the web's authorities, those the program has with it.
    #[default]
    System,
    /// By a certificate of one of these, and of nobody else.
    Roots(Roots),
    /// Not at all: whoever is in between can read and change everything.
    Insecure,
}

/// Certificates of authorities: one at least. Cloning copies nothing.
#[derive(Clone)]
pub struct Roots(RootCerts);

impl Roots {
    /// Those of a PEM file; whatever else is in it counts for nothing.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                Ok(_) => {}
                Err(_) => return Err("it is no valid PEM file".into()),
            }
        }
        if certificates.is_empty() {
            return Err("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)".into());
        }
        Ok(Self(RootCerts::new_with_certs(&certificates)))
    }
}

impl Tls {
    /// As the HTTP client takes it.
    pub(super) fn config(&self) -> TlsConfig {
        let builder = TlsConfig::builder();
        match self {
            Self::System => builder,
            Self::Roots(roots) => builder.root_certs(roots.0.clone()),
            Self::Insecure => builder.disable_verification(true),
        }
        .build()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Roots(_) => "Roots",
            Self::Insecure => "Insecure",
        })
    }
}
