//! The commands that give the token what it lacks.
//!
//! Invariant: whatever the token and the nodes are called, each line is one command, whose arguments are those names.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::needs::Need;
use crate::quota::text::clean;

/// The role that is made.
const ROLE: &str = "netquota";
/// Whose rights nothing limits.
const ROOT: &str = "root@pam";
/// Paths with a command of their own at the most.
const PATHS: usize = 10;

/// The lines; none when nothing is lacking.
pub fn commands(token: &str, needs: &[Need]) -> Option<String> {
    let paths: BTreeSet<&str> = needs.iter().flat_map(|need| &need.grants).map(String::as_str).collect();
    // A name that is not shown as it is would not be that name in a command.
    let plain = |path: &&str| clean(path, usize::MAX) == **path;
    let paths: Vec<&str> = paths.into_iter().filter(plain).collect();
    if paths.is_empty() {
        return None;
    }
    let user = token.rsplit_once('!').map_or(token, |(user, _)| user);
    let privileges = needs.iter().map(|need| need.privilege).collect::<Vec<_>>().join(" ");
    let mut text = "# what is lacking, to be given on a node, as root:\n".to_owned();
    let _ = writeln!(text, "pveum role add {ROLE} --privs \"{privileges}\"");
    let _ =
        writeln!(text, "# or, if there is such a role: pveum role modify {ROLE} --append 1 --privs \"{privileges}\"");
    text += &entries(&paths, "--tokens", token);
    if user != ROOT {
        let _ = writeln!(
            text,
            "# A token with privilege separation, as is the default, may do what both it and its user may. Only if the user\n\
             # lacks it too (pveum user permissions {}), since an entry of its own replaces those of its groups there:",
            shell(user)
        );
        text += &entries(&paths, "--users", user);
    }
    text += "# An entry on a deeper path replaces one above it, as /vms/100 does with /: see pveum acl list\n";
    Some(text)
}

/// A command for each path.
fn entries(paths: &[&str], option: &str, name: &str) -> String {
    let mut text = String::new();
    for path in paths.iter().take(PATHS) {
        let _ = writeln!(text, "pveum acl modify {} {option} {} --roles {ROLE}", shell(path), shell(name));
    }
    if paths.len() > PATHS {
        let _ = writeln!(text, "# and on {} more paths, such as {}", paths.len() - PATHS, shell(paths[PATHS]));
    }
    text
}

/// A word of a command in a shell: as it is, or in single quotes, where nothing but those means something.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one() {
        for (word, written) in [
            ("/vms/100", "/vms/100"),
            ("netquota@pve", "netquota@pve"),
            ("a@pve!b", "'a@pve!b'"),
            ("o'neil@pve!b", r"'o'\''neil@pve!b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("", "''"),
        ] {
            assert_eq!(shell(word), written);
        }
    }
}
