//! A report as comma-separated values (RFC 4180), for spreadsheets and scripts.
//!
//! Invariant: no cell begins like a formula, whatever a subject is called.

use super::json::rfc3339;
use super::model::{Report, Row};

const USAGE: [&str; 11] =
    ["from", "to", "source", "subject", "label", "in", "out", "estimated", "partial", "part", "host"];
const LOG: [&str; 10] = ["at", "kind", "source", "subject", "quota", "name", "outcome", "reason", "detail", "host"];

/// One line for each subject and bucket; without figures where nothing is known.
pub fn usage(report: &Report) -> String {
    let mut text = line(USAGE.map(str::to_owned));
    let times: Vec<[String; 2]> =
        report.buckets.iter().map(|bucket| [bucket.from, bucket.to].map(|at| rfc3339(&report.zone, at))).collect();
    for row in &report.rows {
        for (index, [from, to]) in times.iter().enumerate() {
            text.push_str(&line(cells(row, index, from, to)));
        }
    }
    text
}

fn cells(row: &Row, index: usize, from: &str, to: &str) -> [String; 11] {
    let used = row.cells.get(index).copied().flatten();
    let of = |text: fn(&super::model::Used) -> String| used.as_ref().map(text).unwrap_or_default();
    [
        from.to_owned(),
        to.to_owned(),
        row.source.clone(),
        row.subject.clone(),
        row.label.clone(),
        of(|used| used.flow.rx.to_string()),
        of(|used| used.flow.tx.to_string()),
        of(|used| used.estimated.to_string()),
        of(|used| used.partial.to_string()),
        row.part.to_string(),
        row.host.clone().unwrap_or_default(),
    ]
}

/// One line for each event.
pub fn log(report: &Report) -> String {
    let events = report.events.iter().map(|logged| {
        let event = &logged.event;
        line([
            rfc3339(&report.zone, event.at),
            event.kind.name().to_owned(),
            event.source.clone(),
            event.subject.clone(),
            event.quota.clone(),
            event.name.clone(),
            event.outcome.name().to_owned(),
            event.reason.clone(),
            event.detail.clone(),
            report
                .hosts
                .iter()
                .find(|(id, _)| *id == logged.instance)
                .map(|(_, host)| host.clone())
                .unwrap_or_default(),
        ])
    });
    line(LOG.map(str::to_owned)) + &events.collect::<String>()
}

fn line<const N: usize>(cells: [String; N]) -> String {
    cells.map(|text| cell(&text)).join(",") + "\r\n"
}

/// A cell as spreadsheets show it: what would be a formula has an apostrophe in front.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::two_days;
    use super::*;

    #[test]
    fn a_line_for_each_subject_and_bucket() {
        let text = usage(&two_days::report());
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], "from,to,source,subject,label,in,out,estimated,partial,part,host");
        assert_eq!(
            lines[1],
            "2026-11-20T00:00:00+08:00,2026-11-21T00:00:00+08:00,nic,eth0,,1000,2500000000,false,false,false,"
        );
        assert_eq!(
            lines[4],
            "2026-11-21T00:00:00+08:00,2026-11-22T00:00:00+08:00,pve,qemu/100,网站,70,30,true,true,false,"
        );
        assert_eq!(lines[3], "2026-11-20T00:00:00+08:00,2026-11-21T00:00:00+08:00,pve,qemu/100,网站,,,,,false,");
        assert_eq!(lines.len(), 2 * 3 + 2);
    }

    #[test]
    fn names_are_text_and_never_formulas() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("=cmd|'/c calc'!A1"), "'=cmd|'/c calc'!A1");
        assert_eq!(cell("+1"), "'+1");
        assert_eq!(cell("-1,5"), "\"'-1,5\"");
        assert_eq!(cell("@x"), "'@x");
        assert_eq!(cell("\tx"), "'\tx");
        assert_eq!(cell("a \"b\"\nc"), "\"a \"\"b\"\"\nc\"");
        assert_eq!(cell("eth0"), "eth0");
        assert_eq!(cell(""), "");
    }

    #[test]
    fn the_log_has_a_line_for_each_event() {
        let text = log(&two_days::report());
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], "at,kind,source,subject,quota,name,outcome,reason,detail,host");
        assert_eq!(lines[1], "2026-11-21T09:00:00+08:00,alert,nic,eth0,month,ops,done,80% reached,,");
        assert_eq!(lines[2], "2026-11-21T10:00:00+08:00,action,nic,eth0,month,poweroff,failed,95% reached,'=exit 1,");
    }
}
