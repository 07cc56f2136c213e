"""Image → 2D points; which person; spine points where a detector has none. Import the modules, not the package."""
