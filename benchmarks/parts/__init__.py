"""The parts of ``make bench``: each measures every server in turns and gives tables and targets.

This room owns what is compared and what is judged. It may import the harness, the load client, the
bare session and the models, and start the servers by their names. It must never know pods.
"""
