import { LockstepError } from '../../errors.ts'

/** Nothing is wrong with Lockstep: the lock, its holder, or somebody's will keeps it from being unlocked. */
export const refusals = [
  'UnlockRefused', // by the verdict, the policy, or what the cluster looks like
  'UnlockDenied', // by a person
  'NotApproved', // in time
  'LockChanged', // it is another one by now, or somebody wrote to it
  'NotStale', // judged again behind the fence, it is not proven dead any more
  'ChangedMeanwhile', // somebody decided otherwise on what the unlock holds
  'StillApplying', // a run did not end in time, and none is interrupted
  'StateMoved', // somebody has written the state since the lock was judged
  'IntentTooLarge', // there is more to hold than can be written down
] as const

export type UnlockStoppedName =
  | (typeof refusals)[number]
  | 'UnlockBusy' // passes: another unlock is at work in the cluster
  | 'ScanBusy' // passes: a scan is at work in the cluster
  | 'TurnLost' // somebody else restores what this unlock has changed
  | 'ControllerRuns' // its pods did not end in time
  | 'RunnerRuns' // an idle runner did not end in time
  | 'NotReleased' // the controller did not release the lock in time
  | 'StateDiverged' // after the delete somebody else has written, or two have
  | 'RestoreIncomplete' // passes, or a right is missing

/** Why a guarded unlock does not go on. */
export class UnlockStopped extends LockstepError {
  declare readonly name: UnlockStoppedName

  constructor(name: UnlockStoppedName, message: string, next: string) {
    super(name, message, next)
  }
}

/** Whether an error, by its name, says that the unlock is refused. Anything else is a failure. */
export function isRefusal(error: string): boolean {
  return refusals.some((each) => each === error)
}
