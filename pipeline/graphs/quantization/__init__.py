"""The int8 variant: matrix products and embedding tables of a fused graph in 8 bits.

This room imports the graph operations around it, workspace and recipe. It never knows how close
int8 has to be, nor which nodes a search leaves out: callers name the nodes to exclude.
"""
