import { createHash } from 'node:crypto'
import {
  approversOf,
  decisionBy,
  neededBeside,
  outcomeOf,
  subjectOf,
  type WaveApproval,
} from '../lib/approval/approval.ts'
import { concludeApproval } from '../lib/approval/conclude-approval.ts'
import { sendLinks } from '../lib/approval/send-links.ts'
import { writeAsked } from '../lib/approval/write-asked.ts'
import { LockstepError } from '../lib/errors.ts'
import { type Push, unknownPusher } from '../lib/push.ts'
import { branchOf } from '../lib/rollout/branch.ts'
import type { AskPorts } from '../lib/step.ts'
import { tell } from '../lib/tell.ts'
import { waveApprovalId } from '../lib/waves/wave-approval.ts'
import { waveEvent } from '../lib/waves/wave-event.ts'

export interface WaveAsked {
  /** ARN of the execution that asks. */
  readonly execution: string
  readonly push: Push
  /** 1 is the first one. */
  readonly number: number
  readonly of: number
  /** How many clusters the wave has. */
  readonly clusters: number
  /** Their names, where they are few. */
  readonly names: readonly string[]
  /** What became of the clusters of the waves before. */
  readonly before: WaveApproval['before']
  /** Of the task that waits for people. */
  readonly token: string
}

/** People have to agree before the wave, and beside whoever pushed there is nobody; or who that is cannot be told. */
export class NobodyToAsk extends LockstepError {
  constructor(wave: number, { pusher }: Push) {
    const why =
      pusher === unknownPusher
        ? `Nobody can tell who pushed, so that two have to agree before wave ${wave}, and the fleet does not name as many.`
        : `Somebody has to agree before wave ${wave}, and beside ${pusher} the fleet names nobody.`
    super('NotApproved', why, 'Name more people in waves.approvers of the fleet, and push again.')
  }
}

/**
 * Writes down what people are asked before a wave, and sends each of them a link, except whoever pushed. Answers how many
 * were sent one. Throws NobodyToAsk, AskedMeanwhile; rejects with LedgerUnavailable, ApproversUnavailable, TaskTokensUnavailable.
 */
export async function askBeforeWave(wave: WaveAsked, ports: AskPorts): Promise<{ asked: number }> {
  const { push, number, token, execution } = wave
  const { fleet, ledger, clock, log } = ports
  const others = approversOf(push.pusher, fleet.waves.approvers)
  const needed = neededBeside(push.pusher, 1)
  if (others.length < needed) throw new NobodyToAsk(number, push)
  const asked = {
    ...{ kind: 'wave' as const, id: waveApprovalId(push, number), execution, push },
    ...{ branch: branchOf(push), commit: push.after },
    ...{ wave: number, waves: wave.of, clusters: [...wave.names], clusterCount: wave.clusters, before: wave.before },
    ...{ needed, requestedBy: push.pusher, reason: '', token },
    // One that a person starts again asks again.
    judged: createHash('sha256')
      .update(JSON.stringify([execution, push.after, number]))
      .digest('hex'),
  }
  const { approvalFor } = fleet.waves
  const approval = await writeAsked(asked, { ledger, now: () => clock.now(), approvalFor, detail: {} })
  if (approval.kind !== 'wave') return { asked: 0 }
  const outcome = outcomeOf(approval)
  if (outcome !== 'open') {
    await concludeApproval(approval, outcome, ports)
    return { asked: 0 }
  }
  const undecided = others.filter(({ name }) => !decisionBy(name, approval))
  const summary = `The push of ${push.pusher} waits before ${subjectOf(approval)}: ${wave.clusters} clusters`
  await sendLinks(approval, summary, undecided, ports)
  await tell(waveEvent(approval), ports)
  log.info('people are asked before a wave', { delivery: push.delivery, wave: number, asked: undecided.length })
  return { asked: undecided.length }
}
