"""The entry of the command line, ``variflow`` and ``python -m variflow``."""

from __future__ import annotations

import signal

from variflow.base.interruptions import end_at_once


def main() -> None:
    """Run the command line; where it has nothing to clean up, an interruption is one line and a status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
    from variflow.cli import main as run  # takes a while

    run()


if __name__ == "__main__":
    main()
