//! Our request signatures and those of an implementation that is not ours, `http-message-signatures`, understand each other.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use data_encoding::BASE64;
use osm_api::clock::Clock;
use osm_protocol::{
    key::PublicKey,
    messages::{Commands, PairResponse, Receipt, ReportBatch, problem},
    request_signature::{Headers, Target, sign},
};
use osm_tests::{
    agent::{Agent, Reply, fresh_key},
    database::Engine,
    world::World,
};
use serde_json::{Value, json};

/// The Python that has the library, made where programs are built and kept.
fn python() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let tests = std::env::current_exe().expect("the tests' own file");
        // target/debug/deps/interop-0123 → target/interop-venv
        let folder = tests.ancestors().nth(3).expect("a target folder").join("interop-venv");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let list = tests.join("interop/requirements.txt");
        let made = Command::new(tests.join("scripts/python")).arg(&folder).arg(list).output().expect("scripts/python runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder.join("bin/python")
    })
}

fn ask(asked: &Value) -> Value {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/peer.py");
    let mut child = Command::new(python())
        .arg(peer)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python");
    child.stdin.take().expect("a pipe").write_all(asked.to_string().as_bytes()).expect("a pipe");
    let said = child.wait_with_output().expect("an end");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

/// A request of `agent`, signed by the other implementation.
fn signed_by_peer(agent: &Agent, method: &str, path_and_query: &str, body: &[u8]) -> Headers {
    let headers = ask(&json!({
        "do": "sign", "seed": BASE64.encode(&agent.key.to_bytes()), "keyid": PublicKey::from(&agent.key).id(),
        "method": method, "url": format!("{}{path_and_query}", agent.api), "body": BASE64.encode(body),
        "created": agent.clock.now() / 1000, "nonce": uuid::Uuid::new_v4().to_string(), "label": "sig1",
    }));
    let headers: BTreeMap<String, String> = serde_json::from_value(headers).expect("headers");
    let header = |name: &str| {
        let found = headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("{name} is missing in {headers:?}")).1.clone()
    };
    Headers {
        content_digest: header("content-digest"),
        signature_input: header("signature-input"),
        signature: header("signature"),
    }
}

async fn send(agent: &Agent, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Reply {
    let target = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
    let headers = signed_by_peer(agent, method, &target, body);
    agent.send(method, path, query, &headers, body).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_implementation_signs_is_accepted_and_spoilt_it_is_not() {
    let world = World::new(Engine::Sqlite).await;
    let (token, _) = world.token(&world.anna, "web-1").await;
    let agent = Agent::new(&world);
    let body = serde_json::to_vec(&agent.pair_request(&token)).unwrap();
    let paired: PairResponse = send(&agent, "POST", "/agent/v1/pair", None, &body).await.json().unwrap();
    assert_eq!(paired.name, "web-1");

    world.see(&world.anna, "Key fingerprint").await;
    let batch = ReportBatch { agent_version: "0.1.0".to_owned(), reports: vec![agent.report()] };
    let body = serde_json::to_vec(&batch).unwrap();
    let path = "/agent/v1/reports";
    send(&agent, "POST", path, None, &body).await.json::<Receipt>().unwrap();
    world.see(&world.anna, "online").await;
    // With a query, and without a body.
    let commands: Commands = send(&agent, "GET", "/agent/v1/commands", Some("wait=0&after=0"), b"").await.json().unwrap();
    assert!(commands.commands.is_empty());

    let good = signed_by_peer(&agent, "POST", path, &body);
    let mut other = body.clone();
    *other.last_mut().unwrap() = b' ';
    for (what, headers, body) in [
        ("another body", good.clone(), &other),
        ("another path", signed_by_peer(&agent, "POST", "/agent/v1/unpair", &body), &body),
        ("a query that was not sent", signed_by_peer(&agent, "POST", "/agent/v1/reports?a=b", &body), &body),
        ("another method", signed_by_peer(&agent, "PUT", path, &body), &body),
        ("another time", Headers { signature_input: other_time(&good.signature_input), ..good.clone() }, &body),
    ] {
        let reply = agent.send("POST", path, None, &headers, body).await.unwrap();
        assert_eq!((reply.status, reply.problem().kind.as_str()), (401, problem::SIGNATURE), "{what}");
    }
    assert_eq!(agent.send("POST", path, None, &good, &body).await.unwrap().status, 200);
}

/// One second later than what was signed.
fn other_time(signature_input: &str) -> String {
    let (before, rest) = signature_input.split_once("created=").expect("created");
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let created: i64 = rest[..end].parse().expect("a number");
    format!("{before}created={}{}", created + 1, &rest[end..])
}

#[test]
fn what_we_sign_the_other_implementation_verifies_and_spoilt_it_does_not() {
    let key = fresh_key();
    let public = PublicKey::from(&key);
    let body = br#"{"agent_version":"0.1.0","reports":[]}"#;
    let created = Clock::system().now() / 1000;
    let verdict = |headers: &Headers, method: &str, url: &str, body: &[u8]| {
        ask(&json!({
            "do": "verify", "key": BASE64.encode(public.as_bytes()), "keyid": public.id(), "method": method, "url": url,
            "body": BASE64.encode(body), "headers": {
                "Content-Digest": headers.content_digest, "Signature-Input": headers.signature_input, "Signature": headers.signature,
            },
        }))
    };
    for (method, path, query, body) in
        [("POST", "/agent/v1/reports", None, &body[..]), ("GET", "/agent/v1/commands", Some("wait=25&after=1800000000000"), b"")]
    {
        let target = Target { method, authority: "osm.example", path, query };
        let headers = sign(target, body, &key, created, "n1");
        let url = format!("https://OSM.example:443{path}{}", query.map(|query| format!("?{query}")).unwrap_or_default());
        let verified = verdict(&headers, method, &url, body);
        assert_eq!(verified["parameters"]["keyid"], json!(public.id()), "{verified}");
        assert_eq!(verified["parameters"]["created"], json!(created));
        assert_eq!(verified["parameters"]["alg"], json!("ed25519"));

        let other_digest = osm_protocol::request_signature::content_digest(b"{}");
        let zeros = format!("osm=:{}:", BASE64.encode(&[0; 64]));
        for (what, spoilt) in [
            ("another body", verdict(&headers, method, &url, b"{\"x\":1}")),
            ("another method", verdict(&headers, "PUT", &url, body)),
            ("another authority", verdict(&headers, method, &url.replace("OSM.example", "evil.example"), body)),
            ("another path", verdict(&headers, method, &url.replace("/v1/", "/v2/"), body)),
            ("another query", verdict(&headers, method, &format!("{url}{}x=1", if query.is_some() { '&' } else { '?' }), body)),
            ("another digest", verdict(&Headers { content_digest: other_digest, ..headers.clone() }, method, &url, b"{}")),
            ("no signature at all", verdict(&Headers { signature: zeros, ..headers.clone() }, method, &url, body)),
            (
                "another time",
                verdict(
                    &Headers { signature_input: other_time(&headers.signature_input), ..headers.clone() },
                    method,
                    &url,
                    body,
                ),
            ),
        ] {
            assert!(spoilt["refused"].is_string(), "{what}: {spoilt}");
        }
    }
}
