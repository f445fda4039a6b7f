import { isDeepStrictEqual } from 'node:util'
import { UnlockMoved } from '../lib/ledger/ledger.ts'
import type { LockPorts } from '../lib/step.ts'
import { missingApprovals } from '../lib/unlock/approval/missing-approvals.ts'
import { writeOnDeployment } from '../lib/unlock/hold/deployment-intent.ts'
import type { Intent } from '../lib/unlock/hold/intent.ts'
import { intentOf } from '../lib/unlock/hold/intent-of.ts'
import { planNow } from '../lib/unlock/plan/plan-now.ts'
import type { Rung } from '../lib/unlock/plan/rung.ts'
import { judgedAfresh } from '../lib/unlock/run/judged-afresh.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import { UnlockStopped } from '../lib/unlock/run/unlock-stopped.ts'

export interface Begun {
  readonly rung: Rung
  /** How many fields will be changed, and put back. */
  readonly changes: number
}

/**
 * Takes the cluster's turn, and writes down all that will be changed and how it is, in the ledger and on the cluster, before
 * anything is changed. The plan is made once more, under the turn: another unlock may have worked since it was made. Throws
 * UnlockBusy, UnlockRefused, ChangedMeanwhile, IntentTooLarge.
 */
export async function begin(unlock: string, ports: LockPorts): Promise<Begun> {
  const underWay = await UnderWay.read(unlock, ports)
  const { cluster: name } = underWay.run
  if (!(await underWay.takeTurn())) {
    throw new UnlockStopped('UnlockBusy', `Another unlock is at work in cluster ${name}.`, 'It is tried again.')
  }
  // A try that nobody waits for any more may come late.
  const { outcome } = (await UnderWay.read(unlock, ports)).run
  if (outcome !== undefined) {
    await ports.ledger.endUnlock(name, unlock)
    throw new UnlockStopped('TurnLost', `Unlock ${unlock} has ended.`, 'Ask for the unlock again.')
  }
  const written = (await ports.ledger.readUnlock(name))?.intent
  // An earlier try came this far: what it has written down stands.
  if (written && !isDeepStrictEqual(written, underWay.run.intent)) await underWay.note({ intent: written })
  const intent = written ?? (await intended(underWay, ports))
  if (intent) await writeDown(intent, underWay, ports)
  const { rung } = underWay.run
  if (!rung) throw new TypeError(`Unlock ${unlock} was begun without a plan.`)
  return { rung, changes: intent?.changes.length ?? 0 }
}

/** Undefined where nothing has to be changed: all is held already. */
async function intended(underWay: UnderWay, ports: LockPorts): Promise<Intent | undefined> {
  const { run } = underWay
  // Another unlock may have had the turn since it was judged, and its object may run again.
  const observation = await judgedAfresh(run, ports)
  const plan = await planNow(observation, ports)
  if (plan.outcome === 'refused') throw refused(plan.reasons.join('; '), plan.next)
  if (plan.lock !== run.lock) {
    throw new UnlockStopped('LockChanged', `Somebody else holds the state of ${plan.object} now.`, 'Let them finish.')
  }
  if ((await missingApprovals(plan, observation, run, ports)) > 0) {
    throw refused('it is not any more what was agreed to', 'Ask for the unlock again.')
  }
  const cluster = await underWay.cluster()
  const made = await intentOf(plan, { unlock: run.unlock, at: ports.clock.now() }, cluster)
  const { rung, fence, place: where } = plan
  const intent = made.changes.length > 0 ? { ...made, changes: [...made.changes] } : undefined
  await underWay.note({
    rung,
    fence,
    where,
    begunAt: ports.clock.now(),
    locked: made.locked,
    ...(intent && { intent }),
  })
  return intent
}

async function writeDown(intent: Intent, underWay: UnderWay, { ledger }: LockPorts): Promise<void> {
  const changes = intent.changes.map(({ object, field, from, to }) => ({
    ...{ object, field, from: JSON.stringify(from), to: JSON.stringify(to) },
  }))
  await underWay.record('intent', 'writing down what will be changed', { changes })
  if (!(await ledger.writeIntent(intent))) {
    await underWay.renewTurn()
    // An earlier try that goes on somewhere has written another one.
    throw new UnlockMoved(intent.unlock)
  }
  if (await writeOnDeployment(await underWay.cluster(), intent)) return
  throw new UnlockStopped(
    'ChangedMeanwhile',
    `${intent.deployment.object} in ${intent.cluster} carries what another unlock has left, or is not the one that it was.`,
    'The next sweep puts back what was left; then ask again.',
  )
}

function refused(why: string, next: string): UnlockStopped {
  return new UnlockStopped('UnlockRefused', `${why}.`, next)
}
