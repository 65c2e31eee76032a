"""What all other folders use: reading arrays, checking settings, errors and warnings, threads and forks."""
