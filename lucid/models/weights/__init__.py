"""Published and saved weights: where they are, whose names they have, and how they get into a model and out."""
