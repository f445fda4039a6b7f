import type { ReadablePlan } from './plan-store.ts'

const address = 'terraform_data.main'

/** A revision; undefined where there is nothing. */
type Revision = string | undefined

/**
 * The plan that brings a state from the revision that was applied last to another one, as OpenTofu writes it: one
 * resource, which is made anew whenever the revision changes. To nothing, it is destroyed.
 */
export function readablePlan(how: 'json' | 'human', before: Revision, after: Revision): ReadablePlan {
  return { how, text: how === 'json' ? jsonPlan(before, after) : humanPlan(before, after) }
}

function jsonPlan(before: Revision, after: Revision): string {
  const resource_changes = [
    { address, mode: 'managed', type: 'terraform_data', name: 'main', change: change(before, after) },
  ]
  return JSON.stringify({ format_version: '1.2', ...(hasChange(before, after) && { resource_changes }) })
}

const hasChange = (before: Revision, after: Revision) => before !== undefined || after !== undefined

function change(before: Revision, after: Revision): object {
  const values = (revision: Revision) => (revision === undefined ? null : { triggers_replace: revision })
  const sensitive = (revision: Revision) => (revision === undefined ? false : {})
  return {
    actions: [...(before === undefined ? [] : ['delete']), ...(after === undefined ? [] : ['create'])],
    before: values(before),
    after: values(after),
    after_unknown: after === undefined ? {} : { id: true },
    before_sensitive: sensitive(before),
    after_sensitive: sensitive(after),
  }
}

function humanPlan(before: Revision, after: Revision): string {
  if (!hasChange(before, after)) return '\nNo changes. Your infrastructure matches the configuration.\n'
  const { heading, sign, mark } = forms[before === undefined ? 'create' : after === undefined ? 'delete' : 'replace']
  const shown = [before, after].flatMap((revision) => (revision === undefined ? [] : [JSON.stringify(revision)]))
  return `
OpenTofu will perform the following actions:

  # ${address} ${heading}
${sign} resource "terraform_data" "main" {
      ${mark} triggers_replace = ${shown.join(' -> ')}${after === undefined ? ' -> null' : ''}
    }

Plan: ${after === undefined ? 0 : 1} to add, 0 to change, ${before === undefined ? 0 : 1} to destroy.
`
}

const forms = {
  create: { heading: 'will be created', sign: '  +', mark: '+' },
  replace: { heading: 'must be replaced', sign: '-/+', mark: '~' },
  delete: { heading: 'will be destroyed', sign: '  -', mark: '-' },
}
