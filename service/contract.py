"""State the numbers and names of the SageMaker container contract, each with its source.

Clause ids (C1, C2, ...) are those of docs/contract.md.
"""

from typing import Final

DEFAULT_PORT: Final = 8080
"""C6. Source: AWS guide, "Custom Inference Code with Hosting Services"."""

BIND_TO_PORT: Final = "SAGEMAKER_BIND_TO_PORT"
"""C7: listen here instead of 8080. Source: AWS guide, "Create an inference pipeline"."""

MODEL_DIR: Final = "model"
"""C34: the unpacked, read-only model artifact, below the prefix. Source: as C6."""

MODELS_DIR: Final = "models"
"""C68: the unpacked models of a multi-model endpoint, below the prefix. Source: AWS guide, "Build Your Own
Container for SageMaker AI Multi-Model Endpoints"."""

MULTI_MODEL: Final = "SAGEMAKER_MULTI_MODEL"
"""C68: true where models are loaded and unloaded at run time. Source: as MODELS_DIR."""

MODELS_PATH: Final = "/models"
"""C69. Source: AWS guide, "Custom Containers Contract for Multi-Model Endpoints"."""

PREFIX: Final = "/opt/ml"
"""C34, C74: the tree that belongs to SageMaker."""

PING_PATH: Final = "/ping"
"""C13: health check. Source: as C6."""

INVOCATIONS_PATH: Final = "/invocations"
"""C21: inference. Source: as C6."""

EXECUTION_PARAMETERS_PATH: Final = "/execution-parameters"
"""C48. Source: AWS guide, "Custom Inference Code with Batch Transform"."""

ENDPOINTS_PATH: Final = "/endpoints"
"""C101: the AWS runtime API, which SageMaker itself answers in front of containers. Source:
API_runtime_InvokeEndpoint."""

INVOCATION_TIMEOUT_S: Final = 60
"""C26: SageMaker gives up on a real-time answer after this. Source: API_runtime_InvokeEndpoint."""

STOP_GRACE_S: Final = 30
"""C4: from SIGTERM to SIGKILL. Source: as C6."""

MAX_PAYLOAD_MB: Final = 25
"""C27: the larger of the documented limits in real time. Source: AWS guide, "Model Hosting FAQs"."""

BATCH_PAYLOAD_BUDGET_MB: Final = 100
"""C50: MaxConcurrentTransforms * MaxPayloadInMB stays within this. Source: API_CreateTransformJob."""

BATCH_DEFAULT_PAYLOAD_MB: Final = 6
"""C48: what SageMaker itself takes when nobody says. Source: API_CreateTransformJob."""

BATCH_STRATEGIES: Final = ("MULTI_RECORD", "SINGLE_RECORD", "MultiRecord", "SingleRecord")
"""C49: the documented spelling, and the one of the SDK's local mode."""

MAX_ERROR_BYTES: Final = 2048
"""C28: OriginalMessage of a ModelError holds no more. Source: API_runtime_InvokeEndpoint."""

MAX_ASYNC_INLINE_BYTES: Final = 128_000
"""C110: the largest payload in an asynchronous request itself. Source: API_runtime_InvokeEndpointAsync."""

ASYNC_TIMEOUT_S: Final = 900
"""C63, C110: of an asynchronous invocation whose caller names none. Source: as MAX_ASYNC_INLINE_BYTES."""

MAX_CUSTOM_ATTRIBUTES: Final = 1024
"""C29: visible US-ASCII characters. Source: API_runtime_InvokeEndpoint."""

CUSTOM_ATTRIBUTES_HEADER: Final = "X-Amzn-SageMaker-Custom-Attributes"
"""C29: reaches the container verbatim, and the caller only if the container sets it."""

INFERENCE_ID_HEADER: Final = "X-Amzn-SageMaker-Inference-Id"
"""C30: the caller's own id of an invocation."""
