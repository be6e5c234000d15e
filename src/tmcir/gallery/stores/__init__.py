"""Where a gallery lies: the interface of a store, and LanceDB and Milvus behind it."""
