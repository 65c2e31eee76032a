"""Advice in messages about an energy or a term that has no derivative, or does not depend on the frames."""

NOT_FINITE = (
    "usually a root, a norm, an angle or a logarithm of 0, or a division by 0, also in the branch that jnp.where does "
    "not take: write jnp.sqrt(x + 1e-6) in place of jnp.sqrt(x), 1 / (x + 1e-6) in place of 1 / x"
)
TO_COMPARE = (
    "take at.frame1 as if it depended on d? It compares the frames with at.Ix * u + at.Iy * v + at.It, or with "
    "variflow.warp(at.second, (at.flow[0] + u, at.flow[1] + v))"
)
