//! Run as root, the CLI becomes the agent's own user before it touches the network or the state directory: a symbolic link
//! planted there must not become root's write.
//!
//! It runs itself anew with that user's ids (the standard library sets groups, gid and uid in this order), so nothing that
//! root's process had opened or read comes along but what is named here.

use std::{
    env, fs,
    fs::File,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::DumpableBehavior;

use crate::policy::USER;

/// Does nothing unless this is root. `token_file` is opened while root still can, and becomes standard input.
pub fn become_agent(token_file: Option<&Path>) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        // Perhaps what root's command has become, on root's terminal: other processes of the agent's user may not trace it.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        return Ok(());
    }
    let passwd = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    let (uid, gid) = ids_of(USER, &passwd).ok_or_else(|| {
        anyhow!(
            "there is no user {USER} on this machine. The package makes it, or: systemd-sysusers, with osm-agent.conf in \
             /usr/lib/sysusers.d. Without: name a state directory of your own with --state-dir"
        )
    })?;
    if uid == 0 || gid == 0 {
        bail!("the user {USER} is root itself; give it ids of its own");
    }
    let itself = env::current_exe().context("the program's own file cannot be found")?;
    let mut command = Command::new(&itself);
    let mut arguments = env::args_os().skip(1);
    match token_file.filter(|path| *path != Path::new("-")) {
        None => drop(command.args(arguments)),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("the token file {} cannot be opened", path.display()))?;
            command.stdin(Stdio::from(file));
            while let Some(argument) = arguments.next() {
                if argument == "--token-file" {
                    arguments.next();
                } else if !argument.to_string_lossy().starts_with("--token-file=") {
                    command.arg(argument);
                }
            }
            command.args(["--token-file", "-"]);
        }
    }
    let error = command.gid(gid).uid(uid).exec();
    Err(error).with_context(|| format!("{} cannot be run as the user {USER}; can it be read by everybody?", itself.display()))
}

/// Finds user and group id of a user in passwd(5). The agent's user is a static one of this machine.
fn ids_of(user: &str, passwd: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != user {
            return None;
        }
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        Some((uid.parse().ok()?, gid.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_ids_are_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nosm-agent2:x:5:5::/:/bin/false\nosm-agent:x:998:997::/var/lib/osm-agent:/usr/sbin/nologin\n";
        assert_eq!(ids_of("osm-agent", passwd), Some((998, 997)));
        assert_eq!(ids_of("nobody", passwd), None);
        assert_eq!(ids_of("x", "x:x:a:b\nx"), None);
    }
}
