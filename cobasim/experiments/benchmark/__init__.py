"""What allocation costs."""
