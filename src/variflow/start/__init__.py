"""Choose where an estimate starts: as the model says, from a flow, from matches, or from an estimate before."""
