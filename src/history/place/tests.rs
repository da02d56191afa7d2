//! What addresses mean, and that none shows its password.

use super::*;

fn server(url: &str) -> Result<Server, String> {
    let (scheme, rest) = url.split_once(':').unwrap();
    Server::parse(Kind::of(scheme).unwrap(), rest)
}

fn of(url: &str) -> Server {
    server(url).unwrap_or_else(|why| panic!("{url}: {why}"))
}

fn file_of(path: &str) -> Roots {
    Roots::File { path: path.into(), pem: Vec::new() }
}

#[test]
fn files_and_nowhere() {
    assert!(matches!(Place::parse("none"), Ok(Place::Nowhere)));
    for (url, path) in [
        ("sqlite:", None),
        ("sqlite://", None),
        ("sqlite:/var/lib/h.db", Some("/var/lib/h.db")),
        ("sqlite:///var/lib/h.db", Some("/var/lib/h.db")),
        ("sqlite:/a b?c#d.db", Some("/a b?c#d.db")),
    ] {
        let Ok(Place::Sqlite(found)) = Place::parse(url) else { panic!("{url}") };
        assert_eq!(found, path.map(PathBuf::from), "{url}");
    }
    for url in ["sqlite:h.db", "sqlite://h.db", "sqlite:./h.db", "sqlite:/", "sqlite:/var/"] {
        let why = Place::parse(url).unwrap_err();
        assert!(why.ends_with("is not the path of a file that begins with /"), "{why}");
    }
}

#[test]
fn a_server_and_who_logs_in() {
    let found = of("postgres://net%40q:p%2F%3A%40ss@db.example:6432/metering");
    assert_eq!((found.host.as_str(), found.port, found.user.as_str()), ("db.example", 6432, "net@q"));
    assert_eq!(found.database, "metering");
    assert_eq!(found.password.unwrap().expose(), "p/:@ss");
    let found = of("mariadb://u@[2001:db8::1]/d");
    assert_eq!((found.kind, found.host.as_str(), found.port), (Kind::Mysql, "2001:db8::1", 3306));
    assert!(found.password.is_none());
    assert_eq!(of("postgresql://u:@h/d").port, 5432);
    assert!(of("postgresql://u:@h/d").password.is_none());
    assert_eq!(of("mysql://u@/d").host, "localhost");
    assert_eq!(of("postgres://u@h/my%20db").database, "my db");
}

#[test]
fn a_server_is_called_without_who_logs_in() {
    for (url, called) in [
        ("postgres://user:secret@h/d", "PostgreSQL d at h:5432"),
        ("mysql://user:secret@[::1]:1/d", "MySQL d at [::1]:1"),
        ("postgres://user:secret@%2Frun%2Fpg/d", "PostgreSQL d at /run/pg"),
    ] {
        assert_eq!(of(url).to_string(), called);
        assert!(!format!("{:?}", of(url)).contains("secret"));
    }
}

#[test]
fn sockets() {
    for url in [
        "postgres://u@%2Frun%2Fpostgresql/d",
        "postgres://u@/d?host=/run/postgresql",
        "postgres:///d?host=/run/postgresql",
        "mysql://u@/d?socket=/run/postgresql",
        "mysql://u@/d?host=%2Frun%2Fpostgresql",
    ] {
        match server(url) {
            Ok(found) => {
                assert_eq!(found.socket(), Some(Path::new("/run/postgresql")), "{url}");
                assert_eq!(found.tls, Tls::Off, "{url}");
            }
            Err(why) => assert!(url.contains(":///") && why.starts_with("the user is missing"), "{url}: {why}"),
        }
    }
    assert_eq!(of("mysql://u@h/d").socket(), None);
    assert_eq!(server("mysql://u@h/d?socket=/x").unwrap_err(), "the host is given twice");
    assert_eq!(server("mysql://u@/d?socket=x").unwrap_err(), "socket: \"x\" does not begin with /");
}

#[test]
fn what_crosses_a_network_is_encrypted_and_proved() {
    let web = || Roots::Web;
    for (url, tls) in [
        ("postgres://u@db.example/d", Tls::Full(web())),
        ("postgres://u@192.0.2.1/d", Tls::Full(web())),
        ("postgres://u@localhost.example/d", Tls::Full(web())),
        ("mysql://u@[2001:db8::1]/d", Tls::Full(web())),
        ("postgres://u@localhost/d", Tls::Off),
        ("postgres://u@LocalHost/d", Tls::Off),
        ("mysql://u@127.1.2.3/d", Tls::Off),
        ("mysql://u@[::1]/d", Tls::Off),
        ("mysql://u@[::1]/d?ssl-mode=VERIFY_IDENTITY", Tls::Full(web())),
        ("mysql://u@[::1]/d?ssl-ca=/ca.pem", Tls::Full(file_of("/ca.pem"))),
        ("postgres://u@h/d?sslmode=disable", Tls::Off),
        ("postgres://u@h/d?sslmode=require", Tls::Unproven),
        ("postgres://u@h/d?sslmode=require&sslrootcert=/my%20ca.pem", Tls::Authority(file_of("/my ca.pem"))),
        ("postgres://u@h/d?sslmode=verify-ca", Tls::Authority(web())),
        ("postgres://u@h/d?sslrootcert=/ca.pem&sslmode=verify-full", Tls::Full(file_of("/ca.pem"))),
        ("mysql://u@h/d?sslmode=verify-ca&sslrootcert=/ca.pem", Tls::Authority(file_of("/ca.pem"))),
        ("mysql://u@h/d?ssl-mode=verify_ca", Tls::Authority(web())),
        ("mysql://u@h/d?ssl-mode=Required", Tls::Unproven),
        ("mysql://u@h/d?ssl-mode=DISABLED", Tls::Off),
    ] {
        assert_eq!(of(url).tls, tls, "{url}");
    }
}

#[test]
fn wrong_parameters_are_refused() {
    for (url, why) in [
        ("postgres://u@h/d?sslmod=require", "the parameter \"sslmod\" is not known; did you mean \"sslmode\"?"),
        ("postgres://u@h/d?ssl-ca=/x", "the parameter \"ssl-ca\" is not known; nearest are sslmode, host, sslrootcert"),
        ("postgres://u@h/d?sslmode=prefer", "sslmode: \"prefer\" is not known"),
        ("postgres://u@h/d?sslmode", "sslmode: \"\" is not known"),
        ("postgres://u@h/d?sslmode=require&sslmode=require", "sslmode: it is given twice"),
        ("mysql://u@h/d?sslmode=disable&ssl-mode=DISABLED", "ssl-mode: it is given twice"),
        ("postgres://u@h/d?sslrootcert=ca.pem", "sslrootcert: \"ca.pem\" does not begin with /"),
        ("postgres://u@h/d?sslmode=disable&sslrootcert=/ca.pem", "authorities are given for a connection without TLS"),
    ] {
        let found = server(url).expect_err(url);
        assert!(found.starts_with(why), "{url}: {found}");
    }
}

#[test]
fn what_is_no_address_is_refused_and_never_repeated() {
    for url in [
        "",
        "SECRET",
        "SECRET:",
        "https://u:SECRET@h/d",
        "postgres:",
        "postgres:SECRET",
        "postgres:/u:SECRET@h/d",
        "postgres://",
        "postgres://h/d",
        "postgres://:SECRET@h/d",
        "postgres://u:SECRET@h",
        "postgres://u:SECRET@h/",
        "postgres://u:SECRET@h/d/e",
        "postgres://u:SEC/RET@h/d",
        "postgres://u:12/SECRET@h/d",
        "postgres://u:SEC?RET@h/d",
        "postgres://u:SEC#RET@h/d",
        "postgres://u:%ffSECRET@h/d",
        "postgres://u:SECRET%00@h/d",
        "postgres://u:SECRET@h:0/d",
        "postgres://u:SECRET@h:x/d",
        "postgres://u:SECRET@h:65536/d",
        "postgres://u:SECRET@h:/d",
        "postgres://u:SECRET@[::1/d",
        "postgres://u:SECRET@[h]/d",
        "postgres://u:SECRET@[::1]5432/d",
        "postgres://u:SECRET@h,i/d",
        "postgres://u:SECRET@h i/d",
        "mysql:SECRET",
    ] {
        let found = match url.split_once(':').and_then(|(scheme, rest)| Some((Kind::of(scheme)?, rest))) {
            Some((kind, rest)) => Server::parse(kind, rest).map(drop),
            None => Place::parse(url).map(drop),
        };
        let why = found.expect_err(url);
        for part in ["SECRET", "SEC", "RET"] {
            assert!(!why.contains(part), "{url}: {why}");
        }
    }
    assert_eq!(
        Place::parse("postgre://u@h/d").unwrap_err(),
        "\"postgre\" is no kind of store; did you mean \"postgres\"?"
    );
}

#[test]
fn a_build_says_what_it_lacks() {
    for (url, kind, said) in [
        ("postgres://u@h/d", Kind::Postgres, "this build has no PostgreSQL: build with --features postgres"),
        ("mariadb://u@h/d", Kind::Mysql, "this build has no MySQL: build with --features mysql"),
    ] {
        match Place::parse(url) {
            Ok(place) => assert!(kind.built() && matches!(place, Place::Server(_))),
            Err(why) => assert!(!kind.built() && why == said, "{why}"),
        }
    }
}

#[test]
fn addresses_are_shown_without_passwords() {
    for (url, shown) in [
        ("none", "none"),
        ("sqlite:/a:b@c", "sqlite:/a:b@c"),
        ("sqlite:///a:b@c", "sqlite:///a:b@c"),
        ("postgres://u@h/d?host=/x", "postgres://u@h/d?host=/x"),
        ("postgres://u:SECRET@h:1/d?sslmode=require", "postgres://u:(redacted)@h:1/d?sslmode=require"),
        ("mysql://u:SE:C@RET@h/d", "mysql://u:(redacted)@h/d"),
    ] {
        assert_eq!(Place::shown(url), shown);
    }
}
