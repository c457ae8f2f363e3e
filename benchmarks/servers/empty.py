"""KServe's model server with a model that does nothing: the least that any of its servers costs."""

from __future__ import annotations

import argparse

from kserve import Model, ModelServer, model_server


class Empty(Model):
    """A model that is ready at once and answers nothing."""

    def load(self) -> bool:
        self.ready = True
        return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    arguments, _ = parser.parse_known_args()
    model = Empty(arguments.model_name)
    model.load()
    ModelServer().start([model])
