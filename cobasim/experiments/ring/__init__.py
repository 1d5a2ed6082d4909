"""Every allocator in many conditions."""
