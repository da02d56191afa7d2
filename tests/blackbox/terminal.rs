//! What a person at a terminal sees. `script` lends the terminal.

use std::path::Path;

use unicode_width::UnicodeWidthStr;

use crate::machine::{Machine, Run, binary, spawn};

/// Runs `netquota ARGS` on a terminal of so many columns.
pub fn on_a_terminal(machine: &Machine, columns: u32, args: &str) -> Run {
    let line =
        format!("stty cols {columns} rows 40; exec {} {} {args}", binary().display(), machine.global_args().join(" "));
    let command = machine.command_of(Path::new("script"), &["-qec", &line, "/dev/null"]);
    machine.finish(spawn(command))
}

fn machine() -> Machine {
    let machine = Machine::new().config(
        "[quota.month]\nallowance = \"1 MB\"\nlabel = \"上行流量 Hong Kong\"\ntiers = [\"80%\"]\n\
         [quota.second]\ncount = \"in\"\nallowance = \"2 GB\"\n",
    );
    machine.check_exits(0);
    machine.grow("eth0", 300_000_000, 812_345);
    machine.check_exits(0);
    machine
}

/// Without colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 2..];
        rest = &rest[rest.find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 1)..];
    }
    plain + rest
}

#[test]
fn check_prints_a_short_table_on_a_terminal() {
    let run = on_a_terminal(&machine(), 100, "check").exits(0).prints("eth0");
    assert!(run.stdout.lines().count() < 12, "{}", run.stdout);
}

#[test]
fn a_problem_is_told_every_time_on_a_terminal() {
    let machine = machine();
    machine.remove_interface("eth0");
    machine.check_exits(3);
    for _ in 0..2 {
        on_a_terminal(&machine, 100, "check").exits(3).prints("eth0");
    }
}

#[test]
fn the_table_fits_the_terminal() {
    for columns in [60, 80, 120, 200] {
        let run = on_a_terminal(&machine(), columns, "status").exits(0);
        let text = plain(&run.stdout);
        assert!(text.contains("eth0") && text.contains("81.2"), "{columns}:\n{text}");
        for line in text.lines() {
            let width = line.trim_end().width();
            assert!(width <= columns as usize, "{width} of {columns} columns: {line}");
        }
    }
}

#[test]
fn columns_line_up_under_wide_characters() {
    let run = on_a_terminal(&machine(), 160, "status").exits(0);
    let text = plain(&run.stdout);
    let place = |line: &str| line.find(['█', '░']).map(|at| line[..at].width());
    let places: Vec<usize> = text.lines().filter_map(place).collect();
    assert!(places.len() >= 2 && places.windows(2).all(|two| two[0] == two[1]), "{places:?}:\n{text}");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let machine = machine();
    let coloured = on_a_terminal(&machine, 100, "status").exits(0);
    assert!(coloured.stdout.contains("\u{1b}["), "{:?}", coloured.stdout);
    let machine = machine.env("NO_COLOR", "1");
    let plain = on_a_terminal(&machine, 100, "status").exits(0).prints("eth0");
    assert!(!plain.stdout.contains('\u{1b}'), "{:?}", plain.stdout);
}
