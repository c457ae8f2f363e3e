"""The format of a prepared model: the types of ``package.json``, reading and verifying a folder,
signatures, the self-test and the JSON Schema. It imports only ``base``, and must never know where a
model comes from, which store holds it, or how it is run.
"""
