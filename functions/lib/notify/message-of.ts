import type {
  EventOf,
  FindingEvent,
  LockEvent,
  LockstepEvent,
  RolloutEvent,
  UnlockEvent,
  WaveEvent,
} from '../events.ts'
import { type Fleet, type LockPolicy, lockPolicyOf } from '../fleet.ts'
import { shortCommit } from '../flux/revision.ts'
import { oneLine } from '../locks/evidence/one-line.ts'
import type { Message } from './message.ts'

export interface MessageOptions {
  readonly fleet: Fleet
  /** The page of an execution, by its ARN. */
  readonly linkOf: (executionArn: string) => string | undefined
  /** ARN of an unlock's execution, by its name. */
  readonly unlockArn: (unlock: string) => string
}

type Told = Pick<Message, 'urgency' | 'title' | 'facts' | 'next'> & { readonly execution?: string }

/**
 * What people are told of an event; undefined where nobody has to know. What others wrote (names, messages of controllers,
 * reasons) is cut to a line, and what looks secret in it is blotted out.
 */
export function messageOf(event: LockstepEvent, options: MessageOptions): Message | undefined {
  const told = toldOf(event, options)
  if (!told) return undefined
  const { execution, ...text } = told
  const cluster = 'cluster' in event ? event.cluster : undefined
  return {
    ...{ id: event.id, type: event.type, cluster, urgency: text.urgency },
    title: oneLine(text.title),
    facts: text.facts.map(([label, fact]) => [label, oneLine(fact)] as const),
    next: oneLine(text.next),
    link: execution === undefined ? undefined : options.linkOf(execution),
  }
}

function toldOf(event: LockstepEvent, options: MessageOptions): Told | undefined {
  switch (event.type) {
    case 'Rollout Started':
      return { ...ofPush(event), urgency: 'news', title: `${rolloutText(event)} has begun`, next: nothing }
    case 'Rollout Planned':
    case 'Rollout Layer Done':
      return undefined
    case 'Rollout Held':
      return heldText(event)
    case 'Rollout Finished':
      return finishedText(event)
    case 'Plan Approval Changed':
      return planText(event)
    case 'Wave Approval Changed':
      return waveText(event)
    case 'Lock Verdict Changed':
      return lockText(event, options)
    case 'Unlock Changed':
      return unlockText(event, options)
    case 'Finding Changed':
      return findingText(event)
  }
}

const nothing = 'Nothing has to be done.'

const rolloutText = ({ commit, served, cluster }: RolloutEvent) =>
  `Rollout of ${shortCommit(served ?? commit)} to ${cluster}`

function ofPush({ execution, pusher, repository, branch, at }: RolloutEvent | WaveEvent) {
  return {
    execution,
    facts: [
      ['Pushed by', `${pusher}, to ${branch} of ${repository}`],
      ['Since', at],
    ] as Message['facts'],
  }
}

function heldText(event: EventOf<'Rollout Held'>): Told {
  const { facts, execution } = ofPush(event)
  const { behind, failed, pending, why } = event
  const more = failed > behind.length ? ` and ${failed - behind.length} more` : ''
  return {
    ...{ execution, urgency: 'attention' },
    title: `${rolloutText(event)} is held: ${pending === 1 ? '1 object waits' : `${pending} objects wait`}`,
    facts: [
      ...facts,
      ['Behind', `${behind.slice(0, 3).join(', ')}${behind.length > 3 ? ', …' : ''}${more}`],
      ['Why', why],
    ],
    next: `Correct ${behind[0] ?? 'what is not ready'}, by a push or where it runs: the rollout goes on by itself. Or let go of what is held with flux resume.`,
  }
}

const nextAfter: Readonly<Record<EventOf<'Rollout Finished'>['outcome'], string>> = {
  succeeded: nothing,
  superseded: 'Nothing has to be done: the newer push takes care of it.',
  released: 'See that what was let go of without an order becomes ready.',
  failed: 'Read the report in the execution, correct it in Git, and push again.',
}

const endings: Readonly<Record<EventOf<'Rollout Finished'>['outcome'], string>> = {
  succeeded: 'has succeeded',
  superseded: 'was overtaken by a newer push',
  released: 'was let go of: its gates are open',
  failed: 'has failed',
}

function finishedText(event: EventOf<'Rollout Finished'>): Told {
  const { outcome, ready, objects, failed, pending, why, startedAt } = event
  const { facts, execution } = ofPush({ ...event, at: startedAt })
  const counts = `${ready} of ${objects} ready, ${failed} failed, ${pending} not rolled out`
  return {
    ...{ execution, urgency: outcome === 'failed' || outcome === 'released' ? 'attention' : 'news' },
    title: `${rolloutText(event)} ${endings[outcome]}`,
    facts: [...facts, ['Ended', event.at], ['Objects', counts], ...(why === undefined ? [] : [['Why', why] as const])],
    next: nextAfter[outcome],
  }
}

const askingEndings: Readonly<Record<Exclude<WaveEvent['what'], 'asked'>, string>> = {
  approved: 'is approved',
  denied: 'is denied',
  expired: 'was not decided on in time',
  withdrawn: 'is not waited for any more',
}

function planText(event: EventOf<'Plan Approval Changed'>): Told {
  const { what, object, plan, changes, by, until, cluster } = event
  const { facts, execution } = ofPush(event)
  const asked = what === 'asked'
  const counts = changes && `${changes.add} to add, ${changes.change} to change, ${changes.destroy} to destroy`
  return {
    ...{ execution, urgency: what === 'approved' || what === 'withdrawn' ? 'news' : 'attention' },
    title: asked
      ? `The plan of ${object} in ${cluster} waits for approval`
      : `The plan of ${object} in ${cluster} ${askingEndings[what]}${by === undefined ? '' : `, by ${by}`}`,
    facts: [
      ...facts,
      ['Plan', plan],
      ...(counts === undefined ? [] : [['Changes', counts] as const]),
      ...(asked && until !== undefined ? [['Until', until] as const] : []),
    ],
    next: {
      asked: 'An approver looks at the plan behind the link that was sent, and approves or denies it there.',
      approved: nothing,
      denied: 'What depends on it stays held. Change the plan by a push.',
      expired: 'What depends on it stays held. Push again to ask anew.',
      withdrawn: nothing,
    }[what],
  }
}

const declined =
  'Neither this wave nor a later one is begun, and nobody is asked about this commit again. Push a commit to be asked about that, an empty one will do.'

function waveText(event: WaveEvent): Told {
  const { what, wave, waves, commit, clusters, names, before, by, until } = event
  const { facts, execution } = ofPush(event)
  const asked = what === 'asked'
  const { succeeded, failed, other } = before
  const more = clusters > names.length ? ', …' : ''
  const of = `Wave ${wave} of ${waves} of ${shortCommit(commit)}`
  return {
    ...{ execution, urgency: what === 'approved' || what === 'withdrawn' ? 'news' : 'attention' },
    title: asked ? `${of} waits for approval` : `${of} ${askingEndings[what]}${by === undefined ? '' : `, by ${by}`}`,
    facts: [
      ...facts,
      ['Clusters', `${clusters}${names.length === 0 ? '' : `: ${names.join(', ')}${more}`}`],
      ...(wave === 1
        ? []
        : [['Before it', `${succeeded} succeeded, ${failed} failed, ${other} ended otherwise`] as const]),
      ...(asked && until !== undefined ? [['Until', until] as const] : []),
    ],
    next: {
      asked: 'An approver looks at the push behind the link that was sent, and approves or denies it there.',
      approved: nothing,
      denied: declined,
      expired: declined,
      withdrawn: 'Look at the execution: it was stopped, or has failed, while people were asked.',
    }[what],
  }
}

const staleNext: Readonly<Record<LockPolicy, string>> = {
  auto: 'Nothing has to be done: it is unlocked by itself.',
  'one-approval': 'One approver agrees to its unlock behind the link that was sent.',
  'two-approvals': 'Two approvers agree to its unlock behind the links that were sent.',
  never: 'Nobody unlocks it by itself: follow docs/runbooks/a-state-stays-locked.md.',
}

/** That a lock lives, or cannot be judged just now, is only news where it was thought dead. */
function lockText(event: LockEvent, { fleet, unlockArn }: MessageOptions): Told | undefined {
  const { verdict, before, cluster, object, addresses, who, reasons, since, place, lock } = event
  const execution = event.execution.startsWith('arn:') ? event.execution : unlockArn(event.execution)
  const of = `${object ?? addresses[0] ?? place}${cluster === undefined ? '' : ` in ${cluster}`}`
  const facts: Message['facts'] = [
    ...(who === undefined ? [] : [['Held by', who] as const]),
    ['Since', since],
    ...(reasons[0] === undefined ? [] : [['Why', reasons[0]] as const]),
    ['Lock', `${lock || 'no ID'}, place ${place}`],
  ]
  if (verdict === 'stale') {
    return {
      ...{ execution, urgency: 'attention', title: `The state lock of ${of} is stale: its holder is dead`, facts },
      next: cluster === undefined ? staleNext.never : staleNext[policyFor(event, fleet)],
    }
  }
  if (verdict === 'suspect') {
    const next = 'Nothing yet: it is judged again by every scan. If a person or CI holds it, ask them.'
    const title = `The state lock of ${of} is suspect: its holder may be dead`
    return { execution, urgency: 'attention', title, facts, next }
  }
  if (before !== 'suspect' && before !== 'stale') return undefined
  const title = { free: `The state lock of ${of} is gone`, live: `The holder of the state lock of ${of} lives` }
  if (verdict === 'unknown') return undefined
  return { execution, urgency: 'news', title: title[verdict], facts, next: nothing }
}

function policyFor({ cluster, operation = '' }: LockEvent, fleet: Fleet): LockPolicy {
  const environment = fleet.clusters.find(({ name }) => name === cluster)?.environment ?? ''
  return lockPolicyOf(fleet.locks, environment, /plan/i.test(operation) ? 'plan' : 'apply')
}

/** Whatever an unlock puts back itself shows in how it ended. */
function unlockText(event: UnlockEvent, { unlockArn }: MessageOptions): Told | undefined {
  const { what, cluster, object, lock, requestedBy, reason, why, at, by, unlock } = event
  if (what === 'restored' && by !== 'watch') return undefined
  const of = `${object ?? `lock ${lock}`} in ${cluster}`
  return {
    execution: unlockArn(unlock),
    urgency: what === 'failed' || what === 'asked' ? 'attention' : 'news',
    title: {
      asked: `An unlock of ${of} is asked for`,
      refused: `The unlock of ${of} was refused, and all is as it was`,
      unlocked: `${of} is unlocked`,
      failed: `The unlock of ${of} has failed`,
      restored: `What an unlock of ${of} had left is put back`,
    }[what],
    facts: [
      ['Asked by', requestedBy],
      ['Reason', reason || 'none was given'],
      ['Since', at],
      ...(why === undefined ? [] : [['Why', why] as const]),
    ],
    next: {
      asked: 'Where the policy wants it, approvers decide behind the link that was sent.',
      refused: 'See what to do in docs/runbooks/a-state-stays-locked.md, and ask again if it is needed.',
      unlocked: nothing,
      failed: 'Read why in the execution; docs/runbooks/a-state-stays-locked.md says what to look at.',
      restored: 'Look whether the state is still locked, and ask for its unlock again.',
    }[what],
  }
}

function findingText({ what, execution, cluster, object, text, next, since }: FindingEvent): Told {
  const of = object === undefined ? cluster : `${object} in ${cluster}`
  return what !== 'gone'
    ? { execution, urgency: 'attention', title: `${of}: ${text}`, facts: [['Since', since]], next }
    : {
        ...{ execution, urgency: 'news', title: `${of}: not found any more: ${text}` },
        ...{ facts: [['Was found', since]], next: nothing },
      }
}
