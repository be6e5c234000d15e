"""Datasets of composed queries, and images."""
