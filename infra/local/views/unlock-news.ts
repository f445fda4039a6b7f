import type { UnlockEvent } from '../../../functions/lib/events.ts'
import type { Ledger } from '../../../functions/lib/ledger/ledger.ts'
import type { UnlockRun } from '../../../functions/lib/unlock/run/unlock-run.ts'
import type { MemoryEvents } from '../memory-events.ts'
import type { Interpreter } from '../states/interpreter.ts'
import { findExecution } from './execution-view.ts'
import { unlockMachine } from './unlock-run-view.ts'

/** Something of a guarded unlock that a person would want to know. */
export interface UnlockNews {
  readonly unlock: string
  readonly cluster: string
  /** `Terraform/flux-system/vpc`; undefined where nobody knows. */
  readonly object?: string
  /** Since it was begun, in milliseconds. */
  readonly elapsedMs: number
  /** What is done from here on, or what has become of it. */
  readonly what: string
}

export interface UnlockNewsOptions {
  readonly interpreter: Interpreter
  readonly events: MemoryEvents
  readonly ledger: Pick<Ledger, 'readUnlockRun' | 'readObservation'>
  readonly onNews: (news: UnlockNews) => void
}

/** By the state that is entered. The others are over in no time, or are told of by their end. */
const told: Readonly<Record<string, (run: UnlockRun) => string>> = {
  AskForApproval: () => 'people are asked to agree',
  WriteIntent: ({ judged, rung }) => `judged stale (${judged?.reasons[0] ?? ''}); the gentlest way that works: ${rung}`,
  SuspendAppliers: ({ intent }) => `holds ${held(intent)}: no run begins any more`,
  DrainRuns: () => 'waits for runs to end: none is interrupted',
  StopController: () => 'stops tofu-controller, which ends the run that hangs',
  JudgeAgain: () => 'judges the lock again, behind the fence',
  DeleteLock: () => 'stale still, and the state is backed up: deletes the lock, if it is what was judged',
  ForceUnlock: () => 'stale still, and the state is backed up: has tofu-controller release the very lock',
  PutBack: () => 'puts back all that it has changed',
  WaitForPlan: () => 'all is as it was: waits for a fresh plan',
}

function held(intent: UnlockRun['intent']): string {
  const count = intent?.changes.filter(({ field }) => field === 'suspend').length ?? 0
  return `${count} ${count === 1 ? 'object' : 'objects'}`
}

/** Tells of the guarded unlocks that are under way, each thing once, in order. */
export class UnlockNewsFeed {
  private readonly options: UnlockNewsOptions
  private readonly ends: (() => void)[]
  private readonly said = new Set<string>()
  /** News need the ledger: the next ones wait for the ones before. */
  private telling: Promise<void> = Promise.resolve()

  constructor(options: UnlockNewsOptions) {
    this.options = options
    const { interpreter, events } = options
    this.ends = [
      interpreter.onEvent((arn, { stateEnteredEventDetails, timestamp }) => {
        const [machine, unlock = ''] = arn.split(':').slice(-2)
        const say = told[stateEnteredEventDetails?.name ?? '']
        if (machine !== unlockMachine || !say) return
        this.tell(unlock, Date.parse(timestamp), say)
      }),
      events.onUnlock((event) => {
        if (event.what === 'asked' || event.what === 'restored') return
        this.tell(event.unlock, undefined, ({ endedAt: _ }) => endOf(event))
      }),
    ]
  }

  close(): void {
    for (const end of this.ends) end()
  }

  private tell(unlock: string, at: number | undefined, say: (run: UnlockRun) => string): void {
    this.telling = this.telling
      .then(async () => {
        const run = (await this.options.ledger.readUnlockRun(unlock))?.value
        if (run) await this.say(run, at ?? run.endedAt ?? run.requestedAt, say(run))
      })
      // The ledger is closed: nobody is told any more.
      .catch(() => {})
  }

  private async say(run: UnlockRun, at: number, what: string): Promise<void> {
    const { interpreter, ledger, onNews } = this.options
    const { unlock, cluster, place } = run
    if (this.said.has(`${unlock} ${what}`)) return
    this.said.add(`${unlock} ${what}`)
    const object = run.object ?? (await ledger.readObservation(place))?.evidence.owner?.object
    const startedAt = Date.parse(findExecution(interpreter, unlockMachine, unlock)?.startDate ?? '')
    onNews({ unlock, cluster, ...(object !== undefined && { object }), elapsedMs: at - startedAt, what })
  }
}

function endOf({ what, why }: UnlockEvent): string {
  if (what === 'unlocked') return 'unlocked, and planned afresh'
  // What comes first is the error's name.
  const reason = why?.replace(/^\w+: /, '')
  return what === 'refused' ? `refused, and all is as it was: ${reason}` : `failed: ${reason}`
}
