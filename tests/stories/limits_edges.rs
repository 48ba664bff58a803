//! What the backend speaks and says of itself: HTTP/1.1 alone, in time, with headers that keep answers from being misused; and to
//! whom it does not speak.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt;
use osm_api::{App, clock::Clock, config::Config};
use osm_telegram_sim::Sim;
use osm_tests::{
    agent::client,
    process::{self, Process, program},
    story,
    wire::Wire,
    world::{SOON, START, World},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{oneshot, watch},
};

// Finding 11: HTTP/2 without TLS was answered.
story!(http_2_is_not_spoken_and_a_head_has_an_end, |engine| {
    let world = World::new(engine).await;
    let authority = world.api.trim_start_matches("http://");
    let mut wire = Wire::open(authority).await;
    // The preface and an empty SETTINGS frame (RFC 9113, section 3.4).
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
    let said = wire.rest().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1."), "{said:?}");

    // An upgrade is no way either.
    let mut wire = Wire::open(authority).await;
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: osm\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status, 200);

    let mut wire = Wire::open(authority).await;
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: osm\r\n").await;
    let line = format!("X-Padding: {}\r\n", "x".repeat(1000));
    let mut sent = 0;
    while sent < 1000 && wire.send(line.as_bytes()).await {
        sent += 1;
        tokio::task::yield_now().await;
    }
    let said = wire.rest().await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&said));
});

// Finding 11: half a head lived for ever.
story!(half_a_head_is_given_up_after_15_seconds_and_a_trickle_too, |engine| {
    let world = World::new(engine).await;
    let authority = world.api.trim_start_matches("http://");
    let half = b"GET /healthz HTTP/1.1\r\nHost: osm\r\nX: ";
    let (mut held, mut silent, mut second) =
        (Wire::open(authority).await, Wire::open(authority).await, Wire::open(authority).await);
    held.send(half).await;
    // The time begins anew with each request, and is no longer for it.
    second.send(b"GET /healthz HTTP/1.1\r\nHost: osm\r\n\r\n").await;
    assert_eq!(second.answer().await.unwrap().status, 200);
    second.send(half).await;
    let trickle = async {
        let mut wire = Wire::open(authority).await;
        wire.send(half).await;
        let mut seconds = 0;
        while seconds < 40 && wire.send(b"x").await {
            tokio::time::sleep(Duration::from_secs(1)).await;
            seconds += 1;
        }
        seconds
    };
    let (trickled, held, silent, second) = tokio::join!(trickle, held.rest(), silent.rest(), second.rest());
    assert!((13..=20).contains(&trickled), "{trickled} s");
    assert!(held.is_empty() && silent.is_empty());
    assert!(!String::from_utf8_lossy(&second).contains("HTTP/1.1 200 OK\r\nHTTP"), "one answer for one request");
});

// Finding 16.
story!(every_answer_says_how_it_may_be_used, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let get = async |path: &str| client().get(format!("{}{path}", world.api)).send().await.unwrap();
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/openapi.json", 200), ("/docs", 200), ("/nothing", 404), ("/agent/v1/keys", 401)]
    {
        let answer = get(path).await;
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(
            (header("x-content-type-options").as_str(), header("x-frame-options").as_str()),
            ("nosniff", "DENY"),
            "{path}"
        );
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("script-src 'unsafe-inline'"), "{path}: {policy}");
        assert_eq!(header("cache-control"), if path.starts_with("/agent/") { "no-store" } else { "" }, "{path}");
    }
    let keys = agent.request("GET", "/agent/v1/keys", None, b"").await.unwrap();
    assert_eq!((keys.status, keys.header("cache-control")), (200, Some("no-store")));
    // The page runs by its hashes: one for each script in it.
    let docs = get("/docs").await;
    let policy = docs.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
});

/// Finding 13: a proxy that is not named makes all callers one, and whoever is refused among them keeps the others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_not_named_is_warned_of_once() {
    let sim = Sim::start(osm_telegram_sim::Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mut command = process::command(&program("osm-api"));
    command.arg("serve").env("OSM_LISTEN", &address).env("OSM_STATE_DIR", dir.path());
    command.env("OSM_TELEGRAM_TOKEN", sim.token()).env("OSM_TELEGRAM_API_URL", sim.api_url());
    let backend = Process::start(&mut command, dir.path(), "backend").unwrap();
    backend.says(" starts: database SQLite");
    let get = async || {
        let url = format!("http://{address}/healthz");
        client().get(url).header("X-Forwarded-For", "198.51.100.7").send().await.unwrap().status().as_u16()
    };
    for _ in 0..3 {
        assert_eq!(get().await, 200);
    }
    let ended = process::terminate(backend);
    let said = "WARN 127.0.0.1 sends X-Forwarded-For and is not in OSM_TRUSTED_PROXIES";
    assert_eq!((ended.stdout + &ended.stderr).matches(said).count(), 1, "{}", ended.stderr);
}

/// Answers every call with a redirect to `to`, and counts those to each path.
async fn redirecting(to: String) -> (String, watch::Receiver<BTreeMap<String, usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (called, calls) = watch::channel(BTreeMap::new());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let path = String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            called.send_modify(|calls: &mut BTreeMap<_, _>| *calls.entry(path).or_default() += 1);
        }
    });
    (address, calls)
}

/// Finding 14: followed, a redirect would tell another host the address, which holds a secret, as a referrer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_the_heartbeat_nor_the_bot_api_is_followed_elsewhere() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, mut told) = redirecting(format!("http://{}/elsewhere", elsewhere.local_addr().unwrap())).await;
    let dir = tempfile::tempdir().unwrap();
    let state_dir = dir.path().to_str().unwrap();
    let config = Config::load(None, |key| {
        let value = match key {
            "OSM_STATE_DIR" => state_dir.to_owned(),
            "OSM_TELEGRAM_TOKEN" => "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw".to_owned(),
            "OSM_TELEGRAM_API_URL" => format!("http://{address}"),
            "OSM_HEARTBEAT_URL" => format!("http://{address}/heartbeat-secret"),
            _ => return None,
        };
        Some(value)
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::manual(START);
    let app = App::open(config.unwrap(), clock.clone()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(app.serve(listener, async { drop(stopped.await) }, |_| ()));
    // Whoever called twice has done all that followed from the first call.
    let twice = async {
        loop {
            let calls = told.borrow_and_update().clone();
            if calls.iter().any(|(path, count)| path.starts_with("/bot") && *count > 1)
                && calls.get("/heartbeat-secret").is_some_and(|count| *count > 1)
            {
                return;
            }
            clock.advance(60_000);
            let _ = tokio::time::timeout(Duration::from_millis(200), told.changed()).await;
        }
    };
    tokio::time::timeout(SOON, twice).await.expect("two calls of each");
    assert!(elsewhere.accept().now_or_never().is_none(), "somebody else was called");
    let _ = stop.send(());
    served.await.unwrap().unwrap();
}
