//! A tunnel server as a simulated world has it: mappings that come and go, and counters in its memory.
//!
//! | word after `tunnel` | does |
//! |---|---|
//! | `PORT sent BYTES`, `PORT received BYTES` | traffic of a mapping; one that was not there begins |
//! | `PORT gone` | the mapping is removed, and its counters with it |
//! | `restarts` | all counters begin anew |
//! | `up`, `down`, `says STATUS BODY` | how it answers |

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::scenario::bytes;
use crate::host::{HttpError, Reached, Request, Response};

/// Where it is.
const URL: &str = "http://127.0.0.1:8080/api/stats/traffic";
/// What it wants to know of its clients.
const KEY: &str = "secret-of-the-tunnel";

/// All of it.
#[derive(Default)]
pub struct Tunnel {
    /// Sent and received, by port.
    mappings: BTreeMap<u16, (u64, u64)>,
    /// The same of the tunnel.
    whole: (u64, u64),
    /// What it answers instead, if so.
    says: Option<(u16, String)>,
    down: bool,
    /// Bytes moved in all, in both directions.
    pub moved: u64,
}

impl Tunnel {
    /// Whether a request is one to it.
    pub fn is_asked(request: &Request) -> bool {
        request.url.starts_with("http://127.0.0.1:8080/")
    }

    /// What a line says after `tunnel`; none when it says nothing.
    pub fn line(&mut self, rest: &str) -> Option<()> {
        let words: Vec<&str> = rest.split(' ').collect();
        match words[..] {
            ["up"] => (self.says, self.down) = (None, false),
            ["down"] => self.down = true,
            ["says", status, ..] => {
                let body = words[2..].join(" ");
                self.says = Some((status.parse().ok()?, body));
            }
            ["restarts"] => {
                self.mappings.values_mut().for_each(|counters| *counters = (0, 0));
                self.whole = (0, 0);
            }
            [port, "gone"] => drop(self.mappings.remove(&port.parse().ok()?)?),
            [port, way @ ("sent" | "received"), ..] => {
                let moved = bytes(&words[2..])?;
                self.moved += moved;
                let counters = self.mappings.entry(port.parse().ok()?).or_default();
                let [own, whole] = match way {
                    "sent" => [&mut counters.0, &mut self.whole.0],
                    _ => [&mut counters.1, &mut self.whole.1],
                };
                *own += moved;
                *whole += moved;
            }
            _ => return None,
        }
        Some(())
    }

    /// The answer to a request.
    pub fn answer(&self, request: &Request) -> Result<Response, HttpError> {
        assert_eq!((request.method, request.url.as_str()), ("GET", URL));
        let key = request.headers.iter().find(|(name, _)| *name == "x-api-key");
        assert_eq!(key.map(|(_, key)| key.as_str()), Some(KEY));
        if self.down {
            return Err(HttpError { text: "connection refused".into(), reached: Reached::No });
        }
        if let Some((status, body)) = &self.says {
            return Ok(Response { status: *status, headers: Vec::new(), body: body.clone().into() });
        }
        let counters =
            |(sent, received): (u64, u64)| json!({"bytes_sent": sent, "bytes_received": received, "last_update": 1});
        let mapping = |(port, of): (&u16, &(u64, u64))| {
            let mut mapping = counters(*of);
            mapping["port"] = json!(port);
            mapping
        };
        let mappings: Vec<Value> = self.mappings.iter().map(mapping).collect();
        // Nobody is to believe these.
        let wrong = u64::MAX;
        let data = json!({"tunnel": counters(self.whole), "mappings": mappings, "total_sent": wrong,
            "total_received": wrong, "timestamp": 1});
        let body = json!({"success": true, "message": "ok", "data": data}).to_string();
        Ok(Response { status: 200, headers: Vec::new(), body: body.into() })
    }
}
