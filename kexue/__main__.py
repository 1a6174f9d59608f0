"""`python -m kexue` is the command `kexue`."""

from kexue.cli import app

if __name__ == "__main__":
    app(prog_name="kexue")
