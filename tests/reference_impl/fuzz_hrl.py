"""`make fuzz`: feed the reader of `.hrl`, led by what of it is reached (atheris), and compare it with the second one.

python tests/reference_impl/fuzz_hrl.py SECONDS [libFuzzer options]
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit(
            "atheris is not installed: `.venv/bin/pip install -c constraints.txt atheris` (Linux and macOS, Python up to 3.13)"
        )
    with atheris.instrument_imports(include=["reference_impl", "hrl_second_reader"]):
        from hrl_attempts import attempt, logs_of

    def one(data: bytes) -> None:
        for raw in logs_of(data):
            attempt(raw)

    seconds, *options = sys.argv[1:] or ["60"]
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds}", "-max_len=600", "-timeout=20", "-print_final_stats=1", *options], one
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
