"""Frozen graphs: what is read, what is refused, and what comes out."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom.errors import ModelError, ModelOutputError
from greenroom.segmenters.runtimes import archives, load_runtime
from greenroom.segmenters.runtimes.archives import read_graph
from greenroom.segmenters.runtimes.operations import ALLOWED

if TYPE_CHECKING:
    from pathlib import Path

    from segmenters.conftest import MakeGraph, SharedModel

GRAPH = "deeplab/frozen_inference_graph.pb"


def make_tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> Path:
    """Write an archive."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    """Make a member that is a symbolic link."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


class TestArchives:
    """Graphs inside archives."""

    @pytest.mark.parametrize(
        ("name", "mode"), [("a.tar.gz", "w:gz"), ("a.TGZ", "w:gz"), ("a.tar.gz", "w")]
    )
    def test_release(self, name: str, mode: str, tmp_path: Path) -> None:
        """The graph is found among what else a release holds, and nothing is unpacked."""
        members: dict[str, bytes | tarfile.TarInfo] = {
            "deeplab/model.ckpt.index": b"weights",
            "deeplab/._frozen_inference_graph.pb": b"of macOS",
            "deeplab/frozen_inference_graph.txt": b"text",
            GRAPH: b"the graph",
        }
        path = make_tar(tmp_path / name, members, mode)
        assert read_graph(path) == b"the graph"
        assert read_graph(path, "index") == b"weights"
        assert list(tmp_path.iterdir()) == [path]

    def test_plain(self, tmp_path: Path) -> None:
        """A file that is no archive is the graph."""
        path = tmp_path / "graph.pb"
        path.write_bytes(b"the graph")
        assert read_graph(path) == b"the graph"

    @pytest.mark.parametrize("name", ["../x.pb", "a/../../x.pb", "/etc/x.pb", "..\\x.pb"])
    def test_names_that_lead_out(self, name: str, tmp_path: Path) -> None:
        """An archive with such a name is refused, wherever its graph is."""
        path = make_tar(tmp_path / "a.tar.gz", {name: b"", GRAPH: b"the graph"})
        with pytest.raises(ModelError, match="leads out of its folder"):
            read_graph(path)

    @pytest.mark.parametrize(
        "members", [{}, {"deeplab/model.ckpt": b"weights"}, {GRAPH: link(GRAPH, "/etc/passwd")}]
    )
    def test_without_a_graph(
        self, members: dict[str, bytes | tarfile.TarInfo], tmp_path: Path
    ) -> None:
        """It is said what was looked for; a link is no graph."""
        path = make_tar(tmp_path / "a.tar.gz", members)
        with pytest.raises(ModelError, match=r"no file whose name ends in 'frozen_inference_gr"):
            read_graph(path)

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sizes are looked at before anything is read."""
        path = make_tar(tmp_path / "a.tar.gz", {"one": bytes(600), "two": bytes(600), GRAPH: b"x"})
        monkeypatch.setattr(archives, "_MAX_TOTAL_BYTES", 1000)
        with pytest.raises(ModelError, match="far more than a model"):
            read_graph(path)
        monkeypatch.setattr(archives, "_MAX_TOTAL_BYTES", 10**6)
        monkeypatch.setattr(archives, "_MAX_MEMBERS", 2)
        with pytest.raises(ModelError, match="far more than a model"):
            read_graph(path)
        monkeypatch.setattr(archives, "_MAX_GRAPH_BYTES", 100)
        large = make_tar(tmp_path / "b.tar.gz", {GRAPH: bytes(101)})
        with pytest.raises(ModelError, match="more than 100 bytes"):
            read_graph(large)
        plain = tmp_path / "graph.pb"
        plain.write_bytes(bytes(101))
        with pytest.raises(ModelError, match="more than 100 bytes"):
            read_graph(plain)

    @pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.95])
    def test_cut_off(self, share: float, tmp_path: Path, rng: np.random.Generator) -> None:
        """Part of an archive is none."""
        path = make_tar(tmp_path / "a.tar.gz", {GRAPH: rng.bytes(50_000)})
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ModelError, match=r"a\.tar\.gz' cannot be used: it "):
            read_graph(path)

    @pytest.mark.parametrize(
        "data", [b"no archive at all", gzip.compress(b"no archive inside", mtime=0)]
    )
    def test_other_files(self, data: bytes, tmp_path: Path) -> None:
        """A file that is an archive by name only is reported."""
        path = tmp_path / "a.tar.gz"
        path.write_bytes(data)
        with pytest.raises(ModelError, match="no tar archive"):
            read_graph(path)


class TestOperations:
    """Allowed operations."""

    def test_nothing_but_computing(self) -> None:
        """Nothing that reads, writes, connects, or runs something else is allowed."""
        harmful = (
            "ReadFile WriteFile MatchingFiles PyFunc PyFuncStateless EagerPyFunc ImmutableConst "
            "DebugIdentity DebugIdentityV2 SaveV2 RestoreV2 Print PrintV2 WholeFileReaderV2 "
            "TFRecordDataset LoadDataset XlaCallModule RemoteCall HostConst CollectiveBcastSend "
            "_Send _Recv RpcCall InitializeTableFromTextFileV2 FileSystemSetConfiguration"
        )
        assert not ALLOWED & set(harmful.split())

    def test_are_known(self) -> None:
        """TensorFlow has every operation that is allowed, so that no name is misspelled."""
        reason = "TensorFlow is too large for the extra dev"
        pytest.importorskip("tensorflow", reason=reason)
        from tensorflow.python.framework import op_def_registry  # noqa: PLC0415 - not always there

        assert [name for name in sorted(ALLOWED) if op_def_registry.get(name) is None] == []

    @pytest.mark.parametrize("where", ["graph", "function"])
    def test_refused(self, where: str, frozen_graph: MakeGraph, tmp_path: Path) -> None:
        """A graph that writes a file is not run, also if only a function of it does."""
        target = tmp_path / "written"

        def build(tf: Any) -> None:
            picture = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], "ImageTensor")

            def write() -> Any:
                with tf.control_dependencies([tf.io.write_file(str(target), "x")]):
                    return tf.identity(picture[..., :1])

            out = tf.function(write)() if where == "function" else write()
            tf.identity(out, "SemanticPredictions")

        path = frozen_graph(build)
        with pytest.raises(ModelError, match="not run: its graph uses WriteFile"):
            load_runtime("tensorflow", path)
        assert not target.exists()

    def test_python(self, frozen_graph: MakeGraph) -> None:
        """A graph that calls Python is not run."""

        def build(tf: Any) -> None:
            picture = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], "ImageTensor")
            tf.numpy_function(lambda x: x, [picture], tf.float32, name="SemanticPredictions")

        with pytest.raises(ModelError, match="uses PyFunc"):
            load_runtime("tensorflow", frozen_graph(build))


class TestGraphs:
    """Running."""

    def test_out_of_an_archive(self, frozen_graph: MakeGraph, tmp_path: Path) -> None:
        """A release works as the graph itself does."""
        graph = frozen_graph()
        path = make_tar(tmp_path / "deeplab_model.tar.gz", {GRAPH: graph.read_bytes()})
        runtime = load_runtime("tensorflow", path, outputs=["SemanticPredictions:0"])
        (output,) = runtime.run("ImageTensor:0", (1, 2, 3, 3), lambda x: x.fill(0.25), {}).values()
        assert output.shape == (1, 2, 3, 1)
        assert (output == 0.25).all()
        runtime.close()

    def test_missing_tensor(self, frozen_graph: MakeGraph) -> None:
        """A graph without the expected tensor is answered with what it ends in."""
        with pytest.raises(ModelError, match=r"no tensor 'alpha:0': it ends in SemanticPred"):
            load_runtime("tensorflow", frozen_graph(), outputs=["alpha:0"])

    def test_that_fails(self, frozen_graph: MakeGraph) -> None:
        """TensorFlow's errors while running become one sentence."""

        def build(tf: Any) -> None:
            picture = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3], "ImageTensor")
            tf.reshape(picture, [5, 5], "SemanticPredictions")

        runtime = load_runtime("tensorflow", frozen_graph(build))
        with pytest.raises(ModelOutputError, match=r"graph\.pb' failed: ") as error:
            runtime.run("ImageTensor:0", (1, 2, 3, 3), lambda x: x.fill(0), {})
        assert "\n" not in str(error.value)
        runtime.close()

    @pytest.mark.usefixtures("frozen_graph")  # which skips without TensorFlow
    def test_deeplab(self, shared_model: SharedModel) -> None:
        """An export of DeepLab takes uint8 of any size and answers with labels."""
        path = shared_model("deeplab_dm05_person_frozen_inference_graph.pb")
        runtime = load_runtime("tensorflow", path, outputs=["SemanticPredictions:0"])
        (given,) = runtime.inputs
        assert (given.name, given.shape) == ("ImageTensor:0", (1, None, None, 3))
        assert given.dtype.name == "uint8"
        for size in ((289, 513), (513, 385)):
            fill = np.zeros((1, *size, 3), np.uint8)
            (output,) = runtime.run(given.name, fill.shape, lambda x: x.fill(0), {}).values()
            assert output.shape == (1, *size)
            assert output.dtype.kind == "i"
        runtime.close()
