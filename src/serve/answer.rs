//! Answers: a status and a body, JSON of one shape unless it is a page; and what every one of them says to browsers.

use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The body of an answer.
pub type Body = http_body_util::Full<Bytes>;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it went well.
    pub status: StatusCode,
    /// What the body is.
    pub kind: &'static str,
    /// The body.
    pub body: Bytes,
    /// Headers of its own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// No answer is kept, framed, or taken for another kind than it is; no address of ours goes elsewhere.
const ALWAYS: [(HeaderName, &str); 4] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
];

impl Answer {
    /// A body as it is.
    pub fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, kind, body: body.into(), headers: Vec::new() }
    }

    /// JSON as it is.
    pub fn json(value: &Value) -> Self {
        Self::new("application/json", value.to_string())
    }

    /// It went well.
    pub fn done(message: &str) -> Self {
        Self::json(&json!({"success": true, "message": message}))
    }

    /// It went well, and this is what was asked for.
    pub fn with_data(message: &str, data: Value) -> Self {
        Self::json(&json!({"success": true, "message": message, "data": data}))
    }

    /// It did not go well.
    pub fn refused(status: StatusCode, message: impl AsRef<str>) -> Self {
        Self { status, ..Self::json(&json!({"success": false, "message": message.as_ref()})) }
    }

    /// Nothing is there.
    pub fn not_found() -> Self {
        Self::refused(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// It is asked for in another way.
    pub fn other_method(allowed: &'static str) -> Self {
        Self::refused(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed}"))
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    /// Who asks did not say that he may. Browsers then ask their user.
    pub fn who_is_it() -> Self {
        Self::not_a_reader("Basic realm=\"netquota\"")
    }

    /// The same to a script of a page, whose browser asks nobody then.
    pub fn who_is_it_of_a_script() -> Self {
        Self::not_a_reader("Bearer realm=\"netquota\"")
    }

    fn not_a_reader(how: &'static str) -> Self {
        Self::refused(StatusCode::UNAUTHORIZED, "the read token is missing or wrong")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(how))
    }

    /// With one header more.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With the time after which it may go better.
    #[must_use]
    pub fn after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, seconds.into())
    }

    /// With a mark of what it holds; without the body for those who have just that.
    #[must_use]
    pub fn unless_known(self, asked: &HeaderMap) -> Self {
        // What has a mark of its own was compared before it was made.
        if self.status != StatusCode::OK || self.headers.iter().any(|(name, _)| *name == ETAG) {
            return self;
        }
        let digest = Sha256::digest(&self.body);
        let mark = format!("\"{}\"", digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let known = is_known(&mark, &marks(asked));
        let Ok(value) = HeaderValue::try_from(mark) else { return self };
        let answer = if known { Self { status: StatusCode::NOT_MODIFIED, body: Bytes::new(), ..self } } else { self };
        answer.with(ETAG, value)
    }
}

/// The marks of what who asks has already.
pub fn marks(asked: &HeaderMap) -> String {
    let marks: Vec<&str> = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).collect();
    marks.join(",")
}

/// Whether a mark is among them.
pub fn is_known(mark: &str, marks: &str) -> bool {
    let mut marks = marks.split(',').map(|known| known.trim().trim_start_matches("W/"));
    marks.any(|known| known == mark || known == "*")
}

impl From<Answer> for Response<Body> {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Body::new(answer.body));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        for (name, value) in ALWAYS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if answer.status != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.kind));
        }
        // What an answer says itself goes before what all say.
        for (name, value) in answer.headers {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_body_is_not_sent_again() {
        let page = || Answer::new("text/html", "<p>");
        let asked = |marks: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::try_from(marks).unwrap());
            headers
        };
        let first = page().unless_known(&HeaderMap::new());
        let mark = first.headers[0].1.to_str().unwrap().to_owned();
        assert_eq!((first.status, &first.body[..]), (StatusCode::OK, &b"<p>"[..]));
        for known in [mark.clone(), format!("W/{mark}"), format!("\"x\", {mark}"), "*".into()] {
            let again = page().unless_known(&asked(&known));
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(again.headers, first.headers);
            assert!(!Response::from(again).headers().contains_key(CONTENT_TYPE));
        }
        assert_eq!(page().unless_known(&asked("\"x\"")).status, StatusCode::OK);
        assert_eq!(Answer::not_found().unless_known(&asked("*")), Answer::not_found());
    }

    #[test]
    fn every_answer_tells_browsers_what_not_to_do() {
        let response = Response::from(Answer::done("done").with(CACHE_CONTROL, HeaderValue::from_static("max-age=1")));
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!((header("x-content-type-options"), header("x-frame-options")), ("nosniff", "DENY"));
        assert_eq!((header("referrer-policy"), header("content-type")), ("no-referrer", "application/json"));
        assert_eq!(header("cache-control"), "max-age=1", "what an answer says itself");
    }
}
