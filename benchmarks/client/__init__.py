"""The load client, a process of its own: a closed loop over connections, or an open loop at a rate.

It shares the CPUs with the server, so it does as little work for a request as Python allows. This
room may import the harness. It must never know what is measured with it, or import the product.
"""
