"""The fuzz targets; ``tests.fuzz`` says what a target is."""
