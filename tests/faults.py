"""Stages in processes of their own that end at a chosen moment, or find the disk full.

A moment is the number of a write: a file of the working folder that is opened for writing, or put
in its place. It is the same in every run, however fast the machine is.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

NOT_COUNTED = (".lock", ".owner", ".pyc", ".txt")


def run_stage(module, *arguments, stop=None, largest_file=None, log=None):
    """Run a stage of the working folder in a fork, as `python -m stages.MODULE ARGUMENTS` does.

    Args:
        stop: signal and number of the write that it comes before.
        largest_file: bytes; to write more fails as on a full disk.
        log: file for what it says.

    Returns:
        exit status, negative for the signal that ended it, and how many writes it began.
    """
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.close(reading)
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (the process ends soon)
            sys.stderr = Path(log or os.devnull).open("w")  # noqa: SIM115
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
            count_writes(Path.cwd(), writing, *(stop or (None, None)))
            if largest_file is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file,) * 2)
            stage = importlib.import_module(f"stages.{module}")
            sys.argv = [stage.__file__, *arguments]
            stage.run_alone(stage.main)
            status = 0
        except KeyboardInterrupt:
            status = 130
        except SystemExit as error:
            print(error, file=sys.stderr)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        writes = len(pipe.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), writes


def count_writes(folder, pipe, how, number):
    """Send a byte for each write below `folder`, and at the one of that number the signal `how`."""
    done = 0

    def note(event, arguments):
        nonlocal done
        if not is_write(event, arguments, folder):
            return
        os.write(pipe, b".")
        done += 1
        if done == number:
            os.kill(os.getpid(), how)

    sys.addaudithook(note)


def is_write(event, arguments, folder):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        writes = any(c in "wax+" for c in mode) if mode else flags & (os.O_WRONLY | os.O_RDWR)
    else:
        writes, path = event == "os.rename", arguments[1] if event == "os.rename" else ""
    path = Path(folder, os.fsdecode(path))
    return bool(writes) and path.is_relative_to(folder) and path.suffix not in NOT_COUNTED
