use proptest::prelude::*;

use super::*;

const RULES: [Rule; 4] = [Rule::Cpu, Rule::Disk, Rule::Load, Rule::Clock];

fn limits(limit: f64, hold: Millis) -> Limits {
    Limits { enabled: true, limit, lower: limit - 5.0, hold, severity: Severity::Warning }
}

/// Gives one figure every half minute.
fn run(rule: Rule, limits: &Limits, values: &[f64]) -> Vec<(Millis, Change)> {
    let mut watch = Watch::default();
    let samples = (1..).zip(values).map(|(n, value)| Sample { at: n * 30 * SECOND, value: *value, longest_gap: 90 * SECOND });
    samples.filter_map(|sample| Some((sample.at, watch.judge(rule, limits, sample)?))).collect()
}

#[test]
fn a_figure_fires_once_it_held_for_its_duration_and_ends_below_the_lower_limit() {
    let limits = limits(90.0, 2 * MINUTE);
    let mut values = vec![90.0; 6];
    values.extend([86.0; 10]);
    values.extend([84.9; 4]);
    let second = |n: i64| n * 30 * SECOND;
    assert_eq!(run(Rule::Cpu, &limits, &values), [(second(5), Change::Fired), (second(19), Change::Cleared)]);
}

#[test]
fn a_dip_starts_the_duration_anew() {
    let limits = limits(90.0, 2 * MINUTE);
    assert_eq!(run(Rule::Cpu, &limits, &[95.0, 95.0, 95.0, 95.0, 89.0, 95.0, 95.0, 95.0, 95.0]), []);
}

#[test]
fn silence_is_not_taken_for_more_of_the_same() {
    let (limits, mut watch) = (limits(90.0, 10 * MINUTE), Watch::default());
    let sample = |at| Sample { at, value: 99.0, longest_gap: 90 * SECOND };
    assert_eq!(watch.judge(Rule::Cpu, &limits, sample(MINUTE)), None);
    assert_eq!(watch.judge(Rule::Cpu, &limits, sample(60 * MINUTE)), None);
    assert_eq!(watch.above_since, Some(60 * MINUTE));
}

#[test]
fn nonsense_figures_and_old_ones_change_nothing() {
    let (limits, mut watch) = (limits(90.0, 0), Watch { at: 100, ..Watch::default() });
    for (at, value) in
        [(200, f64::NAN), (200, f64::INFINITY), (200, f64::NEG_INFINITY), (100, 99.0), (-5, 99.0), (i64::MIN, 99.0)]
    {
        assert_eq!(watch.judge(Rule::Cpu, &limits, Sample { at, value, longest_gap: MINUTE }), None, "{at} {value}");
        assert_eq!(watch, Watch { at: 100, ..Watch::default() });
    }
    assert_eq!(watch.judge(Rule::Cpu, &limits, Sample { at: 200, value: -1.0, longest_gap: MINUTE }), None);
}

#[test]
fn a_service_that_runs_again_is_well_at_once() {
    let limits = Rule::Service.default_limits();
    let second = |n: i64| n * 30 * SECOND;
    assert_eq!(run(Rule::Service, &limits, &[0.0, 1.0, 1.0, 0.0]), [(second(2), Change::Fired), (second(4), Change::Cleared)]);
}

#[test]
fn what_was_restarted_too_often_is_over_when_it_has_run_for_a_while_whatever_its_limit() {
    for limit in [2.0, 5.0, 20.0] {
        let limits = limits(limit, 0).capped(Rule::Restarts);
        let fired = run(Rule::Restarts, &limits, &[1.0, limit, limit + 3.0, 1.0, 0.0, 1.0]);
        assert_eq!(fired, [(2 * 30 * SECOND, Change::Fired), (5 * 30 * SECOND, Change::Cleared)], "{limit}");
    }
}

#[test]
fn a_rule_that_is_switched_off_ends_what_it_fired_and_fires_no_more() {
    let mut watch = Watch { firing: true, ..Watch::default() };
    let off = Limits { enabled: false, ..limits(90.0, 0) };
    let sample = |at| Sample { at, value: 99.0, longest_gap: MINUTE };
    assert_eq!(watch.judge(Rule::Cpu, &off, sample(1)), Some(Change::Cleared));
    assert_eq!(watch.judge(Rule::Cpu, &off, sample(2)), None);
}

#[test]
fn limits_out_of_range_are_capped() {
    let capped = |limit, hold| limits(limit, hold).capped(Rule::Cpu);
    assert_eq!((capped(1e9, -5).limit, capped(1e9, -5).hold), (100.0, 0));
    assert_eq!((capped(-3.0, i64::MAX).limit, capped(-3.0, i64::MAX).hold), (1.0, DAY));
    assert_eq!((capped(f64::NAN, 0).limit, limits(7.0, 0).capped(Rule::Service).limit), (90.0, 1.0));
    for rule in Rule::ALL {
        let default = rule.default_limits();
        assert_eq!(default.capped(rule), default, "{rule:?}");
        assert!(default.lower <= default.limit && Setting::from(default).fits(rule), "{rule:?}");
        assert_eq!(Rule::parse(rule.as_str()), Some(rule));
    }
    let lower = |lower| Limits { lower, ..limits(90.0, 0) }.capped(Rule::Cpu).lower;
    assert_eq!((lower(95.0), lower(-4.0), lower(f64::NAN)), (90.0, 1.0, 90.0));
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    use Severity::{Critical, Warning};
    let promised = [
        (Rule::Cpu, 90.0, 85.0, 10, Warning),
        (Rule::Memory, 90.0, 85.0, 10, Critical),
        (Rule::Swap, 80.0, 75.0, 5, Warning),
        (Rule::Disk, 90.0, 85.0, 1, Critical),
        (Rule::Inodes, 90.0, 85.0, 1, Critical),
        (Rule::Load, 2.0, 1.5, 15, Warning),
        (Rule::Service, 1.0, 1.0, 0, Critical),
        (Rule::Restarts, 5.0, 1.0, 0, Critical),
        (Rule::NotReady, 1.0, 1.0, 10, Critical),
        (Rule::Down, 1.0, 1.0, 2, Critical),
        (Rule::Unit, 1.0, 1.0, 0, Critical),
        (Rule::Offline, 3.0, 3.0, 0, Critical),
        (Rule::Reboot, 1.0, 1.0, 0, Warning),
        (Rule::Clock, 30.0, 28.0, 5, Warning),
    ];
    for (rule, limit, lower, minutes, severity) in promised {
        let expected = Limits { enabled: true, limit, lower, hold: minutes * MINUTE, severity };
        assert_eq!(rule.default_limits(), expected, "{rule:?}");
    }
}

#[test]
fn buttons_move_one_value_and_the_lower_limit_never_passes_the_upper() {
    let setting = Setting::from(Rule::Disk.default_limits());
    let up = setting.with_limit(Rule::Disk, Step::Up);
    assert_eq!((up.tenths, up.lower_tenths), (950, 900));
    assert_eq!(setting.with_lower(Rule::Disk, Step::Down).lower_tenths, 800);
    let touching = setting.with_lower(Rule::Disk, Step::Up);
    assert_eq!((touching.tenths, touching.lower_tenths), (900, 900));
    assert_eq!(touching.with_lower(Rule::Disk, Step::Up), touching);
    let offline = Setting::from(Rule::Offline.default_limits());
    assert_eq!(offline.with_lower(Rule::Offline, Step::Up), offline);
    for rule in Rule::ALL {
        let mut setting = Setting::from(rule.default_limits());
        let steps = [
            (Step::Up, Step::Down),
            (Step::Up, Step::Down),
            (Step::Down, Step::Up),
            (Step::Down, Step::Up),
            (Step::Down, Step::Up),
        ];
        for (step, other) in steps.into_iter().cycle().take(200) {
            setting = setting.with_limit(rule, step).with_lower(rule, other).with_hold(rule, step);
            assert!(setting.fits(rule), "{rule:?} {setting:?}");
        }
    }
}

/// Figures that hover around a limit, with nonsense among them.
fn figures() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(
        prop_oneof![8 => 60.0..100.0, 1 => 0.0..100.0, 1 => prop_oneof![Just(f64::NAN), Just(-1.0), Just(f64::INFINITY)]],
        0..200,
    )
}

/// Tells whether it fires after each figure.
fn firing(rule: Rule, limits: &Limits, values: &[f64]) -> Vec<bool> {
    let mut watch = Watch::default();
    let samples = (1..).zip(values).map(|(n, value)| Sample { at: n * 30 * SECOND, value: *value, longest_gap: 90 * SECOND });
    samples
        .map(|sample| {
            watch.judge(rule, limits, sample);
            watch.firing
        })
        .collect()
}

proptest! {
    #[test]
    fn what_ends_has_begun_and_nothing_begins_twice(
        values in figures(), limit in 60.0..100.0, hold in 0..30_i64, rule in prop::sample::select(RULES.to_vec()),
    ) {
        let mut open = false;
        for (_, change) in run(rule, &limits(limit, hold * MINUTE), &values) {
            prop_assert_eq!(change == Change::Cleared, open, "a resolve without a fire, or a second fire");
            open = !open;
        }
    }

    /// A higher limit never fires where a lower one does not: not earlier, not longer.
    #[test]
    fn a_higher_limit_fires_less(values in figures(), limit in 60.0..95.0, above in 0.0..5.0, hold in 0..30_i64) {
        let low = firing(Rule::Cpu, &limits(limit, hold * MINUTE), &values);
        let high = firing(Rule::Cpu, &limits(limit + above, hold * MINUTE), &values);
        for (low, high) in low.iter().zip(&high) {
            prop_assert!(*low || !*high);
        }
    }

    #[test]
    fn a_longer_duration_fires_no_earlier(values in figures(), limit in 60.0..95.0, hold in 0..30_i64, longer in 0..30_i64) {
        let first = |hold: i64| run(Rule::Cpu, &limits(limit, hold * MINUTE), &values).first().map_or(i64::MAX, |(at, _)| *at);
        prop_assert!(first(hold) <= first(hold + longer));
    }

    /// Nothing fires that did not hold for the duration, and nothing that did is missed.
    #[test]
    fn what_fires_held(values in figures(), limit in 60.0..95.0, hold in 0..10_i64) {
        let needed = usize::try_from(hold * 2 + 1).unwrap();
        let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let held = finite.windows(needed).position(|run| run.iter().all(|value| *value >= limit));
        let fired = run(Rule::Cpu, &limits(limit, hold * MINUTE), &finite).first().map(|(at, _)| at / (30 * SECOND));
        prop_assert_eq!(fired, held.map(|start| i64::try_from(start + needed).unwrap()));
    }
}
