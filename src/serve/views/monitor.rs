//! The nodes as the existing node bandwidth monitor shows them: `GET /api/status`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::fleet::record::Record;
use crate::quota::alarm::{Alarm, is_there};
use crate::quota::instant::Instant;
use crate::serve::answer::Answer;

/// Every node by its name. `alarmed`: those whose rate an alarm is raised for.
pub fn status(records: &[Arc<Record>], alarmed: &BTreeSet<String>, alarms: &[Alarm], now: Instant) -> Answer {
    let row = |record: &Arc<Record>| {
        let row: Value = json!({
            "hostname": record.hostname,
            "last_seen": record.received,
            "metrics": record.metrics,
            "is_online": is_there(alarms, &record.hostname, record.received, now),
            "bandwidth_alerted": alarmed.contains(&record.hostname),
        });
        (record.hostname.clone(), row)
    };
    let rows: Map<_, _> = records.iter().map(row).collect();
    Answer::with_data("the nodes as they were last seen", rows.into())
}
