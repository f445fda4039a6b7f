"""moto's Step Functions, with a JSONata evaluator and with functions that live behind a URL.

Usage: python step_functions.py PORT FUNCTIONS_URL SECOND

As shipped, moto's engine has no evaluator for JSONata and runs functions in containers. Here jsonata-python
evaluates, and a function is called by `POST FUNCTIONS_URL/<function name>` with the payload as the body and the ARN of
the execution in the header `x-execution`. The answer is 200 with the result, 500 with the error as Lambda reports it
(errorType, errorMessage), or 404.

SECOND is how long a second of waiting takes, in seconds: waits and retries are shortened by it, time limits are not.

Listens on 127.0.0.1:PORT, says so, and runs until it is ended.
"""

import datetime
import json
import sys
import time
import types
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3
from botocore.exceptions import ClientError
from jsonata import Jsonata
from moto import server
from moto.core.config import default_user_config
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.string import string_expression
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
    state_task_service_sfn,
)
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval import states, variable_store
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.asl.jsonata import validations
from moto.stepfunctions.responses import StepFunctionResponse

port, functions_url, second = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
itself = boto3.client(
    "stepfunctions",
    region_name="us-east-1",
    endpoint_url=f"http://127.0.0.1:{port}",
    aws_access_key_id="local",
    aws_secret_access_key="local",
)


# What moto does not have.


def evaluate(expression):
    """The value of a JSONata expression as plain JSON. None is null and nothing: moto asks again which it is."""
    return json.loads(json.dumps(Jsonata(expression).evaluate(None)))


def declare(bindings):
    """Variables as JSONata assignments. JSON text is JSONata; moto leaves what is in strings as it is."""
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


def invoke(env, parameters, region, state_credentials):
    """Calls a function and leaves what Lambda would answer on the stack of the execution."""
    request = urllib.request.Request(
        f"{functions_url}/{urllib.parse.quote(parameters['FunctionName'])}",
        data=parameters.get("Payload", b"{}"),
        headers={"x-execution": env.states.context_object.context_object_data["Execution"]["Id"]},
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
        return itself.start_execution(**{name[0].lower() + name[1:]: value for name, value in parameters.items()})

    def describe_execution(self, **parameters):
        return itself.describe_execution(**parameters)


def capitalise(task, response, **_):
    """Names the parts of an answer as machines see them; what executions were given and gave stays as it is."""
    for name, value in list(response.items()):
        if name in ("inputDetails", "outputDetails"):
            capitalise(task, value)
        response[name[0].upper() + name[1:]] = response.pop(name)


string_expression.eval_jsonata_expression = validations.eval_jsonata_expression = evaluate
states.encode_jsonata_variable_declarations = variable_store.encode_jsonata_variable_declarations = declare
lambda_eval_utils.execute_lambda_function_integration = invoke
state_task_service_sfn.boto_client_for = lambda **_: NestedExecutions()
state_task_service_sfn.StateTaskServiceSfn._normalise_response = capitalise


# What moto loses, where our state machines can tell.


def error_of_iteration(error_name):
    """An error of an iteration may be one of the language, for which moto has a class of its own."""
    is_of_language = (error_name or "").startswith("States.")
    return StatesErrorName.from_name(error_name) if is_of_language else CustomErrorName(error_name)


def set_error(self, error):
    """An execution that was stopped stays so when its last task then fails."""
    if not isinstance(self.program_state(), ProgramStopped):
        moto_set_error(self, error)


def stop_execution(self):
    """With the error and the cause."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    execution.error, execution.cause = self._get_param("error"), self._get_param("cause")
    stop_date = datetime.datetime.now(datetime.timezone.utc)
    execution.stop(stop_date, execution.error, execution.cause)
    return ActionResult({"stopDate": stop_date})


def send_task_failure(self):
    """With the cause."""
    token, error, cause = (self._get_param(name) for name in ("taskToken", "error", "cause"))
    self.stepfunction_backend.send_task_failure(token, error, cause)
    return EmptyResult()


moto_set_error = Environment.set_error
Environment.set_error = set_error
iteration_worker.CustomErrorName = error_of_iteration
StepFunctionResponse.stop_execution = stop_execution
StepFunctionResponse.send_task_failure = send_task_failure


# Time, and tokens that can be told from other text.


def wait(self, env, wait_seconds):
    env.program_state_event.wait(max(wait_seconds, 0) * second)


WaitFunction._wait_interval = wait
retrier_decl.time = types.SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * second))
state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = 0.05
states.long_uid = lambda: f"task-token-{uuid.uuid4()}"

default_user_config["stepfunctions"]["execute_state_machine"] = True
server.main(["--host", "127.0.0.1", "--port", str(port)])
