import { Duration } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import { allowEvents, eventBus } from './allow-events.ts'
import type { ClusterAccess } from './cluster-access.ts'
import type { ClusterWork } from './cluster-work.ts'
import { HandlerFunction } from './handler-function.ts'
import type { Ledger, LedgerWork } from './ledger.ts'
import type { LockStores, StoreWork } from './lock-stores.ts'
import type { Network } from './network.ts'
import type { WaveFiles, WaveWork } from './wave-files.ts'

interface Plan {
  readonly does: string
  readonly ledger?: LedgerWork
  readonly clusters?: ClusterWork
  readonly minutes: number
  /** In the fleet's lock tables and buckets. */
  readonly stores?: StoreWork
  /** Publishes events. */
  readonly tells?: true
  readonly waves?: WaveWork
}

// A step that waits answers after 10 minutes; Lambda's limit of 15 leaves room for its last requests.
const plans = {
  waves: { does: 'orders the clusters of a push', waves: 'plans waves', minutes: 1 },
  'wave-conclude': { does: 'counts how the clusters of a wave ended', waves: 'concludes waves', minutes: 1 },
  'wave-ask': { does: 'asks people before a wave', ledger: 'decisions', minutes: 1, tells: true },
  'stop-asking': {
    ...{ does: 'closes what an ended execution asked people', ledger: 'decisions', minutes: 1 },
    tells: true,
  },
  claim: { does: 'claims a cluster for a push', ledger: 'rollouts', minutes: 1, tells: true },
  plan: { does: 'orders the objects of a cluster', ledger: 'rollouts', clusters: 'orders', minutes: 1, tells: true },
  gate: { does: 'holds the later layers', ledger: 'rollouts', clusters: 'orders', minutes: 5, tells: true },
  fetch: { does: 'has the source fetched', ledger: 'rollouts', clusters: 'orders', minutes: 15, tells: true },
  open: { does: 'opens a layer', ledger: 'rollouts', clusters: 'orders', minutes: 5, tells: true },
  wait: { does: 'waits for a layer', ledger: 'rollouts', clusters: 'orders', minutes: 15, tells: true },
  'plan-ask': {
    ...{ does: 'asks people to agree to plans', ledger: 'approvals', clusters: 'judges', minutes: 15 },
    tells: true,
  },
  'plan-approve': {
    ...{ does: 'approves the plans that people agreed to', ledger: 'approvals', clusters: 'judges', minutes: 5 },
    tells: true,
  },
  hold: { does: 'keeps what a failure holds', ledger: 'rollouts', clusters: 'orders', minutes: 15, tells: true },
  report: { does: 'sums up a rollout', ledger: 'rollouts', minutes: 1, tells: true },
  release: {
    does: 'gives up the claim and its gates',
    ledger: 'rollouts',
    clusters: 'orders',
    minutes: 5,
    tells: true,
  },
  restore: {
    does: 'puts back what an ended rollout left',
    ledger: 'rollouts',
    clusters: 'orders',
    minutes: 5,
    tells: true,
  },
  judge: {
    ...{ does: "judges the locks of a cluster's objects", ledger: 'rollouts', clusters: 'judges', minutes: 5 },
    ...{ stores: 'reads locks and states', tells: true },
  },
  'sweep-cluster': {
    ...{ does: 'looks a cluster through', ledger: 'rollouts', clusters: 'judges', minutes: 5 },
    ...{ stores: 'reads states', tells: true },
  },
  'judge-others': {
    ...{ does: 'judges the locks of no object', ledger: 'rollouts', minutes: 5 },
    ...{ stores: 'reads locks', tells: true },
  },
  'unlock-act': { does: 'decides which locks are unlocked after a scan', ledger: 'unlocks', minutes: 5, tells: true },
  'unlock-assess': {
    ...{ does: 'judges the lock of an unlock anew', ledger: 'unlocks', clusters: 'judges', minutes: 5 },
    ...{ stores: 'reads locks and states', tells: true },
  },
  'unlock-ask': { does: 'asks people to agree to an unlock', ledger: 'unlocks', clusters: 'judges', minutes: 2 },
  'unlock-begin': {
    ...{ does: 'writes down what an unlock changes', ledger: 'unlocks', clusters: 'unlocks', minutes: 5 },
    ...{ stores: 'reads locks and states', tells: true },
  },
  'unlock-fence': {
    ...{ does: 'fences a locked state', ledger: 'unlocks', clusters: 'unlocks', minutes: 15 },
    ...{ stores: 'reads locks and states', tells: true },
  },
  'unlock-back-up': {
    ...{ does: 'backs up a locked state', ledger: 'unlocks', clusters: 'unlocks', minutes: 5 },
    stores: 'backs up states',
  },
  'unlock-delete': {
    ...{ does: 'deletes a lock that is exactly what was judged', ledger: 'unlocks', clusters: 'unlocks', minutes: 15 },
    stores: 'reads states and deletes locks',
  },
  'unlock-put-back': {
    ...{ does: 'puts back what an unlock changed', ledger: 'unlocks', clusters: 'unlocks', minutes: 15 },
    stores: 'reads states',
  },
  'unlock-verify': {
    ...{ does: 'waits for the plan after an unlock', ledger: 'unlocks', clusters: 'judges', minutes: 15 },
    stores: 'reads versions of states',
  },
  'unlock-conclude': {
    ...{ does: 'ends an unlock', ledger: 'unlocks', clusters: 'unlocks', minutes: 5 },
    tells: true,
  },
  'unlock-watch': {
    ...{ does: 'puts back what an ended unlock left', ledger: 'unlocks', clusters: 'unlocks', minutes: 5 },
    tells: true,
  },
} as const satisfies Record<string, Plan>

export type StepName = keyof typeof plans

export interface StepsProps {
  /** As written, not as parsed: every function checks it again. */
  readonly fleet: unknown
  readonly ledger: Ledger
  readonly clusters: ClusterAccess
  readonly lockStores: LockStores
  /** Where the functions run that reach clusters. */
  readonly network: Network | undefined
  readonly waveFiles: WaveFiles
}

/** One function for each step of the state machines, and what it may do. */
export class Steps extends Construct {
  readonly functions: Readonly<Record<StepName, HandlerFunction>>

  constructor(scope: Construct, id: string, { fleet, ledger, clusters, lockStores, waveFiles, network }: StepsProps) {
    super(scope, id)
    const make = (step: StepName): HandlerFunction => {
      const plan: Plan = plans[step]
      const made = new HandlerFunction(this, capitalised(step), {
        handler: step,
        description: `Lockstep: ${plan.does}`,
        timeout: Duration.minutes(plan.minutes),
        memorySize: plan.clusters ? 512 : 256,
        environment: {
          ...ledger.environment,
          EVENT_BUS: eventBus,
          ...(plan.waves && { WAVES_BUCKET: waveFiles.bucket.bucketName }),
        },
        bundled: { LOCKSTEP_FLEET: fleet },
        network: plan.clusters && network,
      })
      if (plan.ledger) ledger.grant(made, plan.ledger)
      if (plan.clusters) clusters.grant(made, plan.clusters)
      if (plan.stores) lockStores.grant(made, plan.stores)
      if (plan.tells) allowEvents(made)
      if (plan.waves) waveFiles.grant(made, plan.waves)
      return made
    }
    const made = Object.keys(plans).map((step) => [step, make(step as StepName)])
    this.functions = Object.fromEntries(made)
  }

  /** What `${ClaimFunction}` and its like stand for in statemachines/*.asl.json. */
  substitutions(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.functions).map(([step, made]) => [`${capitalised(step)}Function`, made.function.functionArn]),
    )
  }
}

/** `JudgeOthers` for `judge-others`. */
const capitalised = (step: string) => step.replace(/(?:^|-)(\w)/g, (_, first: string) => first.toUpperCase())
