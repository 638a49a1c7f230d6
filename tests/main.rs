//! Tests of the whole program: the built `train-ctrnn` runs on real folders.
//!
//! * `analysis`: analyses, figures and reports of real runs; eight fixed points of a trained flip-flop
//! * `areas`: areas and cell types by name in every command and file
//! * `bad_input`: every mistake has its message, its exit code, and leaves nothing behind
//! * `command_line`: help, results on stdout, `--json`
//! * `check`: what `check` says of a configuration: divergence, sizes, advice
//! * `checkpoints`: the checkpoints of a run are listed, checked, shown and removed
//! * `no_effect`: keys and options without effect are refused or told
//! * `runs`: the run folder, stopping, resuming, exit codes of training
//! * `newest`: which network a run is, what it began with, and runs that branch off
//! * `survival`: kills, signals, full disks, twenty processes at once
//! * `earlier_versions`: runs that earlier versions wrote are read, and go on
//! * `configs`: every published configuration trains; constraints as every command sees them
//! * `determinism`: one seed, one result, to the bit
//! * `simulation`: the exported weights, recomputed here, give the states of `simulate`
//! * `programs`: a program that a file names is started for trials alone, with consent, and ends with us
//! * `variants`: time constants, noise, initial states and answers in training, resuming and at another dt
//! * `import`: networks of torch, nn4n and PsychRNN compute here what they computed there; exports come back
//! * `long_trials`: truncated and accumulated gradients, interventions: memory, numbers, resuming
//! * `low_rank`: recurrent matrices of low rank: resuming, files, a start from a full-rank network, the analysis
//! * `validation`: noise and trials of validation, metrics of a mixture, the end of a run, and `eval` on the same trials
//! * `validation_sets`: named sets of validation trials, their metrics, rows and `eval`
//! * `penalties`: bounds of rates, in-degrees and dimensions; penalties that yield to the task
//! * `monitors`: rates, dimension, spectral radius and drift at each validation, exact across a resume
//! * `branches`: runs that begin with weights and optimizer of another one
//! * `stages`: trainings with stages: their ends, what they take over, resuming inside of one
//! * `output_files`: `-o` loses nothing: files, links, pipes, devices, the files of a run; `--force`
//! * `streams`: every command on a closed pipe, on a full device, with paths that are not UTF-8, and failing under `--json`
//! * `populations`: several runs and sweeps in `analyze` and `report`
//! * `sweeps`: populations of runs: trials, identity, kills of driver and children, tables
//! * `threads`: how many compute, and what is on record of it
//! * `python_files`: numpy, pandas and safetensors read what is written (needs Python: ignored)
//! * `task_configs`: every task has a configuration, and it trains
//! * `task_pages`: `docs/tasks.md` shows every task, and a task of one's own takes 40 lines
//! * `trial_files`: files of trials, as training and testing take them; what they cost in memory
//! * `untrusted_files`: a corpus of malicious files, each refused with little memory and time
//! * `doc_comments`: doc comments of all crates open with a verb or a term
//! * `file_cycles`: imports between the files of a crate run one way
//! * `project`: the folder that each test works in

mod analysis;
mod areas;
mod bad_input;
mod branches;
mod check;
mod checkpoints;
mod command_line;
mod configs;
mod continual;
mod determinism;
mod doc_comments;
mod earlier_versions;
mod file_cycles;
mod import;
mod learning_rules;
mod long_trials;
mod low_rank;
mod monitors;
mod newest;
mod no_effect;
mod output_files;
mod penalties;
mod plasticity;
mod populations;
mod programs;
mod project;
mod python_files;
mod recordings;
mod runs;
mod simulation;
mod stacks;
mod stages;
mod streams;
mod survival;
mod sweeps;
mod task_configs;
mod task_pages;
mod threads;
mod trial_files;
mod untrusted_files;
mod validation;
mod validation_sets;
mod variants;
