import { Duration } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { ClusterAccess } from './cluster-access.ts'
import { HandlerFunction } from './handler-function.ts'
import type { Ledger } from './ledger.ts'

interface Plan {
  readonly does: string
  readonly ledger: boolean
  readonly clusters: boolean
  readonly minutes: number
}

// A step that waits answers after 10 minutes; Lambda's limit of 15 leaves room for its last requests.
const plans = {
  waves: { does: 'orders the clusters of a push', ledger: false, clusters: false, minutes: 1 },
  claim: { does: 'claims a cluster for a push', ledger: true, clusters: false, minutes: 1 },
  plan: { does: 'orders the objects of a cluster', ledger: true, clusters: true, minutes: 1 },
  gate: { does: 'holds the later layers', ledger: true, clusters: true, minutes: 5 },
  fetch: { does: 'has the source fetched', ledger: true, clusters: true, minutes: 15 },
  open: { does: 'opens a layer', ledger: true, clusters: true, minutes: 5 },
  wait: { does: 'waits for a layer', ledger: true, clusters: true, minutes: 15 },
  hold: { does: 'keeps what a failure holds', ledger: true, clusters: true, minutes: 15 },
  report: { does: 'sums up a rollout', ledger: true, clusters: false, minutes: 1 },
  release: { does: 'gives up the claim and its gates', ledger: true, clusters: true, minutes: 5 },
  restore: { does: 'puts back what an ended execution left', ledger: true, clusters: true, minutes: 5 },
} as const satisfies Record<string, Plan>

export type StepName = keyof typeof plans

export interface StepsProps {
  /** As written, not as parsed: every function checks it again. */
  readonly fleet: unknown
  readonly ledger: Ledger
  readonly clusters: ClusterAccess
}

/** One function for each step of the state machines, and what it may do. */
export class Steps extends Construct {
  readonly functions: Readonly<Record<StepName, HandlerFunction>>

  constructor(scope: Construct, id: string, { fleet, ledger, clusters }: StepsProps) {
    super(scope, id)
    const make = (step: StepName): HandlerFunction => {
      const plan: Plan = plans[step]
      const made = new HandlerFunction(this, capitalised(step), {
        handler: step,
        description: `Lockstep: ${plan.does}`,
        timeout: Duration.minutes(plan.minutes),
        memorySize: plan.clusters ? 512 : 256,
        environment: { LEDGER_TABLE: ledger.table.tableName },
        bundled: { LOCKSTEP_FLEET: fleet },
      })
      if (plan.ledger) ledger.grant(made)
      if (plan.clusters) clusters.grant(made)
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
    }
  }

  /** What `${ClaimFunction}` and its like stand for in statemachines/*.asl.json. */
  substitutions(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.functions).map(([step, made]) => [`${capitalised(step)}Function`, made.function.functionArn]),
    )
  }
}

const capitalised = (word: string) => word.charAt(0).toUpperCase() + word.slice(1)
