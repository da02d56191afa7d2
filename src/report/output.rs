//! Where a report goes: to standard output, to a file that is replaced whole, or into a folder.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::Format;
use super::model::{By, Report};
use super::span::on_edge;
use crate::error;
use crate::quota::instant::Instant;

/// The file's name in a folder: `netquota-2026-11.html`, `netquota-2026-11-01_2026-11-30.csv`; what was chosen of all
/// there is stands before the time: `netquota-hk-2-eth0-2026-11.html`.
pub fn name(report: &Report, format: Format, log: bool) -> String {
    let what = if log { "netquota-log" } else { "netquota" };
    let chosen: Vec<String> = report.chosen.iter().map(|name| safe(name)).filter(|name| !name.is_empty()).collect();
    let parts = [what.to_owned()].into_iter().chain(chosen).chain([range(report)]);
    format!("{}.{}", parts.collect::<Vec<_>>().join("-"), format.extension())
}

/// A name as a part of a file's name.
fn safe(name: &str) -> String {
    /// Longer ones are cut off: a file's name has 255 bytes.
    const LONGEST: usize = 40;
    let kept = |char: char| if char.is_alphanumeric() || matches!(char, '.' | '_') { char } else { '-' };
    let mut text = String::new();
    for char in name.chars().map(kept) {
        let doubled = char == '-' && (text.is_empty() || text.ends_with('-'));
        if !doubled && text.len() + char.len_utf8() <= LONGEST {
            text.push(char);
        }
    }
    text.trim_matches(['-', '.']).to_owned()
}

fn range(report: &Report) -> String {
    const YEAR: &[BorrowedFormatItem<'_>] = format_description!("[year]");
    const MONTH: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]");
    const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
    const MINUTE: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute]");
    let text = |at: Instant, format| report.zone.local(at).format(format).unwrap_or_default();
    let last = report.to.minus(std::time::Duration::from_millis(1));
    let whole = |by| on_edge(&report.zone, report.from, by) && on_edge(&report.zone, report.to, by);
    let starts = |format| text(report.from, format);
    let same = |format| starts(format) == text(last, format);
    if !whole(By::Day) {
        return format!("{}-{}", starts(MINUTE), text(report.to, MINUTE));
    }
    let new_year = |at: Instant| report.zone.local(at).ordinal() == 1;
    match () {
        () if same(DAY) => starts(DAY),
        () if same(MONTH) && whole(By::Month) => starts(MONTH),
        () if same(YEAR) && new_year(report.from) && new_year(report.to) => starts(YEAR),
        () => format!("{}_{}", starts(DAY), text(last, DAY)),
    }
}

/// Whether a folder is meant.
pub fn is_folder(output: &Path) -> bool {
    output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The file that is meant: in a folder one of this name. Fails where the folder is not there.
pub fn file(output: &Path, name: impl FnOnce() -> String) -> io::Result<PathBuf> {
    if !is_folder(output) {
        return Ok(output.to_owned());
    }
    match fs::metadata(output) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("{}: no such directory", output.display())))
        }
        Err(error) => Err(error::at(output, &error)),
        Ok(_) => Ok(output.join(name())),
    }
}

/// Replaces a file whole, whose rights and owner stay; what is no file, such as a pipe, is written to.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| error::at(path, &error);
    // What a link leads to is replaced, and not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        Ok(there) if !there.is_file() => {
            OpenOptions::new().write(true).open(&target).and_then(|mut file| file.write_all(content)).map_err(named)
        }
        there => replace(&target, there.ok().as_ref(), content).map_err(named),
    }
}

fn replace(path: &Path, there: Option<&Metadata>, content: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = temporary(path, there.is_some())?;
    let mut written = || {
        if let Some(there) = there
            && !keep_rights(&file, there)?
        {
            // Who may not give a file to the owner of the old one writes into that.
            fs::remove_file(&temporary)?;
            file = OpenOptions::new().write(true).truncate(true).open(path)?;
            file.write_all(content)?;
            return file.sync_all();
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    written().inspect_err(|_| {
        // Why it could not be written is what matters.
        fs::remove_file(&temporary).ok();
    })
}

/// A new file beside another, whatever else is there: no link that somebody has put there is followed. For its owner's
/// eyes alone until its rights are known, where it is to replace one.
fn temporary(path: &Path, replaces: bool) -> io::Result<(PathBuf, File)> {
    const TRIES: u32 = 100;
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it names no file"))?;
    let mode = if replaces { 0o600 } else { 0o644 };
    let mut tried = 0;
    loop {
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}-{tried}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && tried < TRIES => tried += 1,
            opened => return Ok((temporary, opened?)),
        }
    }
}

/// Gives a file the owner and the rights of another; false where that owner cannot be given.
fn keep_rights(file: &File, of: &Metadata) -> io::Result<bool> {
    let own = file.metadata()?;
    let same = (own.uid(), own.gid()) == (of.uid(), of.gid());
    if !same && fchown(file, Some(of.uid()), Some(of.gid())).is_err() {
        return Ok(false);
    }
    file.set_permissions(Permissions::from_mode(of.mode() & 0o7777))?;
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods)]
mod tests {
    use super::super::model::Report;
    use super::super::two_days;
    use super::*;

    fn named(from: &str, to: &str) -> String {
        let at = |text| Instant::parse(text).unwrap();
        name(&Report { from: at(from), to: at(to), ..two_days::report() }, Format::Html, false)
    }

    #[test]
    fn names_say_the_time() {
        assert_eq!(named("2026-11-01T00:00:00+08:00", "2026-12-01T00:00:00+08:00"), "netquota-2026-11.html");
        assert_eq!(named("2026-11-21T00:00:00+08:00", "2026-11-22T00:00:00+08:00"), "netquota-2026-11-21.html");
        assert_eq!(named("2026-01-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00"), "netquota-2026.html");
        let week = named("2026-11-16T00:00:00+08:00", "2026-11-23T00:00:00+08:00");
        assert_eq!(week, "netquota-2026-11-16_2026-11-22.html");
        let hours = named("2026-11-21T10:00:00+08:00", "2026-11-21T12:30:00+08:00");
        assert_eq!(hours, "netquota-20261121T1000-20261121T1230.html");
        assert!(name(&two_days::report(), Format::Csv, true).starts_with("netquota-log-2026-11-20_2026-11-21.csv"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_link_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.txt"), folder.path().join("link.txt"));
        fs::write(&real, "old and longer").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let names: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing is left over: {names:?}");
        let missing = folder.path().join("no/such/file");
        let error = write(&missing, b"new").unwrap_err().to_string();
        assert_eq!(error, format!("{}: no such file or directory", missing.display()));
        write(Path::new("/dev/null"), b"new").unwrap();
        assert!(!Path::new("/dev/null").is_file(), "a device is written to, never replaced");
    }

    #[test]
    fn a_folder_takes_a_file_of_the_reports_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = || "n.txt".to_owned();
        assert_eq!(file(folder.path(), name).unwrap(), folder.path().join("n.txt"));
        assert_eq!(file(Path::new("x.csv"), name).unwrap(), Path::new("x.csv"));
        let missing = format!("{}/new/", folder.path().display());
        assert_eq!(file(Path::new(&missing), name).unwrap_err().to_string(), format!("{missing}: no such directory"));
    }

    #[test]
    fn names_say_what_was_chosen() {
        let chosen = |names: &[&str]| {
            let chosen = names.iter().map(|name| (*name).to_owned()).collect();
            let from = Instant::parse("2026-11-21T00:00:00+08:00").unwrap();
            let day = Report { from, chosen, ..two_days::report() };
            name(&day, Format::Csv, false)
        };
        assert_eq!(chosen(&["hk-2", "qemu/100"]), "netquota-hk-2-qemu-100-2026-11-21.csv");
        assert_eq!(chosen(&["../../etc/passwd", "*", ""]), "netquota-etc-passwd-2026-11-21.csv");
        assert_eq!(chosen(&["网站\u{0}\u{202e} x"]), "netquota-网站-x-2026-11-21.csv");
        assert!(chosen(&[&"長".repeat(1000)]).len() < 100);
    }

    #[test]
    fn rights_stay_and_no_planted_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("r.csv"), folder.path().join("victim"));
        let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
        write(&path, b"first").unwrap();
        for rights in [0o600, 0o664] {
            fs::set_permissions(&path, Permissions::from_mode(rights)).unwrap();
            write(&path, b"again").unwrap();
            assert_eq!((mode(), fs::read(&path).unwrap()), (rights, b"again".to_vec()));
        }
        // Only root may give a file away; for others the owner stays the same anyway.
        let _ = std::os::unix::fs::chown(&path, Some(65_534), Some(65_534));
        let owner = fs::metadata(&path).unwrap().uid();
        fs::write(&victim, "dear").unwrap();
        let planted = folder.path().join(format!(".r.csv.{}-0.tmp", std::process::id()));
        std::os::unix::fs::symlink(&victim, planted).unwrap();
        write(&path, b"third").unwrap();
        assert_eq!((fs::metadata(&path).unwrap().uid(), fs::read(&path).unwrap()), (owner, b"third".to_vec()));
        assert_eq!(fs::read(&victim).unwrap(), b"dear");
    }
}
