"""Where an estimate starts from: a flow given, matches, the pair before, or the inverse of the way there."""
