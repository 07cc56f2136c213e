"""A cluster on one machine, to try the profile for Slurm on."""
