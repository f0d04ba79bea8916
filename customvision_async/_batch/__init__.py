"""The batch engine: any number of items, in chunks under every limit, many at once, each with an outcome.

It knows nothing of images or of HTTP. It is given three functions: `prepare` turns items into units (or settles them at once),
`send` sends one chunk of units and says what became of each, `classify_error` says what an exception of `send` means.
Data walks one way::

    source -> prepare -> Chunker -> Admission -> send -> Settler -> results
    (run.py)             (chunker)  (flow)               (settle)   (run.py, report.py)
"""
