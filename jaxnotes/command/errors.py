"""What a user did wrong."""


class InputError(ValueError):
    """A flag, a setting or a file that a command cannot work with; the message is one line for the user."""
