//! The packages as people get them: from the signed repositories, on booted machines. `make test-packages` builds them first.

mod attacks;
mod backend;
mod chores;
mod debian_11;
mod dnf;
mod life;
mod quality;
mod refusals;
mod repository;
mod site;
mod sources;
mod stubs;
mod upgrade;
