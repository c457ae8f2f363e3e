"""Helpers of tests, in rooms: clients, machine, manifests, models and servers.

They may import any package of this repository; only tests import them, and they know no test.
"""
