import type { WaveApproval } from '../lib/approval/approval.ts'
import { html } from './html.ts'
import { approvalPage, type Viewer } from './page.ts'

/** The page on which a person decides whether a push goes on to a wave of clusters. */
export function wavePage(approval: WaveApproval, viewer: Viewer): string {
  const { branch, commit, wave, waves, clusters, clusterCount, before } = approval
  const more = clusterCount - clusters.length
  return approvalPage(approval, viewer, {
    title: `Roll out ${commit.slice(0, 12)} to wave ${wave} of ${waves}?`,
    facts: [
      ['Branch', branch],
      ['Commit', commit],
      ['Before it', beforeText(before)],
    ],
    content: html`<section><h2>${clusterCount === 1 ? '1 cluster' : `${clusterCount} clusters`}</h2>
<ul>${clusters.map((name) => html`<li>${name}</li>`)}</ul>
${more > 0 ? html`<p class="quiet">And ${more} more.</p>` : undefined}</section>`,
    denying:
      'One who denies ends the push here, and so does the end of the time: neither this wave nor a later one is begun, and nobody is asked about this commit again before somebody pushes.',
  })
}

/** `3 clusters succeeded, 1 failed` */
export function beforeText({ succeeded, failed, other }: WaveApproval['before']): string {
  if (succeeded + failed + other === 0) return 'This is the first wave.'
  const parts = [`${succeeded} succeeded`, `${failed} failed`, ...(other > 0 ? [`${other} ended otherwise`] : [])]
  return `Of the clusters before: ${parts.join(', ')}`
}
