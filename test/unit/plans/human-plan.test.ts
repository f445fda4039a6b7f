import { expect, it } from 'vitest'
import { showHumanPlan } from '../../../functions/lib/plans/human-plan.ts'
import { longestShown } from '../../../functions/lib/plans/shown-plan.ts'

const text = `
  # aws_db.main must be replaced
-/+ resource "aws_db" "main" {
      ~ password = (sensitive value)
    }

  # aws_vpc.old will be destroyed
  # (because aws_vpc.old is not in configuration)

  # module.net["a"].aws_subnet.b is tainted, so it must be replaced

  # aws_s3.new will be created

  # aws_iam.role will be updated in-place

Plan: 3 to add, 1 to change, 3 to destroy.
`

it('finds counts, and what is destroyed, first of all', () => {
  const { counts, changes, text: shown, cut } = showHumanPlan(text, false)
  expect(counts).toEqual({ add: 3, change: 1, destroy: 3 })
  expect(changes.map(({ address, action }) => `${action} ${address}`)).toEqual([
    ...['replace aws_db.main', 'replace module.net["a"].aws_subnet.b', 'delete aws_vpc.old'],
    ...['create aws_s3.new', 'update aws_iam.role'],
  ])
  expect([shown, cut]).toEqual([text, false])
})

const headings = (...lines: readonly string[]) =>
  showHumanPlan(lines.map((line) => `  # ${line}`).join('\n'), false).changes.map(
    ({ address, action }) => `${action} ${address}`,
  )

it('takes every heading that OpenTofu has for a change', () => {
  expect(
    headings(
      ...['a.b will be replaced, as requested', 'a.c will be replaced due to changes in replace_triggered_by'],
      ...['a.d (deposed object 5f2a) will be destroyed', '(left over from a partially-failed replacement)'],
      ...['a.e must be replaced - older instance will not be destroyed (lifecycle.destroy = false)'],
      ...[
        'a.f will be removed from the OpenTofu state but will not be destroyed',
        'data.a.g will be read during apply',
      ],
      ...['a.h has moved to a.i', 'a.j will be imported', 'a.k has changed', 'a.l has been deleted'],
    ),
  ).toEqual([
    ...['replace a.b', 'replace a.c', 'delete a.d (deposed object 5f2a)', 'forget a.e', 'forget a.f'],
    ...['import a.j', 'move a.i', 'read data.a.g'],
  ])
})

it('is not misled by what stands in an index, or in a value', () => {
  expect(
    headings(
      'a.b["x y"] will be destroyed',
      'a.d["x has moved to y"] will be destroyed',
      'a.c["z # d will be destroyed"] will be created',
    ),
  ).toEqual([...['delete a.b["x y"]', 'delete a.d["x has moved to y"]', 'create a.c["z # d will be destroyed"]']])
  const { changes, counts } = showHumanPlan(
    `  # a.b will be created
  + resource "a" "b" {
      + input = <<-EOT
              # a.c will be destroyed
            Plan: 0 to add, 0 to change, 9 to destroy.
        EOT
    }

Plan: 1 to add, 0 to change, 0 to destroy, 2 to forget.`,
    false,
  )
  expect(changes.map(({ address }) => address)).toEqual(['a.b'])
  expect(counts).toEqual({ add: 1, change: 0, destroy: 0 })
})

it('takes imports and colours', () => {
  const { counts } = showHumanPlan('\u001b[1mPlan:\u001b[0m 2 to import, 1 to add, 0 to change, 4 to destroy.', false)
  expect(counts).toEqual({ add: 1, change: 0, destroy: 4 })
})

it('is cut where it is too long, and what is destroyed is named all the same', () => {
  const long = `${'x'.repeat(longestShown)}\n${text}`
  const { text: shown, changes, cut } = showHumanPlan(long, true)
  expect([shown?.length, cut, changes[0]?.address]).toEqual([longestShown, true, 'aws_db.main'])
})

it('names no more than a page can hold, what is destroyed first', () => {
  const long = 'x'.repeat(200)
  const many = Array.from({ length: 1_000 }, (_, at) => `  # a.${long}${at} will be created\n`).join('')
  const { changes, cut } = showHumanPlan(`${many}  # a.gone will be destroyed\n`, false)
  expect(changes[0]).toMatchObject({ address: 'a.gone', action: 'delete' })
  expect(JSON.stringify(changes).length).toBeLessThan(2 * longestShown)
  expect(cut).toBe(true)
})

it('masks what is named like a secret, or looks like one, although nobody has called it one', () => {
  const plan = `
  # terraform_data.a will be created
  + resource "terraform_data" "a" {
      ~ db_password   = "hidden-1" -> "hidden-2"
      + json          = jsonencode(
            {
              + other    = "kept-1"
              + password = "hidden-3"
            }
        )
      + api_token     = {
          + inner = "hidden-4"
          + list  = [
              + "hidden-5",
            ]
        }
      + plain         = "kept-2"
      + private_key   = <<-EOT
            hidden-6

            hidden-7
        EOT
      + "my-secret"   = "hidden-8"
      + credentials {
          + user = "hidden-9"
        }
      + master_token  = (sensitive value)
      + next_token    = (known after apply)
      + script        = "export PASSWORD=hidden-10"
      + key           = <<-EOT
            -----BEGIN PRIVATE KEY-----
            hidden-11
            -----END PRIVATE KEY-----
        EOT
    }

Changes to Outputs:
  + admin_token = "hidden-12"
  + url         = "kept-3"
`
  const { text = '' } = showHumanPlan(plan, false)
  expect(text.match(/hidden-\d+/g)).toBeNull()
  expect(text.match(/kept-\d/g)).toEqual(['kept-1', 'kept-2', 'kept-3'])
  for (const line of [
    ...['~ db_password   = (sensitive)', '+ credentials = (sensitive)', '+ master_token  = (sensitive value)'],
    ...['+ next_token    = (known after apply)', '  + admin_token = (sensitive)'],
  ])
    expect(text).toContain(`${line}\n`)
})
