"""`python -m agent`: the `normline` command of this very interpreter."""

from agent.cli import main

if __name__ == "__main__":
    main()
