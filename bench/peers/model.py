"""Train the one model of the comparison, and hand it to the others: `python -m bench.peers.model`."""

import subprocess
import sys
import tarfile
from pathlib import Path

from bench.peers.contenders import JOBLIB
from bench.peers.starting import Model
from bench.servers import ROOT, environment
from bench.training import train_sample


def make_model(folder: Path) -> Model:
    """Return a model of the bundled sample, trained into a folder."""
    store = folder / "store"
    train_sample(store, folder=folder)
    model = Model(store, folder / JOBLIB)
    # In a process of its own: scikit-learn's pages are not to be shared with the servers that are measured.
    command = [sys.executable, "-m", "bench.peers.model", str(model.artifact), str(model.joblib)]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    return model


def convert(artifact: Path, joblib_path: Path) -> None:
    """Write the pipeline of an artifact as joblib."""
    import joblib  # noqa: PLC0415  # see make_model
    import skops.io  # noqa: PLC0415

    with tarfile.open(artifact) as archive:
        member = archive.extractfile("pipeline.skops")
        if member is None:
            raise FileNotFoundError("pipeline.skops")
        joblib.dump(skops.io.loads(member.read()), joblib_path)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
