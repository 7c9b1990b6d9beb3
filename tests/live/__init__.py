"""A look at the real exchanges, from a machine that reaches them: no test, and never run by one."""
