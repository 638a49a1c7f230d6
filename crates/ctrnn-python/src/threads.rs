//! Threads on which arithmetic for Python runs.

use std::mem::forget;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The process that imported the module.
static IMPORTED_BY: OnceLock<u32> = OnceLock::new();

/// Threads of a forked process, and which it is.
static FORKED: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Notes the present process as the one whose threads are those of every other use of rayon.
pub(crate) fn note_import() {
    IMPORTED_BY.get_or_init(std::process::id);
}

/// Does work without Python's lock.
///
/// The child of a `fork`, such as a worker of PyTorch's DataLoader, has none of the threads of its parent, and work that is handed to
/// them never ends: there it runs on a pool of the child's own.
pub(crate) fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    py.detach(|| match pool_of_child() {
        None => work(),
        Some(pool) => pool.install(work),
    })
}

fn pool_of_child() -> Option<Arc<ThreadPool>> {
    let process = std::process::id();
    if IMPORTED_BY.get() == Some(&process) {
        return None;
    }
    let mut held = FORKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, pool)) = &*held
        && *owner == process
    {
        return Some(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
    // Dropping the pool of a parent would wait for threads that are not here.
    forget(held.replace((process, Arc::clone(&pool))));
    Some(pool)
}
