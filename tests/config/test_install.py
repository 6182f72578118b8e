"""The virtual environment: made once, taken up again when it is half-made."""

import shutil

import pytest

from config.launch import install


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An environment that `install` made out of a half-made one, and its requirements."""
    folder = tmp_path_factory.mktemp("install")
    requirements = folder / "requirements.txt"
    requirements.write_text("# nothing is needed\n")
    venv = folder / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (venv / "bin" / "python").chmod(0o755)
    assert not install.works(venv)
    assert install.main([str(venv), str(requirements)]) == 0
    return venv, requirements


@pytest.fixture
def files(made):
    """The requirements, put back as they were after the test."""
    text = made[1].read_text()
    yield [made[1]]
    made[1].write_text(text)


def test_a_half_made_environment_is_made_anew_and_works(made, files):
    assert install.works(made[0])
    assert install.is_current(made[0], files)


def test_a_second_call_does_nothing(made, capfd):
    assert install.main([str(made[0]), str(made[1])]) == 0
    assert capfd.readouterr().out == ""


def test_changed_requirements_are_noticed(made, files):
    files[0].write_text("# still nothing\n")
    assert not install.is_current(made[0], files)
    assert install.main(["--check", str(made[0]), str(files[0])]) == 1


def test_a_copied_environment_is_not_trusted(made, files, tmp_path):
    shutil.copy(made[0] / "installed.json", tmp_path)
    assert not install.is_current(tmp_path, files)


def test_a_failed_installation_says_what_to_do_and_is_not_noted(made, files, capfd):
    files[0].write_text("--no-index\nno-such-package-here==1.0\n")
    with pytest.raises(SystemExit, match="run the same command again"):
        install.main([str(made[0]), str(files[0])])
    assert not install.is_current(made[0], files)
    assert "no-such-package-here" in capfd.readouterr().err


def test_lines_that_name_packages_to_remove_are_read(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# uninstall: one two\nthree==3\n")
    assert install.unwanted([path]) == ["one", "two"]


def test_every_requirement_is_pinned_and_gives_its_reason():
    root = install.Path(install.__file__).parents[2]
    for path in root.glob("requirements*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        assert lines
        for line in lines:
            requirement, _, reason = line.partition("#")
            assert "==" in requirement, f"{path.name}: {line}"
            assert len(reason.strip()) > 5, f"{path.name}: {line}"
