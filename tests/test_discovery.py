"""Discovery reads claims without running them, and says what it can't find."""

import subprocess
import sys

import pytest

from kexue import discovery
from kexue.discovery import DiscoveryError, UnknownName, claims_in_file, resolve

PAPER = '''
import kexue
from kexue import claim, erratum

raise SystemExit("this file must not be run")

@claim(mutants=[dict(a=2)], open="needs a lemma", needs=("torch",))
def Two_Sided(a=1):
    r"""$a \\le 1$ in a first paragraph
    of two lines.

    Details.
    """

@kexue.claim(mutants=[dict(a=2)])
def by_attribute(a=1):
    "One line."

if True:
    @erratum(printed=dict(a=2))
    def corrected(a=1):
        pass

def helper():
    return 1

@staticmethod
def not_a_claim():
    pass
'''


@pytest.fixture
def paper(tmp_path):
    path = tmp_path / "my_paper.py"
    path.write_text(PAPER, encoding="utf-8")
    return path


def test_claims_are_read_in_order_and_the_file_is_not_run(paper):
    first, second, third = claims_in_file(paper)
    assert [ref.id for ref in (first, second, third)] == [
        "my_paper/two-sided",
        "my_paper/by-attribute",
        "my_paper/corrected",
    ]
    assert (first.function, first.file, first.module, first.room) == ("Two_Sided", paper, None, None)
    assert PAPER.splitlines()[first.line - 1].startswith("def Two_Sided")
    assert first.title == r"$a \le 1$ in a first paragraph of two lines."
    assert (first.open, first.needs, first.erratum) == ("needs a lemma", ("torch",), False)
    assert (second.open, second.title, second.erratum) == (None, "One line.", False)
    assert third.erratum and third.title == ""


def test_two_claims_of_one_id_name_both_lines(tmp_path):
    path = tmp_path / "p.py"
    path.write_text("@claim()\ndef a_b(): ...\n\n@claim()\ndef A_B(): ...\n")
    with pytest.raises(DiscoveryError, match=r"'p/a-b'.*p\.py:2 and line 5"):
        claims_in_file(path)


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    @claim()\n    def f(): ...\n",
        "def g():\n    if 1:\n        @claim()\n        def f(): ...\n",
        "@claim()\nasync def f(): ...\n",
        "@claim()\nclass f: ...\n",
    ],
)
def test_a_claim_that_no_worker_could_reach_is_refused(tmp_path, source):
    path = tmp_path / "p.py"
    path.write_text(source)
    with pytest.raises(DiscoveryError, match="'f' must be a plain function at the top"):
        claims_in_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"x = (\n", r"p\.py:1"), (b"x = 1\x00", r"p\.py"), (b"\xff\xfe\xfa", r"p\.py"), (b"x = 1\n", "no function")],
)
def test_an_unreadable_or_empty_file_is_named(tmp_path, content, message):
    path = tmp_path / "p.py"
    path.write_bytes(content)
    with pytest.raises(DiscoveryError, match=message):
        resolve([str(path)])


def test_one_function_of_a_file(paper):
    assert [ref.function for ref in resolve([f"{paper}::by_attribute"])] == ["by_attribute"]
    with pytest.raises(UnknownName, match="by_attribute") as error:
        resolve([f"{paper}::by_atribute"])
    assert error.value.suggestions == ("by_attribute",)


def test_a_missing_file_names_its_neighbour(paper):
    with pytest.raises(UnknownName, match="no such file") as error:
        resolve([str(paper.with_name("my_papers.py"))])
    assert error.value.suggestions == (str(paper),)


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """A scratch pair of rooms: `rope` is a package in one and a file in the other."""
    files = {
        "derivations/rope/__init__.py": "@claim()\ndef isometry(): 'proof'\n",
        "derivations/rope/decay.py": "@claim()\ndef decay_bound(): ...\n",
        "derivations/lion.py": "@claim()\ndef sign(): ...\n",
        "derivations/_shared.py": "@claim()\ndef unseen(): ...\n",
        "numerics/rope.py": "@claim()\ndef isometry(): 'measurement'\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {room: tmp_path / room for room in discovery.ROOMS}
    monkeypatch.setattr(discovery, "rooms", lambda: found)
    return tmp_path


def test_a_room_has_files_and_packages_and_the_same_id_in_two_rooms_is_kept(rooms):
    refs = discovery.all_claims()
    assert [(ref.id, ref.room, ref.module) for ref in refs] == [
        ("lion/sign", "derivations", "kexue.derivations.lion"),
        ("rope/isometry", "derivations", "kexue.derivations.rope"),
        ("rope/decay-bound", "derivations", "kexue.derivations.rope.decay"),
        ("rope/isometry", "numerics", "kexue.numerics.rope"),
    ]
    assert resolve([]) == refs
    assert resolve(["rope"]) == refs[1:]
    assert [ref.room for ref in resolve(["rope/isometry"])] == ["derivations", "numerics"]


def test_targets_are_checked_once_each(rooms):
    assert [ref.id for ref in resolve(["lion", "lion/sign"])] == ["lion/sign"]


def test_a_path_into_a_room_is_the_article(rooms):
    assert resolve([str(rooms / "derivations" / "rope" / "decay.py")]) == resolve(["rope/decay-bound"])


def test_the_same_id_twice_in_one_room_names_both_files(rooms):
    (rooms / "derivations" / "rope" / "decay.py").write_text("\n@claim()\ndef isometry(): ...\n")
    with pytest.raises(DiscoveryError, match=r"rope/decay\.py:3"):
        resolve(["rope"])


@pytest.mark.parametrize(
    ("target", "nearest"),
    [("ropes", "rope"), ("lyon", "lion"), ("rope/isometri", "rope/isometry"), ("rop/decay-bound", "rope/decay-bound")],
)
def test_an_unknown_name_gives_the_nearest(rooms, target, nearest):
    with pytest.raises(UnknownName, match=target) as error:
        resolve([target])
    assert error.value.suggestions[0] == nearest
    assert nearest in str(error.value)


def test_what_the_registry_knows_but_no_code_has_says_so(rooms, monkeypatch):
    with pytest.raises(UnknownName, match="nothing is verified yet for 'hippo'"):
        resolve(["hippo"])
    monkeypatch.setattr(discovery.registry, "waiting", lambda i: "needs torch")
    with pytest.raises(UnknownName, match="nothing verifies 'rope/exp-form' yet: needs torch"):
        resolve(["rope/exp-form"])


def test_rooms_are_located_without_importing_them():
    code = (
        "import sys, kexue.discovery as d; d.all_claims(); "
        "heavy = {'sympy', 'numpy', 'torch', 'matplotlib', 'z3', 'flint', 'kexue.derivations', 'kexue.numerics'}; "
        "assert set(d.rooms()) == set(d.ROOMS), d.rooms(); "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
