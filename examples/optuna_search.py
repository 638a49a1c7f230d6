"""Search a learning rate and a noise with Optuna: python optuna_search.py my.toml [TRIALS]
Several processes may run at once and on several machines, as they share the journal; one that is killed is started again."""
import csv
import subprocess
import sys
import time
from pathlib import Path
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

config, n_trials = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30
folder = Path("optuna", Path(config).stem)
folder.mkdir(parents=True, exist_ok=True)

def objective(trial):
    lr = trial.suggest_float("train.optimizer.lr", 1e-4, 1e-1, log=True)
    noise = trial.suggest_float("model.noise.preactivation", 0.0, 0.3)
    run = folder / f"trial-{trial.number}"
    command = ["train-ctrnn", "train", config, f"train.optimizer.lr={lr}", f"model.noise.preactivation={noise}"]
    training = subprocess.Popen([*command, "--threads=1", "--quiet", f"--run-dir={run}"])
    losses, is_over = [], False
    while not is_over:
        time.sleep(0.1)
        is_over = training.poll() is not None  # asked first, so that the last rows are read after the end
        rows = list(csv.DictReader(open(run / "metrics.csv"))) if (run / "metrics.csv").exists() else []
        for row in [row for row in rows if row["split"] == "val"][len(losses) :]:
            losses.append(float(row["loss"]))
            trial.report(losses[-1], int(row["step"]))
        if trial.should_prune() and not is_over:
            training.terminate()  # it saves: `train-ctrnn resume` would continue it
            training.wait()
            raise optuna.TrialPruned
    return min(losses) if training.returncode == 0 else float("nan")  # NaN: a failed trial

storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))  # never SQLite on a network drive
pruner = optuna.pruners.PatientPruner(optuna.pruners.MedianPruner(), patience=2)  # worse than half, and no longer improving
study = optuna.create_study(storage=storage, study_name="loss", load_if_exists=True, pruner=pruner)
study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(n_trials, states=None)])  # pruned ones count
print(study.best_value, study.best_params)
