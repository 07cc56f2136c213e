"""Networks that find the spine in images: labelled crops, SimCC head, published losses, curriculum, export."""
