//! Days and weeks of one server.

use osm_api::domain::{DAY, HOUR, MINUTE, SECOND};
use osm_protocol::messages::{Load, Memory, Report, Service, Trouble};
use osm_tests::{
    agent::{Agent, disk, service},
    story,
    world::World,
};

use crate::{
    noise::{Figure, Noise},
    tally::{Ear, incidents, live},
};

const STEP: i64 = 30 * SECOND;

/// A share of something whole, in percent.
fn part(whole: u64, percent: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "within 0 to whole")]
    let part = (whole as f64 * percent.clamp(0.0, 100.0) / 100.0) as u64;
    part.min(whole)
}

/// Every figure of a server hovers around its limit.
struct Hovering {
    noise: Noise,
    cpu: Figure,
    memory: Figure,
    swap: Figure,
    disk: Figure,
    inodes: Figure,
    load: Figure,
    clock: Figure,
}

impl Hovering {
    /// Ordinary spreads: a CPU jumps about, a disk hardly moves.
    fn new(seed: u64) -> Self {
        Self {
            noise: Noise::new(seed),
            cpu: Figure::around(90.0, 6.0, 5.0),
            memory: Figure::around(90.0, 3.0, 1.0),
            swap: Figure::around(80.0, 3.0, 1.0),
            disk: Figure::around(90.0, 1.0, 0.3),
            inodes: Figure::around(90.0, 1.0, 0.3),
            load: Figure::around(2.0, 0.4, 0.1),
            clock: Figure::around(30.0, 2.0, 1.0),
        }
    }

    fn figures(&self) -> [(&'static str, &Figure); 7] {
        [
            ("cpu", &self.cpu),
            ("memory", &self.memory),
            ("swap", &self.swap),
            ("disk", &self.disk),
            ("inodes", &self.inodes),
            ("load", &self.load),
            ("clock", &self.clock),
        ]
    }

    fn report(&mut self, agent: &Agent) -> Report {
        const WHOLE: u64 = 8 << 30;
        let Self { noise, cpu, memory, swap, disk: full, inodes, load, clock } = self;
        let (memory, swap) = (memory.next(noise), swap.next(noise));
        // Two CPUs.
        let load = 2.0 * load.next(noise).max(0.0);
        let mut disk = disk("/var", 0, 0);
        disk.used = part(disk.total, full.next(noise));
        disk.available = disk.total - disk.used;
        disk.inodes_free = disk.inodes_total - part(disk.inodes_total, inodes.next(noise));
        #[expect(clippy::cast_possible_truncation, reason = "some seconds")]
        let clock_ahead_ms = (clock.next(noise) * 1000.0) as i64;
        Report {
            cpu: Some(cpu.next(noise).clamp(0.0, 100.0)),
            memory: Some(Memory {
                total: WHOLE,
                available: WHOLE - part(WHOLE, memory),
                swap_total: WHOLE,
                swap_free: WHOLE - part(WHOLE, swap),
            }),
            load: Some(Load { one: load, five: load, fifteen: load }),
            disks: vec![disk],
            clock_ahead_ms,
            ..agent.report()
        }
    }
}

story!(a_day_of_noise_around_every_limit_is_less_than_an_incident_an_hour, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let ear = Ear::new(&world, &world.anna).await;
    let mut hovering = Hovering::new(1);
    live(&world, &agent, DAY, STEP, |agent| Some(hovering.report(agent))).await;
    for (rule, figure) in hovering.figures() {
        let (incidents, fired) = incidents(&world, rule).await;
        println!(
            "day of noise: {rule}: crossed its limit {} times, {incidents} incidents, fired {fired} times",
            figure.crossings
        );
        assert!(figure.crossings > 100, "{rule} is no noise: {}", figure.crossings);
        assert!(fired < 24, "{rule} fired {fired} times in a day");
    }
    let heard = ear.heard(&world).await;
    println!("day of noise: messages of all seven figures together: {}", heard.len());
    assert!(heard.len() < 7 * 24, "{}", heard.len());
});

story!(a_day_on_a_bad_line_makes_no_sound, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let ear = Ear::new(&world, &world.anna).await;
    // Every tenth report gets lost, but never three in turn.
    let (mut noise, mut lost, mut in_turn) = (Noise::new(2), 0, 0);
    live(&world, &agent, DAY, STEP, |agent| {
        in_turn = if noise.share() < 0.1 && in_turn < 2 { in_turn + 1 } else { 0 };
        lost += i32::from(in_turn > 0);
        (in_turn == 0).then(|| agent.report())
    })
    .await;
    let heard = ear.heard(&world).await.len();
    println!("bad line: {lost} of 2880 reports lost in a day, {heard} messages");
    assert_eq!(heard, 0);
    assert!(lost > 200);
});

story!(a_service_that_flaps_for_hours_is_told_twice_and_then_reminded_of, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let ear = Ear::new(&world, &world.anna).await;
    let mut minute = 0;
    live(&world, &agent, 4 * HOUR, MINUTE, |agent| {
        minute += 1;
        let state = if minute % 4 < 2 { "active" } else { "failed" };
        Some(Report { services: vec![service("nginx.service", state, state)], ..agent.report() })
    })
    .await;
    let (incidents, fired) = incidents(&world, "service").await;
    let heard = ear.heard(&world).await;
    let reminders = heard.iter().filter(|message| message.plain.contains("Nobody has seen to")).count();
    println!(
        "flapping: failed {fired} times in 4 h, {incidents} incidents, {} messages, {reminders} of them reminders",
        heard.len()
    );
    // Once, its end, and when it was back; after that it only counts on. The first one's count goes into the second's.
    assert_eq!((incidents, fired), (2, 1 + 60));
    assert_eq!((heard.len(), reminders), (7, 4), "{}", world.sim.transcript(world.anna.id));
});

// Three services of three servers, by three times at which systemd starts them again: for ever, and never failed.
story!(a_night_of_crash_loops_is_one_message_for_each_and_one_for_its_end, |engine| {
    let world = World::new(engine).await;
    let mut agents = Vec::new();
    for name in ["web-1", "web-2", "web-3"] {
        agents.push(world.paired(name).await);
    }
    let ear = Ear::new(&world, &world.anna).await;
    // Each begins in an hour of its own, and is mended six hours later.
    let mut now = 0;
    for _ in 0..10 * HOUR / STEP {
        world.clock.pass(STEP).await;
        now += STEP;
        for ((agent, gap), hour) in agents.iter().zip([4 * SECOND, MINUTE, 90 * SECOND]).zip(1..) {
            let (begun, mended) = (hour * HOUR, (hour + 6) * HOUR);
            let restarts = (now.min(mended) - begun).max(0) / gap;
            let told = if now >= mended + 10 * MINUTE { 0 } else { restarts };
            let is_waiting = (begun..mended).contains(&now) && (now / STEP) % 3 != 0;
            let (state, sub_state) = if is_waiting { ("activating", "auto-restart") } else { ("active", "running") };
            let service = Service {
                restarts: u32::try_from(told).ok(),
                restarted_ago_s: (told > 0).then_some(5),
                trouble: is_waiting.then_some(Trouble::NotReady),
                ..service("queue.service", state, sub_state)
            };
            agent.send_report(&Report { services: vec![service], ..agent.report() }).await.expect("a report is taken");
        }
        world.all_is_told().await;
    }
    let heard = ear.heard(&world).await;
    let of = |text: &str| heard.iter().filter(|message| message.plain.contains(text)).count();
    let (ends, reminders) = (of("Over: "), of("Nobody has seen to"));
    let told = heard.len() - ends - reminders;
    println!("night of crash loops: {told} messages, {reminders} reminders, {ends} ends, of 3 services that loop for 6 h");
    assert_eq!((told, ends), (3, 3), "{}", world.sim.transcript(world.anna.id));
    assert_eq!(incidents(&world, "not-ready").await, (0, 0));
    assert_eq!(incidents(&world, "restarts").await, (3, 3));
});

// Its busy hours, its nightly backup, an update on the sixth day; and on the third the disk fills up.
story!(a_week_of_an_ordinary_server_tells_of_what_was_wrong_and_of_nothing_else, |engine| {
    let world = World::new(engine).await;
    let agent = world.paired("web-1").await;
    let ear = Ear::new(&world, &world.anna).await;
    let step = 5 * MINUTE;
    let (mut noise, mut now) = (Noise::new(3), 0);
    live(&world, &agent, 7 * DAY, step, |agent| {
        now += step;
        let (day, time) = (now / DAY, now % DAY);
        let is_backup = time < 10 * MINUTE;
        let cpu = if is_backup {
            98.0
        } else if (8 * HOUR..18 * HOUR).contains(&time) {
            60.0
        } else {
            15.0
        };
        let is_filling = day == 2 && (10 * HOUR..12 * HOUR).contains(&time);
        // 20 minutes without a report while the machine takes its updates: a reboot of its own.
        if day == 5 && (3 * HOUR..3 * HOUR + 20 * MINUTE).contains(&time) {
            return None;
        }
        let boot = if day >= 5 && now > 5 * DAY + 3 * HOUR { "2" } else { "b" };
        Some(Report {
            interval_s: 300,
            cpu: Some((cpu + 8.0 * noise.normal()).clamp(0.0, 100.0)),
            disks: vec![disk("/", if is_filling { 97 } else { 71 }, if is_filling { 3 } else { 29 })],
            boot: boot.repeat(64),
            ..agent.report()
        })
    })
    .await;
    let heard: Vec<_> = ear.heard(&world).await.into_iter().map(|message| message.plain).collect();
    println!("week: {} messages from 2,013 reports", heard.len());
    let expected =
        ["disk / 97 % full", "Nobody has seen to", "Nobody has seen to", "Nobody has seen to", "Over: web-1", "rebooted at"];
    assert!(
        heard.len() == expected.len() && heard.iter().zip(expected).all(|(heard, expected)| heard.contains(expected)),
        "{heard:#?}"
    );
});

story!(a_daily_mute_keeps_its_hours_in_the_weeks_when_the_clocks_change, |engine| {
    let world = World::new(engine).await;
    world.ask(&world.anna, "/timezone Europe/Berlin", "Europe/Berlin").await;
    world.ask(&world.anna, "/mute 22:00-06:00", "daily 22:00–06:00").await;
    let agent = world.paired("web-1").await;
    // 2027-03-25 and 2027-10-28, each 00:00 in Berlin; the clocks change on the 28th and on the 31st at 01:00 UTC.
    for (name, start, change_after) in [("spring", 1_805_929_200_000, 3), ("autumn", 1_824_674_400_000, 3)] {
        world.clock.pass(start - world.clock.now()).await;
        agent.send_report(&agent.report()).await.expect("a report is taken");
        let ear = Ear::new(&world, &world.anna).await;
        let shift = if name == "spring" { -HOUR } else { HOUR };
        let mut minute = 0;
        live(&world, &agent, 7 * DAY, 10 * MINUTE, |agent| {
            minute += 10;
            // By the clock on the wall there: a service fails at 05:30 and at 06:30, each for ten minutes.
            let past = minute * MINUTE > change_after * DAY + 2 * HOUR;
            let wall = (minute * MINUTE - if past { shift } else { 0 }).rem_euclid(DAY);
            let failed = |unit: &str, at: i64| service(unit, if wall == at { "failed" } else { "active" }, "");
            let services = vec![failed("early.service", 5 * HOUR + 30 * MINUTE), failed("late.service", 6 * HOUR + 30 * MINUTE)];
            Some(Report { interval_s: 600, services, ..agent.report() })
        })
        .await;
        let heard = ear.heard(&world).await;
        let of = |unit: &str| heard.iter().filter(|message| message.plain.contains(unit)).count();
        println!(
            "clocks change in {name}: {} messages about 05:30, {} about 06:30, in 7 days",
            of("early.service"),
            of("late.service")
        );
        assert_eq!((of("early.service"), of("late.service")), (0, 14), "{}", world.sim.transcript(world.anna.id));
    }
});
