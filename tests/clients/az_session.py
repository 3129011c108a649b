"""Azure CLI commands one after the other in one interpreter, which is the CLI's own: starting it takes longer than most of them.

Reads a JSON list of argument lists, writes a JSON list of [exit code, output, what was said on standard error].
The code that runs is the CLI's own, as its command `az` calls it.
"""

import io
import json
import logging
import sys
from contextlib import redirect_stderr

from azure.cli.core import get_default_cli


def run(arguments: list[str]) -> list[object]:
    out, said = io.StringIO(), io.StringIO()
    for handler in list(logging.getLogger("cli").handlers):  # the last command's, bound to its standard error
        logging.getLogger("cli").removeHandler(handler)
    with redirect_stderr(said):
        try:
            code = get_default_cli().invoke([*arguments, "--output", "json"], out_file=out)
        except SystemExit as ended:
            code = ended.code
    return [code, out.getvalue(), said.getvalue()]


if __name__ == "__main__":
    sys.stdout.write(json.dumps([run(arguments) for arguments in json.load(sys.stdin)]))
