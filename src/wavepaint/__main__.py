"""`python -m wavepaint`."""

from wavepaint.cli import main

if __name__ == "__main__":
    main()
