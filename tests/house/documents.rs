//! Tables of the documents, held against what the code does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use osm_api::{
    config::Config,
    domain::{
        DAY, HOUR, MINUTE, SECOND,
        alert::{Limits, Rule},
    },
};
use serde_json::Value;

use crate::{
    constants::{Constant, constants, constants_of},
    document,
    modules::{Sources, sources},
    tables::{after, names},
    workspace,
};

fn backend() -> Sources {
    sources(&workspace().join("api/src"))
}

/// Holds that a document says what is so; both are sets, so that the message names what is missing and what is too much.
fn assert_told<T: Ord + std::fmt::Debug>(what: &str, told: impl IntoIterator<Item = T>, is: impl IntoIterator<Item = T>) {
    let (mut told, is): (Vec<T>, BTreeSet<T>) = (told.into_iter().collect(), is.into_iter().collect());
    told.sort();
    let twice = told.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "{what}: {:?} stands there twice", twice.unwrap_or_default()[0]);
    let told: BTreeSet<T> = told.into_iter().collect();
    let missing: Vec<&T> = is.difference(&told).collect();
    let untrue: Vec<&T> = told.difference(&is).collect();
    assert!(missing.is_empty() && untrue.is_empty(), "{what}: add {missing:?}, take out {untrue:?}");
}

/// What is named by its path, or by the end of it.
#[test]
fn sources_that_the_documents_name_are_there() {
    let files = files(&workspace());
    let is_there = |name: &str| files.iter().any(|file| file.ends_with(name));
    let gone = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].into_iter().flat_map(|name| {
        let text = document(name);
        let named: BTreeSet<String> =
            text.split("\n\n").flat_map(names).filter(|name| is_source(name)).map(str::to_owned).collect();
        named.into_iter().filter(|source| !is_there(source)).map(move |source| format!("{name}: {source}")).collect::<Vec<_>>()
    });
    let gone: Vec<String> = gone.collect();
    assert!(gone.is_empty(), "no file has this path:\n{}", gone.join("\n"));
}

fn is_source(name: &str) -> bool {
    let is_path = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    is_path && [".rs", ".sql", ".ftl"].iter().any(|ending| name.ends_with(ending))
}

/// All files of the workspace, but what is built and what git keeps.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            let is_ours = !path.file_name().is_some_and(|name| name == "target" || name == ".git");
            if path.is_dir() && is_ours {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_leases_are_those_of_the_code() {
    let (sources, document) = (backend(), document("ARCHITECTURE.md"));
    let constants = constants(&sources);
    let find = |file: &Path, name: &str| constants.iter().find(|constant| constant.file == file && constant.name == name);
    let lease = |(file, _): (&PathBuf, &String)| {
        let (Some(role), Some(lease)) = (find(file, "ROLE"), find(file, "LEASE")) else {
            panic!(
                "{} holds a lease without the constants ROLE and LEASE, which the table of leases is held against",
                file.display()
            )
        };
        (role.texts().concat(), lease.number() / SECOND)
    };
    let is = sources.iter().filter(|(_, text)| text.contains("leases::hold(")).map(lease);
    let told = after(&document, "### Leases").into_iter().map(|row| (names(&row[0]).collect(), row[1].parse().expect("seconds")));
    assert_told("ARCHITECTURE.md, Leases", told, is);
}

/// What the housekeeper keeps, and for how long, by the name of its constant.
fn kept() -> BTreeMap<String, i64> {
    let keeps = |constant: &Constant| constant.file.ends_with("housekeeping.rs") && constant.name.starts_with("KEEP_");
    constants(&backend()).iter().filter(|constant| keeps(constant)).map(|keep| (keep.name.clone(), keep.number())).collect()
}

fn duration(millis: i64) -> String {
    match (millis / DAY, millis / HOUR) {
        // As people say it: a day and more in days, but 48 hours.
        (_, 48) => "48 h".to_owned(),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

#[test]
fn what_is_kept_is_kept_for_as_long_as_the_documents_say() {
    let kept = kept();
    assert!(kept.len() > 5, "the constants of what is kept are not where they were");
    let is = kept.iter().map(|(name, &millis)| (name.clone(), duration(millis)));
    let told =
        after(&document("ARCHITECTURE.md"), "## Storage").into_iter().map(|row| (names(&row[2]).collect(), row[1].clone()));
    assert_told("ARCHITECTURE.md, Storage", told, is);
    let of = |name: &str| duration(kept[name]);
    let sentence = format!(
        "keeps figures for {}, ended commands and alerts for {}, handled updates (their contents erased) for {}.",
        of("KEEP_FIGURES"),
        of("KEEP_COMMANDS"),
        of("KEEP_UPDATES")
    );
    assert!(document("README.md").contains(&sentence), "README.md, Where things lie: is to say that the backend {sentence}");
    assert_eq!(kept["KEEP_COMMANDS"], kept["KEEP_INCIDENTS"], "README.md names commands and alerts together");
}

#[test]
fn the_alert_rules_and_their_defaults_are_those_of_the_code() {
    let is = Rule::ALL.map(|rule| {
        let limits = rule.default_limits();
        [what(rule).to_owned(), limit(rule, limits), lower(rule, limits), limits.severity.as_str().to_owned()].to_vec()
    });
    assert_told("README.md, Alerts", after(&document("README.md"), "### Alerts"), is);
}

fn what(rule: Rule) -> &'static str {
    match rule {
        Rule::Cpu => "CPU",
        Rule::Memory => "memory, total less available",
        Rule::Swap => "swap",
        Rule::Disk => "each disk",
        Rule::Inodes => "each disk's inodes",
        Rule::ReadOnly => "a disk that went read-only",
        Rule::NoAnswer => "a disk that does not answer",
        Rule::Load => "load over 5 minutes, per CPU",
        Rule::Service => "a failed service",
        Rule::Restarts => "a service that is restarted again and again, since it last ran for 10 minutes",
        Rule::NotReady => "a service that does not get ready",
        Rule::Down => "a service that boot asked for and that is not running",
        Rule::Unit => "a failed mount, automount, swap, socket, timer or path",
        Rule::Offline => "a server that is silent",
        Rule::Reboot => "a reboot that nobody asked for",
        Rule::Clock => "a clock that is off",
        Rule::Commands => "commands that do not reach a server",
    }
}

fn unit(rule: Rule) -> &'static str {
    match rule {
        Rule::Cpu | Rule::Memory | Rule::Swap | Rule::Disk | Rule::Inodes => " %",
        Rule::Clock => " s",
        Rule::Offline => " missed reports",
        Rule::Restarts => " restarts",
        Rule::ReadOnly
        | Rule::NoAnswer
        | Rule::Load
        | Rule::Service
        | Rule::NotReady
        | Rule::Down
        | Rule::Unit
        | Rule::Reboot
        | Rule::Commands => "",
    }
}

fn limit(rule: Rule, limits: Limits) -> String {
    if rule.range().is_none() {
        return if limits.hold > 0 { format!("after {} min", limits.hold / MINUTE) } else { "at once".to_owned() };
    }
    let mut text = format!("{}{}", limits.limit, unit(rule));
    if limits.hold > 0 {
        write!(text, " for {} min", limits.hold / MINUTE).expect("a text takes what is written");
    }
    text
}

fn lower(rule: Rule, limits: Limits) -> String {
    if rule.has_lower() { format!("{}{}", limits.lower, unit(rule)) } else { String::new() }
}

#[test]
fn the_commands_are_those_of_the_code() {
    let constants = constants(&backend());
    let commands = constants.iter().find(|constant| constant.name == "COMMANDS").expect("the list of commands");
    let is: Vec<String> = commands.texts().into_iter().step_by(2).collect();
    assert!(is.contains(&"start".to_owned()), "{is:?}: not the list of commands");
    let readme = document("README.md");
    let rows = after(&readme, "### The chat");
    let told = rows.iter().flat_map(|row| names(&row[0])).map(|command| {
        let name = command.split(' ').next().unwrap_or_default();
        name.strip_prefix('/').unwrap_or_else(|| panic!("README.md, The chat: {command} is no command")).to_owned()
    });
    assert_told("README.md, The chat", told, is);
}

/// The fields of a struct in a source, with their types.
fn fields(file: &str, name: &str) -> Vec<(String, String)> {
    let items = syn::parse_file(&document(file)).unwrap_or_else(|error| panic!("{file}: {error}")).items;
    let found = items.into_iter().find_map(|item| match item {
        syn::Item::Struct(item) if item.ident == name => Some(item.fields),
        _ => None,
    });
    let fields = found.unwrap_or_else(|| panic!("{file} has no struct {name} any more"));
    let type_of = |ty: &syn::Type| match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    fields.iter().map(|field| (field.ident.as_ref().expect("a name").to_string(), type_of(&field.ty))).collect()
}

#[test]
fn the_backends_keys_are_those_of_the_code() {
    let readme = document("README.md");
    let rows = after(&readme, "### Backend");
    let keys = fields("api/src/config.rs", "Raw").into_iter().map(|(name, _)| format!("OSM_{}", name.to_uppercase()));
    let told = rows.iter().flat_map(|row| names(&row[0])).map(str::to_owned);
    // Read before there is a configuration.
    assert_told("README.md, Configuration, Backend", told, keys.chain(["OSM_LOG".to_owned()]));

    let config =
        Config::load(None, |key| (key == "OSM_TELEGRAM_TOKEN").then(|| format!("1:{}", "x".repeat(35)))).expect("the defaults");
    let state_dir = config.state_dir.display().to_string();
    assert_eq!(config.public_url.text, format!("http://{}", config.listen), "README.md says so of OSM_PUBLIC_URL");
    assert_eq!(config.database_url.expose(), format!("sqlite://{state_dir}/osm.db"), "README.md says so of OSM_DATABASE_URL");
    for (key, default) in [
        ("OSM_LISTEN", config.listen.to_string()),
        ("OSM_STATE_DIR", state_dir),
        ("OSM_TELEGRAM_API_URL", config.telegram.api_url.to_string().trim_end_matches('/').to_owned()),
    ] {
        let row = rows.iter().find(|row| names(&row[0]).any(|name| name == key)).expect("a row, as was looked at above");
        assert_eq!(row[1], format!("`{default}`"), "README.md, Configuration, Backend: the default of {key}");
    }
}

#[test]
fn the_agents_keys_and_defaults_are_those_of_the_code() {
    let readme = document("README.md");
    let rows = after(&readme, "### Agent");
    let told = rows.iter().flat_map(|row| names(&row[0])).filter(|name| !name.starts_with("OSM_")).map(str::to_owned);
    assert_told("README.md, Configuration, Agent", told, agent_keys());

    let shipped = shipped_defaults();
    for row in &rows {
        let keys: Vec<&str> = names(&row[0]).filter(|name| !name.starts_with("OSM_")).collect();
        let values: Vec<&String> =
            keys.iter().map(|key| shipped.get(*key).unwrap_or_else(|| panic!("agent.toml lacks {key}"))).collect();
        // One value for several keys stands there once.
        let all_same = values.iter().all(|value| *value == values[0]);
        let is =
            if all_same { values[0].clone() } else { values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", ") };
        let told = row[1].trim_matches('`');
        let is_example = keys == ["ca_file"] && told == "none";
        assert!(told == is || is_example, "README.md, Configuration, Agent: the default of {keys:?} is {is}, not {told}");
    }
}

/// All keys of `agent.toml`, with the table they stand in.
fn agent_keys() -> Vec<String> {
    let file = "agent/src/config.rs";
    let keys = fields(file, "Fragment").into_iter().flat_map(|(name, ty)| {
        if ty.ends_with("Fragment") {
            fields(file, &ty).into_iter().map(|(key, _)| format!("{name}.{key}")).collect()
        } else {
            vec![name]
        }
    });
    keys.collect()
}

/// What stands commented out in the shipped `agent.toml`, which a test of the agent holds against its defaults.
fn shipped_defaults() -> BTreeMap<String, String> {
    let mut table = String::new();
    let mut found = BTreeMap::new();
    for line in document("agent/dist/agent.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = "))
            && !key.starts_with(' ')
        {
            found.insert(format!("{table}{key}"), value.trim_matches('"').to_owned());
        }
    }
    found
}

#[test]
fn what_an_agent_sends_is_told_field_by_field() {
    let readme = document("README.md");
    let rows = after(&readme, "## What an agent sends");
    let told = rows.iter().flat_map(|row| {
        let part: String = names(&row[0]).collect();
        names(&row[1]).map(move |field| format!("{part}.{field}"))
    });
    let openapi: Value = serde_json::from_str(&document("openapi/openapi.json")).expect("JSON");
    let mut is = BTreeSet::new();
    for body in operations(&openapi).map(|operation| &operation["requestBody"]["content"]) {
        add_fields(&openapi, body, &mut is);
    }
    assert!(is.contains("Report.cpu"), "the bodies of requests are not where they were in openapi.json");
    assert_told("README.md, What an agent sends", told, is);
}

/// The fields of all schemas that a part of the document refers to, and of those that these refer to.
fn add_fields(openapi: &Value, part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
                let schema = &openapi["components"]["schemas"][name];
                let fields = schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys());
                let before = found.len();
                found.extend(fields.map(|field| format!("{name}.{field}")));
                if found.len() > before {
                    add_fields(openapi, schema, found);
                }
            }
            object.values().for_each(|value| add_fields(openapi, value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| add_fields(openapi, value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_problems_are_those_of_the_code() {
    let table = after(&document("api/src/http/openapi.md"), "The `type` of a problem");
    let types = table.iter().flat_map(|row| names(&row[0])).filter(|name| *name != "about:blank").map(str::to_owned);
    assert_told("openapi.md, types of problems", types, problem_types());

    let openapi: Value = serde_json::from_str(&document("openapi/openapi.json")).expect("JSON");
    let responses = operations(&openapi).flat_map(|operation| operation["responses"].as_object().expect("responses").keys());
    let is: BTreeSet<String> = responses.filter(|status| !status.starts_with('2')).cloned().collect();
    let told: BTreeSet<String> = table.iter().flat_map(|row| row[1].split(", ")).map(str::to_owned).collect();
    assert_told("openapi.md, statuses of problems", told, is);
}

/// The constants of the protocol's module `problem`.
fn problem_types() -> Vec<String> {
    let protocol = sources(&workspace().join("protocol/src"));
    let inner = protocol.values().find_map(|text| {
        let items = syn::parse_file(text).expect("a source").items;
        items.into_iter().find_map(|item| match item {
            syn::Item::Mod(module) if module.ident == "problem" => module.content,
            _ => None,
        })
    });
    let (_, items) = inner.expect("the protocol's module `problem`");
    constants_of(Path::new("messages.rs"), items).flat_map(|constant| constant.texts()).collect()
}

fn operations(openapi: &Value) -> impl Iterator<Item = &Value> {
    let paths = openapi["paths"].as_object().expect("paths").values();
    paths.flat_map(|path| path.as_object().expect("operations").values())
}
