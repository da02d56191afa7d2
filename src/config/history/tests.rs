//! What the table comes to, what is wrong with it, and that no password is shown.

use toml::de::DeTable;

use super::*;
use crate::config::fields::{Findings, Shown};
use crate::config::secret::{Need, Part};
#[cfg(feature = "postgres")]
use crate::history::place::Tls;
use crate::testing::vendor::Vendor;

/// Everything that comes of a table.
struct Read {
    settings: Settings,
    shown: Vec<Shown>,
    literal: bool,
    secrets: Vec<Secret>,
}

fn read_with(host: &Vendor, text: &str, need: Need) -> Result<Read, Vec<String>> {
    let text = format!("[history]\n{text}\n");
    let table = DeTable::parse(&text).unwrap();
    let findings = Findings::new("c.toml", &text);
    let keeper = Keeper::new(host, need);
    keeper.reading(Part::History);
    let settings = read(Fields::root(&findings, &table).table("history"), &keeper);
    let (_, shown) = findings.finish()?;
    Ok(Read { settings, shown, literal: keeper.literal.take(), secrets: keeper.secrets.take() })
}

#[track_caller]
fn good(text: &str) -> Read {
    read_with(&Vendor::new(), text, Need::Secrets).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[track_caller]
fn wrong(text: &str) -> Vec<String> {
    read_with(&Vendor::new(), text, Need::Secrets).err().expect("it is wrong")
}

fn shown_of(read: &Read) -> Vec<String> {
    let of = |shown: &Shown| format!("{}.{} = {} {}", shown.table, shown.key, shown.value, shown.default);
    read.shown.iter().map(of).collect()
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn without_a_word_it_is_in_the_state_directory() {
    let read = good("");
    assert!(matches!(read.settings.place, Place::Sqlite(None)));
    assert_eq!(read.settings.every, 5 * MINUTE);
    assert_eq!(read.settings.keep, Keep { samples: Some(14 * DAY), hours: Some(90 * DAY), days: None });
    assert_eq!(
        shown_of(&read),
        [
            "history.url = \"sqlite:\" true",
            "history.every = \"5 min\" true",
            "history.keep.samples = \"14 d\" true",
            "history.keep.hours = \"90 d\" true",
            "history.keep.days = \"forever\" true",
        ]
    );
    assert!(!read.literal && read.secrets.is_empty());
}

#[test]
fn everything_can_be_set() {
    let read =
        good("url = \"none\"\nevery = \"1 h\"\nkeep = { samples = \"36 h\", hours = \"forever\", days = \"forever\" }");
    assert!(matches!(read.settings.place, Place::Nowhere));
    assert_eq!(read.settings.every, HOUR);
    assert_eq!(read.settings.keep, Keep { samples: Some(36 * HOUR), hours: None, days: None });
    let all = good("every = \"1 min\"\nkeep.samples = \"1 d\"\nkeep.hours = \"2 d\"\nkeep.days = \"400 d\"").settings;
    assert_eq!(all.keep, Keep { samples: Some(DAY), hours: Some(2 * DAY), days: Some(400 * DAY) });
    assert_eq!(good("every = \"1 d\"").settings.every, DAY);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    for (text, said) in [
        ("every = \"59 s\"", "c.toml:2: history.every: between 1 min and 1 d is expected"),
        ("every = \"25 h\"", "c.toml:2: history.every: between 1 min and 1 d is expected"),
        ("keep.samples = \"23 h\"", "c.toml:2: history.keep.samples: at least 1 d or \"forever\" is expected"),
        (
            "keep.samples = \"1 d\"\nkeep.hours = \"47 h\"",
            "c.toml:3: history.keep.hours: at least 2 d or \"forever\" is expected",
        ),
        ("keep.days = \"399 d\"", "c.toml:2: history.keep.days: at least 400 d or \"forever\" is expected"),
        ("keep.day = \"400 d\"", "c.toml:2: history.keep.day: unknown key; did you mean \"days\"?"),
        ("keep = \"14 d\"", "c.toml:2: history.keep: a table is expected, not a text"),
        ("ever = \"5 min\"", "c.toml:2: history.ever: unknown key; did you mean \"every\"?"),
        ("url = 1", "c.toml:2: history.url: a text in quotes is expected, not a whole number"),
        ("password = \"x\"", "c.toml:2: history.password: there is no server that asks for it: url names none"),
    ] {
        assert_eq!(wrong(text), [said]);
    }
}

#[test]
fn what_is_finer_is_kept_no_longer() {
    for (text, said) in [
        ("keep.samples = \"91 d\"", "samples: \"91 d\" is longer than hours = \"90 d\""),
        ("keep.samples = \"forever\"", "samples: \"forever\" is longer than hours = \"90 d\""),
        ("keep.hours = \"forever\"\nkeep.days = \"400 d\"", "hours: \"forever\" is longer than days = \"400 d\""),
    ] {
        assert_eq!(wrong(text), [format!("c.toml:2: history.keep.{said}: of these rows those are some")]);
    }
    good("keep.samples = \"90 d\"");
    good("keep.samples = \"forever\"\nkeep.hours = \"forever\"");
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    let errors = wrong("url = \"postgre://u:SECRET@h/d\"");
    assert_eq!(errors, ["c.toml:2: history.url: \"postgre\" is no kind of store; did you mean \"postgres\"?"]);
    for url in ["postgres://u:SECRET@", "mysql://u:SEC/RET@h/d", "SECRET"] {
        let errors = wrong(&format!("url = \"{url}\""));
        assert!(errors.len() == 1 && !errors[0].contains("SEC"), "{errors:?}");
    }
}

#[test]
#[cfg(not(feature = "postgres"))]
fn a_kind_that_this_build_lacks_is_an_error_of_the_configuration() {
    let said = "c.toml:2: history.url: this build has no PostgreSQL: build with --features postgres";
    assert_eq!(wrong("url = \"postgres://u@h/d\"\npassword = { env = \"UNSET\" }")[0], said);
}

#[cfg(feature = "postgres")]
mod on_a_server {
    use super::*;

    fn server(read: &Read) -> &Server {
        let Place::Server(server) = &read.settings.place else { panic!("{:?}", read.settings.place) };
        server
    }

    fn password(read: &Read) -> Option<&str> {
        server(read).password.as_ref().map(Secret::expose)
    }

    #[test]
    fn a_password_in_the_address_is_a_secret_in_the_file() {
        let read = good("url = \"postgres://u:p%40ss-WORD@h/d\"");
        assert_eq!(password(&read), Some("p@ss-WORD"));
        assert!(read.literal, "others must not read the file");
        assert_eq!(read.secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["p@ss-WORD"]);
        assert_eq!(shown_of(&read)[0], "history.url = \"postgres://u:(redacted)@h/d\" false");
        assert!(!format!("{:?}", read.settings).contains("WORD"));
        let read = good("url = \"postgres://u@h/d\"");
        assert!(password(&read).is_none() && !read.literal && read.secrets.is_empty());
    }

    #[test]
    fn a_password_of_its_own_is_resolved_by_those_who_use_it() {
        let text = "url = \"postgres://u@h/d\"\npassword = { env = \"PW\" }";
        let host = Vendor::new().env("PW", "SECRET");
        for (need, used) in [
            (Need::Secrets, true),
            (Need::History, true),
            (Need::Sending, true),
            (Need::Sources, false),
            (Need::Nothing, false),
        ] {
            let read = read_with(&host, text, need).unwrap_or_else(|errors| panic!("{errors:?}"));
            assert_eq!(password(&read), used.then_some("SECRET"), "{need:?}");
            assert!(!read.literal);
            let unset = read_with(&Vendor::new(), text, need);
            assert_eq!(unset.is_err(), used, "{need:?}");
        }
        let both = wrong("url = \"postgres://u:SECRET@h/d\"\npassword = \"OTHER\"");
        assert_eq!(both, ["c.toml:3: history.password: url has one too: leave one of them out"]);
    }

    #[test]
    fn a_file_of_authorities_is_read_by_those_who_use_it() {
        let text = "url = \"postgres://u@h/d?sslrootcert=/ca.pem\"";
        let errors = wrong(text);
        assert!(errors.len() == 1 && errors[0].starts_with("c.toml:2: history.url: "), "{errors:?}");
        let text_of_config = "url = \"postgres://u@h/d?sslrootcert=/etc/netquota/config.toml\"";
        let host = Vendor::new().file("no certificate");
        let errors = read_with(&host, text_of_config, Need::History).err().expect("an error");
        assert!(errors[0].contains("/etc/netquota/config.toml: it holds no certificate"), "{errors:?}");
        let read = read_with(&Vendor::new(), text, Need::Nothing).unwrap_or_else(|errors| panic!("{errors:?}"));
        let path = "/ca.pem".into();
        assert_eq!(server(&read).tls, Tls::Full(Roots::File { path, pem: Vec::new() }));
    }
}
