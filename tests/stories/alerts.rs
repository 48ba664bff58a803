//! Something goes wrong on a server: the chat hears of it once, can do something about it, and hears when it is over.

use osm_api::domain::{DAY, HOUR, MINUTE, SECOND};
use osm_protocol::{
    action::OutcomeKind,
    messages::{Disk, Memory, Process, Report, Unread, UnreadDisk},
};
use osm_telegram_sim::{BotMessage, Failure, FailureKind};
use osm_tests::{
    agent::{Agent, disk, service},
    story,
    world::World,
};

use crate::reporting::{broken, busy, keep_reporting, pass};

story!(a_busy_cpu_is_told_once_and_once_more_when_it_is_over, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;

    keep_reporting(&world, &agent, 9 * MINUTE, |agent| busy(agent, 97.0)).await;
    world.hears_nothing(&world.anna).await;
    keep_reporting(&world, &agent, 5 * MINUTE, |agent| busy(agent, 97.0)).await;
    let alert = world.see(&world.anna, "CPU at 97 %").await;
    for shown in ["web-1", "warning", "Limit 90 % for 10 min", "over below 85 %"] {
        assert!(alert.plain.contains(shown), "{shown} is missing in\n{}", alert.plain);
    }
    // Between the limits it goes on.
    keep_reporting(&world, &agent, 5 * MINUTE, |agent| busy(agent, 87.0)).await;
    world.hears_nothing(&world.anna).await;

    keep_reporting(&world, &agent, 2 * MINUTE, |agent| busy(agent, 20.0)).await;
    let over = world.see(&world.anna, "Nothing else is open").await;
    assert!(over.plain.contains("CPU at 97 %; it lasted 20 min"), "{}", over.plain);
    world.becomes(&alert, "Over after").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_failed_service_is_restarted_from_its_alert, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&broken(&agent)).await.unwrap();
    let alert = world.see(&world.anna, "nginx.service failed").await;
    assert!(alert.plain.contains("critical"), "{}", alert.plain);

    let toast = world.tap(&world.anna, &alert, "I have it").await;
    assert!(toast.text.as_deref().unwrap_or_default().contains("Noted"), "{toast:?}");
    world.becomes(&alert, "has it.").await;
    world.tap(&world.anna, &alert, "Restart nginx.service").await;
    let question = world.see(&world.anna, "can confirm").await;
    world.tap(&world.anna, &question, "Restart").await;
    let command = agent.command().await.unwrap();
    world.becomes(&alert, "asked the host to mend it").await;
    agent.finish(command.jti, OutcomeKind::Succeeded, "active (running)").await.unwrap();
    world.becomes(&alert, "had the host act on it").await;

    world.clock.pass(30 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.see(&world.anna, "Over: web-1 · nginx.service failed; it lasted 30 s").await;
});

story!(a_full_disk_offers_to_clean_the_journal_and_the_card_counts_what_is_open, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let full = |agent: &Agent| Report { disks: vec![disk("/", 40, 60), disk("/var", 95, 5)], ..agent.report() };
    keep_reporting(&world, &agent, 2 * MINUTE, full).await;
    let alert = world.see(&world.anna, "disk /var 95 % full").await;
    world.tap(&world.anna, &alert, "Clean journal").await;
    world.see(&world.anna, "Clean the journal on web-1?").await;
    let card = world.ask(&world.anna, "/status", "online").await;
    assert!(card.plain.contains("1 open alert"), "{}", card.plain);
    let list = world.ask(&world.anna, "/servers", "web-1").await;
    assert!(list.plain.contains("1 open alert"), "{}", list.plain);
    // For a while it is left out, as one that does not answer; then it is gone, and nothing is full any more.
    let without = |agent: &Agent| Report { disks: vec![disk("/", 40, 60)], ..agent.report() };
    keep_reporting(&world, &agent, 4 * MINUTE, without).await;
    world.ask(&world.anna, "/alerts", "Open alerts: 1").await;
    keep_reporting(&world, &agent, 2 * MINUTE, without).await;
    world.see(&world.anna, "Nothing else is open").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_silent_server_is_offline_after_its_grace_and_back_with_its_next_report, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    keep_reporting(&world, &agent, 2 * MINUTE, Agent::report).await;
    pass(&world, 80 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.hears_nothing(&world.anna).await;

    pass(&world, 100 * SECOND).await;
    world.see(&world.anna, "web-1 · offline, last heard at").await;
    // What it measured meanwhile is history: it does not end this.
    let old = Report { at: world.clock.now() - HOUR, ..agent.report() };
    agent.send_reports(vec![old]).await.unwrap();
    pass(&world, 60 * SECOND).await;
    world.hears_nothing(&world.anna).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.see(&world.anna, "Nothing else is open").await;
    world.hears_nothing(&world.anna).await;
});

story!(after_the_backend_was_down_every_agent_has_its_grace_again, |engine| {
    let mut world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.stop().await.unwrap();
    world.clock.advance(10 * MINUTE);
    world.start().await.unwrap();
    pass(&world, 80 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    pass(&world, 80 * SECOND).await;
    world.hears_nothing(&world.anna).await;
    // A clock that is set an hour ahead makes nobody silent.
    agent.send_report(&agent.report()).await.unwrap();
    world.clock.jump(HOUR);
    pass(&world, 60 * SECOND).await;
    world.hears_nothing(&world.anna).await;
    pass(&world, 60 * SECOND).await;
    world.see(&world.anna, "offline").await;
});

story!(what_comes_and_goes_is_one_incident, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    // It began, it was over, it began again.
    keep_reporting(&world, &agent, 30 * SECOND, broken).await;
    world.see(&world.anna, "nginx.service failed").await;
    keep_reporting(&world, &agent, 30 * SECOND, Agent::report).await;
    world.see(&world.anna, "Over: web-1").await;
    keep_reporting(&world, &agent, 30 * SECOND, broken).await;
    let again = world.see(&world.anna, "It comes and goes: 2 times").await;
    world.tap(&world.anna, &again, "I have it").await;
    for _ in 0..58 {
        keep_reporting(&world, &agent, 30 * SECOND, Agent::report).await;
        keep_reporting(&world, &agent, 30 * SECOND, broken).await;
    }
    world.hears_nothing(&world.anna).await;
    world.becomes(&again, "It comes and goes: 60 times").await;
    keep_reporting(&world, &agent, HOUR + 2 * MINUTE, Agent::report).await;
    world.see(&world.anna, "Over: web-1").await;
    world.hears_nothing(&world.anna).await;
});

story!(a_critical_alert_is_repeated_until_somebody_has_it, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    keep_reporting(&world, &agent, HOUR, broken).await;
    let alert = world.see(&world.anna, "critical since").await;
    // After 15 and 45 minutes: twice as long every time.
    for _ in 0..2 {
        world.see(&world.anna, "Nobody has seen to").await;
    }
    world.hears_nothing(&world.anna).await;

    // For eight hours nobody wants to hear of it.
    world.tap(&world.anna, &alert, "8 h").await;
    keep_reporting(&world, &agent, 8 * HOUR - MINUTE, broken).await;
    world.hears_nothing(&world.anna).await;
    keep_reporting(&world, &agent, 2 * MINUTE, broken).await;
    world.see(&world.anna, "nginx.service failed").await;
    let list = world.ask(&world.anna, "/alerts", "Open alerts: 1").await;
    world.tap(&world.anna, &list, "I have them all").await;
    keep_reporting(&world, &agent, 3 * HOUR, broken).await;
    world.hears_nothing(&world.anna).await;
    assert!(world.clock.now() < osm_tests::world::START + DAY);
});

story!(servers_that_vanish_together_are_one_message_and_one_when_all_are_back, |engine| {
    const SERVERS: usize = 12;
    let world = World::new(engine).await;
    let mut agents = Vec::new();
    for number in 1..=SERVERS {
        agents.push(world.paired(&format!("web-{number}")).await);
        world.clock.pass(2 * SECOND).await;
    }
    // Each in its own second of the half minute.
    let report_all = async |span: i64, silent: usize| {
        for second in 0..span / SECOND {
            world.clock.pass(SECOND).await;
            let due = usize::try_from(second % 30).unwrap();
            if let Some(agent) = agents.get(due).filter(|_| due >= silent) {
                agent.send_report(&agent.report()).await.unwrap();
            }
        }
    };
    report_all(60 * SECOND, 0).await;
    report_all(180 * SECOND, 9).await;
    let vanished = world.see(&world.anna, "9 of 12 servers stopped reporting").await;
    world.hears_nothing(&world.anna).await;
    assert!((1..=9).all(|number| vanished.plain.contains(&format!("web-{number} "))), "{}", vanished.plain);

    report_all(60 * SECOND, 3).await;
    // Some are back: nobody is woken for that.
    world.becomes(&vanished, "6 of 9 are back").await;
    world.hears_nothing(&world.anna).await;
    report_all(60 * SECOND, 0).await;
    world.see(&world.anna, "All 9 servers are back").await;
    world.hears_nothing(&world.anna).await;
});

story!(what_is_mute_makes_no_sound_and_is_told_when_the_mute_is_over, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let mutes = world.ask(&world.anna, "/mute", "Everything here may be heard").await;
    let toast = world.tap(&world.anna, &mutes, "🔕 web-1 1 h").await;
    assert!(toast.text.as_deref().unwrap_or_default().contains("No sound"), "{toast:?}");
    keep_reporting(&world, &agent, 30 * MINUTE, broken).await;
    world.hears_nothing(&world.anna).await;
    let list = world.ask(&world.anna, "/alerts", "Open alerts: 1").await;
    assert!(list.plain.contains("🔕"), "{}", list.plain);
    // What began and ended meanwhile is never told.
    let both = |agent: &Agent| Report { cpu: Some(99.0), ..broken(agent) };
    keep_reporting(&world, &agent, 15 * MINUTE, both).await;
    keep_reporting(&world, &agent, 10 * MINUTE, broken).await;
    keep_reporting(&world, &agent, 10 * MINUTE, broken).await;
    let alert = world.see(&world.anna, "nginx.service failed").await;
    world.hears_nothing(&world.anna).await;

    // One that was told is over while it is mute: its message says so, without a sound.
    world.ask(&world.anna, "/mute web-1 30m", "web-1 · until").await;
    keep_reporting(&world, &agent, 2 * MINUTE, Agent::report).await;
    world.hears_nothing(&world.anna).await;
    world.becomes(&alert, "Over after").await;
    let mutes = world.ask(&world.anna, "/unmute", "What makes no sound").await;
    world.tap(&world.anna, &mutes, "End: web-1").await;
    world.becomes(&mutes, "Everything here may be heard").await;
});

story!(a_daily_mute_is_meant_in_the_chats_time_zone_across_a_change_of_the_clocks, |engine| {
    let world = World::new(engine).await;
    world.ask(&world.anna, "/timezone Mars/Olympus", "I do not know this time zone").await;
    world.ask(&world.anna, "/timezone europe/berlin", "Europe/Berlin, where it is 09:00 CET").await;
    world.ask(&world.anna, "/mute tomorrow", "I did not understand").await;
    world.ask(&world.anna, "/mute web-9 2h", "No server here is called web-9").await;
    world.ask(&world.anna, "/mute 22:00-06:00", "daily 22:00–06:00").await;
    let agent = world.paired("web-1").await;
    // 2027-03-28 01:00 UTC: the clocks in Berlin go from 02:00 to 03:00.
    let change = 1_806_195_600_000;
    let at = |hours: i64| change + hours * HOUR;
    world.clock.pass(at(-3) - world.clock.now()).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.clock.pass(30 * SECOND).await;
    // 23:00:30 in Berlin.
    agent.send_report(&broken(&agent)).await.unwrap();
    world.hears_nothing(&world.anna).await;
    // 05:59 is an hour earlier by UTC than it was the night before.
    for until in [at(0), at(2), at(3) - MINUTE] {
        world.clock.pass(until - world.clock.now()).await;
        agent.send_report(&broken(&agent)).await.unwrap();
        world.hears_nothing(&world.anna).await;
    }
    world.clock.pass(2 * MINUTE).await;
    let alert = world.see(&world.anna, "nginx.service failed").await;
    assert!(alert.plain.contains("23:00 CET"), "{}", alert.plain);
});

story!(limits_are_tried_on_what_was_before_they_are_set, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    // Four times ten minutes at 92 %, and a quiet quarter of an hour after each.
    // From the second time on it is one that comes and goes, and is over once it was well for a while, longer every time.
    let mut alert = None;
    let (begins, over) = ("web-1 · CPU at 92 %", "Over: web-1 · CPU at 92 %");
    for told in [&[begins, over][..], &[begins], &[over, "It comes and goes: 3 times"], &[]] {
        keep_reporting(&world, &agent, 11 * MINUTE, |agent| busy(agent, 92.0)).await;
        keep_reporting(&world, &agent, 15 * MINUTE, |agent| busy(agent, 12.0)).await;
        for expected in told {
            alert = Some(world.see(&world.anna, expected).await);
        }
        world.hears_nothing(&world.anna).await;
    }
    let limits = world.ask(&world.anna, "/thresholds", "Limits of this chat").await;
    assert!(limits.plain.contains("CPU, busy: 90 % for 10 min, over below 85 % · warning"), "{}", limits.plain);
    world.tap(&world.anna, &limits, "CPU").await;
    let page = world.becomes(&limits, "The figure at present: 12 % (web-1)").await;
    assert!(page.plain.contains("In the last 7 days: 4 alerts at 90 % for 10 min."), "{}", page.plain);
    world.tap(&world.anna, &page, "➕ 90 %").await;
    let tried = world.becomes(&page, "4 alerts at 90 % for 10 min; 0 alerts at 95 % for 10 min").await;
    assert!(tried.plain.contains("New: 95 % for 10 min, over below 90 %"), "{}", tried.plain);
    world.tap(&world.anna, &tried, "Save").await;
    world.becomes(&tried, "Now: 95 % for 10 min").await;

    keep_reporting(&world, &agent, 15 * MINUTE, |agent| busy(agent, 92.0)).await;
    world.hears_nothing(&world.anna).await;
    // The server's own limit comes before the chat's.
    let own = world.ask(&world.anna, "/thresholds web-1", "Limits of web-1").await;
    assert!(own.plain.contains("CPU, busy: 95 %"), "{}", own.plain);
    world.tap_data(&world.anna, &own, &format!("E:{}:c:900:850:5:c", agent.server_id)).await;
    keep_reporting(&world, &agent, 6 * MINUTE, |agent| busy(agent, 92.0)).await;
    world.becomes(&alert.unwrap(), "Limit 90 % for 5 min").await;

    for nonsense in ["c:0:0:5:c", "c:10010:850:5:c", "c:900:950:5:c", "l:9999999:5:5:w", "c:900:850:99999:c", "o:10:10:0:c"] {
        let toast = world.tap_data(&world.anna, &own, &format!("E:-:{nonsense}")).await;
        let refused = "This limit is not allowed; nothing was changed. Percentages go from 1 to 100.";
        assert_eq!(toast.text.as_deref(), Some(refused), "{nonsense}");
    }
    let kept = world.ask(&world.anna, "/thresholds", "Limits of this chat").await;
    assert!(kept.plain.contains("CPU, busy: 95 % for 10 min"), "{}", kept.plain);
});

story!(an_alert_names_the_biggest_processes_that_a_host_tells_of_and_nothing_else_keeps_them, |engine| {
    let world = World::new(engine).await;
    let (agent, other) = (world.paired("web-1").await, world.paired("web-2").await);
    let process = |name: &str, cpu: f64, gigabytes: u64| Process { name: name.to_owned(), cpu, memory: gigabytes << 30 };
    let processes = [
        process("idle", 0.5, 1),
        process("<b>gzip</b>", 50.0, 0),
        process("mysqld", 187.5, 4),
        process("java", 3.0, 2),
        process("php-fpm", 90.0, 0),
    ];
    let named = |alert: &BotMessage| -> Vec<String> {
        alert.plain.lines().skip_while(|line| !line.contains("biggest processes")).skip(1).take(3).map(str::to_owned).collect()
    };
    keep_reporting(&world, &agent, 11 * MINUTE, |agent| Report { processes: processes.to_vec(), ..busy(agent, 97.0) }).await;
    let alert = world.see(&world.anna, "CPU at 97 %").await;
    let by_cpu =
        ["mysqld · 188 % of one CPU · 4.0 GiB", "php-fpm · 90 % of one CPU · 0 B", "<b>gzip</b> · 50 % of one CPU · 0 B"];
    assert_eq!(named(&alert), by_cpu, "{}", alert.plain);

    let full = Memory { total: 8 << 30, available: 0, swap_total: 0, swap_free: 0 };
    let full = |agent: &Agent| Report { memory: Some(full), processes: processes.to_vec(), ..agent.report() };
    keep_reporting(&world, &agent, 11 * MINUTE, full).await;
    world.see(&world.anna, "Over: web-1 · CPU at 97 %").await;
    let alert = world.see(&world.anna, "memory 100 % full").await;
    let by_memory: Vec<_> = named(&alert).iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(by_memory, ["mysqld", "java", "idle"], "{}", alert.plain);

    keep_reporting(&world, &other, 11 * MINUTE, |agent| busy(agent, 96.0)).await;
    let alert = world.see(&world.anna, "CPU at 96 %").await;
    assert!(!alert.plain.contains("processes"), "that host tells of none:\n{}", alert.plain);
    assert_eq!(world.rows("SELECT COUNT(*) FROM server_states WHERE report LIKE '%mysqld%'").await, [[0]]);
});

story!(a_test_alert_comes_as_a_critical_one_does, |engine| {
    let world = World::new(engine).await;
    let list = world.ask(&world.anna, "/alerts", "Nothing is open").await;
    world.tap(&world.anna, &list, "Test alert").await;
    world.see(&world.anna, "This is a test").await;
    world.hears_nothing(&world.anna).await;
});

story!(commands_that_do_not_reach_a_server_are_told_although_it_reports, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    world.clock.pass(30 * SECOND).await;
    let why = "something in between answers (504 Gateway Timeout, text/html, “<b>nginx</b>”)";
    agent.send_report(&Report { commands_unreachable: Some(why.to_owned()), ..agent.report() }).await.unwrap();
    let alert = world.see(&world.anna, "web-1 · commands do not reach it").await;
    assert!(alert.plain.contains("warning"), "{}", alert.plain);
    world.sim.say(&world.anna, &world.anna, "/status");
    let card = world.see(&world.anna, "online").await;
    assert!(card.plain.contains(&format!("Commands do not reach this server: {why}")), "{}", card.plain);

    world.clock.pass(30 * SECOND).await;
    agent.send_report(&agent.report()).await.unwrap();
    world.see(&world.anna, "Over: web-1 · commands do not reach it; it lasted 30 s").await;
    world.becomes(&alert, "Over after").await;
});

story!(a_full_disk_that_stops_answering_stays_an_alert_and_is_told_as_that, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let full = |agent: &Agent| Report { disks: vec![disk("/srv", 99, 1)], ..agent.report() };
    let silent = |agent: &Agent| Report {
        disks: vec![disk("/", 10, 90)],
        unread_disks: vec![
            UnreadDisk { mount: "/srv".to_owned(), fs_type: "ext4".to_owned(), why: Unread::NoAnswer },
            UnreadDisk { mount: "/closed".to_owned(), fs_type: "ext4".to_owned(), why: Unread::Forbidden },
        ],
        disks_left_out: 3,
        ..agent.report()
    };
    keep_reporting(&world, &agent, 2 * MINUTE, full).await;
    let alert = world.see(&world.anna, "disk /srv 99 % full").await;
    world.tap(&world.anna, &alert, "I have it").await;
    keep_reporting(&world, &agent, 10 * MINUTE, silent).await;
    world.see(&world.anna, "disk /srv does not answer").await;
    let card = world.ask(&world.anna, "/status", "online").await;
    for said in ["/srv · does not answer", "/closed · the agent may not look there", "3 more disks do not fit"] {
        assert!(card.plain.contains(said), "{said} is missing in\n{}", card.plain);
    }
    // It is back, and has room.
    keep_reporting(&world, &agent, 3 * MINUTE, |agent| Report { disks: vec![disk("/srv", 10, 90)], ..agent.report() }).await;
    world.see_all(&world.anna, &["disk /srv does not answer; it lasted", "disk /srv 99 % full; it lasted"]).await;
});

story!(a_disk_that_goes_read_only_is_told_and_one_that_was_meant_so_is_not, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let archive = || Disk { read_only: true, ..disk("/archive", 10, 90) };
    let with = |agent: &Agent, srv: Disk| Report { disks: vec![archive(), srv], ..agent.report() };
    let failed = || Disk { read_only: true, went_read_only: true, ..disk("/srv", 10, 90) };
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&with(&agent, failed())).await.unwrap();
    let alert = world.see(&world.anna, "disk /srv went read-only").await;
    world.tap(&world.anna, &alert, "I have it").await;
    // The agent was started anew, and cannot know any more.
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&with(&agent, Disk { read_only: true, ..disk("/srv", 10, 90) })).await.unwrap();
    world.hears_nothing(&world.anna).await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&with(&agent, disk("/srv", 10, 90))).await.unwrap();
    world.see(&world.anna, "Over: web-1 · disk /srv went read-only").await;
});

story!(a_reboot_that_was_asked_for_is_no_alert_and_one_that_was_not_is, |engine| {
    let world = World::new(engine).await;
    let mut agent = world.paired("web-1").await;
    let question = world.chore_question("Reboot").await;
    world.tap(&world.anna, &question, "Reboot").await;
    let command = agent.command().await.unwrap();
    pass(&world, 8 * MINUTE).await;
    let booted = |agent: &Agent, boot: &str| Report { boot: boot.repeat(64), ..agent.report() };
    agent.send_report(&booted(&agent, "1")).await.unwrap();
    agent.finish(command.jti, OutcomeKind::Succeeded, "back after 480 s").await.unwrap();
    world.hears_nothing(&world.anna).await;

    keep_reporting(&world, &agent, 20 * MINUTE, |agent| booted(agent, "1")).await;
    world.clock.pass(30 * SECOND).await;
    agent.send_report(&booted(&agent, "2")).await.unwrap();
    world.see(&world.anna, "Nobody asked for it in this chat").await;
    world.hears_nothing(&world.anna).await;
});

story!(what_waited_says_so_and_many_alerts_at_once_are_one_message, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    // Telegram takes nothing for a while, in which two minutes pass here.
    world.sim.fail(Failure::new(FailureKind::TooManyRequests { retry_after: 2 }).on("sendMessage"));
    world.clock.pass(30 * SECOND).await;
    let units: Vec<_> = (0..200).map(|n| service(&format!("app-{n}.service"), "failed", "failed")).collect();
    agent.send_report(&Report { services: units, ..agent.report() }).await.unwrap();
    world.clock.pass(2 * MINUTE).await;
    let digest = world.see(&world.anna, "200 alerts: 200 critical, 200 open").await;
    assert!(
        digest.plain.contains("and 180 more") && digest.plain.contains("Delayed: this is of 2027-01-15 08:00 UTC"),
        "{}",
        digest.plain
    );
    world.hears_nothing(&world.anna).await;
});
