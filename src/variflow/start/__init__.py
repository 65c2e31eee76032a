"""Where an estimate starts from: what the model says, a flow or matches given, the pair before, or the way there."""
