"""What carries the jobs to clusters other than the local stack."""
