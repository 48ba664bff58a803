//! `sd_notify(3)`: readiness, watchdog and a line for `systemctl status`. Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

pub fn ready() {
    send(&[NotifyState::Ready]);
}

pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// Tells the watchdog that the one thread still turns, for ever.
pub async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let pause = (limit / 3).max(Duration::from_millis(100));
    loop {
        send(&[NotifyState::Watchdog]);
        tokio::time::sleep(pause).await;
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("sd_notify: {error}");
    }
}
