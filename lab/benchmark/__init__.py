"""Time and memory of every method and runtime, each in a process of its own, in turns."""
