//! The harness keeps its own promises; without them every other story here could lie or litter.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use osm_tests::{until::found_in_time, web_server};

/// Set for the test process that boots a machine and waits to be killed.
const KILLED: &str = "OSM_TEST_KILLED";

#[test]
fn a_reboot_inside_is_a_real_one() -> Result<()> {
    for suite in ["bookworm", "trixie"] {
        let machine = web_server::boot(suite, "reboots")?;
        let boot_id = || machine.ok(&["cat", "/proc/sys/kernel/random/boot_id"]);
        let before = boot_id()?;
        machine.write("/etc/survives/a-reboot", "yes", 0o600, "www-data")?;
        machine.write("/run/is-gone", "", 0o644, "root")?;

        machine.run(&["systemctl", "reboot"])?;
        let failed = machine.wait_for_reboot(1, Duration::from_mins(1))?;

        assert_eq!((failed, machine.reboots()), (vec![], 1), "{suite}");
        assert_ne!(before, boot_id()?, "{suite}");
        assert_eq!(machine.ok(&["stat", "-c", "%U %G %a %s", "/etc/survives/a-reboot"])?, "www-data www-data 600 3\n");
        assert_ne!(machine.run(&["test", "-e", "/run/is-gone"])?.status, 0);
        assert_eq!(machine.unit_property("nginx.service", "ActiveState")?, "active");
        machine.shutdown()?;
    }
    Ok(())
}

#[test]
fn a_command_that_hangs_ends_at_its_limit_with_all_its_children() -> Result<()> {
    let machine = web_server::boot("bookworm", "hangs")?;
    let started = Instant::now();
    let error = machine.run_within(Duration::from_secs(1), &["sh", "-c", "sleep 1234 & wait"]).unwrap_err();
    assert!(error.to_string().contains("took longer than 1s"), "{error:#}");
    assert!(started.elapsed() < Duration::from_secs(5));
    // Killed, and gone once its init has noticed.
    let is_gone = || Ok::<_, anyhow::Error>(machine.run(&["pgrep", "-x", "sleep"])?.status != 0);
    found_in_time(Duration::from_secs(20), || is_gone().map(|gone| gone.then_some(())).transpose())
        .context("a child of the command lives on")?
}

#[test]
fn machines_side_by_side_do_not_touch_each_other() -> Result<()> {
    let (one, two) = (web_server::boot("bookworm", "one")?, web_server::boot("bookworm", "two")?);
    let machine_id = |machine: &osm_tests::machine::Machine| machine.ok(&["cat", "/etc/machine-id"]);
    assert_ne!(machine_id(&one)?, machine_id(&two)?);
    let main_pid = two.unit_property("nginx.service", "MainPID")?;
    one.ok(&["systemctl", "stop", "nginx.service"])?;
    assert_eq!(two.unit_property("nginx.service", "MainPID")?, main_pid);
    assert_eq!(two.unit_property("nginx.service", "ActiveState")?, "active");
    assert_eq!(two.ok(&["hostname"])?, "two\n");
    Ok(())
}

#[test]
fn a_dropped_machine_leaves_nothing() -> Result<()> {
    let machine = web_server::boot("bookworm", "dropped")?;
    machine.ok(&["sh", "-c", "setsid sleep 2345 >/dev/null 2>&1 </dev/null &"])?;
    let (init, tree) = (machine.init_pid()?, tree_of(machine.init_pid()?)?);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _machine = machine;
        std::panic::resume_unwind(Box::new("a failed assertion"));
    }));
    assert!(panicked.is_err());
    assert!(!alive(init) && !tree.exists());
    assert!(!command_line_exists("sleep 2345"));
    Ok(())
}

#[test]
fn a_killed_test_process_takes_its_machine_along() -> Result<()> {
    // This very test is the process to be killed, too.
    if std::env::var_os(KILLED).is_some() {
        let machine = web_server::boot("bookworm", "killed")?;
        println!("\nINIT={}", machine.init_pid()?);
        sleep(Duration::from_mins(5));
        return Ok(());
    }
    let mut test = Command::new(std::env::current_exe()?)
        .args(["--exact", "harness::a_killed_test_process_takes_its_machine_along", "--nocapture"])
        .env(KILLED, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = std::io::BufReader::new(test.stdout.take().context("stdout")?);
    let init =
        std::io::BufRead::lines(output).map_while(Result::ok).find_map(|line| Some(line.split_once("INIT=")?.1.to_owned()));
    let init: u32 = init.context("the child has booted no machine")?.parse()?;
    let tree = tree_of(init)?;

    test.kill()?;
    test.wait()?;

    found_in_time(Duration::from_secs(10), || (!alive(init)).then_some(()))
        .with_context(|| format!("systemd, PID {init}, outlived the test"))?;
    assert!(tree.exists(), "nobody was left to remove it");
    drop(web_server::boot("bookworm", "sweeper")?);
    assert!(!tree.exists(), "the next boot removes it");
    Ok(())
}

/// The machine's folder, from the command line of its nspawn (the parent of its init).
fn tree_of(init: u32) -> Result<PathBuf> {
    let status = std::fs::read_to_string(format!("/proc/{init}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("PPid")?.trim();
    let command = std::fs::read_to_string(format!("/proc/{parent}/cmdline"))?;
    let tree = command.split('\0').find_map(|word| word.strip_prefix("--directory=")).context(command.clone())?;
    Ok(Path::new(tree).parent().context("no parent")?.to_owned())
}

/// A zombie that its reaper has not yet seen counts as dead.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn command_line_exists(wanted: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines.any(|line| line.trim_end_matches('\0').replace('\0', " ") == wanted)
}
