import { parseFleet } from '../../functions/lib/fleet.ts'
import { silentLog } from '../../functions/lib/log.ts'
import { type Host, startHost } from '../../infra/local/host.ts'
import { type HttpServer, startHttpServer } from '../../infra/local/http-server.ts'
import { FindingViews } from '../../infra/local/views/finding-view.ts'
import { LiveRollouts } from '../../infra/local/views/live-rollouts.ts'
import { LockViews } from '../../infra/local/views/lock-view.ts'
import { PushWaves } from '../../infra/local/views/push-waves.ts'
import { UnlockViews } from '../../infra/local/views/unlock-view.ts'
import { noActivity, scaledClock } from '../../infra/local/virtual-clock.ts'
import { approvalOf, askedAt, people, staleLock } from '../fixtures/approvals.ts'

const fleet = parseFleet({
  repositories: [{ name: 'my-org/fleet-infra', branches: ['main'] }],
  clusters: [{ name: 'staging', eks: 'staging-eks', region: 'us-east-1', environment: 'test' }],
  locks: { policy: { test: { plan: 'two-approvals', apply: 'two-approvals' } }, approvers: people },
})

/**
 * A host that knows of one lock, and of one unlock that ana has asked for and that waits for two people. No cluster is
 * needed to decide, and no execution to wait for the answer.
 */
export class WaitingHost {
  readonly host: Host
  readonly server: HttpServer
  private readonly live: LiveRollouts

  private constructor(host: Host, server: HttpServer, live: LiveRollouts) {
    this.host = host
    this.server = server
    this.live = live
  }

  static async start(): Promise<WaitingHost> {
    const clock = scaledClock(1, askedAt + 60_000)
    const clusters = { connect: async () => Promise.reject(new Error('there is none')) }
    const host = await startHost({
      ...{ fleet, clusters, clock, activity: noActivity, webhookSecret: 'of the tests', log: silentLog },
    })
    const { interpreter, ledger, webhook, unlockRoutes } = host
    interpreter.sendTaskSuccess = () => {}
    interpreter.sendTaskFailure = () => {}
    await ledger.writeObservation(staleLock)
    await ledger.writeApproval(approvalOf({ plan: ['To unlock Terraform/flux-system/vpc in staging'] }))
    const live = new LiveRollouts({ interpreter, ledger, clusters, clock })
    const server = await startHttpServer({
      ...{ webhook, live, interpreter, ledger, ...unlockRoutes, clock, speed: 1, person: 'ana', port: 0 },
      waves: new PushWaves({ interpreter, fleet }),
      locks: new LockViews({ ledger, fleet, clock }),
      unlocks: new UnlockViews({ ledger, fleet, clusters }),
      findings: new FindingViews({ ledger, fleet, sweep: () => '' }),
    })
    return new WaitingHost(host, server, live)
  }

  /** What people have decided. */
  async decisions() {
    const approval = await this.host.ledger.readApproval('unlock-1')
    return approval?.decisions.map(({ by, decision, reason }) => ({ by, decision, reason }))
  }

  async close(): Promise<void> {
    await this.server.close()
    await this.live.close()
    await this.host.close()
  }
}
