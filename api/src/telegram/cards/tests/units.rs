//! What the card says of units that have not failed and are not well.

use super::*;

fn unit(unit: &str, active_state: &str, sub_state: &str) -> Service {
    Service {
        unit: unit.to_owned(),
        active_state: active_state.to_owned(),
        sub_state: sub_state.to_owned(),
        ..Service::default()
    }
}

fn lines(services: Vec<Service>) -> Vec<String> {
    let server = with_report(|report| report.services = services);
    let card = show(|words| status::status(words, &server, 0));
    card.html.lines().skip_while(|line| *line != "<b>Services</b>").skip(1).map(str::to_owned).collect()
}

#[test]
fn what_is_restarted_not_ready_or_down_is_never_plainly_green() {
    let why = |service: Service| Service { result: Some("exit-code".to_owned()), status: Some(1), ..service };
    let restarted = |service: Service| Service { restarts: Some(7), restarted_ago_s: Some(20), ..service };
    let shown = lines(vec![
        unit("well.service", "active", "running"),
        why(restarted(unit("a.service", "active", "running"))),
        Service { trouble: Some(Trouble::NotReady), ..unit("b.service", "activating", "start") },
        Service {
            trouble: Some(Trouble::Down),
            waits_for: Some("srv-data.mount".to_owned()),
            ..unit("c.service", "inactive", "dead")
        },
        why(unit("srv-data.mount", "failed", "failed")),
        why(Service { trouble: Some(Trouble::NotReady), ..unit("bb.service", "activating", "auto-restart") }),
        Service { restarts: Some(0), ..unit("d.service", "active", "running") },
    ]);
    let expected = [
        "1 failed · 4 in trouble · 2 running",
        "🔴 <code>srv-data.mount</code> · failed (exit-code, status 1)",
        "🟠 <code>a.service</code> · active (running) · restarted 7 times, the last time 20 s ago: exit-code, status 1",
        "🟠 <code>b.service</code> · activating (start) · not ready",
        "🟠 <code>bb.service</code> · activating (auto-restart): exit-code, status 1 · not ready",
        "🟠 <code>c.service</code> · inactive (dead) · not running since boot, for <code>srv-data.mount</code> failed",
        "🟢 <code>d.service</code> · active (running)",
        "🟢 <code>well.service</code> · active (running)",
    ];
    assert_eq!(shown[..expected.len()], expected);
}
