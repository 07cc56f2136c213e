"""The interactive 3D player: what it shows, how that is packed into a page, and the page itself."""
