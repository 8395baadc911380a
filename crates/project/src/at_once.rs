//! Many waits at the same time, on a bounded number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does the work for every item, at most `threads_max` at once, and answers in the order of the items. One item is done in
/// place, without a thread.
pub fn at_once<T: Sync, R: Send>(items: &[T], threads_max: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 || threads_max < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let take_turns = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads_max.min(items.len()) {
            // Where the system has no thread left, those that run do the work.
            let _ = thread::Builder::new().spawn_scoped(scope, take_turns);
        }
        take_turns();
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn items_overlap_and_keep_their_order() {
        let together = Barrier::new(4);
        let results = at_once(&[1, 2, 3, 4, 5, 6, 7, 8], 4, |item| {
            together.wait();
            item * 10
        });
        assert_eq!(results, [10, 20, 30, 40, 50, 60, 70, 80]);
        assert!(at_once(&[], 4, |item: &u8| *item).is_empty());
    }
}
