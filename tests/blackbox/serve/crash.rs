//! Ends that nobody chose: killed at random times, a disk without room.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::client;
use super::holder::Holder;
use super::machine;
use crate::machine::{Dice, eventually, note};
use crate::real::Mount;

const LIMIT: Duration = Duration::from_secs(30);

fn record(spool: &Path, node: &str) -> Value {
    let path = spool.join(format!("{node}.json"));
    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Many nodes report while it is killed again and again: what was acknowledged last is there.
#[test]
fn what_was_acknowledged_outlives_being_killed() {
    const KILLS: usize = 20;
    let machine = machine("");
    let holder = Holder::new(&machine);
    let (address, over) = (holder.address(), Arc::new(AtomicBool::new(false)));
    let acknowledged: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let reporter = |number: usize| {
        let (over, acknowledged) = (Arc::clone(&over), Arc::clone(&acknowledged));
        thread::spawn(move || {
            let mut timestamp = 0;
            while !over.load(Ordering::SeqCst) {
                let node = format!("node-{number}-{}", timestamp % 5);
                timestamp += 1;
                // Without an answer it may have been kept or not.
                if client::report(address, &node, timestamp).is_ok_and(|answer| answer.status == 200) {
                    acknowledged.lock().unwrap().insert(node, timestamp);
                }
            }
        })
    };
    let reporters: Vec<_> = (0..8).map(reporter).collect();
    let mut dice = Dice(0xdead);
    for kill in 0..KILLS {
        let before = acknowledged.lock().unwrap().values().sum::<i64>();
        let goes_on = || acknowledged.lock().unwrap().values().sum::<i64>() > before;
        assert!(eventually(LIMIT, goes_on), "after {kill} kills nobody is served");
        thread::sleep(Duration::from_millis(dice.roll(60)));
        assert!(holder.kill());
        assert!(eventually(LIMIT, || holder.ended().len() > kill));
    }
    over.store(true, Ordering::SeqCst);
    reporters.into_iter().for_each(|reporter| reporter.join().unwrap());
    let acknowledged = acknowledged.lock().unwrap().clone();
    note(&format!("{} nodes, {} reports", acknowledged.len(), acknowledged.values().max().unwrap()));
    assert_eq!(acknowledged.len(), 40);
    let spool = machine.state_dir().join("spool");
    for (node, timestamp) in acknowledged {
        let kept = record(&spool, &node)["timestamp"].as_i64().unwrap();
        assert!(kept >= timestamp, "{node}: {kept} is kept, {timestamp} was acknowledged");
    }
    assert_eq!(holder.errors(), "");
}

#[test]
#[ignore = "mounts a small disk, needs root: run ./test"]
fn on_a_full_disk_nothing_is_acknowledged_and_what_was_kept_stays() {
    let machine = machine("");
    let at = machine.path("disk");
    let _mount = Mount::tmpfs(&at, 256);
    let machine = machine.state_dir_at(at.clone());
    let holder = Holder::new(&machine);
    client::report(holder.address(), "hk-1", 1).unwrap().is(200);
    let mut filler = fs::File::create(at.join("filler")).unwrap();
    for size in [4096, 1] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {}
    }
    for _ in 0..3 {
        let refused = client::report(holder.address(), "hk-1", 2).unwrap().is(503);
        assert_eq!(refused.header("retry-after"), Some("10"));
    }
    let told = holder.errors();
    assert_eq!(told.to_lowercase().matches("no space left").count(), 1, "told once: {told}");
    let kept = client::read(holder.address(), "/api/status").json();
    assert_eq!(kept["data"]["hk-1"]["is_online"], true);
    assert_eq!(record(&at.join("spool"), "hk-1")["timestamp"], 1);
    drop(filler);
    fs::remove_file(at.join("filler")).unwrap();
    client::report(holder.address(), "hk-1", 3).unwrap().is(200);
    assert_eq!(record(&at.join("spool"), "hk-1")["timestamp"], 3);
}
