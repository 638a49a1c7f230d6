"""Servers that answer the questions of `train-ctrnn` on standard input.

A question is a line of JSON with an `id`; if it has the key `bytes`, that many bytes follow. So does an answer, which repeats the `id`, or has the
key `error`. Arrays are float32 in little-endian bytes, one after the other, with their names and shapes in the key `arrays`.
"""

import contextlib
import json
import os
import sys

import numpy as np

from .user_code import failure

try:
    from fcntl import F_SETPIPE_SZ, fcntl
except ImportError:  # a system other than Linux
    fcntl = None


class Server:
    """Server that reads questions and writes answers.

    Parameters
    ----------
    questions, answers : binary file
        Streams.
    name : str
        Name of what answers, for errors.
    """

    def __init__(self, questions, answers, name):
        self.questions, self.answers, self.name = questions, answers, name

    def run(self):
        """Answers every question until there are no more."""
        while line := self.questions.readline():
            question = json.loads(line)
            content = bytearray(question.get("bytes", 0))
            self.questions.readinto(content)
            try:
                header, answer = self.answer(question, content)
            except Exception as error:
                header, answer = {"error": failure(self.name, error)}, b""
            header = {"id": question["id"], **header}
            if answer:
                header["bytes"] = len(answer)
            self.answers.write(json.dumps(header).encode() + b"\n" + answer)
            self.answers.flush()

    def answer(self, question, content):
        """Returns the header of the answer to a question, a dict, and the bytes that follow it."""
        raise NotImplementedError


def arrays_of(question, content):
    """Returns the arrays that follow a question, by name."""
    arrays, start = {}, 0
    for name, shape in question["arrays"]:
        n = int(np.prod(shape, dtype=int))
        arrays[name] = np.frombuffer(content, "<f4", n, start).reshape(shape)
        start += 4 * n
    return arrays


def _widen(pipe):
    """Lets a pipe hold 1 MiB, where the system can: the processes at its ends then wait for each other less often."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # no pipe, or larger than a user may have
            fcntl(pipe, F_SETPIPE_SZ, 1 << 20)


def serve(kind, *words):
    """Runs a server of a kind on standard input and output; `words` are its further arguments."""
    for pipe in (0, 1):
        _widen(pipe)
    # What the user's code prints goes to standard error: standard output is for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    kind(sys.stdin.buffer, answers, *words).run()
