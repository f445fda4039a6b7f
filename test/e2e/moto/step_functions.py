"""moto's Step Functions, with a JSONata evaluator and with functions that live behind an HTTP URL.

Usage: python step_functions.py PORT FUNCTIONS_URL DELAY

As shipped, moto's engine has no evaluator for JSONata and runs functions in containers. Here jsonata-python
evaluates, and a function is called by `POST FUNCTIONS_URL/<function name>` with the payload as the body and the ARN of
the execution in the header `x-execution`. The answer is 200 with the result, 500 with the error as Lambda
reports it (errorType, errorMessage), or 404.

DELAY is how long a second of waiting takes, in seconds: waits and retries are shortened by it, time limits are not.
"""

import datetime
import json
import os
import sys
import threading
import time
import types
import urllib.error
import urllib.parse
import urllib.request
import uuid

port, functions_url, delay = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
os.environ["MOTO_PORT"] = str(port)

import boto3  # noqa: E402  moto reads its settings when it is imported
from botocore.exceptions import ClientError  # noqa: E402
from jsonata import Jsonata  # noqa: E402
from moto.core.config import default_user_config  # noqa: E402
from moto.core.responses import ActionResult, EmptyResult  # noqa: E402
from moto.moto_server.threaded_moto_server import ThreadedMotoServer  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.string import string_expression  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (  # noqa: E402
    state_task_service_callback,
    state_task_service_sfn,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction  # noqa: E402
from moto.stepfunctions.parser.asl.eval import states, variable_store  # noqa: E402
from moto.stepfunctions.parser.asl.eval.environment import Environment  # noqa: E402
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped  # noqa: E402
from moto.stepfunctions.parser.asl.jsonata import validations  # noqa: E402
from moto.stepfunctions.responses import StepFunctionResponse  # noqa: E402


def evaluate(expression):
    """The value as plain JSON: what is null and what is undefined is both None."""
    return json.loads(json.dumps(Jsonata(expression).evaluate(None)))


def declare(bindings):
    """Variables as JSONata assignments; JSON text is JSONata, for strings too."""
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def invoke(env, parameters, region, state_credentials):
    """Calls a function and leaves what Lambda would answer on the stack of the execution."""
    execution = env.states.context_object.context_object_data["Execution"]["Id"]
    request = urllib.request.Request(
        f"{functions_url}/{urllib.parse.quote(parameters['FunctionName'])}",
        data=parameters.get("Payload", b"{}"),
        headers={"x-execution": execution},
    )
    try:
        with no_proxy.open(request) as response:
            env.stack.append({"ExecutedVersion": "$LATEST", "Payload": json.load(response), "StatusCode": 200})
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise lambda_eval_utils.LambdaFunctionErrorException("Unhandled", error.read().decode()) from None
        missing = {"Code": "ResourceNotFoundException", "Message": "Function not found"}
        metadata = {"HTTPStatusCode": 404, "RequestId": "none"}
        raise ClientError({"Error": missing, "ResponseMetadata": metadata}, "Invoke") from None


class NestedExecutions:
    """What a task that starts executions calls. Machines name parameters with a capital, boto does not."""

    def start_execution(self, **parameters):
        return boto_client.start_execution(**{name[0].lower() + name[1:]: value for name, value in parameters.items()})

    def describe_execution(self, **parameters):
        return boto_client.describe_execution(**parameters)


def capitalise(_, response, **__):
    """Names the parts of an answer as machines see them; what executions were given and gave stays as it is."""
    for name, value in list(response.items()):
        if name in ("inputDetails", "outputDetails"):
            capitalise(_, value)
        response[name[0].upper() + name[1:]] = response.pop(name)


def error_name(error_name):
    """An error of an iteration may be one of the language: moto has a class of its own for those."""
    is_of_language = (error_name or "").startswith("States.")
    return StatesErrorName.from_name(error_name) if is_of_language else CustomErrorName(error_name)


def stop_execution(self):
    """As moto's, which forgets the error and the cause."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    execution.error, execution.cause = self._get_param("error"), self._get_param("cause")
    stop_date = datetime.datetime.now(datetime.timezone.utc)
    execution.stop(stop_date, execution.error, execution.cause)
    return ActionResult({"stopDate": stop_date})


def set_error(self, error):
    """As moto's, which forgets that an execution was stopped when its last task then fails."""
    if not isinstance(self.program_state(), ProgramStopped):
        moto_set_error(self, error)


def send_task_failure(self):
    """As moto's, which forgets the cause."""
    token, error, cause = (self._get_param(name) for name in ("taskToken", "error", "cause"))
    self.stepfunction_backend.send_task_failure(token, error, cause)
    return EmptyResult()


def shortened_wait(self, env, wait_seconds):
    env.program_state_event.wait(max(wait_seconds, 0) * delay)


moto_set_error = Environment.set_error
no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
boto_client = boto3.client(
    "stepfunctions",
    region_name="us-east-1",
    endpoint_url=f"http://127.0.0.1:{port}",
    aws_access_key_id="local",
    aws_secret_access_key="local",
)

for module in (string_expression, validations):
    module.eval_jsonata_expression = evaluate
for module in (states, variable_store):
    module.encode_jsonata_variable_declarations = declare
lambda_eval_utils.execute_lambda_function_integration = invoke
state_task_service_sfn.boto_client_for = lambda **_: NestedExecutions()
state_task_service_sfn.StateTaskServiceSfn._normalise_response = capitalise
state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = 0.05
retrier_decl.time = types.SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * delay))
WaitFunction._wait_interval = shortened_wait
states.long_uid = lambda: f"task-token-{uuid.uuid4()}"
iteration_worker.CustomErrorName = error_name
Environment.set_error = set_error
StepFunctionResponse.stop_execution = stop_execution
StepFunctionResponse.send_task_failure = send_task_failure
default_user_config["stepfunctions"]["execute_state_machine"] = True

ThreadedMotoServer("127.0.0.1", port, verbose=False).start()
print("ready", flush=True)
threading.Event().wait()
