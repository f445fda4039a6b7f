import { expect, test } from 'vitest'
import { isOlder } from '../../../functions/claim/order-pushes.ts'
import { head } from '../../fixtures/raw-objects.ts'

const claimant = (before: string, after: string, pushedAt: number) => ({
  ...{ rollout: after, execution: 'arn', before: head(before), after: head(after), pushedAt },
})

test.each([
  ['its commit is where the other began', claimant('a', 'b', 5), claimant('b', 'c', 5), true],
  ['it began at the commit of the other, whatever the clock says', claimant('b', 'c', 1), claimant('a', 'b', 9), false],
  ['GitHub saw it earlier', claimant('a', 'b', 1), claimant('c', 'd', 2), true],
  ['GitHub saw it later', claimant('a', 'b', 2), claimant('c', 'd', 1), false],
  ['nothing tells them apart', claimant('a', 'b', 1), claimant('c', 'd', 1), false],
  ['back and forth: the clock decides', claimant('a', 'b', 1), claimant('b', 'a', 2), true],
  ['forth again: the clock decides', claimant('b', 'a', 2), claimant('a', 'b', 1), false],
])('%s', (_, push, other, older) => {
  expect(isOlder(push, other)).toBe(older)
})
