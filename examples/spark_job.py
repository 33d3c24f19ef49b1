"""Run a segserve command by spark-submit, EMR or SageMaker's PySparkProcessor: docs/spark.md."""

import sys

from service.cli import run

sys.exit(run(sys.argv[1:]))
