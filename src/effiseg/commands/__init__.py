"""Commands of the package: `effiseg predict`, `evaluate`, `explain`, `export`, `publish`, `demo`.

Each is a small script that reads its arguments, calls the library and writes files, like a stage of
the pipeline. A module is imported when its command is called: `effiseg --help` answers at once.
"""

import argparse
import importlib
import sys

COMMANDS = {
    "predict": "mark polyps in pictures and videos",
    "evaluate": "score a model on a folder of pictures with masks",
    "explain": "say in plain sentences where a model is wrong, and what the results say",
    "export": "write a model folder for the Hugging Face hub, with an ONNX file",
    "publish": "upload a model to the Hugging Face hub",
    "demo": "a web page to try the model",
}


def main(arguments: list[str] | None = None) -> None:
    """The console command. Exits with 0, 1 where something failed, 2 where the call was wrong."""
    given = sys.argv[1:] if arguments is None else arguments
    names = "\n".join(f"  {name:10}{purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="effiseg",
        description=f"Commands:\n{names}",
        epilog="effiseg COMMAND --help tells more. Not a medical device.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = parser.parse_args(given[:1]).command
    module = importlib.import_module(f"effiseg.commands.{name}")
    own = argparse.ArgumentParser(
        prog=f"effiseg {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(own)
    options = own.parse_args(given[1:])
    try:
        sys.exit(module.run(options))
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"effiseg {name}: {on_screen(str(error))}", file=sys.stderr)
        sys.exit(1)


def on_screen(message: str) -> str:
    """The message as one line of visible characters: names of files may hold any others."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
