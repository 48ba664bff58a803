//! Units that are not well, though systemd calls few of them failed: each is told once, with what the host knows, and once more
//! when it is over.

use osm_api::domain::{MINUTE, SECOND};
use osm_protocol::messages::{Report, Service, Systemd, Trouble};
use osm_tests::{
    agent::{Agent, service},
    story,
    world::World,
};

use crate::reporting::keep_reporting;

fn with(service: Service) -> impl Fn(&Agent) -> Report {
    move |agent| Report { services: vec![service.clone()], ..agent.report() }
}

fn restarted(restarts: u32, ago_s: u32) -> Service {
    Service {
        restarts: Some(restarts),
        restarted_ago_s: Some(ago_s),
        result: Some("exit-code".to_owned()),
        status: Some(1),
        ..service("queue.service", "active", "running")
    }
}

story!(a_service_that_is_restarted_again_and_again_is_told_until_it_has_run_for_a_while, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    keep_reporting(&world, &agent, 2 * MINUTE, with(restarted(4, 20))).await;
    world.hears_nothing(&world.anna).await;
    keep_reporting(&world, &agent, MINUTE, with(restarted(6, 20))).await;
    let alert = world.see(&world.anna, "queue.service is restarted again and again: 6 restarts").await;
    for said in ["critical", "restarted 6 times, the last time 20 s ago: exit-code, status 1", "I have it"] {
        assert!(alert.plain.contains(said) || alert.button(said).is_some(), "{said} is missing in\n{}", alert.plain);
    }
    assert!(alert.button("Restart queue.service").is_some(), "{:?}", alert.buttons);
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.plain.contains("🟠 queue.service · active (running) · restarted 6 times"), "{}", card.plain);
    // Fewer is not over, and an agent that has begun anew does not know.
    keep_reporting(&world, &agent, MINUTE, with(restarted(1, 20))).await;
    keep_reporting(&world, &agent, 10 * MINUTE, with(service("queue.service", "active", "running"))).await;
    world.hears_nothing(&world.anna).await;
    let well = Service { restarts: Some(0), ..service("queue.service", "active", "running") };
    keep_reporting(&world, &agent, MINUTE, with(well)).await;
    world.see(&world.anna, "Over: web-1 · queue.service is restarted again and again").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_service_that_does_not_get_ready_is_told_after_its_time, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let starting = Service { trouble: Some(Trouble::NotReady), ..service("shop.service", "activating", "start") };
    keep_reporting(&world, &agent, 9 * MINUTE, with(starting.clone())).await;
    world.hears_nothing(&world.anna).await;
    keep_reporting(&world, &agent, 2 * MINUTE, with(starting)).await;
    let alert = world.see(&world.anna, "shop.service does not get ready").await;
    assert!(alert.plain.contains("activating (start) · not ready"), "{}", alert.plain);
    keep_reporting(&world, &agent, MINUTE, with(service("shop.service", "active", "running"))).await;
    world.see(&world.anna, "Over: web-1 · shop.service does not get ready").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_service_that_boot_did_not_start_and_the_mount_that_failed_are_told, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let down = Service {
        trouble: Some(Trouble::Down),
        waits_for: Some("srv-data.mount".to_owned()),
        ..service("shop.service", "inactive", "dead")
    };
    let mount = Service { restartable: false, ..service("srv-data.mount", "failed", "failed") };
    let both = |agent: &Agent| Report { services: vec![down.clone(), mount.clone()], ..agent.report() };
    keep_reporting(&world, &agent, 30 * SECOND, both).await;
    let alert = world.see(&world.anna, "srv-data.mount failed").await;
    assert!(alert.button("Restart").is_none() && alert.plain.contains("failed (exit-code)"), "{}", alert.plain);
    keep_reporting(&world, &agent, 3 * MINUTE, both).await;
    let alert = world.see(&world.anna, "shop.service is not running since boot").await;
    assert!(alert.plain.contains("for srv-data.mount failed"), "{}", alert.plain);
    // What cannot be seen is not over.
    keep_reporting(&world, &agent, MINUTE, |agent| Report { systemd: Systemd::Unreachable, services: vec![], ..agent.report() })
        .await;
    world.hears_nothing(&world.anna).await;
    keep_reporting(&world, &agent, 2 * MINUTE, with(service("shop.service", "active", "running"))).await;
    let over = world.see(&world.anna, "Nothing else is open").await;
    for ended in ["srv-data.mount failed", "shop.service is not running since boot"] {
        assert!(over.plain.contains(ended), "{}", over.plain);
    }
    world.hears_nothing(&world.anna).await;
});
