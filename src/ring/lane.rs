//! HOT PATH. Messages from one thread to one other, and the wake that announces them.
//!
//! A lane is a bounded queue; a [`Doorbell`] belongs to a receiving thread and serves all lanes
//! that end there. Sending never wakes by itself: the sender rings once per batch. It owns no task
//! and never waits; what to do with a full lane is the sender's decision. The sending end lives on
//! any thread, the receiving end and the doorbell's waiter on the thread that drains the lanes.
//!
//! # No wake is lost
//! The sender pushes, then rings. The receiver clears the bell, then drains its lanes. So a message
//! is either pushed before the clear, and the drain finds it; or the ring comes after the clear,
//! finds the bell silent and wakes the receiver once more. Draining first and clearing after would
//! lose a message pushed in between.

use super::CachePadded;
use super::sync::{AtomicBool, AtomicWaker, Ordering};
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
    /// Set by `ring`, cleared by `poll_rung`, both by swaps: even a ring that finds the bell rung
    /// already takes its place in the order of this value, so that the one clear that follows sees
    /// the messages of all of them. A plain load would be cheaper here and could lose the last
    /// message.
    rung: CachePadded<AtomicBool>,
    waker: AtomicWaker,
}

impl Doorbell {
    /// A silent bell.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { rung: CachePadded::new(AtomicBool::new(false)), waker: AtomicWaker::new() })
    }

    /// Wakes the receiver, at most once until it answers: further rings cost one swap and no system
    /// call. Callable from any thread.
    pub fn ring(&self) {
        // Release: partner of the Acquire in `answered`, so that the drain finds what was pushed.
        if !self.rung.swap(true, Ordering::Release) {
            self.waker.wake();
        }
    }

    /// Completes when the bell was rung since it last completed, and silences it. For one task of
    /// the receiving thread; a second one would take the place of the first.
    pub async fn rung(&self) {
        poll_fn(|cx| self.poll_rung(cx)).await;
    }

    /// One step of [`rung`](Self::rung), for a task that waits for other things as well.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.answered() {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        // A ring between the look above and the registration found no waker to wake. Registering
        // synchronises with such a wake, so this second look cannot miss its ring.
        if self.answered() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Silences the bell and says whether it was rung.
    fn answered(&self) -> bool {
        // Acquire: partner of the Release in `ring`.
        self.rung.swap(false, Ordering::Acquire)
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

    /// Checked by breaking it: with a Relaxed swap in `ring` or in `answered`, or with a load in
    /// place of the swap in `ring`, or without the second look in `poll_rung`, the receiver sleeps
    /// forever on mail it has not seen, and loom reports the deadlock.
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
