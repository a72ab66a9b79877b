"""What is refused, in words for the person who asked."""


class ReturnProblemError(Exception):
    """Nothing was changed: the return is not possible, as the message says."""


class RefundProblemError(Exception):
    """Nothing was changed: the refund is not possible, as the message says."""
