"""The troubleshooting guide quotes errors that the code raises, the navigation is complete, and notebooks run."""

import re
from pathlib import Path

import pytest

import lucid
import lucid.nn.functional as F
from lucid import data, nn

ROOT = Path(__file__).parents[1]
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ERRORS = re.findall(
    r"^```\{ \.python \.raises \}\n(.*?)^```\n\n    (.*?)\n\n", TROUBLESHOOTING, re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(("code", "message"), ERRORS, ids=[message.split(":")[0] for _, message in ERRORS])
def test_the_code_raises_the_message(code, message, tmp_path):
    script = tmp_path / "script.py"  # errors of compiled functions quote the line
    script.write_text(code, encoding="utf-8")
    names = {"lucid": lucid, "F": F, "data": data, "nn": nn}
    with pytest.raises(Exception, match=re.escape(message)):
        exec(compile(code, script, "exec"), names)  # noqa: S102


def test_every_error_is_tested():
    assert len(ERRORS) == TROUBLESHOOTING.count(".raises }") > 10


def test_every_guide_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    guides = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"[\w-]+\.md", navigation)) == guides
