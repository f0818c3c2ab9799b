//! Simulations: the code that decides and pumps, with a virtual clock, pretended sockets and a seed
//! that replays. Each run begins with `FLOE_SIM_SEED`, or with a fresh seed that it prints; a
//! failure names the seed that fails at once.
//!
//! What is real: `edge::table` with its feed and pump, `ring`'s segments and windows, and every
//! machine of `domain`. What is pretended: sockets, readers, sources and the lane between two
//! cores.

#[path = "sim/hall.rs"]
mod hall;
#[path = "sim/mounts.rs"]
mod mounts;
#[path = "sim/passwords.rs"]
mod passwords;
#[path = "sim/random.rs"]
mod random;
#[path = "sim/studio.rs"]
mod studio;
#[path = "sim/truth.rs"]
mod truth;
#[path = "sim/wire.rs"]
mod wire;

use std::cell::RefCell;

use floe::base::CloseReason;

use hall::{Account, Hall, Plan};
use random::{Random, over_seeds};
use wire::Habit;

#[test]
fn every_listener_gets_the_stream_in_order_in_time_and_leaves_once() {
    let total = RefCell::new(Account::default());
    over_seeds(250, |seed| {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let mut hall = Hall::new(plan, &mut random);
        for _ in 0..2_000 {
            hall.pass();
            hall.play();
            hall.mingle();
            hall.look();
        }
        hall.finish();
        let account = hall.account();
        let mut total = total.borrow_mut();
        total.guests += account.guests;
        total.bytes += account.bytes;
        total.slow += account.slow;
        total.jumps += account.jumps;
        total.lost += account.lost;
        total.reasons.extend(account.reasons);
    });
    let total = total.into_inner();
    let Account { guests, bytes, slow, jumps, lost, .. } = total;
    println!(
        "{guests} listeners, {bytes} bytes, {slow} times slow, {jumps} jumps, {lost} cores lost"
    );
    // A simulation in which nothing goes wrong would prove nothing.
    assert!(slow > 0 && jumps > 0);
    let reasons = [
        CloseReason::PeerBroke,
        CloseReason::PeerLeft,
        CloseReason::TooSlow,
        CloseReason::Stalled,
        CloseReason::DurationOver,
        CloseReason::Killed,
        CloseReason::FormatChanged,
    ];
    for reason in reasons {
        let count = total.reasons.iter().filter(|&&found| found == reason).count();
        println!("{count} left: {}", reason.label());
        assert!(count > 0, "nobody left because of {reason:?}");
    }
}

#[test]
fn those_who_stop_reading_change_nothing_for_the_others() {
    over_seeds(60, |seed| {
        let heard = [0, 1, 25].map(|stopped| {
            let mut random = Random::new(seed);
            let mut plan = Plan::draw(&mut random);
            plan.rules.max_duration = std::time::Duration::ZERO;
            plan.rules.lag_bytes = 4 << 20;
            plan.guests_max = 0;
            let mut hall = Hall::new(plan, &mut random);
            let guests: Vec<Random> = (0..10).map(|_| random.fork()).collect();
            let mut fast = Vec::new();
            for (number, guest) in guests.into_iter().enumerate() {
                if number == 3 {
                    let mut idle = Random::new(seed);
                    (0..stopped).for_each(|_| {
                        hall.join(Habit::Stops, 1_000, idle.fork());
                    });
                }
                for _ in 0..120 {
                    hall.pass();
                    hall.play();
                    hall.look();
                }
                fast.push(hall.join(Habit::Fast, [0, 1_000][number % 2], guest));
            }
            hall.finish();
            let of = |id: &u64| hall.table.rows().iter().find(|row| row.id.0 == *id);
            let heard = fast.iter().map(|id| {
                let judge = &of(id).expect("whoever reads stays").wire.judge;
                (judge.start, judge.at, judge.jumps.clone())
            });
            heard.collect::<Vec<_>>()
        });
        assert_eq!(heard[0], heard[1]);
        assert_eq!(heard[0], heard[2]);
        assert!(heard[0].iter().all(|(.., jumps)| jumps.is_empty()));
    });
}

#[test]
fn a_mount_has_one_source_and_holds_its_listeners() {
    over_seeds(400, |seed| mounts::simulate(&mut Random::new(seed), 3_000));
}

#[test]
fn a_right_password_gets_in_and_guessing_gains_nothing() {
    over_seeds(100, |seed| passwords::simulate(&mut Random::new(seed), 3_000));
}
