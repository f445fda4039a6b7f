import { formatDuration } from '../../duration.ts'
import { type Evidence, readingOf, whyUnknown } from '../evidence.ts'
import { ageOf, type LockAge } from './lock-age.ts'
import { type LockLimits, minimumAgeOf, serverTolerance } from './lock-limits.ts'
import { type ProofOfDeath, proofOfDeath } from './proof-of-death.ts'

export const verdicts = ['free', 'live', 'suspect', 'stale', 'unknown'] as const
export type Verdict = (typeof verdicts)[number]

/** What is to be thought of a lock, and why. */
export interface Judgement {
  readonly verdict: Verdict
  /** The name of the rule that decided. */
  readonly rule: string
  readonly reasons: readonly string[]
  /** What would change the verdict. */
  readonly wouldChange: string
  /** One of the three that look alike. */
  readonly scene?: Scene | undefined
}

/**
 * `loud ghost`: dead, and the controller says that the state is locked. `silent ghost`: dead, and the object says
 * "Applying" for ever. `live orphan`: the controller is dead, and its runner works on.
 */
export const scenes = ['loud ghost', 'silent ghost', 'live orphan'] as const
export type Scene = (typeof scenes)[number]

/** The evidence, and what follows from it for every rule. */
interface Case {
  readonly evidence: Evidence
  readonly limits: LockLimits
  readonly age: LockAge
  readonly minimumAge: number
  readonly proof: ProofOfDeath | undefined
  /** How long nothing has moved and the proof has held, in milliseconds. */
  readonly quiet: number
}

interface Rule {
  readonly name: string
  readonly verdict: Verdict
  /** The reasons for which it applies; undefined where it does not. */
  readonly applies: (given: Case) => readonly string[] | undefined
  readonly wouldChange: (given: Case) => string
}

/**
 * The first rule that applies decides. `stale` takes a proof of death, the minimum age of the operation, and two
 * observations a quiet window apart; whatever cannot be read makes it `unknown`, age alone makes it `suspect`.
 */
const rules: readonly Rule[] = [
  {
    name: 'no-lock',
    verdict: 'free',
    applies: ({ evidence }) => (evidence.lock.parts.length === 0 ? ['nobody holds it'] : undefined),
    wouldChange: () => 'somebody takes it',
  },
  {
    name: 'unreadable-record',
    verdict: 'unknown',
    applies: ({ evidence: { lock } }) =>
      lock.record && lock.problem === undefined ? undefined : [`the lock's record ${lock.problem ?? 'is missing'}`],
    wouldChange: () => 'a person finds out who wrote it',
  },
  {
    name: 'young-and-not-a-runner',
    verdict: 'live',
    applies: ({ evidence: { holder }, age, minimumAge }) =>
      'other' in holder && age.atLeast < minimumAge
        ? [holder.other, `it is ${formatDuration(age.atLeast)} old, and may work`]
        : undefined,
    wouldChange: ({ minimumAge }) => `its holder releases it; after ${formatDuration(minimumAge)} it is suspect`,
  },
  {
    name: 'not-a-runner',
    verdict: 'suspect',
    applies: ({ evidence: { holder }, age }) =>
      'other' in holder
        ? [
            holder.other,
            `it is at least ${formatDuration(age.atLeast)} old`,
            'nobody here can tell whether it still works',
          ]
        : undefined,
    wouldChange: () => 'a person asks whoever took it',
  },
  {
    name: 'pod-unknown',
    verdict: 'unknown',
    applies: ({ evidence }) => reasons(whyUnknown(evidence.pod)),
    wouldChange: () => "the holder's pod can be read",
  },
  {
    name: 'state-unknown',
    verdict: 'unknown',
    applies: ({ evidence, proof }) => (proof ? reasons(whyUnknown(evidence.state)) : undefined),
    wouldChange: () => "the state's version can be read",
  },
  {
    name: 'nodes-unknown',
    verdict: 'unknown',
    applies: ({ evidence }) => reasons(whyUnknown(evidence.nodes)),
    wouldChange: () => "the cluster's nodes can be read",
  },
  {
    name: 'node-silent',
    verdict: 'suspect',
    applies: ({ proof }) => (proof?.blocked === undefined ? undefined : [proof.words, proof.blocked]),
    wouldChange: () => 'the node answers again, or its machine is terminated and the Node deleted after that',
  },
  {
    name: 'dead-but-young',
    verdict: 'suspect',
    applies: ({ proof, age, minimumAge }) =>
      proof && age.atLeast < minimumAge
        ? [
            proof.words,
            `it is known to be ${formatDuration(age.atLeast)} old, and ${formatDuration(minimumAge)} are asked for`,
          ]
        : undefined,
    wouldChange: ({ age, minimumAge }) =>
      `it is stale in ${formatDuration(minimumAge - age.atLeast)}, if nothing moves`,
  },
  {
    name: 'dead-but-not-quiet',
    verdict: 'suspect',
    applies: ({ proof, quiet, limits }) =>
      proof && quiet < limits.quietWindow
        ? [
            proof.words,
            `nothing has moved for ${formatDuration(quiet)}, and ${formatDuration(limits.quietWindow)} are asked for`,
          ]
        : undefined,
    wouldChange: ({ quiet, limits }) =>
      `it is stale in ${formatDuration(limits.quietWindow - quiet)}, if nothing moves`,
  },
  {
    name: 'holder-dead',
    verdict: 'stale',
    applies: ({ proof, age, quiet }) =>
      proof && [
        proof.words,
        `it is at least ${formatDuration(age.atLeast)} old`,
        `neither the lock nor the state has moved for ${formatDuration(quiet)}`,
      ],
    wouldChange: () => 'the lock or the state moves',
  },
  {
    name: 'node-does-not-answer',
    verdict: 'suspect',
    applies: ({ evidence, age, minimumAge }) => {
      const own = readingOf(evidence.nodes)?.own
      if (own?.state !== 'not ready' || age.atLeast < minimumAge) return undefined
      return [`its pod's node ${own.name} does not answer`, `it is at least ${formatDuration(age.atLeast)} old`]
    },
    wouldChange: () => 'the node answers again, or its machine is terminated and the Node deleted after that',
  },
  {
    name: 'outlived-its-run',
    verdict: 'suspect',
    applies: ({ evidence, age, minimumAge }) =>
      age.atLeast >= minimumAge && metItself(evidence)
        ? [
            "its pod runs, but the object's later runs find the state locked by this very lock",
            `it is at least ${formatDuration(age.atLeast)} old`,
          ]
        : undefined,
    wouldChange: () => 'the pod ends, or the lock is released',
  },
  {
    name: 'holder-runs',
    verdict: 'live',
    applies: ({ evidence, age }) => {
      const pod = readingOf(evidence.pod)
      if (!pod?.exists || pod.container?.state !== 'running') return undefined
      return [
        'its pod and its container run, and nothing says that they are younger than the lock',
        `it is ${formatDuration(age.atLeast)} old`,
      ]
    },
    wouldChange: () => 'the lock is released, or its pod ends',
  },
  {
    name: 'young',
    verdict: 'live',
    applies: ({ age, minimumAge }) =>
      age.atLeast < minimumAge
        ? [`it is known to be ${formatDuration(age.atLeast)} old`, 'its holder may work']
        : undefined,
    wouldChange: ({ minimumAge }) => `its holder releases it; after ${formatDuration(minimumAge)} it is suspect`,
  },
  {
    name: 'age-alone',
    verdict: 'suspect',
    applies: ({ age }) => [
      `it is at least ${formatDuration(age.atLeast)} old`,
      'nothing proves that its holder is dead',
    ],
    wouldChange: () => "a proof of the holder's death, or its release",
  },
]

/** The names of all rules, in the order in which they are tried. */
export const ruleNames = rules.map(({ name }) => name)

/** Judges a lock by its evidence. Pure: the same evidence has the same verdict. */
export function judge(evidence: Evidence, limits: LockLimits): Judgement {
  const given = caseOf(evidence, limits)
  for (const { name, verdict, applies, wouldChange } of rules) {
    const reasons = applies(given)
    if (!reasons) continue
    const scene = sceneOf(given, verdict)
    const doubt = given.age.doubt === undefined ? [] : [`Created does not count: ${given.age.doubt}`]
    const told = verdict === 'free' || verdict === 'unknown' ? reasons : [...reasons, ...doubt]
    return { verdict, rule: name, reasons: told, wouldChange: wouldChange(given), ...(scene && { scene }) }
  }
  throw new TypeError('the last rule applies to everything')
}

function caseOf(evidence: Evidence, limits: LockLimits): Case {
  const { at, sight, lock } = evidence
  const proof = 'runner' in evidence.holder ? proofOfDeath(evidence) : undefined
  const quietSince = Math.max(sight.unchangedSince, sight.deadSince ?? at)
  return {
    ...{ evidence, limits, proof },
    age: ageOf(evidence),
    minimumAge: minimumAgeOf(lock.record?.operation ?? '', limits),
    quiet: Math.max(0, at - quietSince),
  }
}

function reasons(why: string | undefined): readonly string[] | undefined {
  return why === undefined ? undefined : [why]
}

/** The controller tried again in the pod that holds the lock, and was stopped by it. */
function metItself({ lock, object }: Evidence): boolean {
  const found = readingOf(object)
  return Boolean(found?.exists && found.stateLocked && found.pendingLock === lock.record?.id)
}

function sceneOf({ evidence, proof }: Case, verdict: Verdict): Scene | undefined {
  const object = readingOf(evidence.object)
  if (!object?.exists || 'other' in evidence.holder) return undefined
  if (proof && proof.blocked === undefined) {
    if (object.stateLocked) return 'loud ghost'
    return object.reconciling || object.ready === 'Unknown' ? 'silent ghost' : undefined
  }
  return verdict === 'live' && isControllerDead(evidence.controller) ? 'live orphan' : undefined
}

/** No pod of it is ready; or the one that leads has not renewed its Lease, whatever its pod looks like. */
function isControllerDead(controller: Evidence['controller']): boolean {
  const { deployment, ready, leader } = readingOf(controller) ?? {}
  if (deployment === undefined) return false
  if (ready === 0) return true
  return leader !== undefined && controller.readAt - leader.renewedAt > leader.leaseMs + serverTolerance
}
