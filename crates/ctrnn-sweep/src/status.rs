//! State of a trial, read from its run folder.

use ctrnn_files::{RunFolder, RunJson, RunState, host_name};

/// State of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrialState {
    /// Its run has not begun.
    Waiting,
    /// A process trains it.
    Running,
    /// Its process was killed or stopped; training continues from a checkpoint.
    Stopped,
    /// All of its training is done.
    Done,
    /// Training failed.
    Failed,
}

impl TrialState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Running,
        Self::Stopped,
        Self::Failed,
        Self::Waiting,
    ];

    /// Returns the word for the state.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// State of a trial, with the words of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// State of the trial.
    pub state: TrialState,
    /// Exit code of the last process, if it has ended.
    pub exit_code: Option<u8>,
    /// Reason why it stopped or failed.
    pub reason: Option<String>,
    /// True if the last process ran on this machine.
    pub is_here: bool,
}

/// Exit code of a training that failed: it would fail again in the same way, to the bit.
const TRAINING_FAILED: u8 = 3;

impl Status {
    /// Reads the state of a run from its `RUN.json`, and from its lock whether a process still trains it.
    pub fn of(run: &RunFolder) -> Self {
        let is_done = |json: &RunJson| json.state == RunState::Done;
        let mut read = RunJson::load(&run.run_json());
        let mut is_in_use = false;
        if !read.as_ref().is_ok_and(is_done) {
            is_in_use = run.is_in_use();
            read = RunJson::load(&run.run_json()); // its process may have ended before the lock was tried
        }
        let Ok(json) = read else {
            let is_damaged = run.run_json().exists();
            return Self {
                state: if is_damaged {
                    TrialState::Failed
                } else {
                    TrialState::Waiting
                },
                exit_code: None,
                reason: is_damaged.then(|| "its RUN.json cannot be read".to_owned()),
                is_here: false,
            };
        };
        let state = match json.state {
            RunState::Done => TrialState::Done,
            _ if is_in_use => TrialState::Running,
            RunState::Failed => TrialState::Failed,
            RunState::Created | RunState::Running | RunState::Stopped => TrialState::Stopped,
        };
        Self {
            state,
            exit_code: json.exit_code,
            reason: json.reason,
            is_here: json.host == host_name(),
        }
    }

    /// Returns true if another attempt can have another outcome.
    pub fn is_worth_repeating(&self) -> bool {
        self.state != TrialState::Done && self.exit_code != Some(TRAINING_FAILED)
    }
}
