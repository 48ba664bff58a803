//! The packages as people get them: from the signed repositories, on booted machines. `make test-packages` builds them first.

mod attacks;
mod chores;
mod debian_11;
mod dnf;
mod life;
mod quality;
mod refusals;
mod site;
