import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { FleetFile } from '../fleet.ts'
import { ClusterAccess } from './cluster-access.ts'
import { Ledger } from './ledger.ts'
import { LockSchedule } from './lock-schedule.ts'
import { LockStores } from './lock-stores.ts'
import { RestoreRule } from './restore-rule.ts'
import { Steps } from './steps.ts'
import { Webhook } from './webhook.ts'
import { Workflow } from './workflow.ts'

/** All of Lockstep in one account, in the region of the fleet's first cluster. */
export class LockstepStack extends Stack {
  constructor(scope: Construct, id: string, { fleet, written }: FleetFile, props: StackProps = {}) {
    const region = fleet.clusters[0]?.region
    super(scope, id, {
      description: 'Lockstep: ordered rollouts for Flux, and state locks that are judged from evidence',
      ...(region && { env: { region } }),
      ...props,
    })

    const ledger = new Ledger(this, 'Ledger')
    const clusters = new ClusterAccess(this, 'ClusterAccess', fleet)
    const lockStores = new LockStores(this, 'LockStores', fleet)
    const steps = new Steps(this, 'Steps', { fleet: written, ledger, clusters, lockStores })
    const workflow = new Workflow(this, 'Workflow', steps)
    new Webhook(this, 'Webhook', { fleet, fleetStateMachine: workflow.fleet })
    new LockSchedule(this, 'LockSchedule', fleet, workflow.lockScan)
    new RestoreRule(this, 'Restore', workflow.rollout, steps.functions.restore)

    new CfnOutput(this, 'LedgerTable', { value: ledger.table.tableName })
  }
}
