//! What the agent stores, in files beside this one: the present code reads each, and writes it as it stands there.
//!
//! A host keeps its files over an update of the agent. Whoever adds or changes a field sees here which file would not be read any
//! more, or would be written in another form.

use std::{fs, mem::discriminant, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::{Action, Chore, Outcome, OutcomeKind, Rejection},
    ids::CommandId,
    key::PublicKey,
    keyset::KeySet,
    messages::{Disk, Host, Load, Memory, Process, Report, Service, Systemd},
};
use tempfile::TempDir;

use crate::{
    command::{
        facts::{Fact, Facts, Taken},
        reboot::Due,
    },
    config::SpoolLimits,
    host::{
        clock::{Clock, Moment},
        identity::BootId,
    },
    policy::list::UnitList,
    report::spool::Spool,
    state::{
        dir::StateDir,
        pairing::{Pairing, Pending},
        status::Status,
    },
};

const NOW: i64 = 1_800_000_000_000;
const AT: Moment = Moment { host: NOW, boot: 60_000 };
/// A spooled report's name tells its order, both of its times, and its boot.
const SPOOLED: &str = "000000000000_1800000000000_60000_bbbbbbbb.json";

/// Reads a golden file, and writes it again.
type Check = fn(&[u8]) -> Result<()>;

#[test]
fn what_is_stored_is_read_and_written_as_it_was() {
    let checks: [(&str, Check); 6] = [
        ("ledger.jsonl", ledger),
        ("state.json", pairing),
        ("pending.json", pending),
        ("status.json", status),
        (SPOOLED, spooled),
        ("units.json", units),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden");
    let broken: Vec<String> = checks
        .into_iter()
        .filter_map(|(file, check)| {
            let checked = fs::read(folder.join(file)).map_err(anyhow::Error::from).and_then(|bytes| check(&bytes));
            checked.err().map(|error| format!("{file}: {error:#}"))
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let files = fs::read_dir(&folder).unwrap().flatten().map(|file| file.file_name().into_string().unwrap());
    let unread: Vec<String> = files.filter(|name| name != "mod.rs" && checks.iter().all(|(file, _)| file != name)).collect();
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}

/// Checks the ledger: one line a fact; every kind of fact, of action and of outcome has one.
fn ledger(golden: &[u8]) -> Result<()> {
    let (_, whole) = Facts::from_lines(golden);
    let lines = std::str::from_utf8(golden)?.lines();
    let read = lines
        .map(|line| serde_json::from_str::<Fact>(line).with_context(|| format!("cannot be read: {line}")))
        .collect::<Result<Vec<_>>>()?;
    ensure!(whole.is_ok(), "the ledger takes it for damaged");
    let facts = facts();
    for (read, fact) in read.iter().zip(&facts) {
        ensure!(read == fact, "{read:?} is read where {fact:?} was written");
    }
    let written: String = facts.iter().map(|fact| serde_json::to_string(fact).unwrap() + "\n").collect();
    same(golden, written.as_bytes())
}

fn pairing(golden: &[u8]) -> Result<()> {
    let (_folder, dir) = dir_with("state.json", golden);
    ensure!(dir.pairing()? == Some(example_pairing()), "another pairing is read");
    dir.store_pairing(&example_pairing())?;
    same(golden, &fs::read(dir.file("state.json"))?)
}

fn pending(golden: &[u8]) -> Result<()> {
    let (_folder, dir) = dir_with("pending.json", golden);
    let example = Pending { token_hash: "c".repeat(64), key: (&key(3)).into() };
    ensure!(dir.pending()?.as_ref() == Some(&example), "another pairing is read");
    dir.store_pending(&example)?;
    same(golden, &fs::read(dir.file("pending.json"))?)
}

fn status(golden: &[u8]) -> Result<()> {
    let (_folder, dir) = dir_with("status.json", golden);
    let example = Status {
        last_accepted: Some(NOW),
        last_error: Some("the backend is busy".to_owned()),
        last_error_at: Some(NOW + 30_000),
        spooled: 2,
        open_outcomes: 1,
        clock_ahead_ms: -1_500,
        removed: false,
        commands_off: Some("ledger.jsonl cannot be used: larger than 16777216 bytes".to_owned()),
        commands_unreachable: Some("no answer in time".to_owned()),
        disks_unread: vec!["/mnt does not answer".to_owned()],
        processes_hidden: true,
    };
    ensure!(dir.read::<Status>("status.json")?.as_ref() == Some(&example), "another status is read");
    example.write(&dir);
    same(golden, &fs::read(dir.file("status.json"))?)
}

fn spooled(golden: &[u8]) -> Result<()> {
    let limits = SpoolLimits { age: Duration::from_hours(24), bytes: 1 << 20 };
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join(SPOOLED), golden)?;
    // What a spool cannot read it drops: the reason comes from the report itself.
    serde_json::from_slice::<Report>(golden).context("cannot be read")?;
    let read = Spool::open(folder.path(), limits)?.newest(1, &Clock::manual(AT), &BootId::for_test("another"));
    match read.as_slice() {
        [(_, report)] if *report == example_report() => {}
        [(_, report)] => bail!("{report:?} is read"),
        _ => bail!("the spool drops it: its name is not understood"),
    }
    let folder = tempfile::tempdir()?;
    Spool::open(folder.path(), limits)?.add(&example_report(), AT.boot, NOW)?;
    let written = fs::read(folder.path().join(SPOOLED)).context("it is written under another name")?;
    same(golden, &written)
}

fn units(golden: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("units.json");
    fs::write(&path, golden)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    let example = UnitList {
        version: 1,
        units: vec!["mariadb.service".to_owned(), "nginx.service".to_owned()],
        chores: Chore::ALL.to_vec(),
        unavailable: Some("agent.toml says restart_service = false".to_owned()),
    };
    ensure!(UnitList::read(&path)? == example, "another list is read");
    same(golden, &example.to_json()?)
}

fn same(golden: &[u8], written: &[u8]) -> Result<()> {
    ensure!(golden == written, "it is written in another form now:\n{}", String::from_utf8_lossy(written));
    Ok(())
}

fn dir_with(file: &str, content: &[u8]) -> (TempDir, StateDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(folder.path().join(file), content).unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    (folder, dir)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn jti(number: usize) -> CommandId {
    format!("0190a6b0-7c00-7000-8000-{number:012}").parse().unwrap()
}

fn facts() -> Vec<Fact> {
    let actions = [
        Action::RestartService { unit: "nginx.service".to_owned() },
        Action::CleanJournal {},
        Action::RunLogrotate {},
        Action::Reboot {},
        Action::CancelReboot { of: jti(4) },
    ];
    let taken = |number: usize, act: Option<Action>| Taken {
        seq: NOW + i64::try_from(number).unwrap(),
        jti: jti(number),
        key: "k".repeat(43).parse().unwrap(),
        boot: BootId::for_test("b".repeat(64)),
        at: AT,
        exp: NOW + 120_000,
        due: matches!(act, Some(Action::Reboot {})).then_some(Due { at: NOW + 60_000, init: Some(1_234_567) }),
        delivered: act.is_none(),
        act,
    };
    let outcomes = [
        (OutcomeKind::Succeeded, None),
        (OutcomeKind::Failed, None),
        (OutcomeKind::Indeterminate, None),
        (OutcomeKind::Cancelled, None),
        (OutcomeKind::Rejected, Some(Rejection::Clock)),
        (OutcomeKind::Rejected, Some(Rejection::Expired)),
        (OutcomeKind::Rejected, Some(Rejection::Policy)),
        (OutcomeKind::Rejected, Some(Rejection::Rate)),
        (OutcomeKind::Rejected, Some(Rejection::UnitNotListed)),
        (OutcomeKind::Rejected, Some(Rejection::Unsupported)),
        (OutcomeKind::Rejected, Some(Rejection::Unknown)),
    ];
    let mut facts = vec![Fact::Floor { seq: NOW - 1 }, Fact::Seq { key: "k".repeat(43).parse().unwrap(), seq: NOW }];
    facts.extend(actions.into_iter().enumerate().map(|(number, action)| Fact::Taken(taken(number + 1, Some(action)))));
    facts.push(Fact::Taken(taken(6, None)));
    facts.extend(outcomes.into_iter().enumerate().map(|(number, (result, reason))| Fact::Outcome {
        jti: jti(number + 1),
        outcome: Outcome { result, reason, detail: "active (running)".to_owned(), at: NOW + 2_000 },
    }));
    facts.push(Fact::Delivered { jti: jti(1) });
    facts.push(Fact::Lowered { seq: NOW - 30_000 });
    for fact in &facts {
        // A new kind does not compile until it has a line above.
        match fact {
            Fact::Taken(_)
            | Fact::Outcome { .. }
            | Fact::Delivered { .. }
            | Fact::Seq { .. }
            | Fact::Lowered { .. }
            | Fact::Floor { .. } => {}
        }
    }
    let kinds: std::collections::HashSet<_> = facts.iter().map(discriminant).collect();
    assert_eq!(kinds.len(), 6, "every kind has a line");
    facts
}

fn example_pairing() -> Pairing {
    let root = key(1);
    let key_set = KeySet {
        version: 5,
        root_key: PublicKey::from(&root).to_string(),
        command_keys: vec![PublicKey::from(&key(2)).to_string()],
    };
    Pairing {
        api: "https://osm.example".to_owned(),
        server_id: "0190a6b0-7c00-7000-8000-00000000aaaa".parse().unwrap(),
        name: "web-1".to_owned(),
        key: (&key(3)).into(),
        root_key: PublicKey::from(&root).to_string(),
        key_set: key_set.sign(&root),
        machine: "d".repeat(64),
        token_hash: "c".repeat(64),
    }
}

fn example_report() -> Report {
    Report {
        at: NOW,
        interval_s: 30,
        boot: "b".repeat(64),
        clock_ahead_ms: 120,
        host: Host {
            hostname: "web-1".to_owned(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-25-amd64".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 2,
            uptime_s: 60,
        },
        cpu: Some(12.5),
        memory: Some(Memory { total: 8 << 30, available: 6 << 30, swap_total: 1 << 30, swap_free: 1 << 29 }),
        load: Some(Load { one: 0.42, five: 0.3, fifteen: 0.2 }),
        disks: vec![Disk {
            mount: "/".to_owned(),
            fs_type: "ext4".to_owned(),
            total: 100 << 30,
            used: 40 << 30,
            available: 60 << 30,
            inodes_total: 1_000_000,
            inodes_free: 900_000,
            read_only: false,
            went_read_only: false,
        }],
        systemd: Systemd::Available,
        chores: Chore::ALL.to_vec(),
        monitored_only: Some("polkit 0.105 has no rules that tell services apart".to_owned()),
        unread_disks: Vec::new(),
        disks_left_out: 0,
        commands_unreachable: None,
        services: vec![Service {
            unit: "nginx.service".to_owned(),
            active_state: "failed".to_owned(),
            sub_state: "failed".to_owned(),
            result: Some("exit-code".to_owned()),
            restartable: true,
            ..Service::default()
        }],
        processes: vec![Process { name: "postgres".to_owned(), cpu: 93.4, memory: 1 << 30 }],
    }
}
