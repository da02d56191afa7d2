//! A provider's period: renewals, periods that have ended, ids that change, answers that come late.

use std::thread;
use std::time::Duration;

use time::OffsetDateTime;

use super::*;
use cloud::soon;

/// The period that ends in four seconds, and the one after it.
struct Edge {
    start: OffsetDateTime,
    edge: OffsetDateTime,
    end: OffsetDateTime,
}

impl Edge {
    fn ahead() -> Self {
        let edge = soon(4);
        Self { start: edge - time::Duration::days(30), edge, end: edge + time::Duration::days(30) }
    }

    fn before(&self, huawei: &Huawei, id: &str, left: u64) {
        huawei.period(id, self.start, self.edge);
        huawei.left(id, left);
    }

    fn after(&self, huawei: &Huawei, id: &str, left: u64) {
        huawei.period(id, self.edge, self.end);
        huawei.left(id, left);
    }

    fn pass(&self) {
        let left = self.edge - OffsetDateTime::now_utc() + time::Duration::milliseconds(20);
        thread::sleep(Duration::try_from(left).unwrap_or_default());
    }
}

/// As [`watching`], in a period that ends soon.
#[track_caller]
fn watching_at(edge: &Edge, huawei: &Huawei, telegram: &Telegram) -> Machine {
    let machine = watcher(huawei, telegram);
    edge.before(huawei, "pkg-1", 900);
    machine.check_exits(0).quietly();
    machine
}

#[test]
fn a_renewal_is_told_once_with_the_last_periods_usage_and_arms_all_tiers_again() {
    let (huawei, telegram, edge) = (Huawei::start(), Telegram::new(), Edge::ahead());
    let machine = watching_at(&edge, &huawei, &telegram);
    huawei.left("pkg-1", 150);
    machine.check_exits(0);
    assert_eq!((telegram.messages().len(), times(&machine)), (1, 1));
    edge.pass();
    edge.after(&huawei, "pkg-1", 1000);
    machine.check_exits(0);
    machine.check_exits(0);
    let texts = telegram.texts();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts[1].contains("850 GB"), "the last period's usage: {}", texts[1]);
    let status = machine.status();
    assert_eq!(bytes(status.row()), (0, 1000 * GB, 1000 * GB));
    assert_eq!(time_of(&status.row()["period"]["start"]), edge.edge);
    assert_eq!(time_of(&status.row()["period"]["end"]), edge.end);
    huawei.left("pkg-1", 500);
    machine.check_exits(0);
    huawei.left("pkg-1", 200);
    machine.check_exits(0);
    machine.check_exits(0);
    let texts = telegram.texts();
    assert_eq!((texts.len(), times(&machine)), (4, 2), "each tier rings again, the action acts again: {texts:#?}");
}

#[test]
fn a_period_that_has_ended_awaits_its_renewal() {
    let (huawei, telegram, edge) = (Huawei::start(), Telegram::new(), Edge::ahead());
    let machine = watching_at(&edge, &huawei, &telegram);
    edge.pass();
    edge.before(&huawei, "pkg-1", 1);
    for _ in 0..2 {
        assert!(matches!(machine.check().code(), 0 | 3));
        assert_eq!((telegram.requests(), times(&machine)), (0, 0), "no alert, no action");
    }
    edge.after(&huawei, "pkg-1", 400);
    machine.check_exits(0);
    assert!(
        telegram.texts().iter().any(|text| text.contains("500 GB")),
        "the new period counts: {:#?}",
        telegram.texts()
    );
    assert_eq!(times(&machine), 0);
}

#[test]
fn a_first_answer_whose_period_has_ended_is_no_alert() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watcher(&huawei, &telegram);
    huawei.period("pkg-1", huawei.days(-31), huawei.days(-1));
    huawei.left("pkg-1", 1);
    for _ in 0..2 {
        assert!(matches!(machine.check().code(), 0 | 3));
    }
    assert_eq!((telegram.requests(), times(&machine)), (0, 0));
}

#[test]
fn a_renewed_package_under_a_new_id_is_the_same_subject_and_told_once() {
    let (huawei, telegram, edge) = (Huawei::start(), Telegram::new(), Edge::ahead());
    let machine = watching_at(&edge, &huawei, &telegram);
    edge.pass();
    edge.after(&huawei, "pkg-1", 1000);
    huawei.renamed("pkg-1", "pkg-renewed");
    for _ in 0..3 {
        machine.check_exits(0);
    }
    let texts = telegram.texts();
    assert_eq!(texts.iter().filter(|text| text.contains("pkg-renewed")).count(), 1, "{texts:#?}");
    let known = texts.len();
    let status = machine.status();
    assert_eq!((&status.row()["subject"], bytes(status.row())), (&Value::from("pkg-1"), (0, 1000 * GB, 1000 * GB)));
    huawei.left("pkg-1", 450);
    machine.check_exits(0);
    machine.check_exits(0);
    assert_eq!(telegram.messages().len(), known + 1);
    assert!(telegram.texts().pop().unwrap().contains("500 GB"));
}

#[test]
fn an_id_that_changes_among_several_is_told_apart_by_what_is_missing() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    for id in ["pkg-1", "pkg-2", "pkg-3"] {
        huawei.package(id, 90, 100);
    }
    let config = format!(
        "{}[quota.package]\n{}",
        source(&huawei, &["pkg-1", "pkg-2", "pkg-3"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    machine.check_exits(0);
    huawei.renamed("pkg-2", "pkg-9");
    huawei.left("pkg-2", 80);
    let status = checked(&machine, 0);
    machine.check_exits(0);
    assert_eq!(status.count("quotas"), 3);
    assert_eq!(bytes(status.row_of("pkg-2")).2, 80 * GB);
    let text = telegram.only().text;
    assert!(text.contains("pkg-2") && text.contains("pkg-9"), "{text}");
}

#[test]
fn two_ids_missing_and_two_unasked_are_a_problem() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    for id in ["pkg-1", "pkg-2"] {
        huawei.package(id, 90, 100);
    }
    let config = format!(
        "{}[quota.package]\ntiers = [\"50%\"]\n{}",
        source(&huawei, &["pkg-1", "pkg-2"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    machine.check_exits(0).quietly();
    for (old, new) in [("pkg-1", "pkg-8"), ("pkg-2", "pkg-9")] {
        huawei.renamed(old, new);
        huawei.left(old, 1);
    }
    let run = machine.check_exits(3);
    for id in ["pkg-1", "pkg-2"] {
        assert!(run.stderr.contains(id), "no {id}: {}", run.stderr);
    }
    let status = machine.status();
    assert_eq!(status.count("quotas"), 2);
    for id in ["pkg-1", "pkg-2"] {
        let row = status.row_of(id);
        assert_eq!((bytes(row).2, &row["stale"]), (90 * GB, &Value::Bool(true)));
    }
    assert_eq!(telegram.requests(), 0);
}

#[test]
fn a_record_that_nobody_asked_for_is_not_counted() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    let record = |id: &str, left: u32| {
        format!(
            r#"{{"free_resource_id":"{id}","amount":{left},"original_amount":1000,"measure_id":10,
            "start_time":"{}","end_time":"{}"}}"#,
            cloud::utc(huawei.days(-10)),
            cloud::utc(huawei.days(20))
        )
    };
    let both = format!(r#"{{"free_resources":[{},{}]}}"#, record("pkg-1", 800), record("pkg-other", 1));
    huawei.always(Call::Usage, Wrong::json(&both));
    machine.check();
    let status = machine.status();
    assert_eq!(bytes(status.row()).2, 800 * GB);
    assert_eq!((telegram.requests(), times(&machine)), (0, 0));
}

#[test]
fn a_package_that_is_missing_beside_another_is_a_problem_that_names_it() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    for id in ["pkg-1", "pkg-2"] {
        huawei.package(id, 90, 100);
    }
    let config = format!(
        "{}[quota.package]\ntiers = [\"50%\"]\n{}",
        source(&huawei, &["pkg-1", "pkg-2"]),
        telegram_table(&telegram.url())
    );
    let machine = server().config(&config);
    machine.check_exits(0).quietly();
    huawei.remove("pkg-2");
    let run = machine.check_exits(3);
    assert!(run.stderr.contains("pkg-2"), "{}", run.stderr);
    let status = machine.status();
    assert_eq!((bytes(status.row_of("pkg-2")).2, &status.row_of("pkg-2")["stale"]), (90 * GB, &Value::Bool(true)));
    assert_eq!(telegram.requests(), 0);
}

#[test]
fn an_older_answer_after_a_newer_one_undoes_nothing() {
    let (huawei, telegram, edge) = (Huawei::start(), Telegram::new(), Edge::ahead());
    let machine = watching_at(&edge, &huawei, &telegram);
    edge.pass();
    edge.after(&huawei, "pkg-1", 450);
    machine.check_exits(0);
    machine.check_exits(0);
    let told = telegram.texts();
    edge.before(&huawei, "pkg-1", 1);
    assert!(matches!(machine.check().code(), 0 | 3));
    assert_eq!(time_of(&machine.status().row()["period"]["start"]), edge.edge, "the newer period stands");
    edge.after(&huawei, "pkg-1", 440);
    machine.check_exits(0);
    assert_eq!((telegram.texts(), times(&machine)), (told, 0), "nothing is told twice, nothing is done");
    assert_eq!(bytes(machine.status().row()).2, 440 * GB);
}

#[test]
fn a_figure_that_is_corrected_upwards_rings_no_tier_twice() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    for left in [480, 520, 480, 510, 499] {
        huawei.left("pkg-1", left);
        machine.check_exits(0).quietly();
        assert_eq!(bytes(machine.status().row()).2, left * GB);
    }
    assert_eq!(telegram.messages().len(), 1);
}

#[test]
fn a_total_that_changes_within_the_period_is_the_new_allowance() {
    let (huawei, telegram) = (Huawei::start(), Telegram::new());
    let machine = watching(&huawei, &telegram);
    huawei.set("pkg-1", "original_amount", "2000");
    huawei.left("pkg-1", 1900);
    let status = checked(&machine, 0);
    assert_eq!(bytes(status.row()), (100 * GB, 2000 * GB, 1900 * GB));
    assert_eq!((telegram.requests(), times(&machine)), (0, 0));
}
