import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { nextStateSchema } from '../../../functions/lib/rollout/next-state.ts'

interface Task {
  Type: string
  Resource?: string
  TimeoutSeconds?: number
  Retry?: { ErrorEquals: string[]; MaxAttempts?: number }[]
  Catch?: { ErrorEquals: string[]; Next: string }[]
  Choices?: { Condition: string; Next: string }[]
  Default?: string
  Next?: string
  ItemProcessor?: { States: Record<string, Task> }
}

const read = (name: string): { States: Record<string, Task> } =>
  JSON.parse(readFileSync(new URL(`../../../statemachines/${name}.asl.json`, import.meta.url), 'utf8'))

/** All states of a machine, those in its Maps included. */
function statesOf({ States }: { States: Record<string, Task> }): [string, Task][] {
  return Object.entries(States).flatMap(([name, state]) => [
    [name, state],
    ...(state.ItemProcessor ? statesOf(state.ItemProcessor) : []),
  ])
}

const rollout = read('rollout').States
const tasks = Object.entries(rollout).filter(([, state]) => state.Type === 'Task')

/** Errors that can pass; everything else would fail the same way again. */
const passing = new Set([
  ...[
    'ClaimBusy',
    'UnlockUnderWay',
    'ClusterUnavailable',
    'ClusterThrottled',
    'ClusterConflict',
    'LedgerUnavailable',
    'RolloutMoved',
  ],
  ...['AskedMeanwhile', 'ApproversUnavailable', 'TaskTokensUnavailable'],
  ...['Lambda.Unknown', 'Sandbox.Timedout', 'Runtime.ExitError'],
  ...['States.Timeout', 'Lambda.ServiceException', 'Lambda.AWSLambdaException', 'Lambda.SdkClientException'],
  ...['Lambda.ClientExecutionTimeoutException', 'Lambda.TooManyRequestsException'],
])

describe('rollout.asl.json', () => {
  test('goes wherever a step can send it', () => {
    const chosen = Object.fromEntries(
      rollout.ChooseNext?.Choices?.map(({ Condition, Next }) => [/next = '(\w+)'/.exec(Condition)?.[1], Next]) ?? [],
    )
    for (const state of nextStateSchema.options) {
      expect(rollout).toHaveProperty(state)
      expect(chosen[state] ?? rollout.ChooseNext?.Default).toBe(state)
    }
  })

  test.each(tasks)('%s has a time limit, and retries that are bounded and only for what can pass', (_, task) => {
    expect(task.TimeoutSeconds).toBeGreaterThan(0)
    for (const { ErrorEquals, MaxAttempts } of task.Retry ?? []) {
      // Whoever waits for another's turn waits for hours at most.
      const waitsForTurn = ErrorEquals.every((name) => /(Busy|UnderWay)$/.test(name))
      expect(MaxAttempts).toBeLessThanOrEqual(waitsForTurn ? 500 : 40)
      for (const error of ErrorEquals) expect(passing).toContain(error)
    }
  })

  test.each(tasks.filter(([name]) => name !== 'Release'))('an error in %s leads to the release', (_, task) => {
    const all = task.Catch?.find(({ ErrorEquals }) => ErrorEquals.includes('States.ALL'))
    expect(['Report', 'Release']).toContain(all?.Next)
    expect(rollout.Report?.Next).toBe('Release')
  })
})

test('no state machine carries lists of objects: steps get ids', () => {
  for (const [name, { Resource }] of tasks)
    expect(Resource, name).toBe(`arn:aws:states:::lambda:invoke${/^AskFor/.test(name) ? '.waitForTaskToken' : ''}`)
  for (const [name, task] of tasks) {
    if (name === 'Claim') continue
    const { Payload } = (task as unknown as { Arguments: { Payload: unknown } }).Arguments
    const keys = typeof Payload === 'string' ? ['{% $ids %}'] : Object.keys(Payload as object)
    expect(['{% $ids %}', 'rollout', 'cluster', 'again', 'failure', 'token'], name).toEqual(
      expect.arrayContaining(keys),
    )
  }
})

describe('errors of an execution that another one starts', () => {
  const nested = (machine: string) =>
    statesOf(read(machine)).filter(([, { Resource = '' }]) => Resource.includes(':states:startExecution'))
  // AWS documents `StepFunctions.ExecutionLimitExceeded`, and is seen to answer names with `Exception` at their end.
  const spellings = (name: string) => [`StepFunctions.${name}`, `StepFunctions.${name}Exception`]

  test.each(nested('fleet'))('%s is tried again where there are too many, by either name', (_, { Retry = [] }) => {
    expect(Retry).toHaveLength(1)
    const names = [...spellings('ExecutionLimitExceeded'), 'StepFunctions.AWSStepFunctionsException']
    expect(Retry[0]?.ErrorEquals).toEqual(expect.arrayContaining(names))
    // The execution that was started has failed: to start it again under its name is refused.
    expect(Retry[0]?.ErrorEquals).not.toContain('States.TaskFailed')
  })

  test.each([...nested('sweep'), ...nested('lock-scan')])(
    '%s is no failure where it is there, by either name',
    (_, { Catch = [] }) => {
      expect(Catch[0]?.ErrorEquals).toEqual(spellings('ExecutionAlreadyExists'))
    },
  )

  test('are looked at in every machine', () => {
    expect(['fleet', 'sweep', 'lock-scan'].map((machine) => nested(machine).length)).toEqual([2, 1, 1])
    expect(['rollout', 'guarded-unlock'].flatMap(nested)).toEqual([])
  })
})
