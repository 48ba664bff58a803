use super::*;
use crate::{
    config::Actions,
    host::systemd::fake::{Fake, unit},
};

fn facts(id: &str, active_state: &str, unit_file_state: &str) -> UnitFacts {
    UnitFacts {
        id: id.to_owned(),
        names: vec![id.to_owned()],
        load_state: "loaded".to_owned(),
        active_state: active_state.to_owned(),
        fragment_path: format!("/usr/lib/systemd/system/{id}"),
        transient: false,
        unit_file_state: unit_file_state.to_owned(),
    }
}

fn machine() -> Fake {
    let facts = vec![
        facts("nginx.service", "active", "enabled"),
        facts("mariadb.service", "failed", "disabled"),
        facts("apache2.service", "inactive", "disabled"),
        facts("ssh.service", "active", "enabled"),
        facts("dbus.service", "active", "static"),
        facts("own.service", "active", "enabled"),
    ];
    let units = facts.iter().map(|facts| unit(&facts.id, &facts.active_state)).collect();
    Fake { units: Ok(units), facts, ..Fake::default() }
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::for_test();
    settings.folder = folder.to_owned();
    settings.policy_file = folder.join("units.json");
    settings.detect_local_units = false;
    settings
}

fn say(folder: &Path, word: &str, unit: &str) {
    fs::create_dir_all(folder.join(word)).unwrap();
    fs::write(folder.join(word).join(unit), "").unwrap();
}

#[tokio::test]
async fn known_software_that_is_really_there_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let list = detect(&settings(folder.path()), &machine()).await.unwrap();
    assert_eq!(list.units, ["mariadb.service", "nginx.service"]);
}

#[tokio::test]
async fn a_chore_is_granted_where_it_is_allowed_and_its_oneshot_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let mut machine = machine();
    assert_eq!(detect(&settings, &machine).await.unwrap().chores, [Chore::Reboot]);
    machine.facts.push(facts(JOURNAL_UNIT, "inactive", "static"));
    assert_eq!(detect(&settings, &machine).await.unwrap().chores, [Chore::CleanJournal, Chore::Reboot]);
    settings.actions.reboot = false;
    settings.actions.clean_journal = false;
    assert!(detect(&settings, &machine).await.unwrap().chores.is_empty());
}

#[tokio::test]
async fn roots_word_adds_and_takes_away() {
    let folder = tempfile::tempdir().unwrap();
    for unit in ["own.service", "ssh.service", "dbus.service", "gone.service", "no service"] {
        say(folder.path(), "allow.d", unit);
    }
    say(folder.path(), "deny.d", "nginx.service");
    say(folder.path(), "deny.d", "mysql.service");
    let mut machine = machine();
    machine.facts[1].names.push("mysql.service".to_owned());
    let list = detect(&settings(folder.path()), &machine).await.unwrap();
    assert_eq!(list.units, ["own.service", "ssh.service"]);
}

#[tokio::test]
async fn a_host_that_cannot_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let why = async |settings: &Settings, machine: Fake| detect(settings, &machine).await.unwrap().unavailable.unwrap();
    let mut forbidden = settings(folder.path());
    forbidden.actions.restart_service = false;
    assert!(why(&forbidden, machine()).await.contains("agent.toml"));
    let ours = settings(folder.path());
    assert!(why(&ours, Fake { units: Err(Unavailable::Absent), ..machine() }).await.contains("not the init"));
    assert!(why(&ours, Fake { polkit: Some("0.105".to_owned()), ..machine() }).await.contains("0.105"));
    assert!(why(&ours, Fake { polkit: None, ..machine() }).await.contains("polkit"));
    let silent = Fake { units: Err(Unavailable::Unreachable("x".to_owned())), ..machine() };
    assert!(detect(&ours, &silent).await.is_err(), "a bus that does not answer leaves the list as it was");
}

#[tokio::test]
async fn forbidding_takes_the_grant_away() {
    let folder = tempfile::tempdir().unwrap();
    let rules_dir = folder.path().join("rules.d");
    let mut settings = settings(folder.path());
    once(&settings, &rules_dir, &machine()).await.unwrap();
    assert!(fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap().contains("nginx.service"));
    assert!(UnitList::read(&settings.policy_file).unwrap().contains("nginx.service"));
    decide(&settings, &rules_dir, &machine(), "nginx", false).await.unwrap();
    assert!(!fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap().contains("nginx.service"));
    decide(&settings, &rules_dir, &machine(), "nginx.service", true).await.unwrap();
    assert!(UnitList::read(&settings.policy_file).unwrap().contains("nginx.service"));
    assert!(decide(&settings, &rules_dir, &machine(), "dbus.service", true).await.is_err());
    settings.actions.restart_service = false;
    once(&settings, &rules_dir, &machine()).await.unwrap();
    let rule = fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap();
    assert!(!rule.contains("nginx.service") && rule.contains("osmAgentReboots = true"));
    let list = UnitList::read(&settings.policy_file).unwrap();
    assert_eq!((list.units.len(), list.chores), (0, vec![Chore::Reboot]));
    settings.actions = Actions { restart_service: false, clean_journal: false, run_logrotate: false, reboot: false };
    once(&settings, &rules_dir, &machine()).await.unwrap();
    assert!(!rules_dir.join(RULES_FILE).exists());
    assert!(UnitList::read(&settings.policy_file).unwrap().chores.is_empty());
}

#[tokio::test]
async fn what_root_forbids_while_the_list_is_made_is_not_granted() {
    let folder = tempfile::tempdir().unwrap();
    let (config, rules_dir) = (folder.path().join("agent.toml"), folder.path().join("rules.d"));
    let keys = format!("policy_file = {:?}\ndetect_local_units = false\n", folder.path().join("units.json"));
    fs::write(&config, &keys).unwrap();
    let forbidden = (config.clone(), format!("{keys}actions.reboot = false\n"));
    let forbid = Box::new(move || fs::write(forbidden.0, forbidden.1).unwrap());
    let machine = Fake { meanwhile: std::cell::RefCell::new(Some(forbid)), ..machine() };
    apply(Some(&config), &rules_dir, &machine).await.unwrap();
    let rule = fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap();
    assert!(rule.contains("osmAgentReboots = false") && rule.contains("nginx.service"), "{rule}");
}

#[tokio::test]
async fn a_list_that_cannot_be_written_grants_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    fs::create_dir(&settings.policy_file).unwrap();
    assert!(once(&settings, &folder.path().join("rules.d"), &machine()).await.is_err());
    assert!(!folder.path().join("rules.d").join(RULES_FILE).exists());
}

#[test]
fn links_of_enable_and_mask_are_no_local_units() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.service"), "").unwrap();
    fs::write(folder.path().join("app.timer"), "").unwrap();
    std::os::unix::fs::symlink("/dev/null", folder.path().join("masked.service")).unwrap();
    std::os::unix::fs::symlink("/usr/lib/systemd/system/x.service", folder.path().join("alias.service")).unwrap();
    assert_eq!(local_units(folder.path()).into_iter().collect::<Vec<_>>(), ["app.service"]);
    assert_eq!(template_of("app@blue.service").unwrap(), "app@.service");
    assert_eq!(template_of("app.service"), None);
}
