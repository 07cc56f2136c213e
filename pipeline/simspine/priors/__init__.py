"""What is assumed beside the data: smoothness, posture and rhythm, errors that markers share. Data with sources."""
