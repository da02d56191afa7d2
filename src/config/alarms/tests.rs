//! What an alarm's table comes to, and what is wrong with it.

use super::*;
use crate::config::secret::Need;
use crate::config::{Config, parse};
use crate::testing::vendor::Vendor;

fn read_text(text: &str) -> Result<Config, Vec<String>> {
    parse(&Vendor::new(), "c.toml", text, Need::Nothing)
}

#[track_caller]
fn good(keys: &str) -> Alarm {
    let config = read_text(&format!("[alarm.a]\n{keys}\n")).unwrap_or_else(|errors| panic!("{errors:?}"));
    config.alarms.into_iter().next().expect("it is enabled")
}

#[track_caller]
fn wrong(keys: &str) -> String {
    let errors = read_text(&format!("[alarm.a]\n{keys}\n")).err().expect("it is wrong");
    errors.join("\n")
}

#[test]
fn what_is_not_written_has_a_default() {
    let alarm = good("rate_below = \"10 Mbps\"");
    assert_eq!((alarm.name.as_str(), alarm.source.as_str()), ("a", "interface"));
    assert_eq!((alarm.watched, alarm.limit), (Watched::Rate(Count::Max), Limit::Below(1_250_000, 1_375_000)));
    assert_eq!((alarm.lasting, alarm.repeat), (Lasting::Looks(1), None));
    assert_eq!(alarm.notify, ["stdout"]);
    assert!(alarm.between.is_empty() && alarm.names("eth0"));
}

#[test]
fn every_condition_has_its_limit() {
    let limit = |keys| good(keys).limit;
    assert_eq!(limit("rate_above = \"80 Mbps\"\nrecover = \"1 MB/s\""), Limit::Above(10_000_000, 1_000_000));
    assert_eq!(limit("cpu_above = \"90%\""), Limit::Above(9000, 8100));
    assert_eq!(limit("memory_above = \"95.5%\"\nrecover = \"95.5%\""), Limit::Above(9550, 9550));
    assert_eq!(limit("silent_for = \"5 min\""), Limit::From(300_000));
    assert_eq!(good("rate_above = \"1 Mbps\"\nof = \"in\"").watched, Watched::Rate(Count::In));
}

#[test]
fn it_lasts_so_many_runs_or_so_long() {
    assert_eq!(good("cpu_above = \"90%\"\nfor = 3").lasting, Lasting::Looks(3));
    assert_eq!(good("cpu_above = \"90%\"\nfor = \"10 min\"").lasting, Lasting::Time(Duration::from_secs(600)));
}

#[test]
fn hours_are_one_or_several() {
    let hours = good("cpu_above = \"90%\"\nbetween = \"22:00-02:00\"\ntimezone = \"Asia/Shanghai\"");
    assert_eq!((hours.between.len(), hours.zone.name()), (1, "Asia/Shanghai"));
    assert_eq!(good("cpu_above = \"90%\"\nbetween = [\"08:00-12:00\", \"13:00-24:00\"]").between.len(), 2);
}

#[test]
fn one_that_is_not_enabled_is_checked_and_left_out() {
    let config = read_text("[alarm.a]\nenabled = false\ncpu_above = \"90%\"").unwrap();
    assert!(config.alarms.is_empty());
    assert!(wrong("enabled = false\ncpu_above = \"900%\"").contains("alarm.a.cpu_above"));
}

#[test]
fn what_makes_no_sense_is_told() {
    for (keys, said) in [
        ("", "exactly one of rate_below, rate_above, cpu_above, memory_above and silent_for is expected"),
        ("cpu_above = \"90%\"\nsilent_for = \"5 min\"", "exactly one of"),
        ("rate_below = \"10\"", "is no rate above nothing such as \"10 Mbps\""),
        ("rate_below = 10", "a text in quotes is expected"),
        ("rate_above = \"0 Mbps\"", "is no rate above nothing"),
        ("cpu_above = \"101%\"", "is not between 0 and 100 %"),
        ("cpu_above = \"0%\"", "is not between 0 and 100 %"),
        ("rate_below = \"10 Mbps\"\nrecover = \"9 Mbps\"", "it is not less than rate_below"),
        ("rate_above = \"10 Mbps\"\nrecover = \"11 Mbps\"", "it is not more than rate_above"),
        ("silent_for = \"0 s\"", "it must be more than nothing"),
        ("silent_for = \"5 min\"\nrecover = \"1 min\"", "alarm.a.recover: it means nothing for silent_for"),
        ("cpu_above = \"90%\"\nof = \"in\"", "alarm.a.of: it means nothing for cpu_above"),
        ("cpu_above = \"90%\"\nfor = 0", "0 is no number of runs"),
        ("cpu_above = \"90%\"\nfor = \"often\"", "or a number of runs in a row"),
        ("cpu_above = \"90%\"\nbetween = \"22-2\"", "is not hours such as"),
        ("cpu_above = \"90%\"\nbetween = \"22:00-22:00\"", "has no hours"),
        ("cpu_above = \"90%\"\nbetween = \"25:00-02:00\"", "is not hours such as"),
        ("cpu_above = \"90%\"\nbetween = []", "at least one name is expected"),
        ("cpu_above = \"90%\"\ntimezone = \"UTC\"", "it means nothing without between"),
        ("cpu_above = \"90%\"\nrepeat = \"0 s\"", "it must be more than nothing"),
        ("cpu_above = \"90%\"\nnotify = [\"opss\"]", "there is no \"opss\""),
        ("cpu_above = \"90%\"\nsource = \"nics\"", "there is no \"nics\""),
        ("cpu_above = \"90%\"\nrates = 1", "alarm.a.rates: unknown key"),
    ] {
        let errors = wrong(keys);
        assert!(errors.contains(said), "{keys}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{keys}: {errors}");
    }
}

#[test]
fn a_source_that_is_asked_seldom_is_no_less_silent() {
    let text = "[source.interface]\nevery = \"10 min\"\n[alarm.a]\nsilent_for = \"10 min\"\n";
    let errors = read_text(text).err().unwrap().join("\n");
    assert!(errors.contains("the source is asked only every 10 min"), "{errors}");
}
