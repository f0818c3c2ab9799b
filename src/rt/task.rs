//! Tasks on a core: two queues, a wait, a signal between tasks of one core, and the session wall.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use glommio::{Latency, Shares, TaskQueueHandle};

/// Shares of the two queues: while both have work, the pump and the inbox get about ten times the
/// time of accepts and heads, so a storm of newcomers never makes established listeners stutter.
const URGENT_SHARES: usize = 1000;
const PATIENT_SHARES: usize = 100;

/// How long a patient task may run before the executor asks it to yield to urgent ones. Shorter
/// costs timer interrupts on a busy core; longer would be heard as jitter at a 20 ms beat.
const URGENT_LATENCY: Duration = Duration::from_millis(5);

/// The task queues of the core this was made on. Not `Send`: a task lives on its core.
#[derive(Clone, Copy)]
pub struct Queues {
    urgent: TaskQueueHandle,
    patient: TaskQueueHandle,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Queues {
    /// Makes the queues on the executor of the calling thread.
    pub fn create() -> Self {
        let executor = glommio::executor();
        Self {
            urgent: executor.create_task_queue(
                Shares::Static(URGENT_SHARES),
                Latency::Matters(URGENT_LATENCY),
                "urgent",
            ),
            patient: executor.create_task_queue(
                Shares::Static(PATIENT_SHARES),
                Latency::NotImportant,
                "patient",
            ),
            _not_send: std::marker::PhantomData,
        }
    }

    /// Runs `future` among the tasks that listeners feel: pump and inbox. Only these may be woken
    /// from another thread, because glommio wakes other queues late (about 100 ms on a busy core).
    pub fn urgent(self, future: impl Future<Output = ()> + 'static) {
        spawn(self.urgent, future);
    }

    /// Runs `future` among the tasks that can wait for the pump: accepts, heads, housekeeping.
    pub fn patient(self, future: impl Future<Output = ()> + 'static) {
        spawn(self.patient, future);
    }
}

fn spawn(queue: TaskQueueHandle, future: impl Future<Output = ()> + 'static) {
    glommio::spawn_local_into(Vital { future }, queue)
        .expect("the queue was made on this executor and is never removed")
        .detach();
}

/// A task that its core cannot do without: a panic in it stops the process, for systemd to restart.
/// The executor would only end that thread, and a server with a dead core goes on losing every
/// listener that hashes there. Sessions catch their panics before, at their wall.
pub(super) struct Vital<F> {
    pub(super) future: F,
}

impl<F: Future> Future for Vital<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the field is structurally pinned: it is never moved out of a pinned `Vital`,
        // there is no Drop, and `Vital` is Unpin only if the field is.
        let future = unsafe { self.map_unchecked_mut(|vital| &mut vital.future) };
        let watch = Watch;
        let polled = future.poll(context);
        std::mem::forget(watch);
        polled
    }
}

/// Dropped by a panic alone.
struct Watch;

impl Drop for Watch {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Waits for `span`.
pub async fn sleep(span: Duration) {
    glommio::timer::sleep(span).await;
}

/// Lets other tasks of this core run, if any of them is due.
pub async fn yield_if_due() {
    glommio::yield_if_needed().await;
}

/// Lets every other ready task of this core's queue run once.
pub async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}

/// The session wall: runs `future` and turns a panic inside it into `Err`, so that a fault in one
/// session ends that session and nothing else.
pub fn walled<F: Future>(future: F) -> Walled<F> {
    Walled { future }
}

/// The future of [`walled`]. As large as what it wraps: an `async fn` would hold it twice.
pub struct Walled<F> {
    future: F,
}

impl<F: Future> Future for Walled<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is structurally pinned: it is never moved out of a pinned `Walled`,
        // there is no Drop, and `Walled` is Unpin only if the field is.
        let future = unsafe { self.map_unchecked_mut(|walled| &mut walled.future) };
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

/// A session panicked; the panic hook has logged where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Wakes one task of the same core. Raised while nobody waits, it is kept for the next wait.
#[derive(Clone, Default)]
pub struct Signal {
    inner: Rc<SignalInner>,
}

#[derive(Default)]
struct SignalInner {
    raised: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Signal {
    /// Raises the signal. Cheap when it is raised already.
    pub fn raise(&self) {
        if !self.inner.raised.replace(true)
            && let Some(waiter) = self.inner.waiter.borrow_mut().take()
        {
            waiter.wake();
        }
    }

    /// Completes once the signal is raised, and lowers it.
    pub async fn raised(&self) {
        poll_fn(|context| {
            if self.inner.raised.replace(false) {
                return Poll::Ready(());
            }
            *self.inner.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Hands one value to one waiting task of the same core: the answer to a question that was sent to
/// another thread.
pub struct Reply<T> {
    inner: Rc<ReplyInner<T>>,
}

struct ReplyInner<T> {
    value: RefCell<Option<T>>,
    waiter: RefCell<Option<Waker>>,
}

impl<T> Reply<T> {
    /// A place for one answer: keep one end, give the other to the table of open questions.
    pub fn new() -> Self {
        let inner = ReplyInner { value: RefCell::new(None), waiter: RefCell::new(None) };
        Self { inner: Rc::new(inner) }
    }

    /// The other end.
    pub fn other_end(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }

    /// Puts the answer in and wakes the asker.
    pub fn fill(&self, value: T) {
        *self.inner.value.borrow_mut() = Some(value);
        if let Some(waiter) = self.inner.waiter.borrow_mut().take() {
            waiter.wake();
        }
    }

    /// The answer, once it is there.
    pub async fn filled(&self) -> T {
        poll_fn(|context| {
            if let Some(value) = self.inner.value.borrow_mut().take() {
                return Poll::Ready(value);
            }
            *self.inner.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl<T> Default for Reply<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whichever of two futures completes first; the other is dropped. Both run on one task.
pub async fn either<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Either<A, B> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    poll_fn(move |context| {
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(value));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

/// What [`either`] saw first.
pub enum Either<A, B> {
    /// The first future's output.
    First(A),
    /// The second future's output.
    Second(B),
}
