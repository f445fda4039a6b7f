import { type Approval, type Decision, outcomeOf } from '../lib/approval/approval.ts'
import { html, type Markup } from './html.ts'
import { style } from './style.ts'

/** Whose link it is, and what that person can do. */
export interface Viewer {
  readonly approver: string
  /** Why the person cannot decide; undefined: the form is shown. */
  readonly whyNot: string | undefined
}

/** What is special about a kind of approval. */
export interface Subject {
  readonly title: string
  readonly facts: readonly (readonly [string, string | Markup])[]
  readonly content: Markup
  /** What a denial leads to, as a sentence. */
  readonly denying: string
}

/** The page on which a person decides: nothing on it needs a script. */
export function approvalPage(approval: Approval, viewer: Viewer, { title, facts, content, denying }: Subject): string {
  const { whyNot } = viewer
  return pageOf(
    title,
    html`<h1>${title}</h1>
${whyNot === undefined ? undefined : html`<p class="notice" role="status">${sentence(whyNot)}</p>`}
${factsOf(approval, viewer, facts)}
${content}
${whyNot === undefined ? formOf(viewer, denying) : undefined}`,
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

function factsOf(approval: Approval, { approver }: Viewer, own: Subject['facts']): Markup {
  const { requestedBy, reason, askedAt, expiresAt, decisions, needed } = approval
  const facts: Subject['facts'] = [
    ['You are', approver],
    [approval.kind === 'unlock' ? 'Asked by' : 'Pushed by', requestedBy],
    ...(approval.kind === 'unlock' ? [['Because', reason || 'no reason was given'] as const] : []),
    ...own,
    ['Asked at', timeOf(askedAt)],
    ['Decide until', timeOf(expiresAt)],
    ['Approvals', `${agreed(approval)} of ${needed}`],
    ...decisions.map((decision) => ['Decided', decisionOf(decision)] as const),
    ...(outcomeOf(approval) === 'open' ? [] : [['Together', outcomeOf(approval)] as const]),
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

/** Without an action it goes to the page's own address. */
function formOf({ approver }: Viewer, denying: string): Markup {
  return html`<section><h2>Decide as ${approver}</h2>
<form method="post">
<label>A word on why, for the record<input name="reason" maxlength="300" autocomplete="off"></label>
<div class="buttons"><button name="decision" value="approve">Approve</button>
<button class="deny" name="decision" value="deny">Deny</button></div>
</form>
<p class="quiet small">You decide once. ${denying} Nothing happens before you press a button.</p></section>`
}

export function timeOf(ms: number): Markup {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
