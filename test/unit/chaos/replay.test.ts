import { expect, test } from 'vitest'
import { chaosRun } from '../../chaos/chaos-run.ts'

/** What happens, but for what the stores make up: UIDs. */
async function storyOf(seed: number): Promise<string[]> {
  const lines: string[] = []
  await chaosRun({
    seed,
    trace: (line) => lines.push(line.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'uid')),
  })
  return lines
}

test('the same seed is the same run, whatever ran before it', async () => {
  const first = await storyOf(4)
  expect(first.length).toBeGreaterThan(50)
  await storyOf(5)
  expect(await storyOf(4)).toEqual(first)
  expect(await storyOf(5)).not.toEqual(first)
})
