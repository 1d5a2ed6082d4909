"""This project's and the papers' allocators."""
