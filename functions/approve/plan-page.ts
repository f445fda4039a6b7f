import type { PlanApproval } from '../lib/approval/approval.ts'
import { isDestructive, type PlannedAction, type PlannedChange, type ShownPlan } from '../lib/plans/shown-plan.ts'
import { html, type Markup } from './html.ts'
import { approvalPage, type Viewer } from './page.ts'

/** The page on which a person decides about a plan of a Terraform object. */
export function planPage(approval: PlanApproval, viewer: Viewer): string {
  const { object, cluster, plan, plannedAt, commit, rollout, ownedBy, shown } = approval
  return approvalPage(approval, viewer, {
    title: `Apply the plan of ${object} in ${cluster}?`,
    facts: [
      ['Plan', plan],
      ['Commit', commit],
      ['Planned at', plannedAt],
      ['Rollout', rollout],
    ],
    content: html`${shown && warningOf(shown)}
${shown && planOf(shown)}
<section><h2>What approving does</h2><p>It sets spec.approvePlan of the object to ${plan}, and takes it out again when the plan is applied.
tofu-controller plans once more before it applies: what has changed in the world by then is applied too.</p>
${ownedBy === undefined ? undefined : html`<p>${ownedBy} sets spec.approvePlan from Git, and puts it back with its next apply: should that come before the plan is applied, you are asked again.</p>`}</section>`,
    denying: 'One who denies holds everything that comes after this object.',
  })
}

function warningOf(shown: ShownPlan): Markup | undefined {
  const gone = shown.changes.filter(isDestructive).length
  if (shown.destroysAll)
    return html`<p class="danger" role="alert"><strong>This plan destroys everything</strong> that the object manages.</p>`
  const count = Math.max(gone, shown.counts?.destroy ?? 0)
  if (count === 0) return undefined
  const what = count === 1 ? '1 resource' : `${count} resources`
  return html`<p class="danger" role="alert"><strong>This plan destroys or replaces ${what}.</strong></p>`
}

function planOf({ counts, changes, text, cut, missing }: ShownPlan): Markup {
  const heading = counts
    ? `Plan: ${counts.add} to add, ${counts.change} to change, ${counts.destroy} to destroy`
    : 'Plan'
  return html`<section><h2>${heading}</h2>
${missing === undefined ? undefined : html`<p class="quiet">${missing}</p>`}
${changes.length === 0 ? undefined : html`<ul class="changes">${changes.map(changeOf)}</ul>`}
${text === undefined ? undefined : html`<pre>${text}</pre>`}
${cut ? html`<p class="notice">There is more than is shown here. What is destroyed or replaced comes first.</p>` : undefined}</section>`
}

const verbs: Readonly<Record<PlannedAction, string>> = {
  replace: 'destroyed and made anew',
  delete: 'destroyed',
  create: 'created',
  update: 'changed',
  forget: 'forgotten, not destroyed',
  import: 'taken over into the state',
  move: 'moved in the state',
  read: 'read',
}

function changeOf(change: PlannedChange): Markup {
  const { address, action, lines } = change
  const named = html`<strong>${address}</strong> is ${verbs[action]}`
  const shown = isDestructive(change) ? html`<span class="bad">${named}</span>` : named
  return html`<li>${shown}${lines.length === 0 ? undefined : html`<pre>${lines.join('\n')}</pre>`}</li>`
}
