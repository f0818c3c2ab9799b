//! HOT PATH. Messages from one thread to one other, and the wake that announces them.
//!
//! A lane is a bounded queue; a [`Doorbell`] belongs to a receiving thread and serves all lanes
//! that end there. Sending never wakes by itself: the sender rings once per batch. A receiver that
//! looks at its lanes anyway, many times a second, says that it watches them; then a soft ring
//! costs it no wake. It owns no task and never waits; what to do with a full lane is the sender's
//! decision. The sending end lives on any thread, the receiving end and the doorbell's waiter on
//! the thread that drains the lanes.
//!
//! # No wake is lost
//! The sender pushes, then rings. The receiver clears the bell, then drains its lanes. So a message
//! is either pushed before the clear, and the drain finds it; or the ring comes after the clear,
//! finds the bell silent and wakes the receiver once more. Draining first and clearing after would
//! lose a message pushed in between. A soft ring either sees that the lanes are watched, and then
//! the end of the watch sees that it rang; or it does not, and wakes. All of it is one atomic.

use super::CachePadded;
use super::sync::{AtomicU32, AtomicWaker, Ordering};
use crossbeam::queue::ArrayQueue;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A lane for `capacity` messages to the thread that waits at `bell`.
///
/// # Panics
/// If `capacity` is zero: lane sizes are constants of `limits`.
pub fn lane<T: Send>(capacity: usize, bell: Arc<Doorbell>) -> (LaneSender<T>, LaneReceiver<T>) {
    let queue = Arc::new(ArrayQueue::new(capacity));
    (LaneSender { queue: Arc::clone(&queue), bell }, LaneReceiver { queue })
}

/// The sending end. Not `Clone`: who needs two senders makes two lanes, and no lane is contended.
pub struct LaneSender<T> {
    queue: Arc<ArrayQueue<T>>,
    bell: Arc<Doorbell>,
}

impl<T: Send> LaneSender<T> {
    /// Puts a message in, without waking anybody. It arrives when the receiver next drains; only
    /// [`ring`](Self::ring) makes that soon.
    ///
    /// # Errors
    /// A full lane gives the message back.
    pub fn send(&mut self, message: T) -> Result<(), T> {
        self.queue.push(message)
    }

    /// Wakes the receiver for all that was sent so far.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Announces all that was sent so far, to be taken when the receiver next looks if it watches
    /// its lanes, else as [`ring`](Self::ring).
    pub fn ring_softly(&self) {
        self.bell.ring_softly();
    }

    /// Sends and rings, for a message that is a batch by itself.
    ///
    /// # Errors
    /// A full lane gives the message back. The bell is rung even then: a receiver that has this
    /// much to do should know of it.
    pub fn send_now(&mut self, message: T) -> Result<(), T> {
        let sent = self.send(message);
        self.ring();
        sent
    }

    /// Messages that the receiver has not taken yet. It may be fewer by the time this returns.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// The receiving end. Messages that nobody receives are dropped with the later of the two ends.
pub struct LaneReceiver<T> {
    queue: Arc<ArrayQueue<T>>,
}

impl<T: Send> LaneReceiver<T> {
    /// The oldest message, if there is one.
    pub fn receive(&mut self) -> Option<T> {
        self.queue.pop()
    }
}

/// What a receiving thread waits at: rung by any thread, answered by one task.
pub struct Doorbell {
    /// [`RUNG`], [`CALLED`] and [`WATCHED`], changed by read-modify-writes alone: even a ring that
    /// finds the bell rung already takes its place in the order of this value, so that the one
    /// clear that follows sees the messages of all of them. A plain load would be cheaper here and
    /// could lose the last message.
    state: CachePadded<AtomicU32>,
    waker: AtomicWaker,
}

/// Something was sent since the bell was last answered.
const RUNG: u32 = 1;
/// The receiver was woken for it.
const CALLED: u32 = 2;
/// The receiver looks by itself: soft rings need not wake it.
const WATCHED: u32 = 4;

impl Doorbell {
    /// A silent bell.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: CachePadded::new(AtomicU32::new(0)), waker: AtomicWaker::new() })
    }

    /// Wakes the receiver, at most once until it answers: further rings cost one swap and no system
    /// call. Callable from any thread.
    pub fn ring(&self) {
        // Release: partner of the Acquire in `answer`, so that the drain finds what was pushed.
        if self.state.fetch_or(RUNG | CALLED, Ordering::Release) & CALLED == 0 {
            self.waker.wake();
        }
    }

    /// Rings for what can wait until the receiver looks: wakes it only if it does not watch.
    pub fn ring_softly(&self) {
        // Release as in `ring`. Whoever finds the bell rung leaves the wake to who rang it, or to
        // the end of the watch that it rang in.
        if self.state.fetch_or(RUNG, Ordering::Release) & (RUNG | WATCHED) == 0 {
            self.waker.wake();
        }
    }

    /// From now on the receiver calls [`answer`](Self::answer) every few milliseconds.
    pub fn watch(&self) {
        // Relaxed: it promises to look and hides no message; a soft ring before it wakes as ever.
        self.state.fetch_or(WATCHED, Ordering::Relaxed);
    }

    /// The receiver looks no more: a ring that relied on it wakes it now.
    pub fn end_watch(&self) {
        // Relaxed: what was pushed is seen by the Acquire of the `answer` that the wake leads to.
        if self.state.fetch_and(!WATCHED, Ordering::Relaxed) & RUNG != 0 {
            self.waker.wake();
        }
    }

    /// Silences the bell and says whether it was rung, softly or not: the lanes want draining.
    pub fn answer(&self) -> bool {
        // Acquire: partner of the Release in `ring` and `ring_softly`.
        self.state.fetch_and(!(RUNG | CALLED), Ordering::Acquire) & RUNG != 0
    }

    /// Completes when the bell was rung since it last completed, and silences it. For one task of
    /// the receiving thread; a second one would take the place of the first.
    pub async fn rung(&self) {
        poll_fn(|cx| self.poll_rung(cx)).await;
    }

    /// One step of [`rung`](Self::rung), for a task that waits for other things as well.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.answer() {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        // A ring between the look above and the registration found no waker to wake. Registering
        // synchronises with such a wake, so this second look cannot miss its ring.
        if self.answer() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(all(test, not(floe_loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};
    use std::thread;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Parks the thread until the bell is rung.
    fn wait(bell: &Doorbell) {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while bell.poll_rung(&mut Context::from_waker(&waker)).is_pending() {
            thread::park();
        }
    }

    #[test]
    fn messages_arrive_in_order_and_a_full_lane_gives_them_back() {
        let (mut sender, mut receiver) = lane(2, Doorbell::new());
        assert_eq!((sender.send("a"), sender.send("b")), (Ok(()), Ok(())));
        assert_eq!((sender.send("c"), sender.waiting()), (Err("c"), 2));
        assert_eq!(receiver.receive(), Some("a"));
        assert_eq!(sender.send_now("c"), Ok(()));
        assert_eq!((receiver.receive(), receiver.receive()), (Some("b"), Some("c")));
        assert_eq!((receiver.receive(), sender.waiting()), (None, 0));
    }

    #[test]
    fn messages_left_behind_are_dropped_with_the_lane() {
        let message = Arc::new(());
        let (mut sender, receiver) = lane(4, Doorbell::new());
        sender.send(Arc::clone(&message)).unwrap();
        drop(receiver);
        drop(sender);
        assert_eq!(Arc::strong_count(&message), 1);
    }

    #[test]
    fn many_rings_wake_once_until_answered() {
        let (bell, wakes) = (Doorbell::new(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
        for _ in 0..3 {
            bell.ring();
        }
        assert_eq!(wakes.count(), 1);
        assert_eq!(bell.poll_rung(&mut cx), Poll::Ready(()));
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
        bell.ring();
        assert_eq!(wakes.count(), 2);
    }

    #[test]
    fn a_watched_bell_wakes_for_a_hard_ring_and_at_the_end_of_the_watch() {
        let (bell, wakes) = (Doorbell::new(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
        bell.watch();
        bell.ring_softly();
        assert_eq!(wakes.count(), 0, "who watches is not woken");
        assert!(bell.answer() && !bell.answer(), "but finds that it rang, once");
        bell.ring_softly();
        bell.ring();
        assert_eq!(wakes.count(), 1, "a hard ring wakes even after a soft one");
        assert_eq!(bell.poll_rung(&mut cx), Poll::Ready(()));
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
        bell.ring_softly();
        bell.end_watch();
        assert_eq!(wakes.count(), 2, "the end of a watch wakes for what rang in it");
        assert_eq!(bell.poll_rung(&mut cx), Poll::Ready(()));
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
        bell.watch();
        bell.end_watch();
        assert_eq!(wakes.count(), 2, "and for nothing else");
        bell.ring_softly();
        assert_eq!(wakes.count(), 3, "without a watch a soft ring wakes");
    }

    #[test]
    fn a_ring_before_anybody_waits_is_kept() {
        let bell = Doorbell::new();
        bell.ring();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(bell.poll_rung(&mut cx), Poll::Ready(()));
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
    }

    #[test]
    fn sending_alone_wakes_nobody_and_sending_now_rings_even_when_full() {
        let (bell, wakes) = (Doorbell::new(), Arc::new(Wakes::default()));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let (mut sender, _receiver) = lane(1, Arc::clone(&bell));
        assert_eq!(bell.poll_rung(&mut cx), Poll::Pending);
        sender.send(1).unwrap();
        assert_eq!(wakes.count(), 0);
        assert_eq!(sender.send_now(2), Err(2));
        assert_eq!(wakes.count(), 1);
    }

    #[test]
    fn two_threads_on_one_bell_lose_nothing() {
        const MESSAGES: u32 = 20_000;
        let bell = Doorbell::new();
        let mut receivers = Vec::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (mut sender, receiver) = lane(8, Arc::clone(&bell));
                receivers.push((receiver, 0));
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        while sender.send_now(number).is_err() {
                            thread::yield_now();
                        }
                    }
                });
            }
            while receivers.iter().any(|(_, next)| *next < MESSAGES) {
                wait(&bell);
                for (receiver, next) in &mut receivers {
                    while let Some(number) = receiver.receive() {
                        assert_eq!(number, *next);
                        *next += 1;
                    }
                }
            }
        });
    }
}

#[cfg(all(test, floe_loom))]
mod models {
    use super::super::sync::{AtomicUsize, model};
    use super::*;
    use loom::future::block_on;
    use loom::thread::spawn;

    /// A lost wake shows as a deadlock, which loom reports. The queue itself is opaque to loom; the
    /// model below shows that the bell alone carries what was written before it was rung.
    #[test]
    fn every_message_is_drained() {
        model(|| {
            let bell = Doorbell::new();
            let (mut sender, mut receiver) = lane(2, Arc::clone(&bell));
            let thread = spawn(move || {
                sender.send_now(1).unwrap();
                sender.send_now(2).unwrap();
            });
            let mut taken = Vec::new();
            while taken.len() < 2 {
                block_on(bell.rung());
                taken.extend(std::iter::from_fn(|| receiver.receive()));
            }
            assert_eq!(taken, [1, 2]);
            thread.join().unwrap();
        });
    }

    /// Checked by breaking it: with a soft ring that never wakes the receiver sleeps on mail, and
    /// loom reports the deadlock. The wake of `end_watch` is for a waiter that registered before,
    /// on the thread that ends the watch: a unit test above holds it.
    #[test]
    fn a_watch_that_ends_loses_no_soft_ring() {
        model(|| {
            let bell = Doorbell::new();
            let (mut sender, mut receiver) = lane(2, Arc::clone(&bell));
            bell.watch();
            let thread = spawn(move || {
                sender.send(1).unwrap();
                sender.ring_softly();
                sender.send(2).unwrap();
                sender.ring_softly();
            });
            let mut taken = Vec::new();
            if bell.answer() {
                taken.extend(std::iter::from_fn(|| receiver.receive()));
            }
            bell.end_watch();
            while taken.len() < 2 {
                block_on(bell.rung());
                taken.extend(std::iter::from_fn(|| receiver.receive()));
            }
            assert_eq!(taken, [1, 2]);
            thread.join().unwrap();
        });
    }

    /// Checked by breaking it: with a Relaxed change in `ring` or in `answer`, or with a load in
    /// place of the change in `ring`, or without the second look in `poll_rung`, the receiver
    /// sleeps forever on mail it has not seen, and loom reports the deadlock.
    #[test]
    fn two_ringers_lose_no_wake_and_hide_no_write() {
        model(|| {
            let bell = Doorbell::new();
            let mail = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let threads = [0, 1].map(|index| {
                let (bell, mail) = (Arc::clone(&bell), Arc::clone(&mail));
                spawn(move || {
                    mail[index].store(1, Ordering::Relaxed);
                    bell.ring();
                })
            });
            while mail.iter().any(|letter| letter.load(Ordering::Relaxed) == 0) {
                block_on(bell.rung());
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}
