"""Which of two results do people prefer: a page that asks them, and what their votes mean."""
