import type { ReadablePlan } from './plan-store.ts'

const address = 'terraform_data.main'

/**
 * The plan that brings a state from the revision that was applied last to another one, as OpenTofu writes it: one
 * resource, which is made anew whenever the revision changes.
 */
export function readablePlan(how: 'json' | 'human', revision: string, applied: string | undefined): ReadablePlan {
  const text = how === 'json' ? jsonPlan(revision, applied) : humanPlan(revision, applied)
  return { how, text }
}

function jsonPlan(revision: string, applied: string | undefined): string {
  const change = {
    actions: applied === undefined ? ['create'] : ['delete', 'create'],
    before: applied === undefined ? null : { triggers_replace: applied },
    after: { triggers_replace: revision },
    after_unknown: { id: true },
    before_sensitive: applied === undefined ? false : {},
    after_sensitive: {},
  }
  return JSON.stringify({
    format_version: '1.2',
    resource_changes: [{ address, mode: 'managed', type: 'terraform_data', name: 'main', change }],
  })
}

function humanPlan(revision: string, applied: string | undefined): string {
  const isNew = applied === undefined
  const what = isNew ? 'will be created' : 'must be replaced'
  return `
OpenTofu will perform the following actions:

  # ${address} ${what}
${isNew ? '  +' : '-/+'} resource "terraform_data" "main" {
      ${isNew ? '+' : '~'} id               = (known after apply)
      ${isNew ? '+' : '~'} triggers_replace = ${isNew ? '' : `${JSON.stringify(applied)} -> `}${JSON.stringify(revision)}
    }

Plan: 1 to add, 0 to change, ${isNew ? 0 : 1} to destroy.
`
}
