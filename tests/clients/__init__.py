"""The clients that people have in their code, each real, against a real server.

``table`` has a row for each call, and docs/clients.md is made from it. The rows run in an
environment of their own (``make test-clients``), so their files import nothing of the tests but
each other;
``conftest`` and ``test_clients`` start the server and compare answers with V2's.
"""
