"""The ground: errors, files, hashing, pages, shipped weights, image decoding."""
