//! Points on either side of each durable step, at which the crash tests make this program die. In a release they are nothing.

pub use osm_crash_points::point;
