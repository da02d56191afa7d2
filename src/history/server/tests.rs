//! The history on real servers: what can happen between a run and one.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::history::place::{Kind, Mode, Place, Roots, Server, Tls};
use crate::history::tests::{self as suite, Opened};
use crate::history::{Archive, Batch, Instance, Keep, Logged, Moment, Named, Prune, Total};
use crate::quota::event::{Event, Kind as What, Outcome};
use crate::quota::instant::Instant;
use crate::quota::track::Grain;
use crate::secret::Secret;
use crate::testing::archive::MemoryArchive;
use crate::testing::database::{Between, Cut, Database, PASSWORD};

/// Each test on both kinds of servers.
macro_rules! on_servers {
    ($($name:ident),* $(,)?) => {
        mod postgres {
            $(#[test] #[ignore = "needs a PostgreSQL server: ./test starts one"] fn $name() {
                super::$name(super::Kind::Postgres);
            })*
        }
        mod mysql {
            $(#[test] #[ignore = "needs a MariaDB server: ./test starts one"] fn $name() {
                super::$name(super::Kind::Mysql);
            })*
        }
    };
}

on_servers!(
    a_reader_makes_nothing_and_needs_no_right_but_to_read,
    a_server_that_crashes_has_all_of_a_batch_or_nothing,
    a_server_that_hangs_is_not_waited_for,
    a_server_that_is_down_says_so,
    a_thousand_subjects_are_written_at_once,
    connections_are_as_safe_as_asked_for,
    it_does_as_the_plain_one,
    names_may_be_anything,
    many_make_the_tables_at_once,
    passwords_are_not_told,
    runs_that_are_cut_off_are_made_good,
    the_suite,
    writers_do_not_disturb_each_other,
);

const LIMIT: Duration = Duration::from_secs(30);

fn open(server: &Server, mode: Mode, limit: Duration) -> Opened {
    Place::Server(server.clone()).open("/nowhere".as_ref(), mode, limit)
}

#[track_caller]
fn writer(server: &Server) -> Box<dyn Archive + Send> {
    open(server, Mode::Write, LIMIT).unwrap().unwrap()
}

#[track_caller]
fn refused(opened: Opened) -> String {
    match opened {
        Ok(_) => panic!("it was opened"),
        Err(failure) => failure.text,
    }
}

fn at(minutes: u64) -> Instant {
    Instant::from_millis(1_790_000_000_000).plus(Duration::from_secs(minutes * 60))
}

fn named(key: u64, subject: &str) -> Named {
    Named { key, source: "nic".into(), subject: subject.into(), label: String::new(), part_of: String::new() }
}

/// The samples of some minutes, of so many subjects, and an event in each.
fn batch(instance: &str, subjects: u64, after: Option<u64>, minutes: std::ops::RangeInclusive<u64>) -> Batch {
    let total = |minute: u64, key: u64| Total {
        rx: (minute * 1000 + key) as i64 - 50,
        tx: (minute * key) as i64,
        spread: (minute % 3) as u32,
        hole: false,
    };
    let moment = |minute: u64| Moment {
        at: at(minute),
        grain: if minute.is_multiple_of(60) { Grain::Hour } else { Grain::Sample },
        totals: (1..=subjects).map(|key| (key, total(minute, key))).collect(),
    };
    let event = |minute: u64| Event {
        at: at(minute),
        kind: What::Alert,
        source: "nic".into(),
        subject: "eth1".into(),
        quota: "month".into(),
        name: "ops".into(),
        reason: format!("minute {minute}"),
        outcome: Outcome::Done,
        detail: String::new(),
    };
    Batch {
        instance: instance.into(),
        host: format!("host of {instance}"),
        after: after.map(at),
        subjects: (1..=subjects).map(|key| named(key, &format!("eth{key}"))).collect(),
        moments: minutes.clone().map(moment).collect(),
        logged: after.unwrap_or(0),
        events: minutes.clone().map(event).collect(),
        keep: Keep { samples: None, hours: None, days: None },
        now: at(*minutes.end()),
    }
}

/// All that a store says, whatever its numbers are.
type Said = (Vec<Instance>, BTreeMap<(String, u64), (Named, Vec<(Instant, Total)>)>, Vec<Logged>);

fn all(archive: &mut dyn Archive) -> Said {
    let (first, last) = (Instant::from_millis(i64::MIN), Instant::from_millis(i64::MAX));
    let rows = archive.rows(None, first, last, Grain::Sample).unwrap();
    let known = archive.subjects(None).unwrap().into_iter().map(|known| {
        let rows = rows.iter().filter(|row| row.id == known.id).map(|row| (row.at, row.total)).collect();
        ((known.instance, known.named.key), (known.named, rows))
    });
    (archive.instances().unwrap(), known.collect(), archive.events(None, first, last).unwrap())
}

fn model(batches: &[Batch]) -> Said {
    let mut model = MemoryArchive::default();
    for batch in batches {
        model.write(batch).unwrap();
    }
    all(&mut model)
}

fn a_reader_makes_nothing_and_needs_no_right_but_to_read(kind: Kind) {
    let database = Database::shared(kind);
    let owner = database.fresh();
    let reader = Server { user: "reader".into(), ..owner.clone() };
    assert!(open(&owner, Mode::Read, LIMIT).unwrap().is_none());
    if kind == Kind::Mysql {
        database.admin("mysql", &format!("GRANT SELECT ON {}.* TO reader@'%'", owner.database));
    }
    assert!(open(&reader, Mode::Read, LIMIT).unwrap().is_none());
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'netquota%'";
    if kind == Kind::Postgres {
        assert_eq!(database.admin(&owner.database, tables), "0");
    }
    let written = batch("a", 2, None, 1..=3);
    writer(&owner).write(&written).unwrap();
    if kind == Kind::Postgres {
        database.admin(&owner.database, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    }
    let mut archive = open(&reader, Mode::Read, LIMIT).unwrap().unwrap();
    assert_eq!(all(&mut *archive), model(&[written]));
    let id = archive.subjects(None).unwrap()[0].id;
    let prune = Prune { ids: Some(vec![id]), instance: "a".into(), from: None, to: at(3), stay: Vec::new() };
    let counted = archive.prune(&prune, true).unwrap();
    assert_eq!((counted.rows, counted.events), (2, 2));
    let more = batch("a", 2, Some(3), 4..=4);
    let failure = writer(&reader).write(&more).unwrap_err();
    assert!(failure.text.contains("denied"), "{failure}");
    archive.write(&more).unwrap_err();
    // The connection is fit for more.
    assert_eq!(archive.instances().unwrap().len(), 1);
}

fn a_server_that_crashes_has_all_of_a_batch_or_nothing(kind: Kind) {
    let database: &'static Database = Box::leak(Box::new(Database::start(kind)));
    let server = database.fresh();
    let of = |instance| (batch(instance, 50, None, 1..=2), batch(instance, 50, Some(2), 3..=40));
    let ((first, second), other) = (of("a"), of("b"));
    let size = size(&server, &[&first, &other.0], &other.1);
    for part in [40, 70, 99] {
        let between = Between::new(server.port, size * part / 100, Cut::Crash(database));
        let through = Server { port: between.port, ..server.clone() };
        let outcome = open(&through, Mode::Write, LIMIT).and_then(|archive| archive.unwrap().write(&second));
        assert!(outcome.is_err(), "at {part} %");
        database.settle();
        let text = refused(open(&server, Mode::Write, LIMIT));
        assert!(text.contains("refused"), "{text}");
        database.again();
        let found = all(&mut *open(&server, Mode::Read, LIMIT).unwrap().unwrap());
        let nothing = model(&[first.clone(), other.0.clone(), other.1.clone()]);
        let whole = model(&[first.clone(), other.0.clone(), other.1.clone(), second.clone()]);
        assert!(found == nothing || found == whole, "half of it is there at {part} %");
    }
    writer(&server).write(&second).unwrap();
    assert_eq!(all(&mut *writer(&server)), model(&[first, other.0, other.1, second]));
}

/// How many bytes are exchanged when a batch is written after some others.
fn size(server: &Server, before: &[&Batch], batch: &Batch) -> i64 {
    for batch in before {
        writer(server).write(batch).unwrap();
    }
    let between = Between::new(server.port, i64::MAX, Cut::Close);
    let mut archive = writer(&Server { port: between.port, ..server.clone() });
    archive.write(batch).unwrap();
    i64::MAX - between.left()
}

fn a_server_that_hangs_is_not_waited_for(kind: Kind) {
    let database = Database::shared(kind);
    let server = database.fresh();
    let limit = Duration::from_millis(300);
    // It accepts, since the kernel does, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = Server { port: silent.local_addr().unwrap().port(), ..server.clone() };
    for tls in [Tls::Off, Tls::Unproven] {
        let text = refused(open(&Server { tls, ..deaf.clone() }, Mode::Write, limit));
        assert!(text.ends_with("no answer within 0.3 s"), "{text}");
    }
    // It falls silent in the middle.
    let of = |instance| (batch(instance, 5, None, 1..=2), batch(instance, 5, Some(2), 3..=9));
    let ((first, second), other) = (of("a"), of("b"));
    let size = size(&server, &[&first, &other.0], &other.1);
    for part in [20, 60, 90] {
        let between = Between::new(server.port, size * part / 100, Cut::Hang);
        let through = Server { port: between.port, ..server.clone() };
        let outcome = open(&through, Mode::Write, limit).and_then(|archive| archive.unwrap().write(&second));
        let text = outcome.unwrap_err().text;
        assert!(text.ends_with("no answer within 0.3 s"), "{text}");
    }
    // Another run holds the machine's row, and does not let go.
    let held = Between::new(server.port, size * 90 / 100, Cut::Hang);
    let through = Server { port: held.port, ..server.clone() };
    thread::scope(|scope| {
        scope.spawn(|| open(&through, Mode::Write, LIMIT / 10).and_then(|archive| archive.unwrap().write(&second)));
        while held.left() > 0 {
            thread::yield_now();
        }
        let outcome = open(&server, Mode::Write, limit).and_then(|archive| archive.unwrap().write(&second));
        if let Err(failure) = outcome {
            let words = ["no answer within 0.3 s", "canceling statement due to"];
            assert!(words.iter().any(|word| failure.text.contains(word)), "{failure}");
        }
    });
    writer(&server).write(&second).unwrap();
}

fn a_server_that_is_down_says_so(kind: Kind) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server { port, ..Database::shared(kind).fresh() };
    for mode in [Mode::Read, Mode::Write] {
        let text = refused(open(&server, mode, LIMIT));
        assert!(text.starts_with(&format!("{server}: ")) && text.ends_with("connection refused"), "{text}");
    }
    let nameless = Server { host: "no-such-host.invalid".into(), ..server };
    let text = refused(open(&nameless, Mode::Read, LIMIT));
    assert!(text.contains(" at no-such-host.invalid:"), "{text}");
}

fn a_thousand_subjects_are_written_at_once(kind: Kind) {
    let server = Database::shared(kind).fresh();
    let written = [batch("a", 1000, None, 1..=3), batch("a", 1000, Some(2), 3..=4)];
    for batch in &written {
        writer(&server).write(batch).unwrap();
    }
    assert_eq!(all(&mut *writer(&server)), model(&written));
}

fn connections_are_as_safe_as_asked_for(kind: Kind) {
    let database = Database::shared(kind);
    let file = |name: &str| Roots::File { path: name.into(), pem: database.file(name).into_bytes() };
    // It is let in only when it is encrypted.
    let server = Server { user: "encrypted".into(), ..database.fresh() };
    let to = |host: &str, tls: Tls| open(&Server { host: host.into(), tls, ..server.clone() }, Mode::Read, LIMIT);
    assert!(to("localhost", Tls::Full(file("ca.pem"))).is_ok());
    assert!(to("localhost", Tls::Authority(file("ca.pem"))).is_ok());
    // Its certificate is not for this name. MySQL's driver cannot be told that any will do, and so is stricter.
    assert_eq!(to("127.0.0.1", Tls::Authority(file("ca.pem"))).is_ok(), kind == Kind::Postgres);
    assert!(to("127.0.0.1", Tls::Unproven).is_ok());
    for (host, tls) in [
        ("127.0.0.1", Tls::Full(file("ca.pem"))),
        ("localhost", Tls::Full(file("other.pem"))),
        ("localhost", Tls::Authority(file("other.pem"))),
        ("localhost", Tls::Full(Roots::Web)),
        ("localhost", Tls::Authority(Roots::Web)),
    ] {
        let text = refused(to(host, tls.clone()));
        assert!(text.contains("certificate"), "{tls:?}: {text}");
    }
    let text = refused(to("localhost", Tls::Off));
    assert!(text.contains("encrypted"), "{text}");
    let socket = Server { host: database.socket(), user: "netquota".into(), ..server.clone() };
    assert!(open(&socket, Mode::Read, LIMIT).unwrap().is_none());
}

fn names_may_be_anything(kind: Kind) {
    let server = Database::shared(kind).fresh();
    let hostile = [
        "x".repeat(10_000),
        "😀".repeat(10_000),
        "a'); DROP TABLE netquota_samples; --".into(),
        "?? $1 \\ \\' \" ` %s {} \u{1}\u{7f}\u{202e}\r\n\t".into(),
        "Straße".into(),
        "STRASSE ".into(),
        "strasse".into(),
        "zero\0zero".into(),
    ];
    let mut written = batch("a", hostile.len() as u64, None, 1..=2);
    for (named, name) in written.subjects.iter_mut().zip(&hostile) {
        for text in [&mut named.source, &mut named.subject, &mut named.label, &mut named.part_of] {
            text.clone_from(name);
        }
    }
    let event = written.events[0].clone();
    let about = |name: &String| Event {
        source: name.clone(),
        subject: name.clone(),
        quota: name.clone(),
        name: name.clone(),
        reason: name.clone(),
        detail: name.clone(),
        ..event.clone()
    };
    written.events = hostile.iter().chain([&"STRASSE".to_owned()]).map(about).collect();
    written.host.clone_from(&hostile[3]);
    let mut archive = writer(&server);
    for _ in 0..2 {
        archive.write(&written).unwrap();
    }
    // PostgreSQL has no zero character.
    let stand_in = if kind == Kind::Postgres { "\u{2400}" } else { "\0" };
    let mut expected = written.clone();
    let texts =
        expected.subjects.iter_mut().flat_map(|of| [&mut of.source, &mut of.subject, &mut of.label, &mut of.part_of]);
    let events = expected
        .events
        .iter_mut()
        .flat_map(|of| [&mut of.source, &mut of.subject, &mut of.quota, &mut of.name, &mut of.reason, &mut of.detail]);
    for text in texts.chain(events) {
        *text = text.replace('\0', stand_in);
    }
    assert!(all(&mut *archive) == model(&[expected]), "not all names came back");
    // Of names that a language may take for the same, blanks at the end included, just one is meant.
    let known = archive.subjects(None).unwrap();
    for name in &hostile {
        let id = known.iter().find(|known| known.named.subject == name.replace('\0', stand_in)).unwrap().id;
        let prune = Prune { ids: Some(vec![id]), instance: "a".into(), from: None, to: at(9), stay: Vec::new() };
        let pruned = archive.prune(&prune, false).unwrap();
        assert_eq!((pruned.rows, pruned.events), (2, 1));
    }
    assert_eq!(archive.events(None, at(0), at(9)).unwrap().len(), 1);
}

/// A database, to be opened as often as is wanted.
struct Fresh(Server);

impl suite::Fresh for Fresh {
    fn open(&self, mode: Mode) -> Opened {
        open(&self.0, mode, LIMIT)
    }

    fn sql(&self, statements: &str) {
        Database::shared(self.0.kind).admin(&self.0.database, statements);
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        Database::shared(self.0.kind).remove(&self.0);
    }
}

fn fresh(kind: Kind) -> Box<dyn suite::Fresh> {
    Box::new(Fresh(Database::shared(kind).fresh()))
}

fn it_does_as_the_plain_one(kind: Kind) {
    suite::like_the_plain_one(&|| fresh(kind), 20);
}

fn the_suite(kind: Kind) {
    suite::suite(&|| fresh(kind));
    suite::tables_suite(&|| fresh(kind));
}

fn many_make_the_tables_at_once(kind: Kind) {
    let server = Database::shared(kind).fresh();
    thread::scope(|scope| {
        for number in 0..8 {
            let server = &server;
            scope.spawn(move || writer(server).write(&batch(&format!("i{number}"), 3, None, 1..=3)).unwrap());
        }
    });
    let written: Vec<Batch> = (0..8).map(|number| batch(&format!("i{number}"), 3, None, 1..=3)).collect();
    assert_eq!(all(&mut *writer(&server)), model(&written));
}

fn passwords_are_not_told(kind: Kind) {
    let server = Database::shared(kind).fresh();
    for wrong in ["Wr0ng:pass/w@rd", "netquota", &PASSWORD[1..]] {
        let text = refused(open(&Server { password: Some(Secret::new(wrong)), ..server.clone() }, Mode::Read, LIMIT));
        assert!(text.starts_with(&format!("{server}: ")), "{text}");
        let said = text.split_once(": ").unwrap().1;
        assert!(!said.contains(wrong), "{text}");
        assert!(["authentication failed", "Access denied"].iter().any(|words| text.contains(words)), "{text}");
    }
    refused(open(&Server { password: None, ..server }, Mode::Read, LIMIT));
}

fn runs_that_are_cut_off_are_made_good(kind: Kind) {
    const CUTS: i64 = 50;
    let server = Database::shared(kind).fresh();
    let mut good = vec![batch("b", 20, None, 1..=3), batch("b", 20, Some(3), 4..=4)];
    let size = size(&server, &[&good[0]], &good[1]);
    let (mut after, mut failed) = (None, 0);
    for run in 1..=CUTS as u64 {
        // What a run could not write is written by the next one.
        let due = batch("a", 20, after, after.map_or(1, |after| after + 1)..=run);
        // Spread over all of it, and beyond: what could not be written before makes more of it.
        let between = Between::new(server.port, 3 * size * (run as i64 * 37 % CUTS) / CUTS, Cut::Close);
        let through = Server { port: between.port, ..server.clone() };
        match open(&through, Mode::Write, LIMIT).and_then(|archive| archive.unwrap().write(&due)) {
            Ok(()) => {
                after = Some(run);
                good.push(due);
            }
            Err(_) => failed += 1,
        }
    }
    assert!(failed > CUTS / 4 && failed < CUTS, "{failed} were cut off");
    let due = batch("a", 20, after, after.map_or(1, |after| after + 1)..=CUTS as u64 + 1);
    writer(&server).write(&due).unwrap();
    good.push(due);
    assert_eq!(all(&mut *writer(&server)), model(&good));
}

fn writers_do_not_disturb_each_other(kind: Kind) {
    const RUNS: u64 = 20;
    let server = Database::shared(kind).fresh();
    let of =
        |instance: &'static str| (1..=RUNS).map(move |run| batch(instance, 30, (run > 1).then(|| run - 1), run..=run));
    // Two of them claim to be the same machine.
    let machines = ["a", "b", "c", "c"];
    thread::scope(|scope| {
        for instance in machines {
            let server = &server;
            scope.spawn(move || {
                for batch in of(instance) {
                    writer(server).write(&batch).unwrap();
                }
            });
        }
    });
    let written: Vec<Batch> = ["a", "b"].into_iter().flat_map(of).collect();
    let (_, mut series, mut events) = all(&mut *writer(&server));
    let (_, expected, told) = model(&written);
    // What two at once say of one machine is what one of them says at each instant.
    let both: Vec<_> = series.extract_if(.., |key, _| key.0 == "c").collect();
    assert_eq!(both.len(), 30);
    for ((_, key), (_, rows)) in &both {
        let due: BTreeMap<Instant, Total> = of("c")
            .flat_map(|batch| batch.moments)
            .flat_map(|moment| moment.totals.into_iter().map(move |(key, total)| (key, moment.at, total)))
            .filter(|(of, _, _)| of == key)
            .map(|(_, at, total)| (at, total))
            .collect();
        assert!(rows.iter().all(|(at, total)| due.get(at) == Some(total)));
        assert_eq!(rows.last().unwrap().0, at(RUNS));
    }
    events.retain(|logged| logged.instance != "c");
    assert_eq!((series, events), (expected, told));
}
