//! PNG, as far as it can be told from outside whether a file is one.

/// A picture as it must be: its signature, each part with its checksum, the end.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n").ok_or("no PNG signature")?;
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let (mut rest, mut kinds, mut size) = (rest, Vec::new(), (0, 0));
    while rest.len() >= 12 {
        let length = number(&rest[..4]) as usize;
        let part = rest.get(4..8 + length).ok_or("a part is cut off")?;
        let sum = rest.get(8 + length..12 + length).ok_or("a checksum is cut off")?;
        if crc(part) != number(sum) {
            return Err(format!("a wrong checksum of {}", String::from_utf8_lossy(&part[..4])));
        }
        if kinds.is_empty() {
            size = (number(&part[4..8]), number(&part[8..12]));
        }
        kinds.push(part[..4].to_vec());
        rest = &rest[12 + length..];
    }
    let right = kinds.first().is_some_and(|kind| kind == b"IHDR") && kinds.last().is_some_and(|kind| kind == b"IEND");
    if right && rest.is_empty() && kinds.iter().any(|kind| kind == b"IDAT") {
        return Ok(size);
    }
    Err("its parts are not those of a picture".into())
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}
