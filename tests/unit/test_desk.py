"""What a worker process writes while it works goes with it, killed or not; a living one's stays."""

import subprocess
import sys

from worker.desk import Desk

SITTING = """
import sys, pathlib
from worker.desk import Desk
desk = Desk(pathlib.Path(sys.argv[1]))
(desk.folder / "raster.tif").write_bytes(bytes(1000))
print(desk.folder.name, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_is_cleared_away_and_a_living_one_is_not(tmp_path):
    command = [sys.executable, "-c", SITTING, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as killed, subprocess.Popen(command, **pipes) as living:
        left, kept = (tmp_path / process.stdout.readline().strip() for process in (killed, living))
        killed.kill()
        killed.wait()
        assert left.exists()
        mine = Desk(tmp_path)
        assert not left.exists()
        assert (kept / "raster.tif").exists()
        assert {path.name for path in tmp_path.iterdir()} == {kept.name, mine.folder.name}
