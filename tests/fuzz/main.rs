//! Replays the corpus of the fuzz targets: what was found once stays found, without libFuzzer.

use std::{fs, path::Path};

type Target = fn(&[u8]);

/// Every target of fuzz/Cargo.toml with its parser.
const TARGETS: [(&str, Target); 7] = [
    ("envelope", osm_protocol::fuzz::envelope),
    ("signature", osm_protocol::fuzz::signature),
    ("callback", osm_api::fuzz::callback),
    ("update", osm_api::fuzz::update),
    ("api-configuration", osm_api::fuzz::configuration),
    ("mountinfo", osm_agent::fuzz::mountinfo),
    ("agent-configuration", osm_agent::fuzz::configuration),
];

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_input_of_the_corpus_is_read_or_refused() {
    for (name, read) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).collect();
        assert!(inputs.len() >= 3, "{name} has a corpus of {} inputs", inputs.len());
        for input in inputs {
            read(&fs::read(input.unwrap().path()).unwrap());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let declared: Vec<&str> = manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(declared, TARGETS.map(|(name, _)| name));
}
