"""One step a file, each a plain function on a workspace's folders."""
