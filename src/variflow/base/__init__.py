"""What every other folder stands on: arrays at the door, settings and their checks, errors, threads and forks."""
