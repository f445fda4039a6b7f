import { Duration, Stack } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import { eventSource } from '../../functions/lib/events.ts'
import type { ClusterAccess, ClusterWork } from './cluster-access.ts'
import { HandlerFunction } from './handler-function.ts'
import type { Ledger } from './ledger.ts'
import type { LockStores } from './lock-stores.ts'

interface Plan {
  readonly does: string
  readonly ledger: boolean
  readonly clusters?: ClusterWork
  readonly minutes: number
  /** Reads locks, or the states beside them as well, and tells of them. */
  readonly reads?: 'locks' | 'locks and states'
}

// A step that waits answers after 10 minutes; Lambda's limit of 15 leaves room for its last requests.
const plans = {
  waves: { does: 'orders the clusters of a push', ledger: false, minutes: 1 },
  claim: { does: 'claims a cluster for a push', ledger: true, minutes: 1 },
  plan: { does: 'orders the objects of a cluster', ledger: true, clusters: 'orders', minutes: 1 },
  gate: { does: 'holds the later layers', ledger: true, clusters: 'orders', minutes: 5 },
  fetch: { does: 'has the source fetched', ledger: true, clusters: 'orders', minutes: 15 },
  open: { does: 'opens a layer', ledger: true, clusters: 'orders', minutes: 5 },
  wait: { does: 'waits for a layer', ledger: true, clusters: 'orders', minutes: 15 },
  hold: { does: 'keeps what a failure holds', ledger: true, clusters: 'orders', minutes: 15 },
  report: { does: 'sums up a rollout', ledger: true, minutes: 1 },
  release: { does: 'gives up the claim and its gates', ledger: true, clusters: 'orders', minutes: 5 },
  restore: { does: 'puts back what an ended execution left', ledger: true, clusters: 'orders', minutes: 5 },
  judge: {
    does: "judges the locks of a cluster's objects",
    ledger: true,
    clusters: 'judges',
    minutes: 5,
    reads: 'locks and states',
  },
  'judge-others': { does: 'judges the locks of no object', ledger: true, minutes: 5, reads: 'locks' },
} as const satisfies Record<string, Plan>

export type StepName = keyof typeof plans

export interface StepsProps {
  /** As written, not as parsed: every function checks it again. */
  readonly fleet: unknown
  readonly ledger: Ledger
  readonly clusters: ClusterAccess
  readonly lockStores: LockStores
}

/** One function for each step of the state machines, and what it may do. */
export class Steps extends Construct {
  readonly functions: Readonly<Record<StepName, HandlerFunction>>

  constructor(scope: Construct, id: string, { fleet, ledger, clusters, lockStores }: StepsProps) {
    super(scope, id)
    const make = (step: StepName): HandlerFunction => {
      const plan: Plan = plans[step]
      const made = new HandlerFunction(this, capitalised(step), {
        handler: step,
        description: `Lockstep: ${plan.does}`,
        timeout: Duration.minutes(plan.minutes),
        memorySize: plan.clusters ? 512 : 256,
        environment: { LEDGER_TABLE: ledger.table.tableName, ...(plan.reads && { EVENT_BUS: eventBus }) },
        bundled: { LOCKSTEP_FLEET: fleet },
      })
      if (plan.ledger) ledger.grant(made)
      if (plan.clusters) clusters.grant(made, plan.clusters)
      if (plan.reads) {
        lockStores.grant(made, { states: plan.reads === 'locks and states' })
        this.allowEvents(made)
      }
      return made
    }
    this.functions = {
      waves: make('waves'),
      claim: make('claim'),
      plan: make('plan'),
      gate: make('gate'),
      fetch: make('fetch'),
      open: make('open'),
      wait: make('wait'),
      hold: make('hold'),
      report: make('report'),
      release: make('release'),
      restore: make('restore'),
      judge: make('judge'),
      'judge-others': make('judge-others'),
    }
  }

  /** Events in Lockstep's own name, and no others. */
  private allowEvents(to: HandlerFunction): void {
    const bus = Stack.of(this).formatArn({ service: 'events', resource: 'event-bus', resourceName: eventBus })
    const conditions = { StringEquals: { 'events:source': eventSource } }
    to.role.addToPolicy(new PolicyStatement({ actions: ['events:PutEvents'], resources: [bus], conditions }))
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

/** The account's own: whoever wants to hear of a lock adds a rule to it. */
const eventBus = 'default'
