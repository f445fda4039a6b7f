import { type Approval, outcomeOf, type PlanApproval } from '../lib/approval/approval.ts'
import { concludeApproval } from '../lib/approval/conclude-approval.ts'
import { sendLinks } from '../lib/approval/send-links.ts'
import { writeAsked } from '../lib/approval/write-asked.ts'
import { parseWorkload, type Workload } from '../lib/flux/workload.ts'
import type { Cluster } from '../lib/kubernetes/cluster.ts'
import { getIfThere } from '../lib/kubernetes/get-if-there.ts'
import { planApprovalId, planPeople } from '../lib/plans/plan-approval.ts'
import { isDestructive, type ShownPlan } from '../lib/plans/shown-plan.ts'
import { PlanMissing, readStoredPlan } from '../lib/plans/stored-plan.ts'
import { follow } from '../lib/rollout/follow.ts'
import { refOf } from '../lib/rollout/gates.ts'
import { ClaimLost } from '../lib/rollout/lease.ts'
import type { PlannedObject, Rollout } from '../lib/rollout/rollout.ts'
import { turnOf } from '../lib/rollout/turn.ts'
import type { ApprovalPorts } from '../lib/step.ts'

export interface AskForPlansPorts extends ApprovalPorts {
  readonly cluster: Cluster
}

/** How often is looked at what people have decided, in milliseconds. */
const lookMs = 5_000

/** How long a plan may be missing that an object says is there, in milliseconds. */
const missingMs = 60_000

/**
 * Asks people about every plan that the rollout waits for, and stays until something has happened: a decision, a plan that
 * is not waited for any more, the end of the time to decide, a newer push, or the end of the slice. Then it answers the
 * task, unless a person's page has done so already. A plan that begins to wait meanwhile is asked about as well.
 *
 * `rollout` is followed but not kept: whoever waits next sees in the cluster what has become of it. Answers how many
 * plans people are asked about. Throws ClaimLost, PlanMissing, AskedMeanwhile, ApproversUnavailable, TaskTokensUnavailable, ClusterError.
 */
export async function askForPlans(
  rollout: Rollout,
  token: string,
  ports: AskForPlansPorts,
): Promise<{ asked: number }> {
  const asking = new Asking(rollout, token, ports)
  try {
    const ending = await follow(
      rollout,
      ports,
      (now) => asking.look(now),
      () => asking.nextLook,
    )
    if (ending.why !== 'decided' && ending.why !== 'slice') await asking.withdraw()
  } catch (error) {
    if (error instanceof ClaimLost) await asking.withdraw()
    throw error
  }
  await ports.tasks.succeed(token, {})
  return { asked: asking.count }
}

class Asking {
  nextLook = 0
  private readonly rollout: Rollout
  private readonly token: string
  private readonly ports: AskForPlansPorts
  /** By object. */
  private readonly asked = new Map<string, PlanApproval>()
  private readonly missingSince = new Map<string, number>()

  constructor(rollout: Rollout, token: string, ports: AskForPlansPorts) {
    this.rollout = rollout
    this.token = token
    this.ports = ports
  }

  get count(): number {
    return this.asked.size
  }

  /** Answers whether there is something to do about a plan, or nothing to wait for any more. */
  async look(now: number): Promise<true | undefined> {
    const waiting = new Map(
      turnOf(this.rollout).unsettled.flatMap((object) => (object.waitsForPlan ? [[object.key, object]] : [])),
    )
    for (const object of waiting.values()) if (this.isNew(object)) await this.ask(object, now)
    let isOver = waiting.size === 0
    for (const [key, { id }] of this.asked) {
      const approval = await this.ports.ledger.readApproval(id)
      if (approval && (await this.isOver(approval, waiting.has(key), now))) isOver = true
    }
    this.nextLook = now + lookMs
    return isOver || undefined
  }

  /** Nobody waits for the answers any more. */
  async withdraw(): Promise<void> {
    for (const { id } of this.asked.values()) {
      const approval = await this.ports.ledger.readApproval(id)
      if (approval && !approval.closed) await concludeApproval(approval, 'gone', this.ports)
    }
  }

  private isNew({ key, waitsForPlan }: PlannedObject): boolean {
    const known = this.asked.get(key)
    return known?.plan !== waitsForPlan?.plan || known?.plannedAt !== waitsForPlan?.plannedAt
  }

  private async isOver(approval: Approval, waits: boolean, now: number): Promise<boolean> {
    if (approval.closed) return true
    const outcome = outcomeOf(approval)
    // It was decided, and whoever was to say so died.
    const how = outcome !== 'open' ? outcome : waits ? undefined : 'gone'
    const closing = how ?? (now >= approval.expiresAt ? 'expired' : undefined)
    if (closing) await concludeApproval(approval, closing, this.ports)
    return closing !== undefined
  }

  private async ask({ key }: PlannedObject, now: number): Promise<void> {
    const { cluster, ledger, fleet, clock, log } = this.ports
    const who = planPeople(fleet, this.rollout)
    const raw = await getIfThere(cluster, refOf(key))
    const workload = raw === undefined ? undefined : parseWorkload('Terraform', raw)
    // It has moved on, and the watch is about to say so.
    if (!who || !workload?.pendingPlan) return
    const stored = await this.read(workload, now)
    if (!stored) return
    const id = planApprovalId(this.rollout.id, key)
    const { fingerprint: judged, shown } = stored
    const before = await ledger.readApproval(id)
    const isTold = before?.kind === 'plan' && before.judged === judged && now < before.expiresAt && before.told === true
    const { planning, uid, pendingPlan: plan } = workload
    const asked = {
      ...{ kind: 'plan' as const, id, cluster: this.rollout.cluster, rollout: this.rollout.id, object: key, uid, plan },
      ...{ plannedAt: planning?.plannedAt ?? '', commit: this.rollout.commit ?? this.rollout.push.after, shown },
      ...(planning?.approvePlanOwnedBy !== undefined && { ownedBy: planning.approvePlanOwnedBy }),
      ...{ needed: who.needed, requestedBy: this.rollout.push.pusher, reason: '', judged, token: this.token },
      ...(isTold && { told: true }),
    }
    const { approvalFor } = fleet.plans
    const written = await writeAsked(asked, { ledger, now: () => clock.now(), approvalFor, detail: countsOf(shown) })
    if (written.kind !== 'plan') return
    this.asked.set(key, written)
    if (isTold) return
    await sendLinks(written, summaryOf(written, shown), who.people, this.ports)
    // Where a person was faster with a decision, everybody has got a link.
    await ledger.writeApproval({ ...written, version: written.version + 1, told: true })
    log.info('people are asked to approve a plan', {
      rollout: this.rollout.id,
      object: key,
      plan,
      asked: who.people.length,
    })
  }

  /** Undefined while the plan is on its way. */
  private async read(workload: Workload, now: number) {
    try {
      const stored = await readStoredPlan(workload, this.ports.cluster)
      this.missingSince.delete(workload.key)
      return stored
    } catch (error) {
      if (!(error instanceof PlanMissing)) throw error
      const since = this.missingSince.get(workload.key) ?? now
      this.missingSince.set(workload.key, since)
      if (now - since >= missingMs) throw error
      return undefined
    }
  }
}

function countsOf({ counts, destroysAll }: ShownPlan) {
  return { ...counts, destroysAll }
}

function summaryOf(
  { requestedBy, plan, object, cluster }: PlanApproval,
  { counts, changes, destroysAll }: ShownPlan,
): string {
  const what = counts ? `: ${counts.add} to add, ${counts.change} to change, ${counts.destroy} to destroy` : ''
  const destroys = destroysAll || changes.some(isDestructive) ? '. It DESTROYS or replaces resources' : ''
  return `The push of ${requestedBy} waits for ${plan} of ${object} in ${cluster}${what}${destroys}`
}
