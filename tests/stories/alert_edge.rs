//! Alerts where they meet something else: a removal, a mute, another chat, another backend, a host that says odd things.

use futures_util::future::join;
use osm_api::domain::{HOUR, MINUTE, SECOND};
use osm_protocol::messages::Report;
use osm_telegram_sim::{BotMessage, ButtonKind, Failure, FailureKind};
use osm_tests::{
    agent::{Agent, disk, service},
    database::Engine,
    story,
    world::{SOON, World},
};

use crate::reporting::{broken, busy, keep_reporting, pass};

/// Two servers of Anna's that failed within half a minute of a third, and the one message that tells of both.
async fn digest(world: &World) -> ([Agent; 3], BotMessage) {
    let agents = [world.paired("web-1").await, world.paired("web-2").await, world.paired("web-3").await];
    world.clock.pass(30 * SECOND).await;
    agents[2].send_report(&broken(&agents[2])).await.unwrap();
    world.see(&world.anna, "web-3 · nginx.service failed").await;
    world.clock.pass(5 * SECOND).await;
    for agent in &agents[..2] {
        agent.send_report(&broken(agent)).await.unwrap();
    }
    world.clock.pass(30 * SECOND).await;
    let digest = world.see(&world.anna, "2 alerts: 2 critical, 2 open").await;
    // The first one goes its own way.
    agents[2].send_report(&agents[2].report()).await.unwrap();
    world.see(&world.anna, "Over: web-3").await;
    (agents, digest)
}

async fn remove(world: &World, name: &str) {
    let question = world.ask(&world.anna, &format!("/remove_server {name}"), "can confirm").await;
    world.tap(&world.anna, &question, "Remove").await;
    world.becomes(&question, "is removed").await;
}

story!(an_alert_of_a_server_that_is_removed_offers_nothing_any_more, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    let alert = world.see(&world.anna, "critical since").await;
    remove(&world, "web-1").await;
    let shown = world.now(&alert).await;
    assert_eq!(shown.plain, "This server is no longer paired here.");
    assert!(shown.button("I have it").is_none(), "{shown:?}");
});

story!(what_was_told_together_with_a_removed_server_ends_without_it, |engine| {
    let world = World::new(engine).await;
    let (agents, shown) = digest(&world).await;
    remove(&world, "web-2").await;
    let left = world.now(&shown).await.plain;
    assert!(left.contains("web-1") && !left.contains("web-2"), "{left}");
    world.clock.pass(30 * SECOND).await;
    agents[0].send_report(&agents[0].report()).await.unwrap();
    world.see(&world.anna, "Over: web-1 · nginx.service failed").await;
});

story!(a_server_that_goes_last_lets_the_others_end_be_told, |engine| {
    let world = World::new(engine).await;
    let (agents, _) = digest(&world).await;
    world.clock.pass(30 * SECOND).await;
    agents[0].send_report(&agents[0].report()).await.unwrap();
    remove(&world, "web-2").await;
    world.see(&world.anna, "Over: web-1 · nginx.service failed").await;
    world.hears_nothing(&world.anna).await;
});

story!(what_was_told_together_waits_five_minutes_for_the_last_to_end, |engine| {
    let world = World::new(engine).await;
    let (agents, _) = digest(&world).await;
    let both = async |span: i64| {
        for _ in 0..span / (30 * SECOND) {
            world.clock.pass(30 * SECOND).await;
            agents[0].send_report(&agents[0].report()).await.unwrap();
            agents[1].send_report(&broken(&agents[1])).await.unwrap();
        }
    };
    both(5 * MINUTE).await;
    world.hears_nothing(&world.anna).await;
    both(MINUTE).await;
    let over = world.see(&world.anna, "Over: web-1 · nginx.service failed").await;
    assert!(over.plain.contains("Still open: 1") && over.plain.contains("web-2"), "{}", over.plain);
    agents[1].send_report(&Report { at: world.clock.now() + 1, ..agents[1].report() }).await.unwrap();
    world.clock.pass(30 * SECOND).await;
    world.see(&world.anna, "Over: web-2 · nginx.service failed").await;
});

story!(an_end_is_told_also_when_the_last_of_its_message_ends_while_mute, |engine| {
    let world = World::new(engine).await;
    let (agents, _) = digest(&world).await;
    world.clock.pass(30 * SECOND).await;
    agents[0].send_report(&agents[0].report()).await.unwrap();
    world.ask(&world.anna, "/mute web-2 1h", "web-2 · until").await;
    world.clock.pass(30 * SECOND).await;
    agents[1].send_report(&agents[1].report()).await.unwrap();
    let over = world.see(&world.anna, "Over: web-1").await.plain;
    assert!(!over.contains("web-2"), "{over}");
    world.hears_nothing(&world.anna).await;
});

story!(what_begins_and_ends_while_it_waits_is_one_message, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let other = world.paired("web-2").await;
    world.clock.pass(30 * SECOND).await;
    other.send_report(&broken(&other)).await.unwrap();
    world.see(&world.anna, "web-2 · nginx.service failed").await;
    // Within the half minute after that one: it failed, and was well again.
    world.clock.pass(5 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    world.clock.pass(5 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.clock.pass(30 * SECOND).await;
    let told = world.see(&world.anna, "web-1 · nginx.service failed").await.plain;
    assert!(told.contains("Over after"), "{told}");
    world.hears_nothing(&world.anna).await;
});

story!(a_host_that_is_paired_anew_ends_its_alerts_without_a_sound, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    let alert = world.see(&world.anna, "critical since").await;
    let (token, _) = world.token(&world.anna, "web-1").await;
    let reply = Agent::new(&world).pair_replacing(&token, agent.server_id, &agent, "c").await;
    assert_eq!(reply.status, 200);
    world.see(&world.anna, "Key fingerprint").await;
    world.becomes(&alert, "Over after").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_snoozed_warning_is_repeated_once, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    keep_reporting(&world, &agent, 11 * MINUTE, |agent| busy(agent, 97.0)).await;
    let alert = world.see(&world.anna, "CPU at 97 %").await;
    world.tap(&world.anna, &alert, "1 h").await;
    keep_reporting(&world, &agent, 59 * MINUTE, |agent| busy(agent, 97.0)).await;
    world.hears_nothing(&world.anna).await;
    keep_reporting(&world, &agent, 5 * HOUR, |agent| busy(agent, 97.0)).await;
    world.see(&world.anna, "CPU at 97 %").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_rule_that_is_switched_off_while_a_server_is_offline_ends_its_alert, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    keep_reporting(&world, &agent, MINUTE, Agent::report).await;
    pass(&world, 2 * MINUTE).await;
    let alert = world.see(&world.anna, "web-1 · offline, last heard at").await;
    let off = format!("E:{}:o:30:30:0:C", agent.server_id);
    world.tap_data(&world.anna, &alert, &off).await;
    pass(&world, 10 * SECOND).await;
    world.see(&world.anna, "Nothing else is open").await;
    pass(&world, HOUR).await;
    world.hears_nothing(&world.anna).await;
});

story!(reboots_that_follow_each_other_are_two_messages, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    for boot in ["1", "2", "3", "4"] {
        world.clock.pass(5 * MINUTE).await;
        agent.send_report(&Report { boot: boot.repeat(64), ..agent.report() }).await.unwrap();
        world.all_is_told().await;
    }
    world.see(&world.anna, "Nobody asked for it in this chat").await;
    world.see(&world.anna, "It comes and goes: 4 times").await;
    world.hears_nothing(&world.anna).await;
});

story!(two_disks_of_one_name_are_taken_and_the_fuller_one_counts, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let alike = |agent: &Agent| Report { disks: vec![disk("/data", 97, 3), disk("/data", 10, 90)], ..agent.report() };
    keep_reporting(&world, &agent, 5 * MINUTE, alike).await;
    world.see(&world.anna, "disk /data 97 % full").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_chat_has_fifty_mutes_and_long_names_can_be_muted, |engine| {
    let world = World::new(engine).await;
    let name = "x".repeat(60);
    world.token(&world.anna, &name).await;
    let (token, _) = world.token(&world.anna, &name).await;
    world.pair(&world.anna, &token).await;
    world.ask(&world.anna, &format!("/mute {name} 22:00-06:00"), "daily 22:00–06:00").await;
    for _ in 1..50 {
        world.ask(&world.anna, "/mute 2h", "What makes no sound").await;
    }
    world.ask(&world.anna, "/mute 2h", "nothing was muted").await;
    assert_eq!(world.rows("SELECT COUNT(*) FROM mutes").await, [[50]]);
});

story!(a_group_that_becomes_a_supergroup_keeps_alerts_limits_and_mutes, |engine| {
    let world = World::new(engine).await;
    world.ask(&world.anna, "/start", "Online Server Monitor").await;
    let group = world.sim.group(-4242, "Ops", &[world.anna.admin()]);
    let say = |chat: i64, text: &str| world.sim.say(chat, &world.anna, text);
    let (agent, _) = world.paired_in(&group, "web-1").await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    let alert = world.see(&group, "nginx.service failed").await;
    world.tap_data(&world.anna, &alert, "E:-:c:500:450:5:c").await;
    say(group.id, "/timezone@osm_demo_bot Europe/Berlin");
    world.see(&group, "Europe/Berlin").await;
    say(group.id, "/mute@osm_demo_bot 22:00-06:00");
    world.see(&group, "daily 22:00–06:00").await;

    let supergroup = world.sim.migrate(&group, -1_000_000_004_242);
    for (command, expected) in [
        ("/alerts@osm_demo_bot", "Open alerts: 1"),
        ("/thresholds@osm_demo_bot", "CPU, busy: 50 % for 5 min"),
        ("/mute@osm_demo_bot", "daily 22:00–06:00"),
        ("/timezone@osm_demo_bot", "Europe/Berlin"),
    ] {
        say(supergroup.id, command);
        world.see(&supergroup, expected).await;
    }
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.see(&supergroup, "Over: web-1").await;
});

story!(a_stranger_with_annas_alert_buttons_sees_nothing_and_changes_nothing, |engine| {
    let settings = [("OSM_ALLOWED_USERS", "*"), ("OSM_TELEGRAM_MODE", "webhook")];
    let world = World::with(engine, osm_telegram_sim::Options::default(), &settings).await;
    let agent = world.paired("web-1").await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    let alert = world.see(&world.anna, "nginx.service failed").await;
    let list = world.ask(&world.anna, "/alerts", "Open alerts: 1").await;
    let mutes = world.ask(&world.anna, "/mute web-1 2h", "What makes no sound").await;
    let limits = world.ask(&world.anna, "/thresholds web-1", "Limits of web-1").await;
    let mut stolen: Vec<String> = [&alert, &list, &mutes, &limits]
        .iter()
        .flat_map(|message| message.buttons.iter().flatten())
        .filter_map(|button| match &button.kind {
            ButtonKind::Callback(data) if data.len() > 16 => Some(data.clone()),
            _ => None,
        })
        .collect();
    stolen.push(format!("E:{}:c:500:450:5:c", agent.server_id));
    stolen.push(format!("T:{}", agent.server_id));
    for verb in ["i:", "k:", "z:", "T:", "e:", "E:", "m:", "w:"] {
        assert!(stolen.iter().any(|data| data.starts_with(verb)), "{verb} is missing: {stolen:?}");
    }
    stolen.push("K".to_owned());
    let own = world.ask(&world.boris, "/help", "/servers").await;
    for data in &stolen {
        world.tap_data(&world.boris, &own, data).await;
    }
    // One of them asks for what is open about a server.
    world.see(&world.boris, "This server is no longer paired here.").await;
    world.hears_nothing(&world.boris).await;
    let seen = world.sim.transcript(world.boris.id);
    assert!(!seen.contains("web-1") && !seen.contains("nginx"), "{seen}");
    let kept =
        "SELECT (SELECT COUNT(*) FROM incidents WHERE acked_by IS NULL AND snoozed_until IS NULL), (SELECT COUNT(*) FROM mutes),
        (SELECT COUNT(*) FROM thresholds)";
    assert_eq!(world.rows(kept).await, [[1, 1, 0]]);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_report_at_two_backends_opens_one_incident() {
    let world = World::new(Engine::Postgres).await;
    let other = world.another().await.unwrap();
    let agent = world.paired("web-1").await;
    let twin = Agent { api: other.api.clone(), ..agent.clone() };
    for number in 0..20 {
        world.clock.pass(30 * SECOND).await;
        let unit = format!("app-{number}.service");
        let report = Report { services: vec![service(&unit, "failed", "failed")], ..agent.report() };
        let (here, there) = join(agent.send_report(&report), twin.send_report(&report)).await;
        assert!(here.is_ok() && there.is_ok(), "{here:?} {there:?}");
    }
    assert_eq!(world.rows("SELECT COUNT(*), CAST(SUM(times) AS BIGINT) FROM incidents").await, [[20, 20]]);
    // Both look for the silent, and one of them tells. What the units had to tell is told first.
    world.settled(SOON).await;
    world.see_among(&world.anna, "app-19.service failed").await;
    pass(&world, 3 * MINUTE).await;
    world.see(&world.anna, "web-1 · offline, last heard at").await;
    world.hears_nothing(&world.anna).await;
    other.stop().await.unwrap();
}

story!(whoever_takes_over_to_listen_gives_everybody_the_whole_grace, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    keep_reporting(&world, &agent, MINUTE, Agent::report).await;
    pass(&world, MINUTE).await;
    // Another instance has the role, and gives it up again.
    world.sql("UPDATE leases SET holder = '00000000-0000-7000-8000-000000000001', expires_at = 9000000000000 WHERE role = 'offline-judge'").await;
    pass(&world, 3 * MINUTE).await;
    world.sql("UPDATE leases SET expires_at = 0 WHERE role = 'offline-judge'").await;
    pass(&world, 85 * SECOND).await;
    world.hears_nothing(&world.anna).await;
    pass(&world, 30 * SECOND).await;
    world.see(&world.anna, "web-1 · offline, last heard at").await;
});

story!(reminders_that_waited_are_one, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    world.see(&world.anna, "critical since").await;
    // Telegram takes nothing for three seconds, in which hours pass here.
    world.sim.fail(Failure::new(FailureKind::TooManyRequests { retry_after: 3 }).on("sendMessage"));
    for _ in 0..4 {
        world.clock.pass(HOUR).await;
        agent.send_report(&broken(&agent)).await.unwrap();
    }
    world.settled(SOON).await;
    let told = world.untaken(&world.anna);
    assert!((1..=2).contains(&told.len()), "{}", world.sim.transcript(world.anna.id));
    assert!(told.iter().all(|message| message.plain.contains("Nobody has seen to")), "{}", world.sim.transcript(world.anna.id));
});
