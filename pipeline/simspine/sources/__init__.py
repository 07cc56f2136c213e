"""Where a capture comes from: video files (streamed) and project folders."""
