//! The threads that act outside. Each may wait for a peer, so there are many of them, made when they are needed; lanes
//! keep one peer from taking them all, and what nobody waits for from holding up what somebody does.

use super::{Action, Conclusion, Deadline, Failure, LANE_WIDTH_MAX, Lane};
use crate::error::{Error, ErrorKind};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::Clock;

/// How many act and wait.
#[derive(Debug, Clone)]
pub(crate) struct OutwardSettings {
    /// Zero: each acts in place, on the thread that asks for it (simulations).
    pub threads: usize,
    pub queue_max: usize,
}

/// A lane of a mount.
pub(crate) type LaneOfMount = (u64, Lane);

/// Whether somebody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Asked,
    Background,
}

pub(crate) struct OutwardPool {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    settings: OutwardSettings,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    asked: VecDeque<Job>,
    background: VecDeque<Job>,
    running: HashMap<LaneOfMount, Running>,
    waiters: Vec<Waiter>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

#[derive(Default, Clone, Copy)]
struct Running {
    asked: usize,
    background: usize,
}

struct Job {
    lane: LaneOfMount,
    urgency: Urgency,
    work: Work,
}

/// What takes up its lane, and returns what does no longer.
type Work = Box<dyn FnOnce() -> Rest + Send>;
type Rest = Box<dyn FnOnce() + Send>;

type Outcome = Result<Conclusion, Failure>;

/// Who is to be told of an outcome, or of the end of the time, whichever comes first.
struct Waiter {
    deadline: Deadline,
    sender: Arc<Mutex<Option<oneshot::Sender<Outcome>>>>,
}

impl Drop for OutwardPool {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.work.notify_all();
    }
}

impl OutwardPool {
    pub(crate) fn new(settings: OutwardSettings, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { state: Mutex::default(), work: Condvar::new() };
        Self { shared: Arc::new(shared), clock, settings }
    }

    /// Whether errands act elsewhere than where they are asked for.
    pub(crate) fn has_threads(&self) -> bool {
        self.settings.threads > 0
    }

    /// Errands that act, and that wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.shared.state.lock();
        let running = state.running.values().map(|running| running.asked + running.background).sum();
        (running, state.asked.len() + state.background.len())
    }

    /// Runs an action that somebody waits for. `guard` is dropped when the action has ended, however long that takes.
    pub(crate) async fn run(
        &self,
        lane: LaneOfMount,
        time_limit: Duration,
        action: Action,
        guard: impl Send + 'static,
    ) -> Outcome {
        let deadline = Deadline::new(self.clock.clone(), time_limit);
        if self.settings.threads == 0 {
            let outcome = action(&deadline);
            drop(guard);
            return outcome;
        }
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let waiter = Waiter {
            deadline: Deadline { clock: self.clock.clone(), at: deadline.at },
            sender: sender.clone(),
        };
        let work = move || {
            let outcome = match deadline.left().is_zero() {
                true => Err(Failure::Untouched(too_late("it waited for others"))),
                false => action(&deadline),
            };
            drop(guard);
            if let Some(sender) = sender.lock().take() {
                // Nobody may be waiting any more.
                drop(sender.send(outcome));
            }
            let nothing: Rest = Box::new(|| ());
            nothing
        };
        let job = Job { lane, urgency: Urgency::Asked, work: Box::new(work) };
        if !self.submit(job, Some(waiter)) {
            let message = "too many requests wait for other servers: try again in a moment";
            return Err(Failure::Untouched(Error::new(ErrorKind::RateLimited, message)));
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(Failure::Unclear(Error::internal("an action ended without an outcome"))))
    }

    /// Runs what nobody waits for, and then, with what that came to and outside of the lane, what follows; false if too
    /// much of it waits already.
    pub(crate) fn run_in_background<T: Send + 'static>(
        &self,
        lane: LaneOfMount,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(T) + Send + 'static,
    ) -> bool {
        if self.settings.threads == 0 {
            then(work());
            return true;
        }
        let work: Work = Box::new(move || {
            let done = work();
            Box::new(move || then(done))
        });
        self.submit(Job { lane, urgency: Urgency::Background, work }, None)
    }

    pub(crate) fn deadline(&self, time_limit: Duration) -> Deadline {
        Deadline::new(self.clock.clone(), time_limit)
    }

    /// Answers those whose time is over. Their actions, which should have ended by themselves, are left alone.
    pub(crate) fn give_up_late(&self) {
        let late: Vec<Waiter> = {
            let mut state = self.shared.state.lock();
            let waiters = std::mem::take(&mut state.waiters);
            let (late, others) = waiters
                .into_iter()
                .filter(|waiter| waiter.sender.lock().is_some())
                .partition(|waiter| waiter.deadline.left().is_zero());
            state.waiters = others;
            late
        };
        for waiter in late {
            if let Some(sender) = waiter.sender.lock().take() {
                drop(sender.send(Err(Failure::Unclear(too_late("the other side did not answer")))));
            }
        }
    }

    fn submit(&self, job: Job, waiter: Option<Waiter>) -> bool {
        let mut state = self.shared.state.lock();
        let queue = if job.urgency == Urgency::Asked { &mut state.asked } else { &mut state.background };
        if queue.len() >= self.settings.queue_max {
            return false;
        }
        queue.push_back(job);
        state.waiters.extend(waiter);
        // A thread that was woken and has not begun yet counts as idle: it takes one job, which another may wait for.
        if state.idle < state.runnable() && state.threads < self.settings.threads {
            state.threads += 1;
            let (shared, number) = (self.shared.clone(), state.threads);
            let spawned =
                std::thread::Builder::new().name(format!("outward-{number}")).spawn(move || work(&shared));
            if let Err(error) = spawned {
                state.threads -= 1;
                tracing::error!(%error, "a thread for work outside cannot be started");
                // Without any thread it would wait for ever.
                if state.threads == 0 {
                    state.asked.clear();
                    state.background.clear();
                    return false;
                }
            }
        }
        drop(state);
        self.shared.work.notify_one();
        true
    }
}

fn too_late(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the time for it is over: {why}"))
}

fn work(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        if state.is_closed {
            return;
        }
        let Some(job) = state.next() else {
            state.idle += 1;
            shared.work.wait(&mut state);
            state.idle -= 1;
            continue;
        };
        let (lane, urgency) = (job.lane, job.urgency);
        let rest = parking_lot::MutexGuard::unlocked(&mut state, job.work);
        state.ended(&lane, urgency);
        // What stood behind it in its lane may go on.
        shared.work.notify_one();
        parking_lot::MutexGuard::unlocked(&mut state, rest);
    }
}

impl State {
    /// Jobs whose lanes have room.
    fn runnable(&self) -> usize {
        let has_room = |job: &&Job| {
            let running = self.running.get(&job.lane).copied().unwrap_or_default();
            running.asked + running.background < job.lane.1.width.clamp(1, LANE_WIDTH_MAX)
        };
        self.asked.iter().chain(&self.background).filter(has_room).count()
    }

    /// The first job whose lane has room. What nobody waits for takes half of a lane at the most.
    fn next(&mut self) -> Option<Job> {
        let running = &self.running;
        let of = |lane: &LaneOfMount| running.get(lane).copied().unwrap_or_default();
        let width = |lane: &LaneOfMount| lane.1.width.clamp(1, LANE_WIDTH_MAX);
        let has_room = |job: &Job| of(&job.lane).asked + of(&job.lane).background < width(&job.lane);
        let has_half = |job: &Job| has_room(job) && of(&job.lane).background < width(&job.lane).div_ceil(2);
        let job = match self.asked.iter().position(has_room) {
            Some(position) => self.asked.remove(position)?,
            None => {
                let position = self.background.iter().position(has_half)?;
                self.background.remove(position)?
            }
        };
        let running = self.running.entry(job.lane.clone()).or_default();
        match job.urgency {
            Urgency::Asked => running.asked += 1,
            Urgency::Background => running.background += 1,
        }
        Some(job)
    }

    fn ended(&mut self, lane: &LaneOfMount, urgency: Urgency) {
        let Some(running) = self.running.get_mut(lane) else { return };
        match urgency {
            Urgency::Asked => running.asked = running.asked.saturating_sub(1),
            Urgency::Background => running.background = running.background.saturating_sub(1),
        }
        if running.asked + running.background == 0 {
            self.running.remove(lane);
        }
    }
}
