"""Names as Dagster allows them: groups and jobs take letters, digits and underscores; source names have signs, too."""


def plain(source: str) -> str:
    """Return the name of a source with underscores for every other sign: `VERJ0521_211`."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in source)
