"""Golden files are made once, with the code of their version: pytest must not import the scripts that made them."""

collect_ignore_glob = ["v*/make.py"]
