"""A person's silhouette as evidence of where the spine is: contours of the trunk, its sections, points in the back."""
