//! Options and values that several subcommands share.

use std::time::Duration;

use clap::Args as ClapArgs;

/// Option by which a user agrees to a program.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct Trust {
    /// Agree to start the programs that the configuration names, now and in later commands until they change
    /// (docs/trust.md).
    #[arg(long)]
    pub trust: bool,
}

/// Reads a duration, such as `3h50m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: Option<jiff::SignedDuration> = text.parse().ok();
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| {
            format!("{text:?} is not a duration; expected for instance 3h50m, 90s or 45m")
        })
}
