//! What a new server fetches: the script, the key, the repositories.

use std::fs;

use osm_tests::{agent::client, story, world::World};
use reqwest::{StatusCode, header};
use sha2::{Digest, Sha256};

const DAY: i64 = 24 * 60 * 60 * 1000;
const FINGERPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

story!(a_backend_with_packages_offers_them, |engine| {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("apt/pool")).unwrap();
    fs::write(folder.path().join("key.asc"), "a key").unwrap();
    fs::write(folder.path().join("fingerprint"), FINGERPRINT).unwrap();
    fs::write(folder.path().join("apt/pool/a.deb"), "0123456789").unwrap();
    let settings =
        [("OSM_ALLOWED_USERS", "1001"), ("OSM_TELEGRAM_MODE", "webhook"), ("OSM_PACKAGES_DIR", folder.path().to_str().unwrap())];
    let world = World::with(engine, osm_telegram_sim::Options::default(), &settings).await;
    let get = |path: &str| client().get(format!("{}{path}", world.api));

    let script = get("/install.sh").send().await.unwrap().text().await.unwrap();
    let sum = data_encoding::HEXLOWER.encode(&Sha256::digest(script.as_bytes()));
    let message = world.ask(&world.anna, "/add_server", "OSM1-").await;
    assert!(message.plain.contains(&sum) && message.plain.contains(FINGERPRINT), "{}", message.plain);

    assert_eq!(get("/packages/key.asc").send().await.unwrap().text().await.unwrap(), "a key");
    let part = get("/packages/apt/pool/a.deb").header(header::RANGE, "bytes=2-4").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.text().await.unwrap(), "234");
    let whole = get("/packages/apt/pool/a.deb").send().await.unwrap();
    let again = get("/packages/apt/pool/a.deb").header(header::IF_MODIFIED_SINCE, &whole.headers()[header::LAST_MODIFIED]);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    for path in ["/packages/", "/packages/apt", "/packages/no", "/packages/%2e%2e%2fetc/passwd", "/packages/%2Fetc%2Fpasswd"] {
        let answer = get(path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json", "{path}");
    }
});

story!(a_backend_without_packages_has_nothing_to_fetch, |engine| {
    let world = World::new(engine).await;
    for path in ["/install.sh", "/packages/key.asc"] {
        let answer = client().get(format!("{}{path}", world.api)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let message = world.ask(&world.anna, "/add_server", "OSM1-").await;
    assert!(!message.plain.contains("install.sh"), "{}", message.plain);
});

// Finding 17: a repository that somebody has kept is no longer good for ever, so whoever signs it has to know when it ends.
story!(the_owner_hears_that_the_repositories_run_out_weekly_and_when_they_have, |engine| {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("apt/dists/stable")).unwrap();
    fs::write(folder.path().join("key.asc"), "a key").unwrap();
    fs::write(folder.path().join("fingerprint"), FINGERPRINT).unwrap();
    // The story begins on 2027-01-15 at 08:00.
    let sign = |from: &str, until: &str| {
        let release = format!("Suite: stable\nDate: {from} 08:00:00 +0000\nValid-Until: {until} 08:00:00 +0000\n");
        fs::write(folder.path().join("apt/dists/stable/Release"), release).unwrap();
    };
    sign("Wed, 16 Dec 2026", "Mon, 15 Mar 2027");
    let settings = [("OSM_TELEGRAM_MODE", "webhook"), ("OSM_PACKAGES_DIR", folder.path().to_str().unwrap())];
    let world = World::with(engine, osm_telegram_sim::Options::default(), &settings).await;
    let link = world.claim_link().await;
    let (_, code) = link.split_once("?start=").unwrap();
    world.ask(&world.anna, &format!("/start {code}"), "You are now the owner").await;
    let days = async |days: u32| {
        for _ in 0..days {
            world.clock.pass(DAY).await;
        }
    };
    days(29).await;
    world.hears_nothing(1001).await;
    // Less than a third of its 89 days is left.
    days(1).await;
    world.see(1001, "can be used until 2027-03-15 08:00 UTC").await;
    days(6).await;
    world.hears_nothing(1001).await;
    days(1).await;
    world.see(1001, "can be used until 2027-03-15 08:00 UTC").await;
    sign("Sun, 21 Feb 2027", "Wed, 24 Feb 2027");
    days(3).await;
    world.see(1001, "have run out, at 2027-02-24 08:00 UTC").await;
    sign("Wed, 24 Feb 2027", "Tue, 25 May 2027");
    days(14).await;
    world.hears_nothing(1001).await;
});
