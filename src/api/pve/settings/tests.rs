//! What a table of the configuration comes to, and the errors with their lines.

use toml::de::DeTable;

use super::super::wire::Wire;
use super::*;
use crate::config::fields::Findings;
use crate::config::secret::Need;

/// The cluster and the warnings, or the errors.
fn read_with(host: &Wire, text: &str, need: Need) -> Result<(Cluster, Vec<String>), Vec<String>> {
    let table = DeTable::parse(text).unwrap();
    let findings = Findings::new("c.toml", text);
    let fields = Fields::root(&findings, &table).table("source").table("pve");
    let cluster = open(&fields, &Keeper::new(host, need));
    fields.finish();
    findings.finish().map(|(warnings, _)| (cluster.unwrap(), warnings))
}

fn read(text: &str) -> Result<(Cluster, Vec<String>), Vec<String>> {
    read_with(&Wire::default(), text, Need::Secrets)
}

#[track_caller]
fn fails(text: &str) -> Vec<String> {
    read(text).unwrap_err()
}

fn table(api: &str, more: &str) -> String {
    format!(
        "[source.pve]\napi = {api}\ntoken_id = \"netquota@pve!quota\"\n\
         token_secret = \"5c1a7a52-0000-4000-8000-1234567890ab\"\n{more}\n"
    )
}

#[track_caller]
fn addresses(api: &str) -> Vec<String> {
    read(&table(api, "")).unwrap().0.api
}

#[test]
fn addresses_have_a_scheme_and_a_port() {
    assert_eq!(addresses("\"https://pve1\""), ["https://pve1:8006"]);
    assert_eq!(
        addresses(
            "[\"https://PVE1.example.com/\", \"https://10.0.0.1:443\", \"https://[fd00::1]\", \"https://pve1.example.com:8006\"]"
        ),
        ["https://pve1.example.com:8006", "https://10.0.0.1:443", "https://[fd00::1]:8006"]
    );
    for local in ["http://127.0.0.1:8006", "http://localhost:1", "http://[::1]:8006"] {
        assert_eq!(addresses(&format!("{local:?}")), [local]);
    }
}

#[test]
fn wrong_addresses_are_errors_with_their_line() {
    let no = |text: &str, why: &str| {
        let expected = format!("c.toml:2: source.pve.api: {text:?} is no address such as \"https://pve1:8006\"{why}");
        assert_eq!(fails(&table(&format!("{text:?}"), "")), [expected]);
    };
    for text in [
        "pve1",
        "pve1:8006",
        "ftp://pve1",
        "https://",
        "https://pve 1",
        "https://pve1:0",
        "https://pve1:65536",
        "https://pve1:+1",
        "https://pve1:",
        "https://fd00::1",
        "https://[fd00::g]",
        "https://[fd00::1]x",
        "https://]:1",
    ] {
        no(text, "");
    }
    for text in ["https://pve1:8006/api2/json", "https://pve1/?x", "https://pve1#x", "https://pve1//"] {
        no(text, ": it ends with the port");
    }
    for text in ["http://pve1:8006", "http://127.example.com", "http://10.0.0.1"] {
        no(text, ": http would send the token unencrypted");
    }
    let user = fails(&table("[\"https://pve1\", \"https://root:hunter2@pve2\"]", ""));
    let expected = "c.toml:2: source.pve.api: an address has no user and password: those are token_id and token_secret";
    assert_eq!(user, [expected]);
    let empty = "c.toml:2: source.pve.api: it is empty: an address such as \"https://pve1:8006\" is expected";
    assert_eq!(fails(&table("[]", "")), [empty]);
    assert_eq!(fails(&table("7", "")), ["c.toml:2: source.pve.api: a list is expected, not a whole number"]);
}

#[test]
fn what_is_missing_is_said() {
    let errors = fails("\n[source.pve]\ntoken = 1\n");
    for expected in
        ["source.pve: api is missing", "source.pve: token_id is missing", "source.pve: token_secret is missing"]
    {
        assert!(errors.iter().any(|error| error.ends_with(expected)), "{errors:?}");
    }
    assert!(errors.iter().any(|error| error.starts_with("c.toml:3: source.pve.token: unknown key")), "{errors:?}");
}

#[test]
fn token_ids_are_checked_and_never_repeated() {
    let with =
        |id: &str| read(&format!("[source.pve]\napi = \"https://a\"\ntoken_id = {id:?}\ntoken_secret = \"x\"\n"));
    for id in ["root@pam!monitor", "a.b+c@d@my-realm!T_1.x", "用户@pve!quota"] {
        assert_eq!(with(id).unwrap().0.token_id(), id);
    }
    for id in
        ["", "root@pam", "root!quota", "@pam!quota", "root@pam!", "root@pam!1x", "ro ot@pam!quota", "r/t@pam!quota"]
    {
        let errors = with(id).unwrap_err();
        let expected = "c.toml:3: source.pve.token_id: USER@REALM!TOKENID is expected, such as \"netquota@pve!quota\"";
        assert_eq!(errors, [expected], "{id}");
    }
    let errors = with("root@pam!quota=5c1a7a52-0000").unwrap_err();
    let expected =
        "c.toml:3: source.pve.token_id: USER@REALM!TOKENID is expected, without = and the secret: that is token_secret";
    assert_eq!(errors, [expected]);
}

#[test]
fn secrets_have_no_blanks_and_are_needed_by_some_commands_only() {
    let with = |secret: &str, need| {
        let text = format!("[source.pve]\napi = \"https://a\"\ntoken_id = \"a@pve!bb\"\ntoken_secret = {secret}\n");
        read_with(&Wire::default(), &text, need)
    };
    for secret in ["\"a b\"", "\"a\\n\""] {
        let errors = with(secret, Need::Secrets).unwrap_err();
        assert_eq!(errors, ["c.toml:4: source.pve.token_secret: there are blanks in it"]);
    }
    assert!(with("{ file = \"/none\" }", Need::Nothing).is_ok());
    let errors = with("{ file = \"/none\" }", Need::Secrets).unwrap_err();
    assert_eq!(errors, ["c.toml:4: source.pve.token_secret: /none: no such file"]);
}

/// The form of a certificate; what is in it is looked at when a connection is made.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

#[test]
fn whom_to_trust() {
    let files = [("/ca.pem", PEM), ("/key.pem", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let mut host = Wire::default();
    host.files = files.into();
    let with = |more: &str, need| read_with(&host, &table("\"https://pve1\"", more), need);
    let (cluster, warnings) = with("", Need::Secrets).unwrap();
    assert!(matches!(cluster.tls, Tls::System) && warnings.is_empty());
    let (cluster, warnings) = with("ca_file = \"/ca.pem\"", Need::Secrets).unwrap();
    assert!(matches!(cluster.tls, Tls::Roots(_)) && warnings.is_empty());
    assert!(with("ca_file = \"/none.pem\"", Need::Nothing).is_ok(), "not read");
    let (cluster, warnings) = with("tls = \"insecure\"", Need::Secrets).unwrap();
    assert!(matches!(cluster.tls, Tls::Insecure));
    assert_eq!(
        warnings,
        [
            "source.pve.tls: insecure: certificates are not checked, so whoever is in between can take the token: set ca_file instead"
        ]
    );
    let no_certificate = "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
    for (more, expected) in [
        ("ca_file = \"/none.pem\"", "c.toml:5: source.pve.ca_file: /none.pem: no such file".to_owned()),
        ("ca_file = \"/key.pem\"", format!("c.toml:5: source.pve.ca_file: /key.pem: {no_certificate}")),
        ("ca_file = 1", "c.toml:5: source.pve.ca_file: a text in quotes is expected, not a whole number".into()),
        ("tls = \"off\"", "c.toml:5: source.pve.tls: \"off\" is not known; nearest are insecure".into()),
        (
            "ca_file = \"/ca.pem\"\ntls = \"insecure\"",
            "c.toml:6: source.pve.tls: ca_file says whom to trust, tls = \"insecure\" to trust anybody: \
             leave one of them out"
                .into(),
        ),
    ] {
        assert_eq!(with(more, Need::Secrets).unwrap_err(), [expected]);
    }
}
