"""The entry of the command line, ``variflow`` and ``python -m variflow``."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line; while its modules are imported, an interruption ends the process without a traceback."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from variflow.cli import main as run

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
