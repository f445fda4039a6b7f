import type { LockPorts } from '../lib/step.ts'
import { UnderWay } from '../lib/unlock/run/under-way.ts'
import { SecretStateKeeper } from '../lib/unlock/state/secret-state-keeper.ts'

/**
 * Sees to it that the state can be had again as it was judged, before its lock is deleted. Throws StateMoved, TurnLost,
 * LockStoreError.
 */
export async function backUp(unlock: string, ports: LockPorts): Promise<{ readonly kind: string }> {
  const underWay = await UnderWay.read(unlock, ports)
  const { where, judged } = underWay.run
  if (!where || !judged) throw new TypeError(`Unlock ${unlock} was not begun.`)
  const { state } = where
  await underWay.renewTurn()
  const keeper =
    state.store === 's3' ? ports.locks.keeper : new SecretStateKeeper(await underWay.cluster(), ports.clock)
  const backup = await keeper.backUp(state, unlock, judged.state)
  await underWay.note({ backup })
  // What tells of a state's content is in no record but the run's.
  const { at, kind } = backup
  await underWay.record('backed-up', 'the state is backed up', { kind, at })
  return { kind }
}
