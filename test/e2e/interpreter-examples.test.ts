import { inject } from 'vitest'
import { interpreterEngine } from '../contracts/machine-engine.ts'
import { machinesContract } from '../contracts/machines.contract.ts'
import { MotoEngine } from './moto/step-functions.ts'

/** Where moto departs from the Amazon States Language or AWS's documentation, and our interpreter does not. */
const known = {
  'Output and Assign see the variables from before': 'moto evaluates Assign first, and Output sees what it assigned',
  'a choice without a match fails': 'moto reports States.Runtime in place of States.NoChoiceMatched',
  'a condition that is no boolean fails': 'moto reports States.Runtime',
  'Wait for half a second fails': 'moto cuts off the fraction',
  'an expression that fails in Output can be caught': 'moto evaluates Output after Catch',
  'an expression that fails in a catcher fails the execution': 'moto has $states.result in a catcher',
  'an execution that takes too long times out': 'moto ends it as TIMED_OUT without an error name',
  'a result that is too large is not taken by States.ALL': 'moto lets States.ALL take terminal errors',
  'arguments that are not right are no error that can be caught': 'moto lets States.ALL take terminal errors',
  'a nested execution may give text': 'moto describes text as output without its quotes, and then cannot read it',
  'a retried task that waits for a token gets another one': 'moto gives the old token, with its old answer',
  'a token may be answered before the function returns': 'moto records the answer of the function, too',
  'a task without a heartbeat fails': 'moto reports States.Timeout in place of States.HeartbeatTimeout',
  'States.Timeout takes a missed heartbeat': 'moto reports States.Timeout in place of States.HeartbeatTimeout',
  'a token is good for one answer': 'moto takes a failure for a task that has ended, and forgets it',
}

machinesContract("moto's engine, and our interpreter does the same", {
  setup: () => MotoEngine.start({ python: inject('python') }),
  like: async () => interpreterEngine(),
  known,
})
