"""Tasks from files of any kind that `cobasim.data` reads, and Hugging Face datasets on disk.

A path and a mapping of columns enter, a task of distinct problems leaves, with an account of every
row. Rows that cannot be used are reported by file and line; no held-out problem stays in train.
"""

from cobatrain.tasks.files.config import FilesConfig, FileSource
from cobatrain.tasks.files.loading import Loaded, load
from cobatrain.tasks.files.task import make_files
from cobatrain.tasks.verify import answer_text

__all__ = [
    "FileSource",
    "FilesConfig",
    "Loaded",
    "answer_text",
    "load",
    "make_files",
]
