"""`python -m lattice`: the command for whom no script of it is on the path."""

from lattice.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
