"""Pages to look at a flow in a browser: one HTML file that needs no server and no network.

The frames, the flow, what follows from it and what says how far to trust it are layers of one picture; the numbers are
those under the pointer and along a line.

>>> import numpy as np
>>> from variflow.page import Page, Pair
>>> page = Page([Pair(np.zeros((20, 30, 2)))], title="at rest")
>>> page
<Page 'at rest': 1 pair of 30 x 20>
"""

from variflow.page.contents import Pair
from variflow.page.document import Page

__all__ = ["Page", "Pair"]


def __dir__() -> list[str]:
    return sorted(__all__)
