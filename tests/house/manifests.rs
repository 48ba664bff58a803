//! What the crates are made of.

use crate::document;

#[test]
fn backend_and_agent_never_import_each_other() {
    let manifest = |name: &str| document(&format!("{name}/Cargo.toml"));
    assert!(!manifest("api").contains("osm-agent.") && !manifest("agent").contains("osm-api"));
    let protocol = manifest("protocol");
    assert!(
        !protocol.contains("osm-api.") && !protocol.contains("osm-agent.") && !protocol.contains("tokio"),
        "the protocol has no I/O"
    );
}

#[test]
fn there_is_one_tls_and_one_crypto_library() {
    let lock = document("Cargo.lock");
    let versions = |name: &str| lock.matches(&format!("name = \"{name}\"\n")).count();
    assert_eq!((versions("rustls"), versions("ring")), (1, 1));
    for other in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
        assert_eq!(versions(other), 0, "{other}");
    }
}
