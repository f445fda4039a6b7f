import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deliverPush } from '../../../infra/local/push-file.ts'
import type { GitHttpServer, GitPush } from './git-http.ts'

export interface LockstepWebhookOptions {
  readonly git: GitHttpServer
  /** Where the files are written. */
  readonly directory: string
  /** Of Lockstep. */
  readonly url: string
  readonly waiting?: GitPush | undefined
  /** Called once for each push, when it has been delivered or not. */
  readonly onDelivery: (delivery: Delivery) => void
}

export interface Delivery {
  readonly push: GitPush
  /** Name of the execution that it started. */
  readonly execution?: string
  /** Why there is none. */
  readonly reason?: string
}

/** What GitHub does on a push: it tells Lockstep, signed. */
export interface LockstepWebhook {
  /** File with what deliveries are signed with. */
  readonly secretFile: string
  /** File with the payload of the last push, for a Lockstep that was not there. */
  readonly payloadFile: string
  /** What came of the delivery of a commit that was pushed; undefined for one that nobody pushed. */
  delivered(commit: string): Promise<Delivery> | undefined
}

/** Tells of every push from now on. `waiting` was pushed before, and stays with its payload. */
export async function startLockstepWebhook(options: LockstepWebhookOptions): Promise<LockstepWebhook> {
  const { directory, git, onDelivery, url, waiting } = options
  const secret = randomBytes(24).toString('hex')
  const secretFile = join(directory, 'webhook-secret')
  const payloadFile = join(directory, 'push.json')
  await writeFile(secretFile, secret, { mode: 0o600 })
  if (waiting) await writeFile(payloadFile, payloadOf(waiting, git.url))
  const deliveries = new Map<string, Promise<Delivery>>()
  const deliver = async (push: GitPush): Promise<Delivery> => {
    const body = payloadOf(push, git.url)
    await writeFile(payloadFile, body)
    const answer = await deliverPush(url, body, secret).catch(() => undefined)
    if (!answer) return { push, reason: `no Lockstep answers at ${url}` }
    if (answer.execution !== undefined) return { push, execution: answer.execution }
    const hint = answer.status === 401 ? '; start it with the secret of this cluster' : ''
    return { push, reason: `Lockstep answered ${answer.status}: ${answer.reason ?? 'no reason given'}${hint}` }
  }
  git.onPush((push) => {
    const delivery = deliver(push)
    deliveries.set(push.after, delivery)
    delivery.then(onDelivery)
  })
  return { secretFile, payloadFile, delivered: (commit) => deliveries.get(commit) }
}

const noCommit = '0'.repeat(40)

/** As much of a push event as Lockstep reads: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push */
function payloadOf({ repository, branch, before = noCommit, after }: GitPush, gitUrl: string): string {
  return JSON.stringify({
    ref: `refs/heads/${branch}`,
    before,
    after,
    pusher: { name: 'demo' },
    repository: {
      full_name: repository,
      html_url: `${gitUrl}/${repository}`,
      pushed_at: Math.floor(Date.now() / 1000),
    },
  })
}
