//! Servers: their status, stopping and starting them, and the jobs that do it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Account, Call, Cause, Failure};
use crate::host::Host;
use crate::quota::text::clean;

/// A server, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id: that of the cloud server, not of a Flexus L instance.
    pub id: String,
    /// Its region.
    pub region: String,
    /// Its project.
    pub project: String,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its system is asked to shut down.
    Soft,
    /// Its power is cut.
    Hard,
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To be off.
    Stop(Mode),
    /// To be on.
    Start,
}

/// How a job goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// It is not over.
    Running,
    /// It has done its work.
    Done,
    /// It has failed.
    Failed(String),
}

#[derive(Deserialize)]
struct Projects {
    projects: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

#[derive(Deserialize)]
struct Shown {
    server: Status,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
struct Accepted {
    job_id: String,
}

#[derive(Deserialize)]
struct JobStatus {
    status: String,
    error_code: Option<String>,
    fail_reason: Option<String>,
}

/// The status of a server that is off.
pub const OFF: &str = "SHUTOFF";
/// The status of a server that is on.
pub const ON: &str = "ACTIVE";

impl Account {
    /// The project of a region. Several are not guessed between.
    pub fn project(&self, host: &dyn Host, region: &str, until: Duration) -> Result<String, Failure> {
        let call = Call::get(self.endpoints.iam(Some(region)), "/v3/projects").with("name", region);
        let answer: Projects = self.call(host, &call, until)?;
        let text = match &answer.projects[..] {
            [project] => return super::check_id(&project.id).map_err(|why| self.misread(&[], &why)),
            [] => {
                format!("there is no project of region {region:?}: is it enabled for the account? Else set project_id")
            }
            several => format!("there are {} projects of region {region:?}: set project_id", several.len()),
        };
        Err(Failure { text, cause: Cause::Wrong })
    }

    /// A server's status, such as [`ON`] or [`OFF`].
    pub fn server_status(&self, host: &dyn Host, server: &Server, until: Duration) -> Result<String, Failure> {
        let path = format!("/v1/{}/cloudservers/{}", server.project, server.id);
        let shown: Shown =
            self.call(host, &self.of(server, Call::get(self.endpoints.ecs(&server.region), path)), until)?;
        Ok(shown.server.status)
    }

    /// Asks for a server to be stopped or started; the job that does it. Accepted is not done.
    pub fn order(&self, host: &dyn Host, server: &Server, order: Order, until: Duration) -> Result<String, Failure> {
        let servers = json!([{"id": server.id}]);
        let body = match order {
            Order::Stop(Mode::Soft) => json!({"os-stop": {"type": "SOFT", "servers": servers}}),
            Order::Stop(Mode::Hard) => json!({"os-stop": {"type": "HARD", "servers": servers}}),
            Order::Start => json!({"os-start": {"servers": servers}}),
        };
        let path = format!("/v1/{}/cloudservers/action", server.project);
        let call = Call { changes: true, ..Call::ask(self.endpoints.ecs(&server.region), path, body) };
        let call = self.of(server, call);
        let accepted: Accepted = self.call(host, &call, until)?;
        super::check_id(&accepted.job_id).map_err(|why| self.misread(&[], &why))
    }

    /// How a job goes. One that has finished can be asked for a day.
    pub fn job(&self, host: &dyn Host, server: &Server, job: &str, until: Duration) -> Result<Job, Failure> {
        let path = format!("/v1/{}/jobs/{job}", server.project);
        let call = Call { tells: true, ..self.of(server, Call::get(self.endpoints.ecs(&server.region), path)) };
        let answer: JobStatus = self.call(host, &call, until)?;
        Ok(match answer.status.as_str() {
            "SUCCESS" => Job::Done,
            "FAIL" => {
                let why = [answer.error_code, answer.fail_reason].into_iter().flatten().collect::<Vec<_>>().join(": ");
                let why = if why.is_empty() { "no reason is given".into() } else { clean(&self.redact(&why), 200) };
                Job::Failed(format!("the job to do it has failed: {why}"))
            }
            _ => Job::Running,
        })
    }

    /// Regional services are told the project.
    fn of(&self, server: &Server, call: Call) -> Call {
        call.header("x-project-id", &server.project)
    }
}
