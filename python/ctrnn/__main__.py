"""The command line `train-ctrnn`."""

import os
import signal
import sys

from ._ctrnn import main as run_words


def main():
    """Runs the command line of this process."""
    # The program listens itself; Python would only act on the signal after it has returned.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("CTRNN_PYTHON", sys.executable)  # for tasks in Python
    sys.exit(run_words(["train-ctrnn", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
