"""GTO in a git repository of its own: a version registered and a stage assigned to it, each an annotated tag."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import gto.api
from serving import command, each, installed, listed, serve, storm

HERE = sys.argv[1]
WHO = "bench <bench@example.org> 1767323045 +0000"
AUTHOR = {"author": "bench", "author_email": "bench@example.org"}


def _git(*words, given=None):
    """Run git, and return the lines that it prints."""
    done = subprocess.run(["git", *words], cwd=HERE, check=True, capture_output=True, input=given, text=True)
    return done.stdout.split()


def _commit(count, tagged=False):
    """Make commits, of which GTO lets each have one version; with *tagged* those versions too. Return their hashes."""
    if not os.path.isdir(os.path.join(HERE, ".git")):
        _git("init", "--quiet", "--initial-branch=main")
    known = set(_git("rev-list", "--all"))
    commits = [f"commit refs/heads/main\nmark :{n}\ncommitter {WHO}\ndata 1\nx" for n in range(1, count + 1)]
    if known:
        commits[0] += "\nfrom refs/heads/main^0"
    tags = [f"tag detector@v0.0.{n}\nfrom :{n}\ntagger {WHO}\ndata 1\nx" for n in range(1, count + 1)]
    tags.append(f"tag detector#production#1\nfrom :{count}\ntagger {WHO}\ndata 1\nx")
    _git("fast-import", "--quiet", given="\n".join(commits + tags if tagged else commits) + "\n")
    return [commit for commit in _git("rev-list", "--reverse", "--all") if commit not in known]


def prepare(models):
    """Make the repository and its tags by git itself, which is quicker, and pack them as git does after a while."""
    _commit(models, tagged=True)
    _git("pack-refs", "--all")


def _register(commit):
    """Take the version from GTO, as a user does who asks for the next one."""
    gto.api.register(HERE, "detector", commit, **AUTHOR)
    gto.api.assign(HERE, "detector", "production", ref=commit, **AUTHOR)


def register(count):
    """Register and activate; the commits are there before."""
    commits = _commit(count)
    return {"seconds": each(count, lambda number: _register(commits[number]))}


def list_all(count):
    """List all in process."""
    return listed(count, lambda _: gto.api.show(HERE, "detector"))


def cold():
    """Return the command of a cold list, and its environment."""
    return command(installed("gto"), "show", "--repo", HERE, "detector")


def storm_of_processes(processes, count, seconds_max):
    """Let processes register at once."""
    commits = _commit(processes * count)

    def open_writer(number):
        own = iter(commits[number::processes])
        return lambda: _register(next(own))

    return storm(processes, count, seconds_max, open_writer)


if __name__ == "__main__":
    serve(prepare, register, list_all, cold, storm_of_processes, versions=lambda: {"gto": version("gto")})
