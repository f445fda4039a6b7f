import { existsSync, readdirSync } from 'node:fs'
import { build } from 'esbuild'
import { expect, it } from 'vitest'
import { clusterWorks } from '../../../infra/aws/cluster-work.ts'
import { LockstepStack } from '../../../infra/aws/lockstep-stack.ts'
import { readFleet } from '../../../infra/fleet.ts'
import { newApp } from '../../fixtures/synthesized.ts'

const { clusters } = new LockstepStack(newApp(), 'Lockstep', readFleet())
const reaching = new Set(clusterWorks.flatMap((work) => clusters.handlersOf(work)))
const handlers = readdirSync('functions').filter((folder) => existsSync(`functions/${folder}/handler.ts`))

/** One that has it, so that the test sees it where it is. */
const witness = 'gate'

// The client is three quarters of a bundle that has it, and most of the time that it takes to start.
it('functions that reach no cluster do not carry the client for them', async () => {
  expect(reaching).toContain(witness)
  const others = handlers.filter((handler) => !reaching.has(handler))
  expect(others.length).toBeGreaterThan(5)
  const { metafile } = await build({
    entryPoints: [...others, witness].map((handler) => `functions/${handler}/handler.ts`),
    ...{ bundle: true, platform: 'node', format: 'esm', mainFields: ['module', 'main'], outdir: 'never-written' },
    ...{ write: false, metafile: true },
  })
  const having = Object.values(metafile.outputs)
    .filter(({ inputs }) => Object.keys(inputs).some((path) => path.includes('@kubernetes/client-node/')))
    .flatMap(({ entryPoint }) => entryPoint?.split('/')[1] ?? [])
  expect(having).toEqual([witness])
})
