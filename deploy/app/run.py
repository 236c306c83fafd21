# Makes the app's tables, then serves it: run.py [ADDRESS:PORT]
import sys

import settings_app  # noqa: F401
from django.core.management import execute_from_command_line

execute_from_command_line(["run.py", "migrate", "--verbosity", "0"])
execute_from_command_line(["run.py", "runserver", "--noreload", "--insecure", sys.argv[1] if len(sys.argv) > 1 else "0.0.0.0:8000"])
