import pytest
from documents import write_half


@pytest.fixture
def half(tmp_path):
    """A folder with the allocator and the world of the docs."""
    return write_half(tmp_path)
