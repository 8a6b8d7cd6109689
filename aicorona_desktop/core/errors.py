"""The base of every error that this program raises on purpose."""


class AicoronaError(Exception):
    """Something a person can act on; the text says what happened and what to do next.

    Never holds patient data: names, identifiers, dates and paths stay out of messages.
    """
