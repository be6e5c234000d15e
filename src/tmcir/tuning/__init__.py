"""A folder of photos and a table in, a model of that catalogue out."""
