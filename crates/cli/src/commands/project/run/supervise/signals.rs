//! Signals that come to us and are meant for the program.

use rustix::process::{Pid, Signal as Number, kill_process};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Passes signals on in a task of its own, so that they arrive while we are busy.
pub struct Forwarding(Arc<Mutex<Aim>>);

#[derive(Default)]
struct Aim {
    program: Option<Pid>,
    /// Came while there was no program, and is for the next one.
    missed: Option<Number>,
    /// Somebody has asked for the end, since `forget_ends`.
    ends_us: bool,
}

impl Forwarding {
    /// Within a runtime.
    pub fn start() -> std::io::Result<Self> {
        let passed = [
            (Number::TERM, SignalKind::terminate()),
            (Number::INT, SignalKind::interrupt()),
            (Number::HUP, SignalKind::hangup()),
            (Number::QUIT, SignalKind::quit()),
            (Number::USR1, SignalKind::user_defined1()),
            (Number::USR2, SignalKind::user_defined2()),
        ];
        let mut signals = Vec::new();
        for (number, kind) in passed {
            signals.push((number, signal(kind)?));
        }
        let aim = Arc::new(Mutex::new(Aim::default()));
        let shared = Arc::clone(&aim);
        tokio::spawn(async move {
            loop {
                let number = next(&mut signals).await;
                shared.lock().unwrap_or_else(PoisonError::into_inner).pass_on(number);
            }
        });
        Ok(Self(aim))
    }

    /// From now on signals go to this program.
    pub fn aim(&self, child: &Child) {
        let mut aim = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        aim.program = pid(child);
        if let Some(number) = aim.missed.take() {
            aim.pass_on(number);
        }
    }

    /// The program has ended: its number may soon be another's.
    pub fn rest(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).program = None;
    }

    /// A program may live on after a signal that ends others: what came before counts no more.
    pub fn forget_ends(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ends_us = false;
    }

    /// Whether somebody has asked for the end since then, so that nothing is started again.
    pub fn ends_us(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ends_us
    }
}

impl Aim {
    fn pass_on(&mut self, number: Number) {
        self.ends_us |= [Number::TERM, Number::INT, Number::QUIT].contains(&number);
        match self.program {
            Some(program) => drop(kill_process(program, number)),
            None => self.missed = Some(number),
        }
    }
}

async fn next(signals: &mut [(Number, Signal)]) -> Number {
    std::future::poll_fn(|context| {
        for (number, signal) in signals.iter_mut() {
            if signal.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*number);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// A program that has just ended needs no signal.
pub fn send(child: &Child, number: Number) {
    if let Some(pid) = pid(child) {
        let _ = kill_process(pid, number);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}
