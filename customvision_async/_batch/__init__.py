"""The batch engine: send any number of items in chunks, concurrently, with one outcome per item.

It knows nothing of images or HTTP. A :class:`~.spec.BatchSpec` provides three functions: `prepare`
converts items to work items, `send` sends one chunk and returns the outcome of each work item, and
`classify_error` decides how to continue after an exception of `send`. Data moves in one
direction::

    source -> prepare -> Chunker -> Admission -> Settler -> Account -> Outbox
    (source)  (feeder)   (chunker)  (admission)  (settler)  (account)  (outbox)
"""
