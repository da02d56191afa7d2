//! What a hub's answer to a report means; pure.
//!
//! Only status 200 with `success: true` is an acceptance: a page of something in between with status 200 is none. Hubs
//! of other make answer every refusal with 400, and say the rest in words.

use std::time::Duration;

use serde_json::Value;

use crate::host::Response;
use crate::quota::duration;

/// No longer wait is told.
const LONGEST_WAIT: u64 = 24 * 3600;

/// Whether the hub has taken the report. The error says why not and what to do; `safe` makes the hub's words fit to be
/// shown.
pub(super) fn judge(answer: &Response, safe: &dyn Fn(&str) -> String) -> Result<(), String> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let status = answer.status;
    let words = body["message"].as_str().map(str::trim).filter(|words| !words.is_empty());
    let words = words.map(safe).unwrap_or_else(|| "no reason given".into());
    let refused = |what: &str, advice: &str| Err(format!("{what} ({status}): {words}; {advice}"));
    match (status, body["success"].as_bool()) {
        (200, Some(true)) => Ok(()),
        (300..=399, _) => Err(format!("it redirects ({status}): set push.url to where it leads")),
        (401, _) => refused("the password is refused", "compare push.password with the hub's"),
        (409, _) => refused("another machine reports under this name", "give each a push.hostname of its own"),
        (429, _) => refused("too many reports", &format!("try again {}", when(answer))),
        (500..=599, _) => Err(format!("the hub failed ({status}): {words}")),
        (_, Some(_)) => Err(format!("the report is refused ({status}): {words}")),
        (404 | 405, None) => Err(format!("there is no hub ({status}); check push.url")),
        (_, None) => Err(format!("the answer is not a hub's ({status}); check push.url")),
    }
}

/// After which time, as the answer says it.
fn when(answer: &Response) -> String {
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.trim().parse::<u64>().ok());
    seconds.map_or_else(
        || "later".into(),
        |seconds| format!("in {}", duration::show(Duration::from_secs(seconds.min(LONGEST_WAIT)))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&str, &str)], body: &str) -> Result<(), String> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        judge(&Response { status, headers, body: body.as_bytes().to_vec() }, &|words| words.replace("SECRET", "*"))
    }

    #[test]
    fn only_a_full_yes_is_an_acceptance() {
        assert_eq!(told(200, &[], r#"{"success":true,"message":"ok"}"#), Ok(()));
        assert_eq!(told(200, &[], r#"{"success":true}"#), Ok(()));
        for body in ["", "null", "[]", "<html>ok</html>", r#"{"success":"true"}"#, r#"{"success":tr"#, r#"{"ok":true}"#]
        {
            let error = told(200, &[], body).unwrap_err();
            assert_eq!(error, "the answer is not a hub's (200); check push.url", "{body}");
        }
        let no = told(200, &[], r#"{"success":false,"message":"no SECRET"}"#);
        assert_eq!(no, Err("the report is refused (200): no *".into()));
        assert_eq!(told(202, &[], r#"{"success":true}"#), Err("the report is refused (202): no reason given".into()));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let no = r#"{"success":false,"message":" why SECRET "}"#;
        for (status, headers, body, expected) in [
            (400, &[][..], no, "the report is refused (400): why *"),
            (400, &[], r#"{"success":false,"message":7}"#, "the report is refused (400): no reason given"),
            (400, &[], "Bad Request", "the answer is not a hub's (400); check push.url"),
            (401, &[], no, "the password is refused (401): why *; compare push.password with the hub's"),
            (401, &[], "", "the password is refused (401): no reason given; compare push.password with the hub's"),
            (
                409,
                &[],
                no,
                "another machine reports under this name (409): why *; give each a push.hostname of its own",
            ),
            (413, &[], no, "the report is refused (413): why *"),
            (429, &[], no, "too many reports (429): why *; try again later"),
            (429, &[("retry-after", "90")], no, "too many reports (429): why *; try again in 90 s"),
            (429, &[("retry-after", "soon")], no, "too many reports (429): why *; try again later"),
            (429, &[("retry-after", "99999999")], no, "too many reports (429): why *; try again in 1 d"),
            (302, &[("location", "https://x")], "", "it redirects (302): set push.url to where it leads"),
            (404, &[], "<html>", "there is no hub (404); check push.url"),
            (502, &[], "<html>", "the hub failed (502): no reason given"),
            (503, &[], no, "the hub failed (503): why *"),
        ] {
            assert_eq!(told(status, headers, body), Err(expected.into()), "{status} {body}");
        }
    }
}
