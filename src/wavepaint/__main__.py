"""`python -m wavepaint`."""

from wavepaint.cli import main

main()
