//! Huawei Cloud as a simulated world has it: packages that are asked for, one server, and what is wrong with them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::host::{HttpError, Reached, Request, Response};

/// Everything of it.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// By the id that is asked for.
    pub packages: BTreeMap<String, Package>,
    /// What billing answers instead, if so.
    pub says: Option<(u16, String)>,
    /// The server's status.
    pub server: &'static str,
    /// How orders to the server go.
    pub orders: Orders,
    /// Orders the server was given.
    pub given: Vec<String>,
}

/// A package, as the vendor writes it.
#[derive(Debug, Clone)]
pub struct Package {
    /// The id it answers with.
    pub id: String,
    /// What is left, in GB.
    pub left: String,
    /// What it holds, in GB.
    pub total: String,
    /// When its period begins.
    pub start: String,
    /// When it ends.
    pub end: String,
}

/// How orders to the server go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// They are done at once.
    Done,
    /// They are taken, and take long.
    Slow,
    /// They are done, and the answer is lost.
    Lost,
    /// Nobody is there.
    Down,
    /// The key may not give them.
    Refused,
    /// They are taken, and the job fails.
    Failing,
}

impl Orders {
    /// By the word of a scenario.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "done" => Self::Done,
            "slow" => Self::Slow,
            "lost" => Self::Lost,
            "down" => Self::Down,
            "refused" => Self::Refused,
            "failing" => Self::Failing,
            _ => return None,
        })
    }
}

type Answer = Result<Response, HttpError>;

fn answer(status: u16, body: &Value) -> Answer {
    Ok(Response { status, headers: Vec::new(), body: body.to_string().into() })
}

fn no_answer(reached: Reached) -> Answer {
    let text = if reached == Reached::No { "connection refused" } else { "timed out after 10.0 s" };
    Err(HttpError { text: text.into(), reached })
}

impl Cloud {
    /// A server that is on, and no package.
    pub fn new() -> Self {
        let packages = BTreeMap::new();
        Self { packages, says: None, server: "ACTIVE", orders: Orders::Done, given: Vec::new() }
    }

    /// Whether a request is an order to the server: all others only read.
    pub fn is_order(request: &Request) -> bool {
        request.url.ends_with("/cloudservers/action")
    }

    /// The answer to a signed request.
    pub fn answer(&mut self, request: &Request) -> Answer {
        let header =
            |name: &str| request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        assert!(header("authorization").is_some_and(|value| value.starts_with("SDK-HMAC-SHA256 Access=")), "unsigned");
        let path = request.url.split_once(".com").map_or("", |(_, path)| path);
        match path.split('?').next().unwrap_or_default() {
            "/v2/payments/free-resources/usages/details/query" => self.usage(request),
            "/v3/projects" => answer(200, &json!({"projects": [{"id": "project-1", "name": "ap-southeast-1"}]})),
            "/v1/project-1/cloudservers/action" => self.order(request),
            "/v1/project-1/jobs/job-1" => self.job(),
            "/v1/project-1/cloudservers/server-1" if self.orders == Orders::Down => no_answer(Reached::No),
            "/v1/project-1/cloudservers/server-1" => answer(200, &json!({"server": {"status": self.server}})),
            other => panic!("nobody asks {other}"),
        }
    }

    fn usage(&self, request: &Request) -> Answer {
        if let Some((status, body)) = &self.says {
            return Ok(Response { status: *status, headers: Vec::new(), body: body.clone().into() });
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let asked = body["free_resource_ids"].as_array().unwrap();
        let record = |package: &Package| {
            format!(
                r#"{{"free_resource_id":"{}","amount":{},"original_amount":{},"measure_id":10,"start_time":"{}","end_time":"{}"}}"#,
                package.id, package.left, package.total, package.start, package.end
            )
        };
        let found = asked.iter().filter_map(|id| self.packages.get(id.as_str().unwrap()));
        let records: Vec<String> = found.map(record).collect();
        let body = format!(r#"{{"free_resources":[{}]}}"#, records.join(","));
        Ok(Response { status: 200, headers: Vec::new(), body: body.into() })
    }

    fn order(&mut self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let (verb, to) = if body.get("os-stop").is_some() { ("os-stop", "SHUTOFF") } else { ("os-start", "ACTIVE") };
        assert_eq!(body[verb]["servers"], json!([{"id": "server-1"}]));
        if self.orders == Orders::Refused {
            return answer(403, &json!({"error": {"code": "Ecs.0003", "message": "Policy doesn't allow it"}}));
        }
        self.given.push(format!("{verb} {}", body[verb]["type"].as_str().unwrap_or("-")));
        if matches!(self.orders, Orders::Done | Orders::Lost) {
            self.server = to;
        }
        match self.orders {
            Orders::Lost => no_answer(Reached::Perhaps),
            _ => answer(200, &json!({"job_id": "job-1"})),
        }
    }

    fn job(&self) -> Answer {
        match self.orders {
            Orders::Failing => {
                answer(200, &json!({"status": "FAIL", "error_code": "Ecs.0219", "fail_reason": "power action failed"}))
            }
            Orders::Slow => answer(200, &json!({"status": "RUNNING"})),
            _ => answer(200, &json!({"status": "SUCCESS"})),
        }
    }
}
