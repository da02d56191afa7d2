//! Reads the account: keys, site, endpoints. What is not written comes from the environment names of the vendor's SDK.

use super::{Account, Endpoints};
use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;

/// A site: the account belongs to one of them, whatever region its servers are in.
#[derive(Clone, Copy)]
struct Site {
    bss: &'static str,
    suffix: &'static str,
    /// The region whose STS knows every key of the site.
    sts_region: &'static str,
}

const CHINA: Site =
    Site { bss: "https://bss.myhuaweicloud.com", suffix: "myhuaweicloud.com", sts_region: "cn-north-4" };

const EUROPE: Site =
    Site { bss: "https://bss.myhuaweicloud.eu", suffix: "myhuaweicloud.eu", sts_region: "eu-west-101" };

/// The names, and what they stand for (the vendor's SDK, its region tables).
const SITES: &[(&str, Site)] = &[
    ("china", CHINA),
    ("international", Site { bss: "https://bss-intl.myhuaweicloud.com", sts_region: "ap-southeast-1", ..CHINA }),
    ("europe", EUROPE),
];

/// The names of the sites, in the order in which they are tried for an account whose site nobody knows.
pub fn sites() -> impl Iterator<Item = &'static str> {
    SITES.iter().map(|(name, _)| *name)
}

/// Reads `site`, the endpoints and the keys.
pub fn open(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Account> {
    let site = fields.opt("site", |value| value.word(SITES));
    let endpoint = fields.opt("endpoint", |value| check_base(value.text()?));
    if !fields.has("site") && !fields.has("endpoint") {
        fields.error("site is missing: china, international or europe, that of the account (or endpoint, an address)");
    }
    let written = fields.has("access_key");
    let access = keeper.need_or_env(fields, "access_key", "HUAWEICLOUD_SDK_AK");
    let secret = keeper.need_or_env(fields, "secret_key", "HUAWEICLOUD_SDK_SK");
    let token = if written || fields.has("security_token") {
        keeper.opt(fields, "security_token")
    } else {
        // Of the same key: a token of the environment says nothing of a key that is written here.
        keeper.env_if_set("HUAWEICLOUD_SDK_SECURITY_TOKEN")
    };
    let base = |key: &str, variable: Option<&str>| {
        let written = fields.opt(key, |value| check_base(value.text()?));
        let from_env = || check_base(&keeper.variable(variable?)?).ok();
        written.or_else(from_env)
    };
    // An endpoint alone may tell the site.
    let european = endpoint.as_ref().is_some_and(|base| base.ends_with(EUROPE.suffix));
    let near = site.unwrap_or(if european { EUROPE } else { CHINA });
    let endpoints = Endpoints {
        bss: endpoint.unwrap_or_else(|| near.bss.into()),
        iam: base("iam_endpoint", Some("HUAWEICLOUD_SDK_IAM_ENDPOINT")),
        sts: base("sts_endpoint", Some("HUAWEICLOUD_SDK_STS_ENDPOINT"))
            .unwrap_or_else(|| format!("https://sts.{}.{}", near.sts_region, near.suffix)),
        config: base("config_endpoint", None).unwrap_or_else(|| format!("https://rms.{}", near.suffix)),
        ecs: base("ecs_endpoint", None),
        suffix: near.suffix,
    };
    let domain = fields.opt("domain_id", |value| super::check_id(value.text()?));
    let domain = domain.or_else(|| keeper.variable("HUAWEICLOUD_SDK_DOMAIN_ID"));
    Some(Account { access: access?, secret: secret?, token, endpoints, domain })
}

/// `https://HOST[:PORT][/PATH]`, without a slash at the end; `http` too, for tests and for proxies that add TLS.
fn check_base(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| format!("{text:?} is no http or https address"))?;
    let plain = |c: char| c.is_ascii_graphic() && !"?#@\"<>\\^`{|}%".contains(c);
    if rest.is_empty() || rest.starts_with('/') || !rest.chars().all(plain) {
        return Err(format!("{text:?} is no address such as \"https://bss.myhuaweicloud.com\""));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Ids separated by commas or as items of a list: trimmed, without empty ones and repetitions.
pub fn read_ids(value: &Value<'_>) -> Result<Vec<String>, String> {
    let texts = if value.text().is_ok() { vec![value.text()?.to_owned()] } else { value.texts()? };
    let mut ids: Vec<String> = Vec::new();
    for id in texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|id| !id.is_empty()) {
        let id = super::check_id(id)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() { Err("at least one id is expected".into()) } else { Ok(ids) }
}
