//! `stop-server`: the status first, one stop, its job followed, and by rule 5.5 never a second one but for a reason.

use std::thread;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::*;
use crate::machine::{Dice, eventually, spawn};
use cloud::{PROJECT, REGION, Stops, soon};

/// The server that is to be stopped.
const ID: &str = "72a270de-665a-4f46-8d64-24ad6edccdd1";

/// Stops [`ID`] in its region.
const BY_REGION: &str = "region = \"ap-southeast-3\"";

/// A machine that stops the server at 200 GB left of `pkg-1`, past its first run with 900 GB left.
/// `action` is what its table says besides the server.
#[track_caller]
fn armed(huawei: &Huawei, telegram: &Telegram, action: &str) -> Machine {
    huawei.package("pkg-1", 900, 1000);
    let machine = machine(huawei, telegram, action);
    machine.check_exits(0).quietly();
    assert_eq!(huawei.requests(), huawei.count(Call::Usage), "nobody asks for a server that is not to be stopped");
    machine
}

fn machine(huawei: &Huawei, telegram: &Telegram, action: &str) -> Machine {
    let config = format!(
        "{}[quota.package]\ntier = [{{ remaining = \"200 GB\", actions = [\"stop\"] }}]\n\
         [action.stop]\nkind = \"stop-server\"\nserver_id = \"{ID}\"\n{action}\n{}",
        source_and_services(huawei, &["pkg-1"]),
        telegram_table(&telegram.url())
    );
    server().config(&config)
}

/// The calls since, without those of the source.
fn calls(huawei: &Huawei) -> Vec<Call> {
    huawei.asked().into_iter().filter_map(|asked| asked.call).filter(|call| *call != Call::Usage).collect()
}

/// Runs until nothing is left to be done or said.
fn settle(machine: &Machine) {
    for _ in 0..3 {
        if machine.check().code() == 0 {
            return;
        }
    }
}

#[test]
fn the_server_is_looked_at_then_stopped_softly_once() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    machine.check_exits(0);
    assert_eq!(huawei.acts(), [format!("os-stop SOFT {ID}")]);
    assert_eq!(huawei.bodies(Call::Act), [json!({"os-stop": {"type": "SOFT", "servers": [{"id": ID}]}})]);
    let calls = calls(&huawei);
    assert_eq!(calls[..3], [Call::Projects, Call::Server, Call::Act], "{calls:?}");
    assert_eq!(huawei.status(ID), "SHUTOFF");
    assert!(telegram.texts()[0].contains("stop"), "the message says what is being done: {}", telegram.texts()[0]);
    for left in [150, 100, 0] {
        huawei.left("pkg-1", left);
        machine.check_exits(0);
    }
    assert_eq!(huawei.count(Call::Act), 1, "never again in this period");
    huawei.switch(ID, "ACTIVE");
    machine.check_exits(0);
    assert_eq!(huawei.count(Call::Act), 1, "whoever switches it on again may keep it on");
}

#[test]
fn the_message_is_sent_before_the_stop() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    huawei.always(Call::Act, Wrong::Hang);
    let running = spawn(machine.command(&["check"]));
    assert!(eventually(Duration::from_secs(20), || huawei.count(Call::Act) == 1), "the stop is asked for");
    assert_eq!(telegram.messages().len(), 1);
    running.kill();
}

#[test]
fn telegram_being_down_does_not_hold_the_stop_back() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    telegram.always(crate::telegram::Fault::Broken);
    machine.check_exits(3).complains("telegram");
    assert_eq!(huawei.count(Call::Act), 1);
}

#[test]
fn a_job_is_followed_to_its_end() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(2));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    for _ in 0..6 {
        machine.check();
    }
    machine.check_exits(0);
    assert_eq!((huawei.count(Call::Act), huawei.status(ID)), (1, "SHUTOFF"));
    assert!(huawei.count(Call::Job) >= 1);
}

#[test]
fn a_server_that_is_off_already_is_left_alone() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.switch(ID, "SHUTOFF");
    huawei.left("pkg-1", 200);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(huawei.acts(), [""; 0]);
    assert!(huawei.count(Call::Server) >= 1);
}

#[test]
fn a_configured_project_is_not_looked_up() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    huawei.project(REGION, "another-project");
    let machine = armed(&huawei, &telegram, &format!("{BY_REGION}\nproject_id = \"{PROJECT}\""));
    huawei.left("pkg-1", 200);
    machine.check_exits(0);
    assert_eq!((huawei.count(Call::Projects), huawei.acts()), (0, vec![format!("os-stop SOFT {ID}")]));
}

#[test]
fn two_projects_of_a_region_are_no_guess() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    huawei.project(REGION, "another-project");
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    machine.check_exits(3).complains("project_id");
    machine.check_exits(3);
    assert_eq!((huawei.count(Call::Server), huawei.count(Call::Act)), (0, 0));
    assert!(huawei.count(Call::Projects) >= 1);
}

#[test]
fn a_region_without_a_project_is_told() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    huawei.no_project();
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    machine.check_exits(3).complains(REGION);
    assert_eq!(huawei.count(Call::Act), 0);
}

#[test]
fn hard_is_a_power_cut() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::Never);
    let machine = armed(&huawei, &telegram, &format!("{BY_REGION}\nmode = \"hard\""));
    huawei.left("pkg-1", 200);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!((huawei.acts(), huawei.status(ID)), (vec![format!("os-stop HARD {ID}")], "SHUTOFF"));
}

#[test]
fn a_job_that_fails_is_told_and_tried_four_times_in_all() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::Fails);
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    machine.check_exits(3).complains("Ecs.0219");
    for _ in 0..11 {
        machine.check();
    }
    assert_eq!(huawei.count(Call::Act), 4, "one try and three more");
    let told = telegram.texts().iter().filter(|text| text.contains("the guest did not shut down")).count();
    assert!(told >= 4, "each failure is told: {:#?}", telegram.texts());
}

#[test]
fn a_job_that_fails_once_is_done_when_the_next_succeeds() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::Fails);
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    machine.check_exits(3);
    huawei.server(ID, Stops::After(0));
    settle(&machine);
    machine.check_exits(0);
    assert_eq!((huawei.count(Call::Act), huawei.status(ID)), (2, "SHUTOFF"));
}

#[test]
fn a_server_that_stays_on_is_not_stopped_again_at_once() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::Never);
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    for _ in 0..4 {
        machine.check();
    }
    assert_eq!(huawei.count(Call::Act), 1, "again after 10 min");
    let looked = huawei.count(Call::Server) + huawei.count(Call::Job);
    assert!(looked >= 4, "each run looks: {looked}");
    huawei.switch(ID, "SHUTOFF");
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(huawei.count(Call::Act), 1);
}

#[test]
fn a_missing_permission_is_told() {
    for call in [Call::Server, Call::Act] {
        let (huawei, telegram) = (Huawei::start(), Telegram::new());
        huawei.server(ID, Stops::After(0));
        let machine = armed(&huawei, &telegram, BY_REGION);
        huawei.left("pkg-1", 200);
        let body = r#"{"error":{"message":"You do not have the right of ecs:cloudServers:stop","code":"Ecs.0003"}}"#;
        huawei.always(call, Wrong::error(403, body));
        machine.check_exits(3).complains("Ecs.0003").complains("ecs:cloudServers:stop");
        let texts = telegram.texts();
        assert!(texts.iter().any(|text| text.contains("Ecs.0003")), "{call:?}: {texts:#?}");
        assert_eq!(huawei.status(ID), "ACTIVE");
    }
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server("another-server", Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    machine.check_exits(3).complains("Ecs.0114");
    assert!(telegram.texts().iter().any(|text| text.contains("Ecs.0114")), "{:#?}", telegram.texts());
    assert_eq!((huawei.count(Call::Act), huawei.status("another-server")), (0, "ACTIVE"));
}

#[test]
fn an_unreachable_ecs_is_told_and_the_stop_comes_later() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 200);
    huawei.always(Call::Server, Wrong::error(503, "upstream connect error"));
    machine.check_exits(3).complains("503");
    assert_eq!(huawei.count(Call::Act), 0, "nobody stops what he cannot see");
    huawei.heal();
    settle(&machine);
    assert_eq!((huawei.count(Call::Act), huawei.status(ID)), (1, "SHUTOFF"));
}

#[test]
fn a_lost_answer_is_looked_into_and_not_repeated() {
    for (stops, off) in [(Stops::After(0), true), (Stops::Never, false)] {
        let (huawei, telegram) = (Huawei::start(), Telegram::new());
        huawei.server(ID, stops);
        let machine = armed(&huawei, &telegram, BY_REGION);
        huawei.left("pkg-1", 200);
        huawei.next(Call::Act, [Wrong::AnswerLost]);
        machine.check();
        for _ in 0..3 {
            machine.check();
        }
        assert_eq!((huawei.count(Call::Act), huawei.status(ID) == "SHUTOFF"), (1, off), "{stops:?}");
        assert!(huawei.count(Call::Server) >= 2, "looked at again");
        assert!(!off || machine.check().code() == 0, "seen to be off");
    }
}

#[test]
fn a_run_killed_while_it_stops_a_server_is_followed_by_one_that_looks() {
    for (stops, off) in [(Stops::After(0), true), (Stops::Never, false)] {
        let (huawei, telegram) = (Huawei::start(), Telegram::new());
        huawei.server(ID, stops);
        let machine = armed(&huawei, &telegram, BY_REGION);
        huawei.left("pkg-1", 200);
        huawei.next(Call::Act, [Wrong::AnswerHeld]);
        let running = spawn(machine.command(&["check"]));
        assert!(eventually(Duration::from_secs(20), || huawei.count(Call::Act) == 1), "the stop is asked for");
        assert!(running.kill(), "killed in the act");
        let looked = huawei.count(Call::Server);
        for _ in 0..3 {
            machine.check();
        }
        assert_eq!(huawei.count(Call::Act), 1, "{stops:?}: again after 10 min, not before");
        assert!(huawei.count(Call::Server) > looked, "looked at");
        assert_eq!(huawei.status(ID) == "SHUTOFF", off);
        assert!(!off || machine.check().code() == 0, "seen to be off");
    }
}

#[test]
#[ignore = "kills a hundred runs, which takes long on a busy machine: run ./test"]
fn a_server_is_never_stopped_twice_because_of_a_kill() {
    let mut dice = Dice(0x57_0B_5E);
    let (mut struck, mut stopped) = (0, 0);
    // A hundred rounds, and more where the machine is so busy that fewer kills strike.
    for round in 0..400 {
        if round >= 100 && struck >= 50 && stopped >= 20 {
            break;
        }
        let (huawei, telegram) = (Huawei::start(), Telegram::new());
        huawei.server(ID, Stops::Never);
        // With so little time nobody waits for the server.
        let machine = armed(&huawei, &telegram, &format!("{BY_REGION}\ntimeout = \"1 s\""));
        let quiet = machine.check_exits(0).took;
        huawei.left("pkg-1", 200);
        let running = spawn(machine.command(&["check"]));
        // The run that acts takes about three times as long as a quiet one.
        thread::sleep(Duration::from_micros(dice.roll(3 * u64::try_from(quiet.as_micros()).unwrap())));
        struck += u32::from(running.kill());
        // A request of the killed run may still be on its way.
        thread::sleep(Duration::from_millis(20));
        for _ in 0..2 {
            machine.check();
        }
        let acts = huawei.count(Call::Act);
        assert!(acts <= 1, "round {round}: {acts} stops within 10 min");
        assert!(!telegram.messages().is_empty(), "round {round}: told");
        stopped += acts;
    }
    assert!(struck >= 50 && stopped >= 20, "{struck} kills struck, {stopped} stops: the kills came at the wrong time");
}

#[test]
fn a_first_run_on_an_exhausted_package_announces_and_stops_nothing() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    huawei.package("pkg-1", 5, 1000);
    let machine = machine(&huawei, &telegram, BY_REGION);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(calls(&huawei), []);
    assert!(telegram.only().text.contains("stop"), "announced: {}", telegram.only().text);
}

#[test]
fn no_figure_no_stop() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, &format!("{BY_REGION}\nannounce = \"1 s\""));
    huawei.left("pkg-1", 100);
    machine.check_exits(0);
    thread::sleep(Duration::from_millis(1_100));
    huawei.left("pkg-1", "null");
    machine.check_exits(3);
    assert_eq!(calls(&huawei), [], "what was read in an earlier run is no proof");
    huawei.left("pkg-1", 100);
    settle(&machine);
    assert_eq!(huawei.count(Call::Act), 1);
}

#[test]
fn a_debug_run_stops_nothing() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = armed(&huawei, &telegram, BY_REGION);
    huawei.left("pkg-1", 100);
    let run = machine.run(&["check", "--debug"]).exits(0);
    assert!(format!("{}{}", run.stdout, run.stderr).contains("stop"));
    assert_eq!((huawei.count(Call::Act), huawei.status(ID)), (0, "ACTIVE"));
}

#[test]
fn a_stop_server_without_its_settings_is_a_configuration_error() {
    let huawei = Huawei::start();
    for (action, word) in [
        (format!("region = \"{REGION}\""), "server_id"),
        (format!("server_id = \"{ID}\""), "region"),
        (format!("server_id = \"{ID}\"\nregion = \"{REGION}\"\nmode = \"gentle\""), "mode"),
        (format!("server_id = \"{ID}\"\nregion = \"{REGION}\"\nsource = \"hauwei\""), "source"),
        (format!("server_id = \"{ID}\"\nregion = \"{REGION}\"\nstart_on_renewl = true"), "start_on_renewal"),
    ] {
        let config = format!(
            "[source.huawei]\nsite = \"international\"\nresource_ids = [\"pkg-1\"]\n[quota.package]\n\
             [action.stop]\nkind = \"stop-server\"\n{action}\n"
        );
        server().config(&config).run(&["config", "check"]).exits(2).complains(word);
    }
    let config = "[quota.month]\nallowance = \"1 TB\"\n[action.stop]\nkind = \"stop-server\"\nserver_id = \"x\"\nregion = \"y\"\n";
    server().config(config).run(&["config", "check"]).exits(2).complains("source");
    assert_eq!(huawei.requests(), 0);
}

/// A machine whose server was stopped in a period that is over now, and a renewed package.
#[track_caller]
fn renewed(huawei: &Huawei, telegram: &Telegram, action: &str, between: impl Fn(&Machine)) -> Machine {
    let edge = soon(5);
    let month = time::Duration::days(30);
    huawei.package("pkg-1", 900, 1000);
    huawei.period("pkg-1", edge - month, edge);
    let machine = machine(huawei, telegram, &format!("{BY_REGION}\n{action}"));
    machine.check_exits(0).quietly();
    between(&machine);
    huawei.left("pkg-1", 100);
    machine.check_exits(0);
    let left = edge - OffsetDateTime::now_utc() + time::Duration::milliseconds(20);
    thread::sleep(Duration::try_from(left).unwrap_or_default());
    huawei.period("pkg-1", edge, edge + month);
    huawei.left("pkg-1", 1000);
    machine
}

#[test]
fn a_server_that_was_stopped_is_started_on_renewal() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = renewed(&huawei, &telegram, "start_on_renewal = true", |_| ());
    assert_eq!(huawei.status(ID), "SHUTOFF");
    settle(&machine);
    machine.check_exits(0);
    assert_eq!(huawei.acts(), [format!("os-stop SOFT {ID}"), format!("os-start - {ID}")]);
    assert_eq!(huawei.status(ID), "ACTIVE");
    huawei.left("pkg-1", 100);
    machine.check_exits(0);
    assert_eq!(huawei.acts().len(), 3, "and stopped again in the new period: {:?}", huawei.acts());
}

#[test]
fn without_being_told_so_nothing_is_started() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = renewed(&huawei, &telegram, "", |_| ());
    settle(&machine);
    machine.check_exits(0);
    assert_eq!((huawei.acts().len(), huawei.status(ID)), (1, "SHUTOFF"));
}

#[test]
fn a_server_that_somebody_else_had_stopped_is_not_started() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = renewed(&huawei, &telegram, "start_on_renewal = true", |_| huawei.switch(ID, "SHUTOFF"));
    settle(&machine);
    machine.check_exits(0);
    assert_eq!((huawei.acts(), huawei.status(ID)), (vec![], "SHUTOFF"));
}

#[test]
fn a_server_that_somebody_else_has_started_is_not_started_again() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    huawei.server(ID, Stops::After(0));
    let machine = renewed(&huawei, &telegram, "start_on_renewal = true", |_| ());
    huawei.switch(ID, "ACTIVE");
    settle(&machine);
    machine.check_exits(0);
    assert_eq!((huawei.acts().len(), huawei.status(ID)), (1, "ACTIVE"));
}
