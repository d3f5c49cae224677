"""What the library's tests cannot do under a setting, and why: test → limit, by setting."""

LIMITS: dict[str, dict[str, str]] = {}
