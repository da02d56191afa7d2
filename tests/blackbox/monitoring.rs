//! `status` for monitoring: Nagios' line and exit codes, Prometheus' metrics.

use crate::machine::Machine;

fn machine(used: u64) -> Machine {
    let machine = Machine::new().config("[quota.month]\nallowance = \"1 MB\"\ntiers = [\"80%\", \"95%\"]\n");
    machine.check_exits(0);
    machine.grow("eth0", 0, used);
    machine.check_exits(0);
    machine
}

#[test]
fn nagios_tells_ok_warning_and_critical_with_figures_and_tiers() {
    for (used, code, word) in [(1_000, 0, "OK"), (800_000, 1, "WARNING"), (950_000, 2, "CRITICAL")] {
        let run = machine(used).run(&["status", "--nagios"]).exits(code);
        assert!(run.stdout.starts_with(&format!("NETQUOTA {word} - eth0 ")), "{}", run.stdout);
        assert!(run.stdout.ends_with(&format!(" | 'month eth0'={used}B;800000;950000;0;1000000\n")), "{}", run.stdout);
        assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""));
    }
}

#[test]
fn nagios_warns_of_a_problem_and_does_not_know_an_old_figure() {
    let machine = machine(1_000);
    machine.remove_interface("eth0");
    machine.check_exits(3);
    machine.run(&["status", "--nagios"]).exits(3).prints("NETQUOTA UNKNOWN - eth0 0.1 % of 1 MB (old figure)");
}

#[test]
fn nagios_knows_nothing_before_the_first_run_nor_of_what_is_wrong() {
    Machine::new().run(&["status", "--nagios"]).exits(3).prints("NETQUOTA UNKNOWN - no figures yet");
    let broken = Machine::new().config("[quota.month]\nallowance = \"1 MX\"\n");
    broken.run(&["status", "--nagios"]).exits(3).prints("NETQUOTA UNKNOWN - ");
    for wrong in [["status", "--nagios", "--bogus"], ["status", "--nagios", "--help"], ["status", "--nagios", "--json"]]
    {
        Machine::new().run(&wrong).exits(3);
    }
}

#[test]
fn prometheus_gets_a_gauge_of_each_figure() {
    let run = machine(800_000).run(&["status", "--prometheus"]).exits(0);
    let labels = "{quota=\"month\",subject=\"eth0\",source=\"interface\"}";
    for (metric, value) in [("used", 800_000), ("allowance", 1_000_000), ("remaining", 200_000)] {
        let line = format!("\n# TYPE netquota_{metric}_bytes gauge\nnetquota_{metric}_bytes{labels} {value}\n");
        assert!(run.stdout.contains(&line), "no {line} in\n{}", run.stdout);
    }
    for line in
        [&format!("netquota_tiers_reached{labels} 1\n"), "netquota_pending_messages 0\n", "netquota_problems 0\n"]
    {
        assert!(run.stdout.contains(line), "no {line} in\n{}", run.stdout);
    }
}
