"""What a request adds to the usual answer: sets, decisions, explanations, receipts."""
