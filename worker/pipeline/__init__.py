"""The steps of a job: plan it, map a block of it, assemble it. Each may run twice and gives the same bytes."""
