"""Files: one module per format. Nothing is imported here, so that `import simspine` stays cheap."""
