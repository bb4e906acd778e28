"""The examples and the demo run as a user runs them."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(script, *arguments, cwd):
    return subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=cwd,
        # One thread, as the tests: several processes share the cores.
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", sorted(EXAMPLES.glob("plot_*.py")), ids=lambda p: p.stem
)
def test_example(script, tmp_path):
    result = run(script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_readme(tmp_path):
    blocks = (EXAMPLES.parent / "README.rst").read_text().split(".. code-block:: ")
    code, printed = (
        textwrap.dedent(block.partition("\n\n")[2].partition("\n\nIt prints")[0])
        for block in blocks[1:3]
    )
    script = tmp_path / "readme.py"
    script.write_text(code)
    result = run(script, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    # Other versions of torch give other digits, but close to the printed ones.
    number = re.compile(r"\d\.\d{3}")
    got = [float(value) for value in number.findall(result.stdout)]
    expected = [float(value) for value in number.findall(printed)[: len(got)]]
    assert len(got) == 4
    assert got == pytest.approx(expected, abs=0.03)


@pytest.mark.slow
def test_demo(tmp_path):
    result = run(
        EXAMPLES / "demo.py", "--repeats", "1", "--max-epochs", "1", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "EOD" in result.stdout
    assert "training on synthetic" in result.stderr  # the progress bar
    assert (tmp_path / "demo_output" / "pareto_synthetic.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.real_data
def test_faces(tmp_path):
    data = Path(os.environ.get("FAIRTASK_DATA", ""))
    weights = data.parent / "weights" / "tf_efficientnet_lite0.safetensors"
    if not (data / "fairface" / "labels.csv").is_file() or not weights.is_file():
        pytest.skip("FAIRTASK_DATA has no fairface, or there are no weights beside it")
    result = run(
        EXAMPLES / "faces.py",
        *["--weights", str(weights), "--n-train", "200", "--n-test", "200"],
        *["--image-size", "64"],
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "lam=0.2: accuracy" in result.stdout
    for name in ("gender", "race"):
        assert (tmp_path / "faces_output" / f"{name}.png").stat().st_size > 50_000
