"""The contract of an allocator as one function that any test can call. Needs numpy only.

In: an allocator, or its name. Out: an AssertionError that names the broken rule and the batch::

    from cobasim.testing import check_allocator

    def test_my_allocator():
        check_allocator(MyAllocator)
"""

from cobasim.testing.batches import observation
from cobasim.testing.check import Checked, check_allocator
from cobasim.testing.trial import RULES

__all__ = ["RULES", "Checked", "check_allocator", "observation"]
