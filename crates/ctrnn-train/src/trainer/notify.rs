//! Notification of observers, and the response to an observer that cannot write.

use burn::tensor::backend::AutodiffBackend;
use ctrnn_files::{ErrorKind, FileError};

use super::Trainer;
use crate::TrainError;
use crate::observer::Observer;
use crate::settings::OnError;

impl<B: AutodiffBackend> Trainer<'_, B> {
    /// Calls the observers in order. With `checkpoint.on_error = "retry"`, a failed write skips the remaining observers
    /// but does not end the run; all observers are notified of the trouble, once until the cause changes.
    ///
    /// # Errors
    /// Returns the error of the first observer that fails. A failed write at the end of the run (`is_last`), or because
    /// the run folder has been moved or replaced, is an error whatever the configuration says.
    pub(super) fn tell(
        &mut self,
        observers: &mut [&mut dyn Observer],
        is_last: bool,
        what: impl Fn(&mut dyn Observer) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let told = observers.iter_mut().try_for_each(|o| what(&mut **o));
        let retries = self.settings.checkpoint.on_error == OnError::Retry && !is_last;
        match told {
            Err(TrainError::File(error)) if retries && may_pass(&error) => {
                let trouble = Some(cause(&error));
                if self.trouble != trouble {
                    self.trouble = trouble;
                    for observer in observers {
                        // A failure here is ignored as well: training goes on, and later writes try again.
                        let _waits_as_well = observer.troubled(&error);
                    }
                }
                Ok(())
            }
            told => told,
        }
    }
}

/// Returns true if a later attempt may succeed.
fn may_pass(error: &FileError) -> bool {
    error.kind() == ErrorKind::Io && !matches!(error, FileError::Displaced { .. })
}

/// Returns the operating system's message without the path, which is the same for every file on a full disk.
fn cause(error: &FileError) -> String {
    match error {
        FileError::Io { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}
