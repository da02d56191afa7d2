//! To which hub this machine reports, and as whom.
//!
//! No error repeats an address with a user name in it: a password may stand there.

use std::time::Duration;

use ureq::http::Uri;

use super::address::is_loopback;
use super::fields::{Fields, Value};
use super::secret::Keeper;
use crate::fleet::report::wrong_with;
use crate::host::Tls;
use crate::quota::glob;
use crate::secret::Secret;

/// Where hubs take reports.
const PATH: &str = "/api/report";
/// A push of one minute is over before that of the next begins.
const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// The settings of `push`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the hub, as messages name it: without [`PATH`] and without a slash at its end.
    pub hub: String,
    /// What the hub lets nodes report with.
    pub password: Secret,
    /// By which the hub knows this machine.
    pub hostname: String,
    /// Whose counters are told; none: that of the default route.
    pub interface: Option<String>,
    /// For the whole exchange.
    pub timeout: Duration,
    /// Whom to trust.
    pub tls: Tls,
}

impl Settings {
    /// Where reports go.
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.hub)
    }
}

/// Reads `url`, `password`, `hostname`, `interface`, `timeout` and `ca_file`. None when there is no such table, or when
/// something is wrong, which is then reported. `host_name` is what the machine is called elsewhere.
pub fn read(fields: Fields<'_>, keeper: &Keeper<'_>, host_name: &str) -> Option<Settings> {
    if !fields.is_written() {
        return None;
    }
    let hub = fields.need("url", |value| read_hub(value.text()?));
    let password = keeper.need(&fields, "password");
    let hostname = read_hostname(&fields, host_name);
    let interface = fields.opt("interface", read_interface);
    let timeout = fields.or("timeout", Duration::from_secs(10), "\"10 s\"", |value| {
        let timeout = value.duration()?;
        let sensible = (Duration::from_secs(1)..=LONGEST_WAIT).contains(&timeout);
        if sensible { Ok(timeout) } else { Err("between 1 s and 50 s is expected".into()) }
    });
    let tls = keeper.tls(&fields, "ca_file");
    if hub.as_deref().is_some_and(is_in_the_clear) {
        fields.findings().warn(
            "push.url: http sends the password unencrypted, so that whoever is in between can read it: use https, unless \
             all of the way is a tunnel or a network of your own"
                .into(),
        );
    }
    fields.finish();
    Some(Settings { hub: hub?, password: password?, hostname: hostname?, interface, timeout, tls: tls? })
}

/// `http://HOST[:PORT][/PATH]` or the same with `https`, with [`PATH`] or without.
fn read_hub(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "an address such as \"https://hub.example\" is expected";
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    if after_scheme.split('/').next().unwrap_or_default().contains('@') {
        return Err(format!("{EXPECTED}, without a user name: the password is that under password"));
    }
    if text.contains(['?', '#']) {
        return Err(format!("{EXPECTED}, without ? and #"));
    }
    let address: Uri = text.parse().map_err(|_| format!("{text:?} is no address: {EXPECTED}"))?;
    if !matches!(address.scheme_str(), Some("http" | "https")) {
        return Err(format!("{text:?} does not begin with https:// or http://: {EXPECTED}"));
    }
    let authority = address.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or_else(|| format!("{text:?} has no host: {EXPECTED}"))?;
    let has_port = authority.as_str().len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(format!("{text:?} has no valid port: {EXPECTED}"));
    }
    let base = text.trim_end_matches('/');
    Ok(base.strip_suffix(PATH).unwrap_or(base).trim_end_matches('/').to_owned())
}

/// Whether what is sent to this hub can be read on its way.
fn is_in_the_clear(hub: &str) -> bool {
    let address: Option<Uri> = hub.parse().ok();
    address.is_some_and(|address| address.scheme_str() == Some("http") && !address.host().is_some_and(is_loopback))
}

fn read_hostname(fields: &Fields<'_>, host_name: &str) -> Option<String> {
    let checked = |name: &str| match wrong_with(name) {
        Some(why) => Err(format!("{name:?} cannot be a node's name: {why}")),
        None => Ok(name.to_owned()),
    };
    if fields.has("hostname") {
        return fields.opt("hostname", |value| checked(value.text()?));
    }
    fields.show_default("hostname", &format!("{host_name:?}"));
    checked(host_name).map_err(|why| fields.error_at("hostname", format!("it is missing, and {why}"))).ok()
}

fn read_interface(value: &Value<'_>) -> Result<String, String> {
    match value.text()? {
        "" => Err("it is empty; leave it out for that of the default route".into()),
        name if glob::is_glob(name) => Err(format!("{name:?} is a pattern: the name of one interface is expected")),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;
    use crate::config::fields::Findings;
    use crate::config::secret::{Need, Part};
    use crate::testing::vendor::Vendor;

    fn read_as(name: &str, text: &str, need: Need) -> Result<(Option<Settings>, Vec<String>), Vec<String>> {
        let table = DeTable::parse(text).unwrap();
        let findings = Findings::new("c.toml", text);
        let vendor = Vendor::new().env("PW", "s3cret");
        let keeper = Keeper::new(&vendor, need);
        keeper.reading(Part::Push);
        let settings = read(Fields::root(&findings, &table).table("push"), &keeper, name);
        findings.finish().map(|(warnings, _)| (settings, warnings))
    }

    fn with(text: &str) -> Result<(Settings, Vec<String>), Vec<String>> {
        let text = format!("[push]\n{text}\n");
        read_as("hk-1", &text, Need::Pushing).map(|(settings, warnings)| (settings.expect("settings"), warnings))
    }

    #[test]
    fn two_keys_are_enough() {
        let (settings, warnings) = with("url = \"https://hub.example\"\npassword = { env = \"PW\" }").unwrap();
        assert_eq!(settings.url(), "https://hub.example/api/report");
        assert_eq!((settings.password.expose(), settings.hostname.as_str()), ("s3cret", "hk-1"));
        assert_eq!((settings.interface, settings.timeout), (None, Duration::from_secs(10)));
        assert!(matches!(settings.tls, Tls::System) && warnings.is_empty());
        assert!(read_as("hk-1", "", Need::Pushing).unwrap().0.is_none(), "no table");
    }

    #[test]
    fn the_password_is_looked_for_by_a_push_only() {
        let text = "[push]\nurl = \"https://h\"\npassword = { env = \"NONE\" }\nca_file = \"/none.pem\"\n";
        for need in [Need::Secrets, Need::Sources, Need::History, Need::Sending, Need::Nothing] {
            assert!(read_as("hk-1", text, need).is_ok(), "{need:?}");
        }
        let errors = read_as("hk-1", text, Need::Pushing).expect_err("both are missing");
        assert_eq!(errors[0], "c.toml:3: push.password: the environment variable NONE is not set");
        assert!(errors[1].starts_with("c.toml:4: push.ca_file: "), "{errors:?}");
    }

    #[test]
    fn addresses_may_have_the_path_or_not() {
        for (url, hub) in [
            ("https://hub.example/", "https://hub.example"),
            ("https://hub.example/api/report", "https://hub.example"),
            ("https://hub.example:8443/x/api/report/", "https://hub.example:8443/x"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("HTTPS://Hub/watch@home", "HTTPS://Hub/watch@home"),
        ] {
            assert_eq!(read_hub(url), Ok(hub.into()));
        }
        for url in [
            "",
            "hub.example",
            "hub.example:8080",
            "ftp://hub",
            "https://",
            "https:///x",
            "https://:80",
            "https://u:SECRET@hub",
            "u:SECRET@hub",
            "https://hub?k=SECRET",
            "https://hub#SECRET",
            "https://hub:0",
            "https://hub:99999",
            "https://hub:x",
            "https://hub:",
            "https://h ub",
        ] {
            let error = read_hub(url).expect_err(url);
            assert!(!error.contains("SECRET") && error.contains("https://hub.example"), "{error}");
        }
    }

    #[test]
    fn a_password_in_the_clear_is_a_warning() {
        for (url, warned) in [
            ("http://hub.example", true),
            ("http://192.0.2.1:8080/x", true),
            ("http://localhost:8080", false),
            ("http://127.1.2.3", false),
            ("http://[::1]:80", false),
            ("https://hub.example", false),
        ] {
            let (_, warnings) = with(&format!("url = \"{url}\"\npassword = \"p\"")).unwrap();
            assert_eq!(!warnings.is_empty(), warned, "{url}: {warnings:?}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = "url = \"hub\"\nhostname = \" a\"\ninterface = \"eth*\"\ntimeout = \"2 min\"\nhostnam = 1";
        let errors = with(text).expect_err("all of it is wrong");
        let told = [
            "c.toml:1: push: password is missing",
            "c.toml:2: push.url: \"hub\" does not begin with https:// or http://",
            "c.toml:3: push.hostname: \" a\" cannot be a node's name: it has characters that cannot be seen",
            "c.toml:4: push.interface: \"eth*\" is a pattern",
            "c.toml:5: push.timeout: between 1 s and 50 s is expected",
            "c.toml:6: push.hostnam: unknown key; did you mean \"hostname\"?",
        ];
        assert_eq!(errors.len(), told.len(), "{errors:#?}");
        for (error, told) in errors.iter().zip(told) {
            assert!(error.starts_with(told), "{error}");
        }
        let text = "[push]\nurl = \"https://h\"\npassword = \"p\"\n";
        let errors = read_as(&"x".repeat(254), text, Need::Pushing).expect_err("the machine's name is too long");
        assert!(errors[0].starts_with("c.toml:1: push.hostname: it is missing, and \"xxx"), "{errors:?}");
        let errors = with("url = \"https://h\"\npassword = \"\"\ninterface = \"\"").expect_err("both are empty");
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
