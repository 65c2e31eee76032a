"""Let ``python -m variflow`` be the command line."""

from variflow.cli import main

main()
