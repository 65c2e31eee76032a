"""Minimise an energy at one linearisation for an increment of the flow."""
