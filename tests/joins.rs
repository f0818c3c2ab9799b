//! The join table: real encoders publish to the real server and to Icecast at once, players join at
//! random moments, and every join has to decode. What fails is counted for both servers; a join of
//! ours that fails, fails the test.
//!
//! `tests/run joins` makes a few joins of each format, `tests/joins/run` all of them and writes the
//! table of docs/formats.md. `FLOE_E2E_SEED=N` repeats the moments of a run; what the environment
//! can choose besides stands in `joins/plan.rs`.

#![allow(clippy::print_stdout, reason = "the table, seeds and failures are printed")]

#[path = "e2e/kit/mod.rs"]
#[allow(dead_code, reason = "the kit is that of the end-to-end tests, which need all of it")]
mod kit;
#[path = "e2e/wait.rs"]
mod wait;

#[path = "joins/batch.rs"]
mod batch;
#[path = "joins/broadcast.rs"]
mod broadcast;
#[path = "joins/browser.rs"]
mod browser;
#[path = "joins/decode.rs"]
mod decode;
#[path = "joins/formats.rs"]
mod formats;
#[path = "joins/icecast.rs"]
mod icecast;
#[path = "joins/listen.rs"]
mod listen;
#[path = "joins/plan.rs"]
mod plan;
#[path = "joins/players.rs"]
mod players;
#[path = "joins/seams.rs"]
mod seams;
#[path = "joins/station.rs"]
mod station;
#[path = "joins/table.rs"]
mod table;
#[path = "joins/tail.rs"]
mod tail;

use kit::random::Random;
use kit::server::{Server, Setup};

#[test]
fn every_join_decodes() {
    let plan = plan::Plan::asked();
    let mut random = Random::seeded();
    let mut counted = table::Table::default();
    {
        let (floe, icecast) = (Server::start(), icecast::Icecast::start());
        let stations = [station::Station::floe(&floe), station::Station::icecast(&icecast)];
        for formats in plan.formats.chunks(plan.at_once) {
            batch::run(&plan, formats, &stations, &mut random, &mut counted);
        }
    }
    println!("{}", counted.markdown());
    println!("{}", counted.told(station::Who::Icecast));
    println!("{}", counted.told(station::Who::Floe));
    if let Some(path) = &plan.table {
        table::write(path, "joins", &counted.markdown());
    }
    let failed = counted.failures(station::Who::Floe);
    assert_eq!(failed, 0, "joins of ours failed; what they heard is kept in {}", batch::KEPT);
}

#[test]
fn no_seam_between_sources_is_heard() {
    let plan = plan::Plan::asked();
    let mut crossings = Vec::new();
    {
        let floe = Setup::new().mount("/*", "takeover = true").start();
        let station = station::Station::floe(&floe);
        for formats in plan.formats.chunks(plan.at_once) {
            crossings.extend(seams::cross(formats, &station));
        }
    }
    let text = seams::markdown(&crossings);
    println!("{text}");
    if let Some(path) = &plan.table {
        table::write(path, "seams", &text);
    }
    let heard: Vec<_> = crossings.iter().filter(|crossing| !crossing.is_smooth()).collect();
    let told: Vec<_> = heard.iter().map(|crossing| crossing.told()).collect();
    assert!(heard.is_empty(), "kept in {}:\n{}", batch::KEPT, told.join("\n"));
}
