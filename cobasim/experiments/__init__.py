"""What is asked of many runs, each a folder with plan, analysis and page."""
