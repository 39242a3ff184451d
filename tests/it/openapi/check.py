"""Validates an OpenAPI document, generates a Python client from it, compiles the client and loads every module of it.

usage: check.py DOCUMENT FOLDER      ends with 1 and says why when one of the steps fails
"""

import compileall
import importlib
import json
import pathlib
import pkgutil
import shutil
import subprocess
import sys

from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing.exceptions import Unresolvable

# Bodies that are neither JSON nor a form; the generator is told to treat them as bytes and text.
CONFIG = {
    "post_hooks": [],
    "content_type_overrides": {"text/csv": "application/octet-stream", "application/x-ndjson": "text/plain"},
}


def main(document, folder):
    spec = json.loads(document.read_text())
    if not is_valid(spec):
        return 1
    client = folder / "generated_client"
    shutil.rmtree(client, ignore_errors=True)
    config = folder / "config.json"
    config.write_text(json.dumps(CONFIG))
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"]
    files = ["--path", str(document), "--config", str(config), "--output-path", str(client)]
    if subprocess.run(generator + files).returncode != 0:
        print("no client can be generated without losing something")
        return 1
    if not compileall.compile_dir(client, quiet=1):
        print("the generated client does not compile")
        return 1
    sys.path.insert(0, str(folder))
    package = importlib.import_module(client.name)
    modules = [found.name for found in pkgutil.walk_packages(package.__path__, client.name + ".")]
    for name in modules:
        importlib.import_module(name)
    print(f"{len(modules)} modules loaded")
    return 0


def is_valid(spec):
    try:
        faults = list(OpenAPIV31SpecValidator(spec).iter_errors())
    except Unresolvable as lost:
        print(f"the document is not valid: {lost.ref} leads nowhere")
        return False
    for fault in faults:
        where = "/".join(str(part) for part in fault.absolute_path)
        print(f"the document is not valid: {where}: {fault.message[:300]}")
    return not faults


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
