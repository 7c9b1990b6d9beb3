"""Messages that no exchange sends, made of ones that they do: the same ones for the same seed."""
