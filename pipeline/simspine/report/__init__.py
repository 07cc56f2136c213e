"""Figures, overlays on images and the self-contained HTML page. Arrays in, figures and bytes out."""
