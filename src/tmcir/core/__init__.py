"""The base of all rooms: errors, files, hashing, pages, shipped weights, image decoding."""
