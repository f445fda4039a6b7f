import type { Fleet } from '../../functions/lib/fleet.ts'
import type { Push } from '../../functions/lib/push.ts'
import { decide, deliveryOf, isSigned, type WebhookRequest } from '../../functions/webhook/delivery.ts'
import type { WebhookResponse } from '../../functions/webhook/webhook.ts'
import type { GitServer } from './simulation/git-server.ts'

export type Webhook = (request: WebhookRequest) => Promise<WebhookResponse>

/**
 * The webhook of a simulated fleet: a push that is signed and of the fleet reaches the simulated Git server before
 * the webhook, as it does at GitHub. Its commit has the tree of the branch's head: a payload carries no files.
 */
export function withSimulatedPushes(
  webhook: Webhook,
  { git, fleet, secret }: { git: GitServer; fleet: Fleet; secret: string },
): Webhook {
  return (request) => {
    const delivery = deliveryOf(request)
    if (isSigned(delivery, { current: secret })) {
      const decision = decide(delivery, fleet)
      if (decision.kind === 'start') commitPush(git, decision.push)
    }
    return webhook(request)
  }
}

/** Puts the pushed commit at the head of its branch, unless Git knows it already: then this is a redelivery. */
export function commitPush(git: GitServer, { repository, branch, after }: Push): void {
  const url = `https://${repository.host}/${repository.name}`
  if (git.find(url, after)) return
  git.commit(url, branch, after, {})
}
