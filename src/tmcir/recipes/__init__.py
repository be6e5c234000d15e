"""Training recipes: a YAML file in this folder is listed by `tmcir recipes`."""
