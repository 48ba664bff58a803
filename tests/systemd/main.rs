//! Stories on a booted Debian, with real systemd, D-Bus and polkit. Run as root, see `osm_tests::machine`.

mod crash;
mod demo;
mod harness;
mod outage;
mod restart;
mod units;
