//! Forms as RFC 7578 has them, strictly: what a lenient reader would put up with is refused.

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The field.
    pub name: String,
    /// The name of the file, where it is one.
    pub file: Option<String>,
    /// Its own content type.
    pub kind: Option<String>,
    /// All of it.
    pub content: Vec<u8>,
}

/// The parts of a body with this `Content-Type`, or why it is no form.
pub fn parts(content_type: &str, body: &[u8]) -> Result<Vec<Part>, String> {
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").ok_or("no boundary")?;
    let boundary = boundary.trim_matches('"');
    if boundary.is_empty() || boundary.len() > 70 || !boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(format!("the boundary {boundary:?}"));
    }
    let open = format!("--{boundary}");
    let mut rest = body.strip_prefix(open.as_bytes()).ok_or("it does not begin with the boundary")?;
    let between = format!("\r\n{open}");
    let mut parts = Vec::new();
    loop {
        if rest == b"--\r\n" || rest == b"--" {
            return if parts.is_empty() { Err("it has no parts".into()) } else { Ok(parts) };
        }
        rest = rest.strip_prefix(b"\r\n").ok_or("no line's end after a boundary")?;
        let end = find(rest, between.as_bytes()).ok_or("a part without an end")?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + between.len()..];
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn part(text: &[u8]) -> Result<Part, String> {
    let end = find(text, b"\r\n\r\n").ok_or("a part without an empty line after its headers")?;
    let head = std::str::from_utf8(&text[..end]).map_err(|_| "a header that is no text")?;
    let (mut name, mut file, mut kind) = (None, None, None);
    for line in head.split("\r\n") {
        let (header, value) = line.split_once(": ").ok_or(format!("the header {line:?}"))?;
        match header.to_ascii_lowercase().as_str() {
            "content-disposition" => {
                let mut words = value.split("; ");
                if words.next() != Some("form-data") {
                    return Err(format!("the disposition {value:?}"));
                }
                for word in words {
                    let (key, text) = word.split_once('=').ok_or(format!("the disposition {value:?}"))?;
                    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                    let text =
                        text.filter(|text| !text.contains('"')).ok_or(format!("quotes in {value:?}"))?.to_owned();
                    match key {
                        "name" => name = Some(text),
                        "filename" => file = Some(text),
                        _ => return Err(format!("the disposition {value:?}")),
                    }
                }
            }
            "content-type" => kind = Some(value.to_owned()),
            _ => return Err(format!("the header {line:?}")),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or("a part without a name")?;
    Ok(Part { name, file, kind, content: text[end + 4..].to_vec() })
}

#[test]
fn these_forms_are_read_and_those_are_refused() {
    let kind = "multipart/form-data; boundary=xyz";
    let good = "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\r\n2\r\n--xyz\r\n\
                Content-Disposition: form-data; name=\"f\"; filename=\"p.png\"\r\nContent-Type: image/png\r\n\r\n\
                \r\n--xyz--\r\n";
    let read = parts(kind, good.as_bytes()).unwrap();
    assert_eq!((read[0].name.as_str(), read[0].content.as_slice()), ("a", &b"1\r\n\r\n2"[..]));
    assert_eq!((read[1].file.as_deref(), read[1].kind.as_deref()), (Some("p.png"), Some("image/png")));
    assert_eq!(read[1].content, b"");
    for (from, to) in [
        ("--xyz--\r\n", ""),
        ("--xyz--\r\n", "--xyz--\r\nmore"),
        ("--xyz\r\nContent", "--xyz\nContent"),
        ("name=\"a\"", "name=a"),
        ("name=\"a\"", "name=\"\""),
        ("; name=\"a\"", ""),
        ("form-data; name=\"a\"", "attachment; name=\"a\""),
        ("\r\n\r\n1", "\r\n1"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good && parts(kind, bad.as_bytes()).is_err(), "{from:?} became {to:?}");
    }
    assert!(parts("multipart/form-data", good.as_bytes()).is_err());
    assert!(parts("multipart/form-data; boundary=abc", good.as_bytes()).is_err());
}
