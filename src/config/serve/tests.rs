//! What the table comes to, what is wrong with it, and that no secret is shown.

use crate::config::secret::Need;
use crate::config::{Config, parse, show};
use crate::testing::vendor::Vendor;

fn read(text: &str, need: Need) -> Result<Config, Vec<String>> {
    parse(&Vendor::new(), "c.toml", text, need)
}

const WHOLE: &str = r#"
[serve]
read_token = "the-token"
report_password = "the-password"
idle_exit = "2 min"
max_nodes = 5
[serve.node_passwords]
hk-1 = "of-hk-1"
"b.example" = { env = "OF_B" }
"#;

#[test]
fn without_a_table_there_are_no_settings_and_with_an_empty_one_the_usual() {
    assert!(read("", Need::Serving).unwrap().serve.is_none());
    let usual = read("[serve]\n", Need::Serving).unwrap().serve.unwrap();
    assert_eq!((usual.idle_exit.as_secs(), usual.max_nodes), (30, 1000));
    assert!(usual.read_token.is_none() && usual.report_password.is_none() && usual.node_passwords.is_empty());
}

#[test]
fn everything_is_read_and_no_secret_is_shown() {
    let config = read(WHOLE, Need::Nothing).unwrap();
    let settings = config.serve.as_ref().unwrap();
    assert_eq!((settings.idle_exit.as_secs(), settings.max_nodes), (120, 5));
    assert_eq!(settings.node_passwords["hk-1"].expose(), "of-hk-1");
    let shown = show::show(&config);
    let table = &shown[shown.find("[serve]").unwrap()..];
    for line in [
        "read_token = \"(redacted)\"",
        "report_password = \"(redacted)\"",
        "[serve.node_passwords]",
        "hk-1 = \"(redacted)\"",
        "\"b.example\" = { env = \"OF_B\" }",
        "max_nodes = 5",
    ] {
        assert!(table.contains(line), "{line}: {table}");
    }
    for secret in ["the-token", "the-password", "of-hk-1"] {
        assert!(!shown.contains(secret) && !format!("{settings:?}").contains(secret));
    }
}

#[test]
fn only_serving_needs_its_secrets() {
    for need in [Need::Nothing, Need::Secrets, Need::Sending, Need::History, Need::Sources] {
        assert!(read(WHOLE, need).is_ok(), "{need:?}");
    }
    let errors = read(WHOLE, Need::Serving).err().unwrap();
    assert_eq!(errors, ["c.toml:9: serve.node_passwords.b.example: the environment variable OF_B is not set"]);
    let source = "[source.huawei]\nsite = \"china\"\nresource_ids = [\"a\"]\naccess_key = { env = \"NONE\" }\n\
                  secret_key = { env = \"NONE\" }\n[quota.q]\nallowance = \"1 GB\"\n";
    assert!(read(source, Need::Serving).is_ok(), "it asks no vendor");
    for (more, need) in [
        ("[notifier.telegram]\ntoken = { env = \"NONE\" }\nchat = -1\n", Need::Testing),
        ("[history]\nurl = \"postgres://u@db/n\"\npassword = { env = \"NONE\" }\n", Need::History),
    ] {
        assert!(read(&format!("[serve]\n{more}"), Need::Serving).is_ok(), "a view alone needs it: {more}");
        let errors = read(&format!("[serve]\n{more}"), need).err().unwrap();
        assert!(errors[0].contains("the environment variable NONE is not set"), "{errors:?}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (text, wrong) in [
        ("idle_exit = \"0 s\"", "c.toml:2: serve.idle_exit: between 1 s and 1 h is expected"),
        ("idle_exit = \"2 h\"", "c.toml:2: serve.idle_exit: between 1 s and 1 h is expected"),
        ("max_nodes = 0", "c.toml:2: serve.max_nodes: between 1 and 100000 is expected"),
        ("max_nodes = 100001", "c.toml:2: serve.max_nodes: between 1 and 100000 is expected"),
        ("read_token = \"\"", "c.toml:2: serve.read_token: it is empty"),
        ("node_passwords = 5", "c.toml:2: serve.node_passwords: a table is expected, not a whole number"),
        (
            "node_passwords = { \" a\" = \"x\" }",
            "c.toml:2: serve.node_passwords. a: it cannot be a node's name: it has characters that cannot be seen",
        ),
        ("report_pasword = \"x\"", "c.toml:2: serve.report_pasword: unknown key; did you mean \"report_password\"?"),
    ] {
        let errors = read(&format!("[serve]\n{text}\n"), Need::Serving).err().unwrap_or_default();
        assert_eq!(errors, [wrong], "{text}");
    }
}
