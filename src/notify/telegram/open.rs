//! Reads the settings.

use super::{Chat, Telegram, check_base, check_proxy, check_token};
use crate::config::fields::{Fields, Value};
use crate::config::secret::Keeper;
use crate::notify::Notifier;
use crate::secret::Secret;

/// Where the Bot API is.
const API: &str = "https://api.telegram.org";

/// Reads `token`, `chat`, `api_base`, `proxy` and `silent`.
pub fn open(fields: &Fields<'_>, keeper: &Keeper<'_>) -> Option<Box<dyn Notifier>> {
    let token = keeper.need(fields, "token");
    if let Some(token) = token.as_ref().filter(|token| !token.expose().is_empty())
        && let Err(error) = check_token(token.expose())
    {
        fields.error_at("token", error);
    }
    let chat = fields.need("chat", |value| Chat::parse(&value.text_or_number()?));
    let api_base = fields.or("api_base", API.to_owned(), &format!("{API:?}"), |value| check_base(value.text()?));
    let proxy = if fields.value("proxy").is_some_and(|value| value.text().is_ok_and(|text| !text.contains('@'))) {
        // Without a user and a password in it, it is no secret.
        fields.opt("proxy", |value| value.text().map(Secret::new))
    } else {
        keeper.opt(fields, "proxy")
    };
    if let Some(proxy) = proxy.as_ref().filter(|proxy| !proxy.expose().is_empty())
        && let Err(error) = check_proxy(proxy.expose())
    {
        fields.error_at("proxy", error);
    }
    let silent = fields.or("silent", false, "false", Value::boolean);
    Some(Box::new(Telegram { token: token?, chat: chat?, api_base, proxy, silent }))
}
