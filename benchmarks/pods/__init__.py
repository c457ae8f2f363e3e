"""Cold starts of predictors where they run: on a cluster, in podman, as a bare process."""
