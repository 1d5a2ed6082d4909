"""Everything in this folder is marked slow."""


def pytest_itemcollected(item):
    item.add_marker("slow")
