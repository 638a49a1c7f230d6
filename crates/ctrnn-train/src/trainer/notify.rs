//! How observers are told, and what happens when one of them cannot write.

use burn::tensor::backend::AutodiffBackend;
use ctrnn_files::{ErrorKind, FileError};

use super::Trainer;
use crate::TrainError;
use crate::observer::Observer;
use crate::settings::OnError;

impl<B: AutodiffBackend> Trainer<'_, B> {
    /// Tells the observers in their order. With `checkpoint.on_error = "retry"` one that cannot write keeps those after
    /// it from being told, but not the run from going on: all of them are told of the trouble, once.
    ///
    /// # Errors
    /// Returns the error of the first observer that fails; whatever the configuration says, where nothing comes after this (`is_last`) or
    /// the folder of the run is another one now.
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
                        let _waits_as_well = observer.troubled(&error);
                    }
                }
                Ok(())
            }
            told => told,
        }
    }
}

/// Whether it may be over at a later try.
fn may_pass(error: &FileError) -> bool {
    error.kind() == ErrorKind::Io && !matches!(error, FileError::Displaced { .. })
}

/// What the operating system says, without the path: it is the same trouble for every file.
fn cause(error: &FileError) -> String {
    match error {
        FileError::Io { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}
