//! A form with a file in it, as `multipart/form-data` (RFC 7578).

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A form, ready to be sent.
pub(super) struct Form {
    /// With the boundary between the parts.
    pub content_type: String,
    /// All parts.
    pub body: Vec<u8>,
}

impl Form {
    /// A form of these fields, and of a file after them.
    pub fn new(fields: &Map<String, Value>, name: &str, file: &str, kind: &str, content: &[u8]) -> Self {
        let boundary = boundary(content, fields);
        let mut body = Vec::with_capacity(content.len() + 1024);
        for (field, value) in fields {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let part = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             Content-Type: {kind}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Self { content_type: format!("multipart/form-data; boundary={boundary}"), body }
    }
}

/// A fingerprint of all that it divides: nobody can put it in there.
fn boundary(content: &[u8], fields: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    hash.update(content);
    fields.values().for_each(|value| hash.update(value.to_string().as_bytes()));
    hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_is_between_boundaries_that_are_in_none() {
        let fields = json!({"chat_id": -100, "caption": "a\r\n--b\"<b>"});
        let form = Form::new(fields.as_object().unwrap(), "photo", "chart.png", "image/png", b"\x89PNG\r\n--\0");
        let boundary = form.content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let between = format!("--{boundary}");
        let body: Vec<u8> = form.body.clone();
        let text = String::from_utf8_lossy(&body);
        let parts: Vec<&str> = text.split(&between).collect();
        assert_eq!(parts.len(), 5, "nothing before the first, three parts, the end");
        assert_eq!((parts[0], parts[4]), ("", "--\r\n"));
        let content = |part: &str| part.split_once("\r\n\r\n").unwrap().1.strip_suffix("\r\n").unwrap().to_owned();
        let mut texts: Vec<String> = parts[1..3].iter().map(|part| content(part)).collect();
        texts.sort();
        assert_eq!(texts, ["-100", "a\r\n--b\"<b>"]);
        assert!(parts[3].contains("name=\"photo\"; filename=\"chart.png\"\r\nContent-Type: image/png\r\n"));
        assert!(body.windows(9).any(|bytes| bytes == b"\x89PNG\r\n--\0"));
    }
}
