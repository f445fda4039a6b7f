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

  # module.net["a"].aws_subnet.b is tainted, so must be replaced

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

it('takes imports and colours', () => {
  const { counts } = showHumanPlan('\u001b[1mPlan:\u001b[0m 2 to import, 1 to add, 0 to change, 4 to destroy.', false)
  expect(counts).toEqual({ add: 1, change: 0, destroy: 4 })
})

it('is cut where it is too long, and what is destroyed is named all the same', () => {
  const long = `${'x'.repeat(longestShown)}\n${text}`
  const { text: shown, changes, cut } = showHumanPlan(long, true)
  expect([shown?.length, cut, changes[0]?.address]).toEqual([longestShown, true, 'aws_db.main'])
})
