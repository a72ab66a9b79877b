"""Which permissions staff need on the desk to change returns and refunds."""

MAY_RETURN, MAY_REFUND = "returns.change_return", "returns.change_refund"
