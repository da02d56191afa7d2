//! Shutdown, stop and start: tasks, HA, and guests that do not obey.

use serde_json::{Value, json};

use super::{Answer, Asked, Going, Inner, Kind, Obeys, Task, now};

/// The answer is a UPID; what becomes of it is the task's matter.
pub fn act(inner: &mut Inner, ids: &[String], asked: &Asked) -> Result<Answer, Answer> {
    let (vmid, verb): (u32, &str) = (ids[2].parse().expect("a vmid"), &ids[3]);
    let subject = format!("{}/{vmid}", ids[1]);
    let with: Vec<String> = asked.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    inner.powers.push(format!("{verb} {subject}{}", with.concat()));
    let record = inner.guests[&vmid].clone();
    let managed = record.ha.is_some_and(|state| state != "ignored");
    if record.kind == Kind::Lxc && !managed && record.runs() == (verb == "start") {
        let already = if verb == "start" { "already" } else { "not" };
        return Err(Answer::error(inner, 500, &format!("CT {vmid} {already} running"), None));
    }
    let task = new_task(inner, ids, managed);
    let force = asked.parameter("forceStop") == Some("1");
    let fails = match (record.lock, verb) {
        (Some(lock), _) if !managed => Some(format!("{} is locked ({lock})", record.kind.short())),
        _ if managed && record.ha == Some("error") => Some("service in error state, must be disabled first".to_owned()),
        (_, "start") if record.runs() && !managed => Some(format!("VM {vmid} already running")),
        (_, "shutdown") if record.status == "paused" && !force && !managed => {
            Some("VM is paused - cannot shutdown".to_owned())
        }
        (_, "shutdown") if record.runs() && record.obeys == Obeys::Never && !force && !managed => {
            Some("VM quit/powerdown failed - got timeout".to_owned())
        }
        _ => None,
    };
    if let Some(why) = fails {
        inner.tasks.get_mut(&task).expect("a task").exit = Some(why);
        return Ok(Answer::data(&json!(task)));
    }
    let looks = match (record.obeys, verb) {
        (Obeys::After(looks), "shutdown") => looks,
        // HA looks at its queue every ten seconds.
        (_, "stop") if managed => 1,
        _ => 0,
    };
    let guest = inner.guests.get_mut(&vmid).expect("a guest");
    if verb == "start" {
        guest.anew("running");
    } else if guest.runs() {
        guest.going = Some(Going { task: task.clone(), looks });
    }
    let is_going = guest.going.is_some();
    if managed || !is_going {
        inner.tasks.get_mut(&task).expect("a task").exit = Some("OK".to_owned());
    }
    if looks == 0 {
        goes_on(inner);
    }
    Ok(Answer::data(&json!(task)))
}

fn new_task(inner: &mut Inner, ids: &[String], managed: bool) -> String {
    inner.numbers += 1;
    let kind = match (ids[1].as_str(), ids[3].as_str()) {
        (_, "start") if managed => "hastart",
        _ if managed => "hastop",
        ("qemu", "shutdown") => "qmshutdown",
        ("qemu", "stop") => "qmstop",
        ("qemu", _) => "qmstart",
        (_, "shutdown") => "vzshutdown",
        (_, "stop") => "vzstop",
        _ => "vzstart",
    };
    let token = super::TOKEN_ID;
    let upid = format!(
        "UPID:{}:{:08X}:0012D687:{:08X}:{kind}:{}:{token}:",
        ids[0],
        0x1A2B3 + inner.numbers,
        now() as u64,
        ids[2]
    );
    let task = Task { node: ids[0].clone(), kind, id: ids[2].clone(), exit: None };
    inner.tasks.insert(upid.clone(), task);
    upid
}

/// Guests on their way down are a look nearer to it.
pub fn goes_on(inner: &mut Inner) {
    for record in inner.guests.values_mut() {
        match &mut record.going {
            Some(Going { looks: 0, task }) => {
                if let Some(task) = inner.tasks.get_mut(task) {
                    task.exit.get_or_insert_with(|| "OK".to_owned());
                }
                record.going = None;
                record.anew("stopped");
            }
            Some(going) => going.looks -= 1,
            None => {}
        }
    }
}

/// How a task is; the token may see its own.
pub fn task(inner: &Inner, upid: &str) -> Result<Answer, Answer> {
    let Some(task) = inner.tasks.get(upid) else {
        return Err(Answer::error(inner, 500, "no such task", None));
    };
    let (user, token) = super::TOKEN_ID.split_once('!').expect("a token id");
    let mut answer = json!({
        "upid": upid, "node": task.node, "pid": 107_187, "pstart": 1_234_567, "starttime": now() as u64,
        "type": task.kind, "id": task.id, "user": user, "tokenid": token,
        "status": if task.exit.is_some() { "stopped" } else { "running" },
    });
    if let Some(exit) = &task.exit {
        answer["exitstatus"] = Value::from(exit.as_str());
    }
    Ok(Answer::data(&answer))
}
