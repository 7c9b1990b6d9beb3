"""What people run: the command line and the local stack."""
