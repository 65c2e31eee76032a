"""Terms of the sciences: what is known of a motion, each in a few lines of residuals."""
