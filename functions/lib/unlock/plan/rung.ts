import { formatDuration } from '../../duration.ts'
import { oneLine } from '../../locks/evidence/one-line.ts'
import type { UnlockCase } from './unlock-case.ts'

/** The ways to unlock, the gentlest one first. */
export const rungs = ['controller-assisted', 'targeted', 'quiesce'] as const
export type Rung = (typeof rungs)[number]

/** The gentlest way that can work, and why not the gentler ones. */
export interface RungChoice {
  readonly rung: Rung
  readonly why: string
  readonly gentler: readonly { readonly rung: Rung; readonly why: string }[]
}

export function chooseRung(given: UnlockCase): RungChoice {
  const notAssisted = whyNotAssisted(given)
  if (notAssisted === undefined) {
    const why = 'the controller has met this very lock, and can release it by its id'
    return { rung: 'controller-assisted', why, gentler: [] }
  }
  const gentler = [{ rung: 'controller-assisted', why: notAssisted }] as const
  const notTargeted = whyNotTargeted(given)
  if (notTargeted === undefined) {
    const why = 'no run of the object hangs: it is enough that this one object does not run'
    return { rung: 'targeted', why, gentler }
  }
  const why = given.isSuspect
    ? 'the proof of death is made by letting the run end, and seeing all pods gone'
    : 'only the end of tofu-controller ends the run that hangs'
  return { rung: 'quiesce', why, gentler: [...gentler, { rung: 'targeted', why: notTargeted }] }
}

/** Undefined where the controller can do it: `forceUnlock: yes` with the exact id. */
function whyNotAssisted(given: UnlockCase): string | undefined {
  const { isSuspect, terraform, controller, isMet, hasState, parts } = given
  if (isSuspect) return 'the controller does not ask whether the holder is dead, and that is not proven'
  if (terraform.suspended) return 'the object is suspended: the controller does not run it'
  if (terraform.deleting) return 'the object is being deleted'
  if (!controller.pods.some(({ ready }) => ready)) return 'no process of tofu-controller is ready'
  if (!isMet) return `the controller has not met this lock${met(terraform.metLock)}`
  if (given.isAssistedInVain) return 'the controller was asked to release this lock before, and has not'
  if (!hasState) return 'there is no state yet, and without one OpenTofu cannot force an unlock'
  if (terraform.forceUnlockByGit) return 'Git declares spec.tfstate of the object, and would put it back'
  const places = terraform.place?.parts.length
  if (places !== parts.length)
    return `the lock is in ${parts.length} of ${places ?? 'an unknown number of'} places, and a forced unlock needs all of them`
  return undefined
}

function met(lock: string | undefined): string {
  if (lock === undefined) return ': the object is not StateLocked'
  return lock === '' ? ': it is StateLocked by one that it does not name' : ` but ${oneLine(lock)}`
}

function whyNotTargeted({ isSuspect, hangs, controller }: UnlockCase): string | undefined {
  if (isSuspect) return 'its pod is there, and nothing but its end proves that the holder is dead'
  if (!hangs) return undefined
  const takes = formatDuration(controller.shutdownMs)
  return `a run of the object hangs in tofu-controller until that is stopped, which takes ${takes}`
}
