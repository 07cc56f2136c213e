"""Points in images, placed and corrected by people: labels, their order of work, their page, how far people agree."""
