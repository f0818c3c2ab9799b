//! End to end: the real binary, real encoders and players, and clients that behave badly. Each test
//! starts a server of its own on a free port and fails when what it names is broken.
//!
//! `tests/run e2e` installs the programs and runs all of it; `FLOE_E2E_SEED=N` repeats a crowd.

#![allow(clippy::print_stdout, reason = "seeds and logs of a failed test are printed by the kit")]

#[path = "e2e/kit/mod.rs"]
mod kit;
#[path = "e2e/wait.rs"]
mod wait;

#[path = "e2e/answers.rs"]
mod answers;
#[path = "e2e/bad_heads.rs"]
mod bad_heads;
#[path = "e2e/bad_streams.rs"]
mod bad_streams;
#[path = "e2e/burst.rs"]
mod burst;
#[path = "e2e/comeback.rs"]
mod comeback;
#[path = "e2e/documents.rs"]
mod documents;
#[path = "e2e/encoders.rs"]
mod encoders;
#[path = "e2e/exact.rs"]
mod exact;
#[path = "e2e/fail2ban.rs"]
mod fail2ban;
#[path = "e2e/flood.rs"]
mod flood;
#[path = "e2e/intro.rs"]
mod intro;
#[path = "e2e/life.rs"]
mod life;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/passwords.rs"]
mod passwords;
#[path = "e2e/players.rs"]
mod players;
#[path = "e2e/service.rs"]
mod service;
#[path = "e2e/titles.rs"]
mod titles;
