import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { FleetFile } from '../fleet.ts'
import { Alarms } from './alarms.ts'
import { Approvals } from './approvals.ts'
import { ClusterAccess } from './cluster-access.ts'
import { CustomerKey } from './customer-key.ts'
import { Dashboard } from './dashboard.ts'
import { addFleetTags } from './fleet-tags.ts'
import { Ledger } from './ledger.ts'
import { LockSchedule } from './lock-schedule.ts'
import { LockStores } from './lock-stores.ts'
import { Network } from './network.ts'
import { NetworkEndpoints } from './network-endpoints.ts'
import { Notifications } from './notifications.ts'
import { RestoreRule } from './restore-rule.ts'
import { Steps } from './steps.ts'
import { SweepSchedule } from './sweep-schedule.ts'
import { WaveFiles } from './wave-files.ts'
import { Webhook } from './webhook.ts'
import { Workflow } from './workflow.ts'

/** All of Lockstep but what is in clusters: in one account, in the region of the fleet's first cluster. */
export class LockstepStack extends Stack {
  readonly clusters: ClusterAccess
  readonly sweeps: SweepSchedule

  constructor(scope: Construct, id: string, { fleet, written }: FleetFile, props: StackProps = {}) {
    const region = fleet.clusters[0]?.region
    super(scope, id, {
      description:
        'Lockstep: ordered rollouts for Flux, and state locks that are only broken when their holder is proven dead',
      env: { ...(region && { region }), ...(fleet.account && { account: fleet.account }) },
      ...props,
    })

    const ledger = new Ledger(this, 'Ledger')
    this.clusters = new ClusterAccess(this, 'ClusterAccess', fleet)
    const lockStores = new LockStores(this, 'LockStores', fleet)
    const waveFiles = new WaveFiles(this, 'WaveFiles')
    const network = this.network(fleet)
    const clusters = this.clusters
    const steps = new Steps(this, 'Steps', { fleet: written, ledger, clusters, lockStores, waveFiles, network })
    const workflow = new Workflow(this, 'Workflow', { steps, waveFiles })
    const { api, handler: webhook } = new Webhook(this, 'Webhook', { fleet, fleetStateMachine: workflow.fleet })
    new Approvals(this, 'Approvals', { fleet, written, ledger, steps, api })
    const { rollout, fleet: waves, lockScan, guardedUnlock, sweep } = workflow
    const notifications = new Notifications(this, 'Notifications', {
      fleet,
      written,
      ledger,
      fleetMachine: waves,
      guardedUnlock,
    })
    new LockSchedule(this, 'LockSchedule', fleet, lockScan)
    this.sweeps = new SweepSchedule(this, 'Sweep', fleet, sweep)
    const { restore, 'unlock-watch': watch, 'stop-asking': stopAsking } = steps.functions
    const lost = {
      'the end of a rollout': new RestoreRule(this, 'Restore', { of: 'a rollout', machines: [rollout], restore }).lost,
      'the end of an unlock': new RestoreRule(this, 'RestoreUnlock', {
        ...{ of: 'an unlock', machines: [guardedUnlock], restore: watch },
      }).lost,
      'the end of a question': new RestoreRule(this, 'RestoreAsked', {
        ...{ of: 'what people may be asked by', machines: [waves, rollout], restore: stopAsking },
      }).lost,
      'the start of a sweep': this.sweeps.lost,
      'a notification': notifications.lost,
    }
    const { alarms } = new Alarms(this, 'Alarms', {
      ...{ api, rollout, lost, ledger: ledger.table, machines: [waves, rollout, lockScan, guardedUnlock, sweep] },
      emails: fleet.notifications.emails,
      schedules: [
        { what: 'scan for locks', every: fleet.locks.every, machine: lockScan },
        { what: 'sweep', every: fleet.sweep.every, machine: sweep },
      ],
    })
    new Dashboard(this, 'Dashboard', {
      ...{ name: this.stackName, alarms, api, rollout, lockScan, guardedUnlock },
      ...{ ledger: ledger.table, webhook: webhook.function },
    })
    if (fleet.encryption === 'customer-key') new CustomerKey(this, 'Key')
    addFleetTags(this, fleet)

    new CfnOutput(this, 'LedgerTable', { value: ledger.table.tableName })
  }

  private network({ network: place, clusters }: FleetFile['fleet']): Network | undefined {
    if (!place) return undefined
    const network = new Network(this, 'Network', place)
    new CfnOutput(this, 'FunctionsSecurityGroup', {
      value: network.functions.securityGroupId,
      description: 'What private clusters have to let in at port 443',
    })
    if (place.endpoints) new NetworkEndpoints(this, 'Endpoints', { network, ...place.endpoints, clusters })
    return network
  }
}
