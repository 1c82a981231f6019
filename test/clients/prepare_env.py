"""Makes, or finds ready, the virtual environment for one requirements file.

Usage: prepare_env.py ENV_DIR REQUIREMENTS. Prints nothing on success; the interpreter is then
ENV_DIR/bin/python. A kernel lock beside ENV_DIR makes test files that start at once take turns, and
goes away with its holder. The stamp is written last, so a half-made environment is never reused.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys


def stamp_of(requirements):
    """Changes with the requirements and with the Python that would run them."""
    with open(requirements, "rb") as file:
        return hashlib.sha256(file.read() + sys.version.encode()).hexdigest()


def is_ready(env_dir, stamp):
    try:
        with open(os.path.join(env_dir, "elanus.stamp")) as file:
            return file.read() == stamp and os.path.exists(os.path.join(env_dir, "bin", "python"))
    except FileNotFoundError:
        return False


def make(env_dir, requirements, stamp):
    shutil.rmtree(env_dir, ignore_errors=True)
    # stdout is silenced, stderr is the caller's to report.
    def run(*args):
        subprocess.run(args, check=True, stdout=subprocess.DEVNULL)

    run(sys.executable, "-m", "venv", env_dir)
    python = os.path.join(env_dir, "bin", "python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
        "-r", requirements)
    with open(os.path.join(env_dir, "elanus.stamp"), "w") as file:
        file.write(stamp)


def main():
    env_dir, requirements = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.makedirs(os.path.dirname(env_dir), exist_ok=True)
    with open(env_dir + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = stamp_of(requirements)
        if not is_ready(env_dir, stamp):
            try:
                make(env_dir, requirements, stamp)
            except subprocess.CalledProcessError as error:
                sys.exit("%s ended with %d" % (" ".join(error.cmd[1:4]), error.returncode))


if __name__ == "__main__":
    main()
