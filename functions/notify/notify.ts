import * as z from 'zod'
import { LockstepError } from '../lib/errors.ts'
import { eventSchema, eventSource, type RolloutEvent, type WaveEvent } from '../lib/events.ts'
import type { Fleet } from '../lib/fleet.ts'
import { type CommitStatus, type CommitStatuses, description, type StatusCommit } from '../lib/notify/commit-status.ts'
import type { Message, MessageChannel } from '../lib/notify/message.ts'
import { messageOf } from '../lib/notify/message-of.ts'
import { pushEndMessage } from '../lib/notify/push-end-message.ts'
import { layerStatuses, pushStatus } from '../lib/notify/rollout-statuses.ts'
import { sendOnce } from '../lib/notify/send-once.ts'
import type { StatusBoard } from '../lib/notify/status-board.ts'
import { updateBoard } from '../lib/notify/update-board.ts'
import { type Push, pushSchema } from '../lib/push.ts'
import { branchOf } from '../lib/rollout/branch.ts'
import { outcomeSchema, type Rollout } from '../lib/rollout/rollout.ts'
import type { Ports } from '../lib/step.ts'
import { waveApprovalId } from '../lib/waves/wave-approval.ts'

/** What a function may use that tells people. */
export interface NotifyPorts extends Ports {
  readonly channels: readonly MessageChannel[]
  /** Without it GitHub is told nothing. */
  readonly statuses?: CommitStatuses
  /** The page of an execution, by its ARN. */
  readonly linkOf: (executionArn: string) => string | undefined
  /** ARN of an unlock's execution, by its name. */
  readonly unlockArn: (unlock: string) => string
}

const ownEvent = z
  .object({ source: z.literal(eventSource), 'detail-type': z.string(), detail: z.looseObject({}) })
  .transform(({ detail, 'detail-type': type }) => ({ ...detail, type }))
  .pipe(eventSchema)

/** EventBridge's "Step Functions Execution Status Change", as far as it is needed. */
const fleetEnd = z.object({
  source: z.literal('aws.states'),
  detail: z.object({
    executionArn: z.string(),
    name: z.string(),
    status: z.enum(['SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT']),
    startDate: z.number(),
    input: z.string(),
    output: z.string().nullish(),
    error: z.string().nullish(),
    cause: z.string().nullish(),
  }),
})

/** What EventBridge brings: an event of Lockstep's, or the end of an execution of the state machine `fleet`. */
export const notifyInputSchema = z.union([
  ownEvent.transform((event) => ({ event })),
  fleetEnd.transform(({ detail: { input, ...detail } }) => ({ fleet: { ...detail, push: pushIn(input) } })),
])
export type NotifyInput = z.output<typeof notifyInputSchema>
type FleetEnd = Extract<NotifyInput, { readonly fleet: unknown }>['fleet']

/** Of a function; whoever has a turn for longer is dead. */
export const functionSeconds = 45
const turnMs = (functionSeconds + 5) * 1_000
/** The rest of the function's time is for writing down what was done. */
const workMs = (functionSeconds - 12) * 1_000

/** Some could not be told. What the others were told is remembered: they are not told again. */
export class NotTold extends LockstepError {
  constructor(id: string, failed: readonly (readonly [channel: string, reason: string])[]) {
    const list = failed.map(([channel, reason]) => `${channel}: ${reason}`).join('; ')
    super('NotTold', `Event ${id} could not be told everywhere. ${list}`, 'It is tried again.')
  }
}

/**
 * Tells people, each channel for itself: one that fails keeps none of the others from it. Answers the channels on which
 * something was told now. Rejects with NotTold: call again with the same event.
 */
export async function notify(input: NotifyInput, ports: NotifyPorts): Promise<readonly string[]> {
  const giveUpAt = ports.clock.now() + workMs
  const id = 'event' in input ? input.event.id : input.fleet.executionArn
  const jobs = new Map<string, Promise<boolean>>()
  const message = 'event' in input ? messageOf(input.event, ports) : ofPushEnd(input.fleet, ports)
  if (message) for (const [name, job] of sent(message, giveUpAt, ports)) jobs.set(name, job)
  if (ports.statuses) jobs.set('github', tellGitHub(input, giveUpAt, ports, ports.statuses))
  const results = await Promise.allSettled(jobs.values())
  const names = [...jobs.keys()]
  const failed = results.flatMap((result, index) =>
    result.status === 'rejected' ? [[names[index] ?? '', reasonOf(result.reason)] as const] : [],
  )
  if (failed.length > 0) throw new NotTold(id, failed)
  return names.filter((_, index) => results[index]?.status === 'fulfilled' && results[index].value)
}

/** Only what was made to be read: another error may quote a request. */
const reasonOf = (error: unknown) =>
  error instanceof LockstepError ? error.message : error instanceof Error ? error.name : 'unknown error'

function ofPushEnd(end: FleetEnd, ports: NotifyPorts): Message | undefined {
  const { push } = end
  return push && isFollowed(push, ports.fleet) ? pushEndMessage(end, push, ports) : undefined
}

function sent(message: Message, giveUpAt: number, ports: NotifyPorts): [string, Promise<boolean>][] {
  return ports.channels.map((channel) => [
    channel.name,
    sendOnce({ event: message.id, channel: channel.name, turnMs }, () => channel.send(message, giveUpAt), ports),
  ])
}

async function tellGitHub(
  input: NotifyInput,
  giveUpAt: number,
  ports: NotifyPorts,
  statuses: CommitStatuses,
): Promise<boolean> {
  const boards = { ...ports, statuses }
  const shared = { turnMs, giveUpAt }
  const news = newsOfPush(input)
  if (!news) return false
  const rollout = 'rollout' in news ? (await ports.ledger.readRollout(news.rollout))?.value : undefined
  // Written down after it was told that it has begun.
  const push = rollout?.push ?? ('status' in news ? news.push : pushOf(news))
  if (!push || !isFollowed(push, ports.fleet)) return false
  const hasLayers = rollout && 'rollout' in news && ports.fleet.notifications.github?.layers
  const updates = [...(hasLayers ? [layersUpdate(news, push, ports)] : []), pushUpdate(push, ports, news)]
  const results = await Promise.allSettled(updates.map((update) => updateBoard({ ...shared, ...update }, boards)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return true
}

/** What changes the statuses of a push. */
type PushNews = RolloutEvent | WaveEvent | FleetEnd

function newsOfPush(input: NotifyInput): PushNews | undefined {
  if ('fleet' in input) return input.fleet
  return 'delivery' in input.event ? input.event : undefined
}

type Pushed = Pick<Push, 'repository' | 'branch' | 'after' | 'delivery'>

/** The push that an event is about. */
function pushOf({ repository, branch, commit, delivery }: RolloutEvent | WaveEvent): Pushed {
  const slash = repository.indexOf('/')
  const named = { host: repository.slice(0, slash), name: repository.slice(slash + 1) }
  return { repository: named, branch, after: commit, delivery }
}

/** The input of a fleet's execution, which anybody who may can start by hand with whatever he likes. */
function pushIn(input: string): Push | undefined {
  try {
    return pushSchema.safeParse(JSON.parse(input)).data
  } catch {
    return undefined
  }
}

/**
 * Who may put events on the bus, or start executions, says what these are about: the token of GitHub must go to no other host,
 * and speak for no other repository, than those of the fleet.
 */
function isFollowed({ repository: { host, name } }: Pushed, { repositories }: Fleet): boolean {
  return repositories.some((ours) => ours.host === host && ours.name === name)
}

const commitOf = ({ repository, after }: Pushed): StatusCommit => ({
  ...{ host: repository.host, repository: repository.name, sha: after },
})

/** Two branches may be at the same commit: where the fleet follows several, each has contexts of its own. */
function contextOf(push: Pushed, fleet: Fleet): string {
  const followed = fleet.repositories.find(({ name }) => name === push.repository.name)
  return (followed?.branches.length ?? 0) > 1 ? `lockstep (${push.branch})` : 'lockstep'
}

function layersUpdate(event: RolloutEvent, push: Pushed, { ledger, fleet, linkOf }: NotifyPorts) {
  const { cluster, delivery, rollout: id } = event
  const url = linkOf(event.execution)
  return {
    ...{ event: event.id, delivery, cluster, commit: commitOf(push) },
    next: async (board: StatusBoard) => {
      const rollout = (await ledger.readRollout(id))?.value
      // Another rollout has the same commit, and says what there is to say.
      if (!rollout || (await isRepeated(rollout, ledger))) return { wanted: board.posted }
      const prefix = `${contextOf(push, fleet)}/${cluster}/`
      const layers = [...layerStatuses(rollout)].map(
        ([layer, status]) => [`${prefix}${layer}`, { ...status, ...(url !== undefined && { url }) }] as const,
      )
      return { wanted: { ...goneLayers(board, rollout), ...Object.fromEntries(layers) } }
    },
  }
}

/** Layers that were in an earlier plan only: nothing can be taken back at GitHub. */
function goneLayers({ wanted, posted }: StatusBoard, { outcome }: Rollout): Record<string, CommitStatus> {
  const state = outcome === undefined ? 'pending' : outcome === 'succeeded' ? 'success' : 'error'
  const contexts = Object.entries({ ...posted, ...wanted })
  return Object.fromEntries(
    contexts.map(([context, status]) => [context, { ...status, state, description: 'Not in the plan any more' }]),
  )
}

/** A push that was delivered twice, or found by a sweep as well: the rollout that was overtaken is not the last word. */
async function isRepeated({ cluster, push, outcome }: Rollout, ledger: NotifyPorts['ledger']): Promise<boolean> {
  return outcome === 'superseded' && isRepeatedIn(cluster, push, ledger)
}

async function isRepeatedIn(cluster: string, push: Pushed, ledger: NotifyPorts['ledger']): Promise<boolean> {
  const newest = (await ledger.readClaim(cluster, branchOf(push)))?.newest
  return newest?.after === push.after && !newest.rollout.startsWith(push.delivery)
}

/** The same for all clusters that the push went to. */
async function isRepeatedAnywhere(push: Pushed, { ledger, fleet }: NotifyPorts): Promise<boolean> {
  for (const { name, repositories } of fleet.clusters) {
    if (repositories.includes(push.repository.name) && (await isRepeatedIn(name, push, ledger))) return true
  }
  return false
}

function pushUpdate(push: Pushed, ports: NotifyPorts, news: PushNews) {
  const { fleet, ledger, linkOf } = ports
  const learnt = learntFrom(news)
  const isEnd = 'status' in news
  // Of the fleet's execution: that of a rollout is behind the statuses of its layers.
  const execution = isEnd ? news.executionArn : 'rollout' in news ? undefined : news.execution
  return {
    ...{ event: isEnd ? news.executionArn : news.id, delivery: push.delivery, cluster: '', commit: commitOf(push) },
    next: async (board: StatusBoard) => {
      const ended = learnt.ended ?? board.ended
      const bad = { ...board.bad, ...learnt.bad }
      const asked = Math.max(learnt.asked ?? 0, board.asked ?? 0)
      const isOvertaken = ended === 'superseded' || Object.values(bad).includes('superseded')
      if (isOvertaken && (await isRepeatedAnywhere(push, ports))) return { wanted: board.posted }
      const approval = asked === 0 ? undefined : await ledger.readApproval(waveApprovalId(push, asked))
      const status = pushStatus({ bad, ended, asked: approval?.kind === 'wave' ? approval : undefined })
      const context = contextOf(push, fleet)
      const url = (execution && linkOf(execution)) ?? board.wanted[context]?.url
      const described = { ...status, description: description(status.description) }
      return {
        ...{ bad, ...(ended !== undefined && { ended }), ...(asked > 0 && { asked }) },
        wanted: { [context]: { ...described, ...(url !== undefined && { url }) } },
      }
    },
  }
}

/** What stays so once it is known: how a rollout has ended, how all of the push has, and that people were asked about a wave. */
function learntFrom(news: PushNews): Partial<Pick<StatusBoard, 'bad' | 'ended' | 'asked'>> {
  if ('status' in news) return { ended: endOf(news) }
  if ('wave' in news) return { asked: news.wave }
  if (!('outcome' in news) || news.outcome === 'succeeded') return {}
  return { bad: { [news.cluster]: news.outcome } }
}

const outputSchema = z.object({ outcome: outcomeSchema })

function endOf({ status, output }: FleetEnd): NonNullable<StatusBoard['ended']> {
  if (status === 'ABORTED') return 'stopped'
  if (status !== 'SUCCEEDED') return 'failed'
  try {
    return outputSchema.parse(JSON.parse(output ?? '')).outcome
  } catch {
    // Whoever cannot say that it has succeeded has not.
    return 'failed'
  }
}
