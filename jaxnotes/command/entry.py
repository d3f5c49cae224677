"""Where installed commands start: with one clear line where a package of the extra `diagnose` is missing."""

import sys
from importlib import util

PACKAGES = {"absl": "absl-py", "jinja2": "jinja2", "matplotlib": "matplotlib", "rich": "rich"}  # module -> distribution


def diagnose() -> None:
    """The console script `jaxnotes-diagnose`; ends with exit status 2 where a package is missing."""
    missing = [distribution for module, distribution in PACKAGES.items() if util.find_spec(module) is None]
    if missing:
        print(f"jaxnotes-diagnose needs {', '.join(missing)}; run: pip install 'jaxnotes[diagnose]'", file=sys.stderr)
        sys.exit(2)
    from jaxnotes.command import interruption

    interruption.leave_at_once()
    from jaxnotes.command import diagnose  # imports for seconds

    diagnose.run()
