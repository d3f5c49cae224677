"""The study: a folder for each question of the notes, what they share in `study`, the site in `writeup`, and the commands."""

import sys

if sys.argv[:1] == ["-m"]:  # Python is starting a command of this package, which imports for seconds before it can say a line
    from jaxnotes.command import interruption

    interruption.leave_at_once()
