import type { Explanation } from '../lib/locks/explain.ts'
import { type Approval, type Decision, outcomeOf } from '../lib/unlock/approval/approval.ts'
import { html, type Markup } from './html.ts'
import { style } from './style.ts'

/** What one person sees of an approval. */
export interface ApprovalView {
  readonly approval: Approval
  /** Whose link it is. */
  readonly approver: string
  /** By the latest scan. Undefined where nothing is known of the lock any more. */
  readonly explanation: Explanation | undefined
  /** Why the person cannot decide; undefined: the form is shown. */
  readonly whyNot: string | undefined
}

/** The page on which a person decides: nothing on it needs a script. */
export function approvalPage(view: ApprovalView): string {
  const { approval, explanation, whyNot } = view
  const { object, cluster, plan } = approval
  const title = `Unlock ${object} in ${cluster}?`
  return pageOf(
    title,
    html`<h1>${title}</h1>
${whyNot === undefined ? undefined : html`<p class="notice" role="status">${sentence(whyNot)}</p>`}
${factsOf(view)}
${explanation && whyOf(explanation)}
${explanation && evidenceOf(explanation)}
${plan.length === 0 ? undefined : html`<section><h2>What would be done</h2><pre>${plan.join('\n')}</pre></section>`}
${whyNot === undefined ? formOf(view) : undefined}`,
  )
}

/** A page that only says something. */
export function noticePage(title: string, text: string): string {
  return pageOf(title, html`<h1>${title}</h1><p class="notice" role="status">${text}</p>`)
}

function pageOf(title: string, content: Markup): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Lockstep</title>
<link rel="icon" href="data:,">
<style>${{ markup: style }}</style>
</head>
<body><main>
${content}
</main></body>
</html>
`
  return page.markup
}

function factsOf({ approval, approver }: ApprovalView): Markup {
  const { lock, requestedBy, reason, askedAt, expiresAt, rung, decisions, needed, unlock } = approval
  const facts: [string, string | Markup][] = [
    ['You are', approver],
    ['Asked by', requestedBy],
    ['Because', reason || 'no reason was given'],
    ['Lock', lock],
    ['Rung', rung],
    ['Asked at', timeOf(askedAt)],
    ['Decide until', timeOf(expiresAt)],
    ['Approvals', `${agreed(approval)} of ${needed}`],
    ...decisions.map((decision): [string, Markup] => ['Decided', decisionOf(decision)]),
    ...(outcomeOf(approval) === 'open' ? [] : [['Together', outcomeOf(approval)] as [string, string]]),
    ['Unlock', unlock],
  ]
  return html`<section><dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></section>`
}

function agreed({ decisions }: Approval): number {
  return decisions.filter(({ decision }) => decision === 'approve').length
}

function decisionOf({ by, decision, at, reason }: Decision): Markup {
  const what = decision === 'approve' ? 'approved' : 'denied'
  return html`${by} ${what}, ${timeOf(at)}${reason === undefined ? undefined : html` <span class="quiet">(${reason})</span>`}`
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

/** Without an action it goes to the page's own address. */
function formOf({ approver }: ApprovalView): Markup {
  return html`<section><h2>Decide as ${approver}</h2>
<form method="post">
<label>A word on why, for the record<input name="reason" maxlength="300" autocomplete="off"></label>
<div class="buttons"><button name="decision" value="approve">Approve</button>
<button class="deny" name="decision" value="deny">Deny</button></div>
</form>
<p class="quiet small">You decide once. One who denies ends the unlock. Nothing happens before you press a button.</p></section>`
}

function timeOf(ms: number): Markup {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
