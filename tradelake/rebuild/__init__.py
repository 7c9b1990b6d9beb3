"""Tables made anew from the layer before: every row compared, and what is wrong replaced in one commit (docs/decisions/0016)."""
