//! Connections whose request is under way, with their deadlines: one table a core instead of a
//! timer a connection. When a deadline passes the socket is ended under its task, which then sees
//! the end of the stream and finds here that time was the reason.

use std::cell::RefCell;
use std::rc::Rc;

use crate::base::Moment;
use crate::base::limits::PENDING_CONNS_MAX;
use crate::rt::socket::Handle;

#[derive(Debug)]
struct Entry {
    handle: Handle,
    deadline: Moment,
    /// Whether it still reads a head, so that it can give way when the table is full.
    waits: bool,
    expired: bool,
}

impl Entry {
    /// Ends the wait of the connection's task. One that waits for a head sees the end of its stream
    /// and can still be told why; one at work may hang in a send, so both directions end.
    fn expire(&mut self) {
        self.expired = true;
        if self.waits { self.handle.end_receiving() } else { self.handle.end() }
    }
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
}

/// The table of one core.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    table: Rc<RefCell<Table>>,
}

impl Pending {
    /// Enters a connection that has until `deadline`. If the table is full the connection that
    /// waits for its head the longest gives way; if none can, there is no place.
    pub fn enter(&self, handle: Handle, deadline: Moment) -> Option<Ticket> {
        let mut table = self.table.borrow_mut();
        let under_way = table.entries.len() - table.free.len();
        if under_way >= PENDING_CONNS_MAX * 2 {
            // Those who were told to give way have not done so yet.
            return None;
        }
        if under_way >= PENDING_CONNS_MAX {
            let oldest = table
                .entries
                .iter_mut()
                .flatten()
                .filter(|entry| entry.waits && !entry.expired)
                .min_by_key(|entry| entry.deadline)?;
            oldest.expire();
        }
        let entry = Some(Entry { handle, deadline, waits: true, expired: false });
        let place = match table.free.pop() {
            Some(place) => {
                table.entries[place] = entry;
                place
            }
            None => {
                table.entries.push(entry);
                table.entries.len() - 1
            }
        };
        Some(Ticket { table: Rc::clone(&self.table), place })
    }

    /// Ends every connection whose deadline has passed.
    pub fn expire(&self, now: Moment) {
        for entry in self.table.borrow_mut().entries.iter_mut().flatten() {
            if entry.deadline <= now && !entry.expired {
                entry.expire();
            }
        }
    }

    /// The core is out of descriptors: the quarter of waiting heads that waits the longest gives
    /// way, or a few thousand half-open connections would keep everyone out for as long as they
    /// like.
    pub fn make_way(&self) {
        let mut table = self.table.borrow_mut();
        let mut waiting: Vec<&mut Entry> =
            table.entries.iter_mut().flatten().filter(|entry| entry.waits).collect();
        waiting.retain(|entry| !entry.expired);
        waiting.sort_unstable_by_key(|entry| entry.deadline);
        let quarter = waiting.len().div_ceil(4);
        waiting.into_iter().take(quarter).for_each(Entry::expire);
    }

    /// Ends those who wait for a head: the server shuts down and nobody shall ask for more.
    pub fn end_waiting(&self) {
        for entry in self.table.borrow_mut().entries.iter_mut().flatten() {
            if entry.waits {
                entry.expire();
            }
        }
    }

    /// Connections under way.
    #[cfg(test)]
    fn len(&self) -> usize {
        let table = self.table.borrow();
        table.entries.len() - table.free.len()
    }
}

/// A connection's place in the table, given back when dropped. It must be dropped before the
/// socket.
#[derive(Debug)]
pub struct Ticket {
    table: Rc<RefCell<Table>>,
    place: usize,
}

impl Ticket {
    /// The connection waits for a head until `deadline`.
    pub fn waits_until(&self, deadline: Moment) {
        self.set(deadline, true);
    }

    /// The connection is at work and has until `deadline`.
    pub fn works_until(&self, deadline: Moment) {
        self.set(deadline, false);
    }

    fn set(&self, deadline: Moment, waits: bool) {
        if let Some(entry) = &mut self.table.borrow_mut().entries[self.place] {
            // A new deadline holds for one whose last has passed: the answer that says so may hang.
            *entry = Entry { deadline, waits, expired: false, ..*entry };
        }
    }

    /// Whether the connection was ended because its time was over.
    pub fn is_expired(&self) -> bool {
        self.table.borrow().entries[self.place].as_ref().is_some_and(|entry| entry.expired)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.table.borrow_mut();
        table.entries[self.place] = None;
        table.free.push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Moment {
        Moment(count * 1_000_000)
    }

    fn enter(pending: &Pending, deadline: u64) -> Option<Ticket> {
        pending.enter(Handle::of_nothing(), second(deadline))
    }

    #[test]
    fn a_connection_ends_at_its_deadline_and_not_before() {
        let pending = Pending::default();
        let early = enter(&pending, 5).expect("there is room");
        let late = enter(&pending, 9).expect("there is room");
        pending.expire(second(4));
        assert!(!early.is_expired());
        pending.expire(second(5));
        assert!(early.is_expired() && !late.is_expired());
        late.works_until(second(20));
        pending.expire(second(19));
        assert!(!late.is_expired());
        drop((early, late));
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn a_place_is_used_again_without_its_history() {
        let pending = Pending::default();
        let first = enter(&pending, 1).expect("there is room");
        pending.expire(second(1));
        drop(first);
        let second_one = enter(&pending, 9).expect("there is room");
        assert!(!second_one.is_expired());
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn in_a_full_table_the_longest_waiting_head_gives_way_to_a_newcomer() {
        let pending = Pending::default();
        let tickets: Vec<Ticket> = (0..PENDING_CONNS_MAX as u64)
            .map(|number| enter(&pending, 100 + number).expect("there is room"))
            .collect();
        tickets[0].works_until(second(100));
        let newcomer = enter(&pending, 50).expect("somebody gives way");
        assert!(tickets[1].is_expired());
        assert!(!tickets[0].is_expired() && !tickets[2].is_expired() && !newcomer.is_expired());
    }

    #[test]
    fn a_table_that_once_was_too_full_takes_newcomers_again() {
        let pending = Pending::default();
        let mut tickets: Vec<Ticket> = (0..PENDING_CONNS_MAX as u64)
            .map(|number| enter(&pending, number).expect("there is room"))
            .collect();
        tickets.extend((0..PENDING_CONNS_MAX).map(|_| enter(&pending, 9).expect("half give way")));
        assert!(enter(&pending, 9).is_none());
        assert_eq!(pending.len(), PENDING_CONNS_MAX * 2);
        // All but a full table's worth have gone: the next one gets in again.
        tickets.drain(..PENDING_CONNS_MAX);
        assert_eq!(pending.len(), PENDING_CONNS_MAX);
        assert!(enter(&pending, 9).is_some());
    }

    #[test]
    fn without_descriptors_the_longest_waiting_quarter_gives_way() {
        let pending = Pending::default();
        let tickets: Vec<Ticket> =
            (1..=9).map(|number| enter(&pending, number).expect("there is room")).collect();
        tickets[0].works_until(second(1));
        pending.make_way();
        let gone: Vec<bool> = tickets.iter().map(Ticket::is_expired).collect();
        assert_eq!(gone, [false, true, true, false, false, false, false, false, false]);
        pending.make_way();
        assert_eq!(tickets.iter().filter(|ticket| ticket.is_expired()).count(), 4);
    }

    #[test]
    fn nobody_gives_way_who_is_at_work() {
        let pending = Pending::default();
        let tickets: Vec<Ticket> = (0..PENDING_CONNS_MAX as u64)
            .map(|number| enter(&pending, number).expect("there is room"))
            .collect();
        tickets.iter().for_each(|ticket| ticket.works_until(second(9)));
        assert!(enter(&pending, 9).is_none());
    }
}
