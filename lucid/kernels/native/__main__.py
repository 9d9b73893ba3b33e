"""``python -m lucid.kernels.native`` compiles the kernels unless that is done already, and says which ones will run."""

from lucid.kernels import native

if __name__ == "__main__":
    print(f"lucid: native CPU kernels {native.status()}")
