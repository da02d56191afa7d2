//! Views of a folder, and their answers.

#![allow(clippy::disallowed_methods, reason = "tests lay out the state and damage files")]

use serde_json::Value;

use super::*;
use crate::report::samples::record;
use crate::testing::sim::World;

const START: &str = "2026-11-21T10:00:00Z";
const CONFIG: &str = "host.name = \"hub-1\"\n[quota.month]\nallowance = \"1 TB\"\ntiers = [\"80%\"]\n";

/// A machine that was checked twice, and what is shown of it.
struct Folder {
    dir: tempfile::TempDir,
    context: Context,
}

impl Folder {
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(Instant::parse(START).unwrap());
        let settings = world.configure(config);
        world.run(&settings);
        world.pass(Duration::from_secs(300));
        world.traffic("eth0", 3_000_000, 1_000_000);
        world.run(&settings);
        std::fs::write(dir.path().join("state.json"), world.state().unwrap().write().unwrap()).unwrap();
        let now = world.now();
        let nodes = ["a-node", "<b>"].map(|name| Arc::new(record(2, name, now.minus(Duration::from_secs(20)))));
        let context = Context {
            host: Arc::new(world),
            config: Arc::new(settings),
            history_is_wrong: false,
            state_dir: dir.path().to_owned(),
            records: nodes.to_vec(),
            now,
            known: String::new(),
        };
        Self { dir, context }
    }

    fn get(&self, path: &str) -> Answer {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        answer(path, query, &self.context).unwrap_or_else(Answer::not_found)
    }

    #[track_caller]
    fn text(&self, path: &str) -> String {
        let answer = self.get(path);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}: {text}");
        text
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    #[track_caller]
    fn refusal(&self, path: &str, status: u16) -> String {
        let answer = self.get(path);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status.as_u16(), &body["success"]), (status, &Value::Bool(false)), "{path}: {body}");
        body["message"].as_str().unwrap().to_owned()
    }

    fn tag(&self, path: &str) -> String {
        let answer = self.get(path);
        let tag = answer.headers.iter().find(|(name, _)| *name == ETAG).map(|(_, value)| value.to_str().unwrap());
        tag.unwrap().to_owned()
    }
}

#[test]
fn the_page_has_all_there_is_and_its_policy() {
    let folder = Folder::new(CONFIG);
    let page = folder.text("/");
    for part in
        ["hub-1", "eth0", "a-node", "&lt;b&gt;", "netquota has no daemon", "data-part=\"now\"", "data-part=\"report\""]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b><b>") && page.contains("2.00 Mbps"), "what a node reported");
    let policy = folder.get("/").headers.into_iter().find(|(name, _)| *name == CONTENT_SECURITY_POLICY).unwrap().1;
    assert!(policy.to_str().unwrap().ends_with("connect-src 'self'"), "{policy:?}");
    let (now, report) = (folder.text("/?part=now"), folder.text("/?part=report"));
    assert!(page.contains(&now) && page.contains(&report), "a part is as in the page");
}

#[test]
fn a_part_is_made_again_only_when_what_it_is_made_of_has_changed() {
    let mut folder = Folder::new(CONFIG);
    let tags = |folder: &Folder| ["/?part=now", "/?part=report", "/"].map(|path| folder.tag(path));
    let first = tags(&folder);
    folder.context.now = folder.context.now.plus(Duration::from_secs(10));
    assert_eq!(tags(&folder), first);
    for (path, tag) in ["/?part=now", "/?part=report", "/"].iter().zip(&first) {
        folder.context.known = format!("\"x\", W/{tag}");
        let known = folder.get(path);
        assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
    }
    folder.context.known = String::new();
    // A report of a node is no news for the report of the period.
    folder.context.records[0] = Arc::new(record(2, "a-node", folder.context.now));
    let newer = tags(&folder);
    assert!(newer[0] != first[0] && newer[1] == first[1] && newer[2] != first[2], "{first:?} {newer:?}");
    let path = folder.dir.path().join("state.json");
    let mut state = State::read(&std::fs::read(&path).unwrap()).unwrap();
    state.clock.at = Some(folder.context.now);
    std::fs::write(&path, state.write().unwrap()).unwrap();
    let checked = tags(&folder);
    assert!(checked.iter().zip(&newer).all(|(one, other)| one != other));
    folder.context.now = folder.context.now.plus(Duration::from_secs(60));
    assert!(tags(&folder).iter().zip(&checked).all(|(one, other)| one != other), "what goes by the clock goes on");
    assert_ne!(folder.tag("/?part=report&period=day"), folder.tag("/?part=report"));
}

#[test]
fn the_page_is_of_the_period_that_is_asked_for() {
    let folder = Folder::new(CONFIG);
    assert!(folder.text("/").contains("href=\"?period=month\" aria-current=\"page\""));
    let day = folder.text("/?part=report&period=day&date=2026-11-21&subject=eth0&direction=out");
    assert!(day.contains("by hour") && !day.contains("aria-current"), "a day that was named is not the running one");
    assert!(folder.text("/?period=week").contains("href=\"?period=week\" aria-current=\"page\""));
    for (path, said) in [
        ("/?period=decade", "one of hour, day, week, month, year is expected"),
        ("/?part=all", "part: \"all\": now or report is expected"),
        ("/?subject=eth9", "subject: there is no \"eth9\" in the history; did you mean \"eth0\"?"),
        ("/?from=2027-01-01", "from: it is in the future"),
        ("/?x=1", "there is no parameter \"x\""),
    ] {
        let message = folder.refusal(path, 400);
        assert!(message.contains(said), "{path}: {message}");
    }
}

#[test]
fn without_its_history_or_its_state_the_page_comes_and_says_so() {
    let folder = Folder::new(CONFIG);
    std::fs::write(folder.dir.path().join("history.db"), "this is no database, as one can see").unwrap();
    let page = folder.text("/");
    assert!(page.contains("The history cannot be read: ") && page.contains("eth0") && page.contains("1 TB"), "{page}");
    assert!(folder.refusal("/api/v1/history", 503).contains("history.db"));
    let mut locked = Folder::new(CONFIG);
    locked.context.history_is_wrong = true;
    assert!(locked.text("/").contains("The history cannot be read: the configuration of the history is wrong"));
    assert!(locked.text("/").contains("eth0"));
    for path in ["/api/v1/history", "/api/v1/log"] {
        assert!(
            locked.refusal(path, 503).contains("the configuration of the history is wrong: see the log of the service")
        );
    }
    let off = Folder::new(&format!("{CONFIG}[history]\nurl = \"none\"\n"));
    assert!(off.text("/").contains("The history is off"));
    assert_eq!(off.json("/api/v1/history")["subjects"], Value::Array(Vec::new()));
    let empty = Folder::new(CONFIG);
    std::fs::remove_file(empty.dir.path().join("state.json")).unwrap();
    assert!(empty.text("/").contains("No check has run yet") && empty.text("/").contains("a-node"));
    assert_eq!(empty.json("/api/v1/quotas")["quotas"], Value::Array(Vec::new()));
    std::fs::write(empty.dir.path().join("state.json"), "{").unwrap();
    assert!(empty.text("/").contains("state.json is broken"));
    std::fs::write(empty.dir.path().join("state.json"), "{\"version\":99}").unwrap();
    assert!(empty.refusal("/", 503).contains("version 99"));
}

#[test]
fn a_raised_alarm_is_told_with_what_was_seen() {
    assert!(!Folder::new(CONFIG).text("/?part=now").contains("id=\"attention\""), "nothing needs a look");
    let alarm = "[alarm.slow]\nsource = \"interface\"\nrate_below = \"5 Mbps\"\n";
    let part = Folder::new(&format!("{CONFIG}{alarm}")).text("/?part=now");
    for said in ["id=\"attention\"", "<b>eth0</b>", "below 5 Mbps", "低于 5 Mbps", "<tr class=\"over\">"] {
        assert!(part.contains(said), "{said}: {part}");
    }
}

#[test]
fn documents_are_those_of_the_commands() {
    let folder = Folder::new(CONFIG);
    let quotas = folder.json("/api/v1/quotas");
    assert_eq!((quotas["version"].as_u64(), quotas["quotas"][0]["used"].as_u64()), (Some(1), Some(3_000_000)));
    let nodes = folder.json("/api/v1/nodes");
    let names: Vec<&str> =
        nodes["nodes"].as_array().unwrap().iter().filter_map(|node| node["hostname"].as_str()).collect();
    assert_eq!(names, ["<b>", "a-node"]);
    assert_eq!(nodes["nodes"][1]["age_seconds"], 20);
    let history = folder.json("/api/v1/history?subject=eth0&from=2026-11-21T09:00:00Z&by=hour&direction=out");
    assert_eq!(history["quotas"][0]["used"], 3_000_000, "{history}");
    assert_eq!((history["by"].as_str(), history["direction"].as_str()), (Some("hour"), Some("out")));
    assert_eq!(folder.json("/api/v1/history?source=interface")["subjects"][0]["subject"], "eth0");
    assert!(folder.json("/api/v1/log?from=2026-11-01&to=2026-11-30")["log"].is_array());
    for (path, said) in [
        ("/api/v1/history?source=x", "there is no \"x/*\" in the history"),
        ("/api/v1/history?part=now", "there is no parameter \"part\""),
        ("/api/v1/history?from=2020-01-01&by=hour", "more than 10000 lines"),
        ("/api/v1/log?from=2026-11-01T00:00:00+08:00&to=2026-10-01T00:00:00+08:00", "from is not before to"),
        ("/api/v1/log?by=hour", "there is no parameter \"by\""),
        ("/api/v1/quotas?x", "there is no parameter \"x\""),
        ("/api/v1/nodes?hostname=a", "there is no parameter \"hostname\""),
        ("/api/v1/log?from=2026-11-30&to=2026-11-01", "from is not before to"),
    ] {
        let message = folder.refusal(path, 400);
        assert!(message.contains(said), "{path}: {message}");
    }
}

#[test]
fn there_is_nothing_at_other_paths() {
    let folder = Folder::new(CONFIG);
    for path in ["/api/v1/", "/api/v1/quotas/", "/api/v1/../v1/quotas", "/api/v1/%71uotas", "/api/v1/state.json", "//"]
    {
        assert_eq!(folder.get(path).status, StatusCode::NOT_FOUND, "{path}");
    }
}
