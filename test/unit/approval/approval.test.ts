import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  approversOf,
  decide,
  decisions,
  outcomeOf,
  type UnlockApproval,
} from '../../../functions/lib/approval/approval.ts'
import { approvalOf, askedAt, people } from '../../fixtures/approvals.ts'

const at = askedAt + 1_000
const approve = (approval: UnlockApproval, by: string, when = at) =>
  decide(approval, { by, decision: 'approve', at: when }, people)

function decided(answer: ReturnType<typeof decide<UnlockApproval>>): UnlockApproval {
  if ('outcome' in answer) throw new Error(answer.why)
  return answer
}

describe('decide', () => {
  it('is complete with as many people as are needed', () => {
    const one = decided(approve(approvalOf(), 'bob'))
    expect([one.version, outcomeOf(one)]).toEqual([2, 'open'])
    const two = decided(approve(one, 'Carol'))
    expect(two.decisions.map(({ by }) => by)).toEqual(['bob', 'carol'])
    expect(outcomeOf(two)).toBe('approved')
  })

  it('ends with one who denies, whoever else has approved', () => {
    const one = decided(approve(approvalOf(), 'bob'))
    const denied = decided(decide(one, { by: 'carol', decision: 'deny', at, reason: 'not now' }, people))
    expect(outcomeOf(denied)).toBe('denied')
    expect(denied.decisions.at(-1)).toEqual({ by: 'carol', decision: 'deny', at, reason: 'not now' })
    expect(approve(denied, 'dora')).toMatchObject({ rule: 'over' })
  })

  it.each([
    ['requester', approvalOf(), 'ana'],
    ['requester', approvalOf(), 'ANA '],
    ['requester', approvalOf({ requestedBy: 'Bob@Example.com' }), 'bob'],
    ['requester', approvalOf({ requestedBy: 'C-Smith' }), 'carol'],
    // The same letters in another width, as some keyboards write them.
    ['requester', approvalOf({ requestedBy: 'ａｎａ' }), 'ana'],
    ['not-an-approver', approvalOf(), 'mallory'],
    ['not-an-approver', approvalOf(), ''],
    ['repeated', decided(approve(approvalOf(), 'bob')), 'BOB'],
    ['over', approvalOf({ needed: 1, decisions: [{ by: 'bob', decision: 'approve', at }] }), 'carol'],
    ['over', approvalOf({ closed: { how: 'changed', at } }), 'bob'],
  ] as const)('refuses by the rule %s', (rule, approval, by) => {
    expect(approve(approval, by)).toMatchObject({ outcome: 'not-decided', rule })
  })

  it('counts people, and not what they have written', () => {
    const made = ['bob', 'BOB '].map((by) => ({ by, decision: 'approve' as const, at }))
    expect(outcomeOf({ needed: 2, decisions: made })).toBe('open')
  })

  it('refuses what comes at the deadline or after it', () => {
    const approval = approvalOf()
    expect(approve(approval, 'bob', approval.expiresAt)).toMatchObject({ rule: 'expired' })
    expect(approve(approval, 'bob', approval.expiresAt - 1)).not.toHaveProperty('rule')
  })

  it('never completes by fewer people than are needed, nor by who asked', () => {
    const name = fc.constantFrom('ana', 'Ana', 'bob', ' BOB', 'carol', 'CAROL', 'ana@example.com', 'mallory', '')
    const moves = fc.array(fc.record({ by: name, decision: fc.constantFrom(...decisions), after: fc.nat(90 * 60_000) }))
    let complete = 0
    fc.assert(
      fc.property(moves, fc.constantFrom(1, 2, 3), fc.constantFrom('ana', 'BOB@example.com'), (made, needed, asker) => {
        let approval = approvalOf({ needed, requestedBy: asker })
        const agreed = new Set<string>()
        for (const { by, decision, after } of made) {
          const next = decide(approval, { by, decision, at: askedAt + after }, people)
          if ('outcome' in next) continue
          if (decision === 'approve') agreed.add(by.trim().toLowerCase())
          approval = next
        }
        const requester = asker === 'ana' ? 'ana' : 'bob'
        expect(agreed).not.toContain(requester)
        expect(agreed).not.toContain('mallory')
        if (outcomeOf(approval) !== 'approved') return
        complete++
        expect(agreed.size).toBe(needed)
      }),
      { numRuns: 2_000 },
    )
    // Else it would say nothing.
    expect(complete).toBeGreaterThan(50)
  })
})

describe('approversOf', () => {
  it('leaves out whoever asked, by name or address', () => {
    const names = (requestedBy: string) => approversOf(requestedBy, people).map(({ name }) => name)
    expect(names('Ana')).toEqual(['bob', 'carol'])
    expect(names('bob@example.com')).toEqual(['ana', 'carol'])
    expect(names('c-smith')).toEqual(['ana', 'bob'])
    expect(names('lockstep')).toEqual(['ana', 'bob', 'carol'])
  })
})
