import { expect, it } from 'vitest'
import type { Clock } from '../../../functions/lib/clock.ts'
import { exitCodeOfRun } from '../../../infra/local/locks/exit-code.ts'
import { followUnlock } from '../../../infra/local/locks/follow-unlock.ts'
import type { ApprovalLine } from '../../../infra/local/views/approval-view.ts'
import type { UnlockRunView } from '../../../infra/local/views/unlock-run-view.ts'
import { approvalOf } from '../../fixtures/approvals.ts'

const second = 1_000
const at = 1_000_000
const run = { cluster: 'staging', lock: 'l-1', object: 'Terraform/flux-system/vpc' }
const begun: UnlockRunView = { unlock: 'u-1', status: 'RUNNING', startedAt: at, steps: [{ name: 'Assess', at }], run }
const asking: UnlockRunView['steps'] = [...begun.steps, { name: 'AskForApproval', at: at + 2 * second }]
const { token: _, version: __, plan: ___, ...asked } = approvalOf({ lock: '6b1f0c9e-0000', needed: 1 })
const open: ApprovalLine = { ...asked, outcome: 'open', people: [{ name: "Bob O'Neill", page: '/approve/x' }] }
const agreed: ApprovalLine = {
  ...{ ...asked, outcome: 'approved', people: [] },
  decisions: [{ by: 'bob', decision: 'approve', at: at + 60 * second }],
}
const fencing: UnlockRunView['steps'] = [
  ...asking,
  { name: 'DrainRuns', at: at + 70 * second },
  { name: 'DrainRuns', at: at + 80 * second },
]

async function told(...views: readonly UnlockRunView[]): Promise<string[]> {
  const lines: string[] = []
  const answers = views.values()
  const follow = async () => ({ now: at, speed: 1, unlock: answers.next().value ?? begun })
  const clock: Clock = {
    now: () => at,
    after: (_, fire) => {
      queueMicrotask(fire)
      return () => {}
    },
  }
  await followUnlock('u-1', { follow }, { clock, say: (line) => lines.push(line) })
  return lines
}

it('tells each step and each decision once, in their order, and whom it waits for', async () => {
  const ended: UnlockRunView = { ...begun, steps: fencing, approval: agreed, status: 'SUCCEEDED' }
  expect(
    await told(
      begun,
      begun,
      { ...begun, steps: asking, approval: open },
      { ...begun, steps: asking, approval: open },
      { ...begun, steps: fencing, approval: agreed },
      { ...ended, run: { ...run, outcome: 'unlocked' } },
    ),
  ).toEqual([
    'Unlock u-1',
    '+0s     Assess',
    '+2s     Ask for approval',
    `        waits for 1 of Bob O'Neill to approve: npm run locks -- approve 6b1f0c9e --as "Bob O'Neill"`,
    '+1m     bob: approve',
    '+1m10s  Drain runs',
    'Unlocked: Terraform/flux-system/vpc in staging, after 1m20s.',
  ])
})

it.each([
  [{ run: { ...run, outcome: 'unlocked' } }, 'Unlocked: Terraform/flux-system/vpc in staging, after 0s.', 0],
  [
    { run: { ...run, outcome: 'refused', why: 'its holder is alive.' } },
    'Refused: Terraform/flux-system/vpc in staging stays locked: its holder is alive.',
    1,
  ],
  [
    { run: { ...run, outcome: 'failed', why: 'it broke.' } },
    'Failed: Terraform/flux-system/vpc in staging: it broke.',
    2,
  ],
  [
    { status: 'ABORTED', cause: 'ana stopped it\u001b[2J' },
    'Failed: Terraform/flux-system/vpc in staging: ana stopped it?[2J',
    2,
  ],
] as const)('ends with what became of it: %j', async (end, line, code) => {
  const view: UnlockRunView = { ...begun, status: 'FAILED', ...end }
  expect((await told(view)).at(-1)).toBe(line)
  expect(exitCodeOfRun(view)).toBe(code)
})
