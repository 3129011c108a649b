"""`python -m drillbed`, and what the command `drillbed` starts: takes signals in hand before anything slow is imported."""

import sys

from drillbed.signals import Interruption


def main() -> None:
    """Run the command line and end with its exit code."""
    interruption = Interruption()
    try:
        interruption.watch()
        from drillbed.cli import run

        code = run(sys.argv[1:], interruption)
    except KeyboardInterrupt:  # while Python was still loading the rest
        sys.stderr.write("drillbed: interrupted\n")
        code = interruption.code
    interruption.over()
    sys.exit(code)


if __name__ == "__main__":
    main()
