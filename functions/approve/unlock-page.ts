import type { UnlockApproval } from '../lib/approval/approval.ts'
import type { Explanation } from '../lib/locks/explain.ts'
import { html, type Markup } from './html.ts'
import { approvalPage, timeOf, type Viewer } from './page.ts'

/** The page on which a person decides about an unlock. `explanation` is by the latest scan, as far as the lock is known. */
export function unlockPage(approval: UnlockApproval, viewer: Viewer, explanation: Explanation | undefined): string {
  const { id, object, cluster, plan, lock, rung } = approval
  return approvalPage(approval, viewer, {
    title: `Unlock ${object} in ${cluster}?`,
    facts: [
      ['Lock', lock],
      ['Rung', rung],
      ['Unlock', id],
    ],
    content: html`${explanation && whyOf(explanation)}
${explanation && evidenceOf(explanation)}
${plan.length === 0 ? undefined : html`<section><h2>What would be done</h2><pre>${plan.join('\n')}</pre></section>`}`,
    denying: 'One who denies ends the unlock.',
  })
}

function whyOf({ banner, verdict, scene, reasons, wouldChange }: Explanation): Markup {
  return html`<section><h2>Why it is ${verdict}${scene === undefined ? '' : `: a ${scene}`}</h2>
<p>${banner}</p>
<ul>${reasons.map((reason) => html`<li>${reason}</li>`)}<li>It changes when: ${wouldChange}.</li></ul></section>`
}

function evidenceOf({ evidence }: Explanation): Markup {
  const lines = evidence.map(
    ({ what, found, source, readAt }) =>
      html`<dt>${what}</dt><dd>${found}<div class="quiet small">${source}, ${timeOf(readAt)}</div></dd>`,
  )
  return html`<section><h2>Evidence</h2><dl>${lines}</dl></section>`
}
