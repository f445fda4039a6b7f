import { LockstepError } from '../../../functions/lib/errors.ts'
import { nearest } from '../../../functions/lib/nearest.ts'
import { FaultImpossible, type Faults } from './faults.ts'

/** A fault as a person asks for it. */
interface FaultCommand {
  /** Whether it is done to the runner of an object, which has to be named. */
  readonly toRunner: boolean
  /** What happens, for the help and for whoever did it. */
  readonly effect: string
  readonly inject: (faults: Faults, ref: string) => Promise<void> | void
}

const runner = (effect: string, inject: FaultCommand['inject']): FaultCommand => ({ toRunner: true, effect, inject })
const controller = (effect: string, inject: FaultCommand['inject']): FaultCommand => ({
  ...{ toRunner: false, effect, inject },
})

const commands: Readonly<Record<string, FaultCommand>> = {
  'kill-runner': runner('SIGKILL; the container starts again in the same pod', (faults, ref) =>
    faults.killRunner(ref, 'restart'),
  ),
  'fail-runner': runner('SIGKILL; the pod stays behind as Failed', (faults, ref) => faults.killRunner(ref, 'fail')),
  'evict-runner': runner('its node is short of memory: killed, and Evicted', (faults, ref) => faults.evictRunner(ref)),
  'delete-runner': runner('kubectl delete pod', (faults, ref) => faults.deleteRunner(ref)),
  'force-delete-runner': runner('kubectl delete pod --force', (faults, ref) => faults.forceDeleteRunner(ref)),
  'hang-runner': runner('every process of it stops where it is, tofu included', (faults, ref) =>
    faults.hangRunner(ref),
  ),
  'resume-runner': runner('and they go on', (faults, ref) => faults.resumeRunner(ref)),
  'partition-runner': runner('packets between it and the controller are lost', (faults, ref) =>
    faults.partitionRunner(ref),
  ),
  'heal-runner': runner('packets flow again', (faults, ref) => faults.healRunner(ref)),
  'cut-runner': runner('its connections are closed, once', (faults, ref) => faults.cutRunner(ref)),
  'kill-controller': controller('SIGKILL to tofu-controller; nobody starts it again', (faults) =>
    faults.killManager({ connections: 'closed' }),
  ),
  'lose-controller': controller('its node goes away: runners do not learn that it died', (faults) =>
    faults.killManager({ connections: 'black-holed' }),
  ),
  'stop-controller': controller('scales tofu-controller to zero, and waits for its end', (faults) =>
    faults.stopManager(),
  ),
  'start-controller': controller('starts tofu-controller again, and waits until it is ready', (faults) =>
    faults.startManager(),
  ),
}

const width = Math.max(...Object.keys(commands).map((name) => name.length)) + ' OBJECT'.length

/** A line for each fault. */
export const faultHelp: readonly string[] = Object.entries(commands).map(
  ([name, { toRunner, effect }]) => `${`${name}${toRunner ? ' OBJECT' : ''}`.padEnd(width)}  ${effect}`,
)

/**
 * Does to a running tofu-controller what a person asks for. Answers what happens. Throws UnknownFault,
 * FaultImpossible, and what the API throws.
 */
export async function injectFault(faults: Faults, name: string, target: readonly string[]): Promise<string> {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) throw unknown(name)
  const [ref = '', ...rest] = target
  if (rest.length > 0 || (ref !== '') !== command.toRunner) {
    const right = command.toRunner ? `${name} Terraform/<namespace>/<name>` : name
    throw new FaultImpossible(`${[name, ...target].join(' ')} is incomplete or too much.`, `Write: fault ${right}`)
  }
  await command.inject(faults, ref)
  return command.toRunner ? `${ref}: ${command.effect}` : command.effect
}

function unknown(name: string): LockstepError {
  const names = Object.keys(commands)
  const meant = nearest(name, names)
  const next = meant === undefined ? `There are ${names.join(', ')}.` : `Did you mean ${meant}?`
  return new LockstepError('UnknownFault', `There is no fault ${name}.`, next)
}
